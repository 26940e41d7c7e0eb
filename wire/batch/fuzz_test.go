package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mended is b with a length, a magic and a checksum that are right, so that mutations get past them; nil if it is too short.
func mended(b []byte) []byte {
	if len(b) < HeaderSize || len(b) > MaxSize {
		return nil
	}
	b = bytes.Clone(b)
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-beforeLength))
	b[atMagic] = magic
	return resum(b)
}

// Nothing makes Check panic or take memory, and what it accepts uncompressed the Reader delivers whole.
func FuzzCheck(f *testing.F) {
	f.Add(golden)
	f.Add(golden[:70])
	f.Add(append(bytes.Clone(golden), golden...))
	f.Add(build(f, None, mixed(9)...))
	f.Add(build(f, LZ4, mixed(9)...))
	f.Add(seal(None, 1<<30, []byte{12, 0, 0, 0, 1, 1, 0}))
	f.Add(seal(None, 1, []byte{18, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, mended(b)} {
			var h Header
			var err, errAll error
			took := allocated(func() {
				h, err = Check(b, MaxSize)
				_, errAll = CheckAll(b, MaxSize)
			})
			if took > 64<<10 {
				t.Fatalf("%d bytes of memory taken for %d", took, len(b))
			}
			if err != nil && errAll == nil || err == nil && errAll != nil && h.Size == len(b) {
				t.Fatalf("Check says %v, CheckAll %v", err, errAll)
			}
			if err != nil {
				var fault *Fault
				if !errors.As(err, &fault) && !errors.Is(err, ErrShort) {
					t.Fatalf("error is %v", err)
				}
				continue
			}
			if h.Codec() != None {
				continue
			}
			got, offsets, err := walk(b, 0)
			if err != nil || len(got) != int(h.Count) {
				t.Fatalf("accepted with %d records, but %d read: %v", h.Count, len(got), err)
			}
			for i, o := range offsets {
				if o != h.BaseOffset+uint64(i) {
					t.Fatalf("record %d has offset %d, base %d", i, o, h.BaseOffset)
				}
			}
		}
	})
}

const fuzzLimit = 64 << 10

// Whatever a decoder is fed, the cap holds; and what we decode, another implementation decodes to the same bytes.
func FuzzReader(f *testing.F) {
	plain := build(f, None, mixed(9)...)[HeaderSize:]
	for _, form := range forms {
		f.Add(byte(form.codec), int32(9), form.encode(f, plain))
		f.Add(byte(form.codec), int32(1), form.encode(f, make([]byte, 2*fuzzLimit)))
	}
	f.Add(byte(Zstd), int32(9), zstdStream(f, plain))
	f.Add(byte(None), int32(9), plain)
	theirs := kgo.DefaultDecompressor()
	f.Fuzz(func(t *testing.T, codec byte, count int32, data []byte) {
		if len(data) > 4*fuzzLimit {
			return
		}
		c := Codec(codec % 8)
		b := seal(c, max(count, 1), data)
		var r Reader
		var err error
		took := allocated(func() { err = r.Reset(b, fuzzLimit) })
		if most := 3*fuzzLimit + zstdSpare + decoderState; took > uint64(most) {
			t.Fatalf("%d bytes of memory taken, want at most %d", took, most)
		}
		if err != nil {
			var fault *Fault
			if !errors.As(err, &fault) && !errors.Is(err, ErrDecodedTooLarge) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if len(r.records) > fuzzLimit && c != None || len(r.decoded) > fuzzLimit+zstdSpare {
			t.Fatalf("decoded to %d bytes in %d", len(r.records), len(r.decoded))
		}
		if out, err := theirs.Decompress(data, kgo.CompressionCodecType(c)); err != nil || !bytes.Equal(out, r.records) {
			t.Fatalf("%v: we decode %d bytes, they %d: %v", c, len(r.records), len(out), err)
		}
		n := int32(0)
		for rec := new(Record); r.Next(rec); n++ {
			for h := range rec.Headers {
				_ = h
			}
		}
		if n > max(count, 1) || n < max(count, 1) && r.Err() == nil {
			t.Fatalf("%d records of %d, %v", n, count, r.Err())
		}
	})
}

// What we accept, another implementation parses to the same header and records.
func FuzzDifferential(f *testing.F) {
	add := func(b []byte, count int32) { f.Add(count, int64(1000), b[HeaderSize:]) }
	add(golden, 2)
	add(build(f, None, mixed(9)...), 9)
	f.Add(int32(1), int64(-1), []byte{12, 0xff, 0, 0, 1, 1, 0})
	f.Add(int32(1), int64(1<<62), []byte{30, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 1, 0})
	f.Add(int32(1), int64(0), []byte{20, 0, 0, 0, 1, 0, 4, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, count int32, base int64, records []byte) {
		b := seal(None, count, records)
		binary.BigEndian.PutUint64(b[atBaseTime:], uint64(base))
		resum(b)
		SetBase(b, 77, 5)
		h, err := Check(b, MaxSize)
		if err != nil {
			return
		}
		ours, offsets, err := walk(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		kb, theirs, theirOffsets, err := parsedByKmsg(b)
		if err != nil {
			t.Fatalf("accepted %x, which kmsg refuses: %v", b, err)
		}
		wantSameHeader(t, h, kb)
		wantEntries(t, ours, theirs)
		for i := range offsets {
			if offsets[i] != theirOffsets[i] {
				t.Fatalf("record %d has offset %d, for kmsg %d", i, offsets[i], theirOffsets[i])
			}
		}
		consumed, err := fetched(b, false)
		if err != nil || len(consumed) != len(ours) {
			t.Fatalf("a consumer gets %d records of %d: %v", len(consumed), len(ours), err)
		}
		for i, r := range consumed {
			if r.Offset != int64(offsets[i]) || !same(r.Key, ours[i].key) || !same(r.Value, ours[i].value) || len(r.Headers) != len(ours[i].headers) {
				t.Fatalf("a consumer gets %+v, want %+v", r, ours[i])
			}
		}
	})
}
