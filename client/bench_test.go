package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sluice/client"
	"sluice/wire/batch"
)

// endless is the client's end of a connection to a server that answers each FETCH with the same bytes at the offsets
// asked for, without end. Nothing of it is in the kernel, so what is measured is the client.
type endless struct {
	batches []byte // whole
	records uint64 // in them
	asked   [][]byte // requests without an answer
	head    []byte   // of the answer: its line, or the line end behind its bytes
	out     []byte   // its bytes, still to be read
}

func (e *endless) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		e.asked = append(e.asked, bytes.Clone(p[:end]))
		p = p[end:]
	}
	return n, nil
}

func (e *endless) answer(line []byte) {
	if bytes.HasPrefix(line, []byte("HELLO")) {
		e.head = append(e.head, "OK server=sluice version=test protocol=1 node=n1 role=master max_line=4096 max_batch=8388608\r\n"...)
		return
	}
	from := uint64(0)
	if word := bytes.Fields(line)[2]; word[0] >= '0' && word[0] <= '9' {
		for _, c := range word {
			from = from*10 + uint64(c-'0')
		}
	}
	next := from
	for b := e.batches; len(b) > 0; {
		h, err := batch.ParseHeader(b)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		batch.SetBase(b, next, 0)
		next, b = next+uint64(h.Count), b[h.Size:]
	}
	e.head = fmt.Appendf(e.head[:0], "DATA %d from=%d next=%d end=%d synced=0 epoch=0\r\n", len(e.batches), from, next, uint64(1)<<62)
	e.out = e.batches
}

func (e *endless) Read(p []byte) (n int, err error) {
	if len(e.head)+len(e.out) == 0 {
		if len(e.asked) == 0 {
			return 0, io.EOF // this client reads only what it has asked for
		}
		e.answer(e.asked[0])
		e.asked = e.asked[1:]
	}
	if len(e.head) > 0 {
		n = copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n = copy(p, e.out)
	if e.out = e.out[n:]; len(e.out) == 0 {
		e.head = append(e.head[:0], "\r\n"...)
	}
	return n, nil
}

func (*endless) Close() error                     { return nil }
func (*endless) LocalAddr() net.Addr              { return nil }
func (*endless) RemoteAddr() net.Addr             { return nil }
func (*endless) SetDeadline(time.Time) error      { return nil }
func (*endless) SetReadDeadline(time.Time) error  { return nil }
func (*endless) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkConsumer is how fast one Consumer can be: an operation is one answer of about 1 MiB, in batches of about
// 64 KiB, and the bytes are those stored.
func BenchmarkConsumer(b *testing.B) {
	for _, size := range []int{35, 100, 1 << 10, 16 << 10} {
		for _, codec := range []batch.Codec{batch.None, batch.LZ4} {
			for _, share := range []bool{false, true} {
				kept := map[bool]string{false: "kept", true: "shared"}[share]
				b.Run(fmt.Sprintf("%v/%dB/%s", codec, size, kept), func(b *testing.B) {
					benchmarkConsumer(b, answerOf(size, codec), client.ConsumerOptions{ShareBytes: share})
				})
			}
		}
	}
}

// answerOf makes the batches of an answer.
func answerOf(size int, codec batch.Codec) *endless {
	e := &endless{}
	const batches, plain = 16, 64 << 10
	value := bytes.Repeat([]byte("0123456789abcde fghijklmnopqrstuvwxyz"), size/37+1)[:size]
	for range batches {
		var builder batch.Builder
		builder.Reset(nil)
		for range plain / (size + 8) {
			builder.Add(1_700_000_000_000, nil, value, nil)
			e.records++
		}
		one, err := builder.Finish(codec)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		e.batches = append(e.batches, one...)
	}
	return e
}

func benchmarkConsumer(b *testing.B, e *endless, o client.ConsumerOptions) {
	connections := 0
	c, err := client.Dial(b.Context(), client.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		connections++
		if connections == 1 {
			return &endless{}, nil // the Client's own
		}
		return e, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	o.Limit = int64(b.N) * int64(e.records)
	consumer, err := c.Consumer("t", o)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(e.batches)))
	b.ReportAllocs()
	seen := int64(0)
	for r, err := range consumer.Records(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if len(r.Value) > 0 {
			seen++
		}
	}
	if seen != o.Limit || connections != 2 {
		b.Fatalf("%d records of %d over %d connections", seen, o.Limit, connections-1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(seen), "ns/record")
}
