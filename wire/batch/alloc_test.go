package batch

import (
	"bytes"
	"testing"
)

// I10: the hot paths allocate nothing.
func TestHotPathsAllocateNothing(t *testing.T) {
	entries := mixed(100)
	plain := build(t, None, entries...)
	packed := build(t, LZ4, entries...)
	payload := bytes.Join([][]byte{plain, packed, plain}, nil)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var (
		b   Builder
		r   Reader
		buf = make([]byte, 0, 2*len(plain))
	)
	drain := func(batch []byte) {
		must(r.Reset(batch, 1<<20))
		var rec Record
		n := 0
		for r.Next(&rec) {
			n++
		}
		must(r.Err())
		if n != len(entries) {
			t.Fatalf("%d records", n)
		}
	}
	pack := func(codec Codec) {
		b.Reset(buf)
		for i := range entries {
			e := &entries[i]
			b.Add(e.time, e.key, e.value, e.headers)
		}
		_, err := b.Finish(codec)
		must(err)
	}
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"Size", func() { _, err := Size(plain); must(err) }},
		{"ParseHeader", func() { _, err := ParseHeader(plain); must(err) }},
		{"Verify", func() { _, err := Verify(plain); must(err) }},
		{"Check", func() { _, err := Check(plain, MaxSize); must(err) }},
		{"Check lz4", func() { _, err := Check(packed, MaxSize); must(err) }},
		{"CheckAll", func() { _, err := CheckAll(payload, MaxSize); must(err) }},
		{"SetBase", func() { SetBase(plain, 5, 6) }},
		{"Builder", func() { pack(None) }},
		{"Builder lz4", func() { pack(LZ4) }},
		{"Reader", func() { drain(plain) }},
		{"Reader lz4", func() { drain(packed) }},
		{"short", func() { _, _ = Verify(plain[:100]) }}, // recovery and network meet it all the time
	} {
		c.f() // buffers grow once
		if n := testing.AllocsPerRun(100, c.f); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// Headers costs the copy of each key, and nothing else.
func TestHeadersAllocateKeysOnly(t *testing.T) {
	b := build(t, None, entry{headers: []RecordHeader{{"a key long enough to need memory, of 40 b", []byte("v")}, {"", nil}, {"x", nil}}})
	var r Reader
	var rec Record
	n := testing.AllocsPerRun(100, func() {
		if err := r.Reset(b, 0); err != nil || !r.Next(&rec) {
			t.Fatal(err)
		}
		for h := range rec.Headers {
			if len(h.Key) > 100 {
				t.Fatal(h)
			}
		}
	})
	if n > 1 {
		t.Errorf("%v allocations for one long key", n)
	}
}
