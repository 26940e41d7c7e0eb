package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// entry is a record as a test writes it down.
type entry struct {
	time       int64
	key, value []byte
	headers    []RecordHeader
}

// build makes a batch of the entries behind nothing.
func build(t testing.TB, codec Codec, entries ...entry) []byte {
	t.Helper()
	var b Builder
	b.Reset(nil)
	for _, e := range entries {
		b.Add(e.time, e.key, e.value, e.headers)
	}
	out, err := b.Finish(codec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seal makes a batch of raw bytes of records, whatever they are.
func seal(codec Codec, count int32, records []byte) []byte {
	var b Builder
	b.count, b.base, b.max = count, 1000, 1000
	p := append(make([]byte, HeaderSize), records...)
	b.putHeader(p, codec)
	return p
}

// resum gives b, one whole batch, the checksum of its bytes.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

// at returns a copy of b with p written at pos.
func at(b []byte, pos int, p ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[pos:], p)
	return b
}

// walk reads a whole batch and returns copies of its records.
func walk(b []byte, maxDecoded int) ([]entry, []uint64, error) {
	var r Reader
	return walkWith(&r, b, maxDecoded)
}

func walkWith(r *Reader, b []byte, maxDecoded int) (entries []entry, offsets []uint64, err error) {
	if err := r.Reset(b, maxDecoded); err != nil {
		return nil, nil, err
	}
	var rec Record
	for r.Next(&rec) {
		e := entry{time: rec.Time, key: bytes.Clone(rec.Key), value: bytes.Clone(rec.Value)}
		for h := range rec.Headers {
			e.headers = append(e.headers, RecordHeader{h.Key, bytes.Clone(h.Value)})
		}
		if len(e.headers) != rec.HeaderCount {
			return nil, nil, errors.New("HeaderCount is not the number of headers")
		}
		entries = append(entries, e)
		offsets = append(offsets, rec.Offset)
	}
	return entries, offsets, r.Err()
}

// same compares with null apart from empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func wantEntries(t testing.TB, got, want []entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.time != w.time || !same(g.key, w.key) || !same(g.value, w.value) || len(g.headers) != len(w.headers) {
			t.Fatalf("record %d is %+v, want %+v", i, g, w)
		}
		for j := range w.headers {
			if g.headers[j].Key != w.headers[j].Key || !same(g.headers[j].Value, w.headers[j].Value) {
				t.Fatalf("record %d, header %d is %+v, want %+v", i, j, g.headers[j], w.headers[j])
			}
		}
	}
}

// wantFault checks the exact words of a fault, and which of the two codes it means.
func wantFault(t testing.TB, err error, why string, checksum bool) {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("error is %v, want a Fault: %s", err, why)
	}
	if f.Why != why || (f.Kind == Checksum) != checksum {
		t.Fatalf("fault is\n\t%q (kind %v), want\n\t%q (checksum %v)", f.Why, f.Kind, why, checksum)
	}
}

// mixed are n records of every shape: null and empty keys and values, headers, times that go back; repetitive enough
// to be worth compressing.
func mixed(n int) []entry {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() []byte {
		return bytes.Repeat([]byte("sluice "), rng.IntN(40))
	}
	out := make([]entry, n)
	for i := range out {
		e := entry{time: 1_700_000_000_000 + rng.Int64N(2000) - 1000, value: word()}
		switch i % 4 {
		case 1:
			e.key = []byte{}
		case 2:
			e.key, e.value = word(), nil
		case 3:
			e.headers = []RecordHeader{{"", nil}, {"trace", []byte{}}, {"h", word()}}
		}
		out[i] = e
	}
	return out
}

// noise are bytes that no codec makes smaller, but for zstd by a percent or two.
func noise(n int) []byte {
	rng := rand.NewChaCha8([32]byte{7})
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint64())
	}
	return b
}
