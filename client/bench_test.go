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
	"sluice/wire/text"
)

// endless is the client's end of a connection to a server that answers each FETCH with the same bytes at the offsets
// asked for, without end. Nothing of it is in the kernel, so what is measured is the client.
type endless struct {
	batches []byte   // whole
	records uint64   // in them
	asked   []uint64 // where the requests without an answer begin
	line    []byte   // of the answer, then its end
	head    []byte   // the part of line that is still to be read
	out     []byte   // its bytes, still to be read
}

const greeting = ^uint64(0) // asked for by HELLO

// Write takes whole requests. None of this allocates once the slices have grown.
func (e *endless) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		from := greeting
		if line, ok := bytes.CutPrefix(line, []byte("FETCH t ")); ok {
			from = 0 // for "oldest", too
			for _, c := range line {
				if c < '0' || c > '9' {
					break
				}
				from = from*10 + uint64(c-'0')
			}
		}
		e.asked = append(e.asked, from)
	}
	return len(p), nil
}

func (e *endless) answer(from uint64) {
	e.line = e.line[:0]
	if from == greeting {
		e.line = append(e.line, "OK server=sluice version=test protocol=1 node=n1 role=master max_line=4096 max_batch=8388608\r\n"...)
		return
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
	e.line = text.AppendUint(text.AppendDataHead(e.line, len(e.batches)), "from", from)
	e.line = text.AppendUint(text.AppendUint(e.line, "next", next), "end", 1<<62)
	e.line = text.AppendEOL(e.line)
	e.out = e.batches
}

func (e *endless) Read(p []byte) (n int, err error) {
	if len(e.head)+len(e.out) == 0 {
		if len(e.asked) == 0 {
			return 0, io.EOF // this client reads only what it has asked for
		}
		e.answer(e.asked[0])
		e.head = e.line
		e.asked = e.asked[:copy(e.asked, e.asked[1:])]
	}
	if len(e.head) > 0 {
		n = copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n = copy(p, e.out)
	if e.out = e.out[n:]; len(e.out) == 0 {
		e.head = append(e.line[:0], "\r\n"...)
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
	c := e.client(b)
	b.SetBytes(int64(len(e.batches)))
	b.ReportAllocs()
	b.ResetTimer()
	e.read(b, c, o, b.N)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(e.records), "ns/record")
}

func (e *endless) client(tb testing.TB) *client.Client {
	connections := 0
	c, err := client.Dial(tb.Context(), client.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		if connections++; connections == 1 {
			return &endless{}, nil // the Client's own
		}
		e.asked, e.head, e.out = e.asked[:0], nil, nil
		return e, nil
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// read takes that many answers.
func (e *endless) read(tb testing.TB, c *client.Client, o client.ConsumerOptions, answers int) {
	o.Limit = int64(answers) * int64(e.records)
	consumer, err := c.Consumer("t", o)
	if err != nil {
		tb.Fatal(err)
	}
	seen := int64(0)
	for r, err := range consumer.Records(tb.Context()) {
		if err != nil {
			tb.Fatal(err)
		}
		if len(r.Value) > 0 {
			seen++
		}
	}
	if seen != o.Limit {
		tb.Fatalf("%d records of %d", seen, o.Limit)
	}
}
