package batch

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	many := mixed(5000)
	for name, entries := range map[string][]entry{
		"one":              {{time: 5, key: []byte("k"), value: []byte("v")}},
		"one, all null":    {{}},
		"one, all empty":   {{key: []byte{}, value: []byte{}, headers: []RecordHeader{{"", []byte{}}}}},
		"negative times":   {{time: -1}, {time: -500}, {time: 0}},
		"times go back":    {{time: 1_700_000_000_000}, {time: 1}, {time: 1_700_000_000_001}},
		"times at borders": {{time: math.MinInt64}, {time: math.MaxInt64}, {time: 0}},
		"many":             many,
		"large value":      {{value: noise(1 << 20)}, {value: bytes.Repeat([]byte{0}, 1<<20)}},
	} {
		for _, codec := range []Codec{None, LZ4} {
			t.Run(name+" "+codec.String(), func(t *testing.T) {
				b := build(t, codec, entries...)
				h, err := Check(b, MaxSize)
				if err != nil {
					t.Fatal(err)
				}
				latest := entries[0].time
				for _, e := range entries {
					latest = max(latest, e.time)
				}
				if h.Codec() != codec || int(h.Count) != len(entries) || h.BaseTime != entries[0].time || h.MaxTime != latest {
					t.Errorf("header is %+v", h)
				}
				got, offsets, err := walk(b, MaxSize)
				if err != nil {
					t.Fatal(err)
				}
				wantEntries(t, got, entries)
				for i, o := range offsets {
					if o != uint64(i) {
						t.Fatalf("record %d has offset %d", i, o)
					}
				}
			})
		}
	}
}

func entryGen() *rapid.Generator[entry] {
	data := rapid.Custom(func(t *rapid.T) []byte {
		b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		if b == nil {
			b = []byte{}
		}
		return b
	})
	return rapid.Custom(func(t *rapid.T) entry {
		e := entry{time: rapid.Int64().Draw(t, "time"), key: data.Draw(t, "key"), value: data.Draw(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			e.headers = append(e.headers, RecordHeader{rapid.String().Draw(t, "name"), data.Draw(t, "header")})
		}
		return e
	})
}

// One Builder and one Reader through all of it, as a server uses them; and what Size and RecordSize promise.
func TestRoundTripRandom(t *testing.T) {
	var b Builder
	var r Reader
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(entryGen(), 1, 40).Draw(t, "entries")
		codec := rapid.SampledFrom([]Codec{None, LZ4}).Draw(t, "codec")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "prefix")
		b.Reset(bytes.Clone(prefix))
		for i, e := range entries {
			before := b.Size()
			b.Add(e.time, e.key, e.value, e.headers)
			if e.headers == nil && b.Size()-before > RecordSize(length(e.key), length(e.value)) {
				t.Fatalf("record %d takes %d bytes, RecordSize says %d", i, b.Size()-before, RecordSize(length(e.key), length(e.value)))
			}
		}
		size := b.Size()
		if b.Count() != len(entries) {
			t.Fatalf("Count is %d", b.Count())
		}
		out, err := b.Finish(codec)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, prefix) {
			t.Fatal("the bytes before the batch changed")
		}
		out = out[len(prefix):]
		if codec == None && len(out) != size {
			t.Fatalf("Size said %d, the batch has %d", size, len(out))
		}
		h, err := Check(out, MaxSize)
		if err != nil || h.Size != len(out) {
			t.Fatal(h, err)
		}
		got, _, err := walkWith(&r, out, MaxSize)
		if err != nil {
			t.Fatal(err)
		}
		same := len(got) == len(entries)
		for i := 0; same && i < len(got); i++ {
			same = equal(got[i], entries[i])
		}
		if !same {
			t.Fatalf("read %+v, wrote %+v", got, entries)
		}
	})
}

func length(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}

func equal(a, b entry) bool {
	if a.time != b.time || !same(a.key, b.key) || !same(a.value, b.value) || len(a.headers) != len(b.headers) {
		return false
	}
	for i := range a.headers {
		if a.headers[i].Key != b.headers[i].Key || !same(a.headers[i].Value, b.headers[i].Value) {
			return false
		}
	}
	return true
}

// The widest record there is: RecordSize must hold at the borders too, where every number is longest.
func TestRecordSizeAtBorders(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 63, 64, 8191, 8192, 1 << 20, 1<<20 + 1} {
		var b Builder
		b.Reset(nil)
		b.Add(math.MinInt64, nil, nil, nil)
		b.count = math.MaxInt32 - 1 // as if two billion records stood before it
		v := make([]byte, max(n, 0))
		if n < 0 {
			v = nil
		}
		before := b.Size()
		b.Add(-1, v, v, nil)
		if took, said := b.Size()-before, RecordSize(n, n); took > said || took < said-4 {
			t.Errorf("length %d: took %d bytes, RecordSize says %d", n, took, said)
		}
	}
}

func TestBuilderReuseKeepsNothing(t *testing.T) {
	var b Builder
	b.Reset(nil)
	b.Add(50, []byte("k"), []byte("v"), []RecordHeader{{"h", nil}})
	b.Reset(nil) // the first batch is given up
	if b.Count() != 0 || b.Size() != HeaderSize {
		t.Fatalf("Count %d, Size %d after Reset", b.Count(), b.Size())
	}
	for _, e := range goldenEntries {
		b.Add(e.time, e.key, e.value, e.headers)
	}
	dirty := bytes.Repeat([]byte{0xDB}, 500)
	first, err := b.Finish(None)
	if err != nil || !bytes.Equal(first, golden) {
		t.Fatalf("%x, %v", first, err)
	}
	b.Reset(dirty[:3]) // memory with old bytes in it: no byte of the header may be left to chance
	for _, e := range goldenEntries {
		b.Add(e.time, e.key, e.value, e.headers)
	}
	second, err := b.Finish(None)
	if err != nil || !bytes.Equal(second[3:], golden) || &second[0] != &dirty[0] {
		t.Fatalf("%x, %v", second, err)
	}
}

func TestFinishErrorsReturnDst(t *testing.T) {
	for _, c := range []struct {
		codec Codec
		size  int
		want  string
	}{
		{Gzip, 1, "batch: cannot encode gzip; use none or lz4"},
		{Zstd, 1, "batch: cannot encode zstd; use none or lz4"},
		{7, 1, "batch: cannot encode codec 7; use none or lz4"},
		{None, MaxSize - HeaderSize - 12, "batch: its size of 67108865 bytes is above the limit of 67108864; send fewer or smaller records"},
		{LZ4, MaxSize, "batch: its size of 67108938 bytes is above the limit of 67108864; send fewer or smaller records"},
	} {
		var b Builder
		b.Reset([]byte("abc"))
		b.Add(1, nil, make([]byte, c.size), nil)
		out, err := b.Finish(c.codec)
		if err == nil || err.Error() != c.want || string(out) != "abc" {
			t.Errorf("%v, %d bytes: %q, %v", c.codec, c.size, out[:min(len(out), 10)], err)
		}
	}
	var b Builder
	b.Reset(nil)
	b.Add(1, nil, make([]byte, MaxSize-HeaderSize-13), nil)
	if out, err := b.Finish(None); err != nil || len(out) != MaxSize {
		t.Errorf("the largest batch: %d bytes, %v", len(out), err)
	}
}

func TestBuilderBugsPanic(t *testing.T) {
	finished := func() *Builder {
		b := new(Builder)
		b.Reset(make([]byte, 0, 1000))
		b.Add(1, nil, nil, nil)
		if _, err := b.Finish(None); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, f := range map[string]func(){
		"Builder.Add without Reset":        func() { new(Builder).Add(1, nil, nil, nil) },
		"Builder.Add after Finish":         func() { finished().Add(1, nil, nil, nil) },
		"Builder.Finish of an empty batch": func() { b := new(Builder); b.Reset(nil); _, _ = b.Finish(None) },
		"Builder.Finish after Finish":      func() { _, _ = finished().Finish(None) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "BUG: Builder.") {
					t.Errorf("%s: panic is %q", name, s)
				}
			}()
			f()
		}()
	}
}
