package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A form is one way in which a client may compress records.
type form struct {
	name   string
	codec  Codec
	encode func(testing.TB, []byte) []byte
}

func through(w io.WriteCloser, into *bytes.Buffer) func(testing.TB, []byte) []byte {
	return func(t testing.TB, data []byte) []byte {
		t.Helper()
		into.Reset()
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(into.Bytes())
	}
}

func gzipped(t testing.TB, data []byte) []byte {
	var buf bytes.Buffer
	return through(gzip.NewWriter(&buf), &buf)(t, data)
}

func xerial(chunk int) func(testing.TB, []byte) []byte {
	return func(_ testing.TB, data []byte) []byte {
		out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
		for len(data) > 0 {
			n := min(chunk, len(data))
			block := snappy.Encode(nil, data[:n])
			out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
			out = append(out, block...)
			data = data[n:]
		}
		return out
	}
}

func lz4With(options ...lz4.Option) func(testing.TB, []byte) []byte {
	return func(t testing.TB, data []byte) []byte {
		var buf bytes.Buffer
		w := lz4.NewWriter(&buf)
		if err := w.Apply(options...); err != nil {
			t.Fatal(err)
		}
		return through(w, &buf)(t, data)
	}
}

// lz4Sized names the content size in the frame's header.
func lz4Sized(t testing.TB, data []byte) []byte {
	return lz4With(lz4.SizeOption(uint64(len(data))))(t, data)
}

func zstdAll(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// zstdStream makes a frame that doesn't name its size, as streaming clients do.
func zstdStream(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil { // else a small stream becomes one sized frame
		t.Fatal(err)
	}
	for part := range bytes.SplitSeq(data, []byte("l")) { // many blocks
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

var forms = []form{
	{"gzip", Gzip, gzipped},
	{"gzip two members", Gzip, func(t testing.TB, d []byte) []byte {
		return append(gzipped(t, d[:len(d)/2]), gzipped(t, d[len(d)/2:])...)
	}},
	{"snappy", Snappy, func(_ testing.TB, d []byte) []byte { return snappy.Encode(nil, d) }},
	{"xerial", Snappy, xerial(32 << 10)},
	{"xerial one chunk", Snappy, xerial(1 << 30)},
	{"xerial tiny chunks", Snappy, xerial(100)},
	{"lz4", LZ4, lz4With()},
	{"lz4 ours", LZ4, func(_ testing.TB, d []byte) []byte { return appendLZ4(nil, d, new(lz4.Compressor)) }},
	{"lz4 64K", LZ4, lz4With(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))},
	{"lz4 256K, checksums", LZ4, lz4With(lz4.BlockSizeOption(lz4.Block256Kb), lz4.BlockChecksumOption(true))},
	{"lz4 1M, best", LZ4, lz4With(lz4.BlockSizeOption(lz4.Block1Mb), lz4.CompressionLevelOption(lz4.Level9))},
	{"lz4 sized", LZ4, lz4Sized},
	{"lz4 skippable first", LZ4, func(t testing.TB, d []byte) []byte {
		return append([]byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"), lz4With()(t, d)...)
	}},
	{"lz4 two frames", LZ4, func(t testing.TB, d []byte) []byte {
		return append(lz4With()(t, d[:len(d)/2]), lz4With()(t, d[len(d)/2:])...)
	}},
	{"zstd", Zstd, zstdAll},
	{"zstd skippable first", Zstd, func(t testing.TB, d []byte) []byte {
		return append([]byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"), zstdAll(t, d)...)
	}},
	{"zstd two frames", Zstd, func(t testing.TB, d []byte) []byte {
		return append(zstdAll(t, d[:len(d)/2]), zstdAll(t, d[len(d)/2:])...)
	}},
}

func decodeOnce(c Codec, src []byte, limit int) ([]byte, error) {
	return new(Reader).decode(c, src, limit)
}

func TestDecodeEveryForm(t *testing.T) {
	text := bytes.Repeat([]byte("all the king's horses and all the king's men "), 70_000)
	contents := map[string][]byte{
		"one byte": {'a'}, "small": text[:3000], "text": text, "zeros": make([]byte, 300_000), "noise": noise(300_000),
	}
	for _, f := range forms {
		for name, want := range contents {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				src := f.encode(t, want)
				for _, limit := range []int{len(want), len(want) + 1, 2 * len(want), MaxSize} {
					got, err := decodeOnce(f.codec, src, limit)
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("cap %d: %d bytes, %v", limit, len(got), err)
					}
				}
				for _, limit := range []int{len(want) - 1, len(want) / 2, 1, 0, -1} {
					if limit >= len(want) {
						continue
					}
					r := new(Reader)
					if _, err := r.decode(f.codec, src, limit); !errors.Is(err, ErrDecodedTooLarge) {
						t.Fatalf("cap %d of %d: %v, want ErrDecodedTooLarge", limit, len(want), err)
					}
					most := max(limit, 0)
					if f.codec == Zstd {
						most += zstdSpare
					}
					if len(r.decoded) > most {
						t.Fatalf("cap %d: the buffer has %d bytes", limit, len(r.decoded))
					}
				}
			})
		}
	}
}

// Frames that don't name their size: within what its blocks could hold, a frame is decoded under any cap; beyond
// that, under a cap as large as its window.
func TestDecodeZstdWithoutSize(t *testing.T) {
	data := bytes.Repeat([]byte("a stream that is long enough for blocks; "), 20_000)
	want := bytes.ReplaceAll(data, []byte("l"), nil)
	for _, window := range []int{64 << 10, 8 << 20} {
		src := zstdStream(t, data, zstd.WithWindowSize(window))
		f, err := parseZstdFrame(src)
		if err != nil || f.claim != -1 || f.window != int64(window) || f.most < int64(len(want)) || f.size != len(src) {
			t.Fatalf("%+v, %v: not the frame to test with", f, err)
		}
		for _, limit := range []int{int(f.most), 10 * len(want)} {
			if got, err := decodeOnce(Zstd, src, limit); err != nil || !bytes.Equal(got, want) {
				t.Errorf("cap %d: %d bytes, %v", limit, len(got), err)
			}
		}
		got, err := decodeOnce(Zstd, src, len(want))
		if window < len(want) && (err != nil || !bytes.Equal(got, want)) || window > len(want) && !errors.Is(err, ErrDecodedTooLarge) {
			t.Errorf("the exact cap, window %d: %d bytes, %v", window, len(got), err)
		}
		for _, limit := range []int{len(want) - 1, window + 1, 1} {
			if _, err := decodeOnce(Zstd, src, min(limit, len(want)-1)); !errors.Is(err, ErrDecodedTooLarge) {
				t.Errorf("cap %d of %d: %v", limit, len(want), err)
			}
		}
	}
}

// One Reader for all forms, in any order of sizes: its buffer is reused, and a smaller cap still holds.
func TestDecodeBufferIsReused(t *testing.T) {
	var r Reader
	big, small := make([]byte, 1<<20), []byte("small")
	for _, f := range forms {
		for _, data := range [][]byte{small, big, small} {
			got, err := r.decode(f.codec, f.encode(t, data), 1<<20)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s: %d bytes, %v", f.name, len(got), err)
			}
		}
		if _, err := r.decode(f.codec, f.encode(t, big), 1<<20-1); !errors.Is(err, ErrDecodedTooLarge) {
			t.Fatalf("%s: %v: a cap below the buffer's size is a cap all the same", f.name, err)
		}
	}
	if n := len(r.decoded); n < 1<<20 || n > 1<<20+zstdSpare {
		t.Errorf("the buffer has %d bytes", n)
	}
}

// allocated is the number of bytes that f takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decoderState is what the libraries' decoders take for themselves, whatever they decode.
const decoderState = 3 << 20

// E4, a bomb: 12 MiB of zeros in little space; all the memory it gets, thrown away or not, stays below three times the cap: that and its doublings.
func TestE4Bombs(t *testing.T) {
	zeros := make([]byte, 12<<20)
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			src := f.encode(t, zeros)
			const limit = 1 << 20
			got := allocated(func() {
				var r Reader
				if err := r.Reset(seal(f.codec, 1, src), limit); !errors.Is(err, ErrDecodedTooLarge) {
					t.Errorf("error is %v, want ErrDecodedTooLarge", err)
				}
				if r.Next(new(Record)) || !errors.Is(r.Err(), ErrDecodedTooLarge) {
					t.Error("the error is not kept")
				}
			})
			if most := uint64(3*limit + len(src) + decoderState); got > most {
				t.Errorf("%d bytes of memory taken, want at most %d", got, most)
			}
		})
	}
}

// E4: a few bytes that claim much get neither the memory nor the benefit of the doubt.
func TestE4LyingClaims(t *testing.T) {
	lz4Header := func(size uint64) []byte {
		h := binary.LittleEndian.AppendUint64([]byte{0x04, 0x22, 0x4d, 0x18, 0x68, 0x70}, size)
		return append(h, byte(xxh32(h[4:])>>8), 1, 0, 0, 0x80, 'x', 0, 0, 0, 0)
	}
	zstdHeader := func(size uint64) []byte {
		return append(binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, size), 0x09, 0, 0, 'x')
	}
	gzipLie := func(size uint32) []byte {
		b := gzipped(t, []byte("x"))
		binary.LittleEndian.PutUint32(b[len(b)-4:], size)
		return b
	}
	for _, c := range []struct {
		name  string
		codec Codec
		src   []byte
		want  string // of the fault; "": ErrDecodedTooLarge
	}{
		{"snappy 2^32-1", Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'}, ""},
		{"snappy 60 MiB", Snappy, []byte{0x80, 0x80, 0x80, 30, 0, 'x'},
			"its snappy data can't be decoded: it claims 62914560 bytes, but can hold at most 132"},
		{"snappy 2^33", Snappy, []byte{0x80, 0x80, 0x80, 0x80, 0x20, 0, 'x'}, "its snappy data can't be decoded: s2: corrupt input"},
		{"xerial 2^32-1", Snappy, []byte("\x82SNAPPY\x00........\x00\x00\x00\x05\xff\xff\xff\xff\x0f"), ""},
		{"xerial 60 MiB", Snappy, []byte("\x82SNAPPY\x00........\x00\x00\x00\x04\x80\x80\x80\x1e"),
			"its snappy data can't be decoded: it claims 62914560 bytes, but can hold at most 528"},
		{"lz4 2^62", LZ4, lz4Header(1 << 61), ""},
		{"lz4 2^64-1", LZ4, lz4Header(1<<64 - 1), ""},
		{"lz4 60 MiB", LZ4, lz4Header(60 << 20), "its lz4 data can't be decoded: it claims 62914560 bytes, but can hold at most 6120"},
		{"lz4 2", LZ4, lz4Header(2), "its lz4 data can't be decoded: the frame's content size is wrong"},
		{"zstd 2^61", Zstd, zstdHeader(1 << 61), ""},
		{"zstd 2^64-1", Zstd, zstdHeader(1<<64 - 1), ""},
		{"zstd 60 MiB", Zstd, zstdHeader(60 << 20), "its zstd data can't be decoded: it claims 62914560 bytes, but can hold at most 1"},
		{"zstd 2", Zstd, zstdHeader(2), "its zstd data can't be decoded: it claims 2 bytes, but can hold at most 1"},
		{"zstd 0", Zstd, zstdHeader(0), "its zstd data can't be decoded: frame size exceeded"},
		{"gzip 2^32-1", Gzip, gzipLie(1<<32 - 1), "its gzip data can't be decoded: gzip: invalid checksum"},
		{"gzip 60 MiB", Gzip, gzipLie(60 << 20), "its gzip data can't be decoded: gzip: invalid checksum"},
		{"gzip 2", Gzip, gzipLie(2), "its gzip data can't be decoded: gzip: invalid checksum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			var err error
			got := allocated(func() { err = r.Reset(seal(c.codec, 1, c.src), MaxSize) })
			if c.want == "" {
				if !errors.Is(err, ErrDecodedTooLarge) {
					t.Errorf("error is %v, want ErrDecodedTooLarge", err)
				}
			} else {
				wantFault(t, err, c.want, false)
			}
			if got > 1<<20 {
				t.Errorf("%d bytes of memory taken", got)
			}
		})
	}
}

// Damage of every kind ends in an error, or in the records that were written, or (a flip in stored bytes, without the
// checksum that would have told) in as many others; never in a panic.
func TestDamagedData(t *testing.T) {
	want := mixed(12)
	plain := build(t, None, want...)[HeaderSize:]
	var r Reader
	for _, f := range forms {
		src := f.encode(t, plain)
		for n := range src {
			got, _, err := walkWith(&r, seal(f.codec, 12, src[:n:n]), 1<<20)
			if err == nil && len(got) != len(want) {
				t.Fatalf("%s: %d bytes of %d: %d records, and no error", f.name, n, len(src), len(got))
			}
		}
		for bit := range 8 * len(src) {
			if bit/8 > 40 && bit/8 < len(src)-40 && bit%8 != bit/8%8 {
				continue // in the middle one bit of each byte is enough
			}
			b := bytes.Clone(src)
			b[bit/8] ^= 1 << (bit % 8)
			got, _, err := walkWith(&r, seal(f.codec, 12, b), 1<<20)
			if err == nil && len(got) != len(want) {
				t.Fatalf("%s: bit %d flipped: %d records, and no error", f.name, bit, len(got))
			}
		}
	}
}

// Blocks that say how much they are, raw ones and repeated bytes, give a bomb away before any memory is taken.
func TestZstdBombOfPlainBlocks(t *testing.T) {
	src := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38} // no size, a window of 128 KiB
	for range 10 {
		src = append(src, 0x02, 0, 0x10, 'x') // 128 KiB of x
	}
	src = append(src, 0x0b, 0, 0, 'x') // one more, the last
	for _, limit := range []int{1<<20 + 1<<18, 1000} {
		var err error
		took := allocated(func() { err = new(Reader).Reset(seal(Zstd, 1, src), limit) })
		if !errors.Is(err, ErrDecodedTooLarge) || took > 64<<10 {
			t.Errorf("cap %d: %d bytes of memory taken, %v", limit, took, err)
		}
	}
	const size = 10<<17 + 1
	if got, err := decodeOnce(Zstd, src, size); err != nil || len(got) != size {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestDecodeFaults(t *testing.T) {
	frame := func(flags, size byte, rest ...byte) []byte {
		h := []byte{0x04, 0x22, 0x4d, 0x18, flags, size, byte(xxh32([]byte{flags, size}) >> 8)}
		return append(h, rest...)
	}
	wide := make([]byte, 1000)
	n, err := lz4.CompressBlock(make([]byte, 64<<10+1), wide, nil)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	wide = wide[:n]
	for _, c := range []struct {
		name  string
		codec Codec
		src   []byte
		want  string
	}{
		{"codec 5", 5, []byte("x"), "its codec 5 data can't be decoded: it is unknown"},
		{"gzip, nothing", Gzip, nil, "its gzip data can't be decoded: unexpected EOF"},
		{"gzip, text", Gzip, []byte("this is not gzip, not at all"), "its gzip data can't be decoded: gzip: invalid header"},
		{"gzip, garbage behind", Gzip, append(gzipped(t, []byte("x")), "garbage and more"...), "its gzip data can't be decoded: gzip: invalid header"},
		{"snappy, nothing", Snappy, nil, "its snappy data can't be decoded: s2: corrupt input"},
		{"snappy, short of its claim", Snappy, []byte{5, 0, 'x'}, "its snappy data can't be decoded: s2: corrupt input"},
		{"xerial, half a header", Snappy, []byte("\x82SNAPPY\x00...."), "its snappy data can't be decoded: a chunk of the xerial framing is cut off"},
		{"xerial, half a length", Snappy, []byte("\x82SNAPPY\x00........\x00\x00"), "its snappy data can't be decoded: a chunk of the xerial framing is cut off"},
		{"xerial, negative length", Snappy, []byte("\x82SNAPPY\x00........\xff\xff\xff\xffx"), "its snappy data can't be decoded: a chunk of the xerial framing is cut off"},
		{"xerial, empty chunk", Snappy, []byte("\x82SNAPPY\x00........\x00\x00\x00\x00"), "its snappy data can't be decoded: s2: corrupt input"},
		{"lz4, nothing", LZ4, nil, "its lz4 data can't be decoded: the frame is cut off"},
		{"lz4, text", LZ4, []byte("this is not lz4"), "its lz4 data can't be decoded: it isn't an lz4 frame"},
		{"lz4, legacy frame", LZ4, []byte("\x02\x21\x4c\x18\x01\x00\x00\x00\x10x"), "its lz4 data can't be decoded: it isn't an lz4 frame"},
		{"lz4, version 0", LZ4, frame(0x20, 0x40), "its lz4 data can't be decoded: the frame's header is malformed"},
		{"lz4, reserved flag", LZ4, frame(0x62, 0x40), "its lz4 data can't be decoded: the frame's header is malformed"},
		{"lz4, dictionary", LZ4, frame(0x61, 0x40, 0, 0, 0, 0, 0), "its lz4 data can't be decoded: the frame's header is malformed"},
		{"lz4, block size 3", LZ4, frame(0x60, 0x30), "its lz4 data can't be decoded: the frame's header is malformed"},
		{"lz4, block size 8", LZ4, frame(0x60, 0x80), "its lz4 data can't be decoded: the frame's header is malformed"},
		{"lz4, header checksum", LZ4, []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x83}, "its lz4 data can't be decoded: a checksum of the frame is wrong"},
		{"lz4, no end mark", LZ4, frame(0x60, 0x40), "its lz4 data can't be decoded: the frame is cut off"},
		{"lz4, block above its limit", LZ4, frame(0x60, 0x40, 1, 0, 1, 0x80), "its lz4 data can't be decoded: a block is malformed"},
		{"lz4, block cut", LZ4, frame(0x60, 0x40, 2, 0, 0, 0x80, 'x'), "its lz4 data can't be decoded: the frame is cut off"},
		{"lz4, block malformed", LZ4, frame(0x60, 0x40, 1, 0, 0, 0, 0xff, 0, 0, 0, 0), "its lz4 data can't be decoded: a block is malformed"},
		{"lz4, block decodes to more than its limit", LZ4, append(frame(0x60, 0x40, byte(len(wide)), byte(len(wide)>>8), 0, 0), append(wide, 0, 0, 0, 0)...),
			"its lz4 data can't be decoded: a block is malformed"},
		{"lz4, block checksum", LZ4, frame(0x70, 0x40, 1, 0, 0, 0x80, 'x', 1, 2, 3, 4, 0, 0, 0, 0), "its lz4 data can't be decoded: a checksum of the frame is wrong"},
		{"lz4, content checksum", LZ4, frame(0x64, 0x40, 1, 0, 0, 0x80, 'x', 0, 0, 0, 0, 1, 2, 3, 4), "its lz4 data can't be decoded: a checksum of the frame is wrong"},
		{"lz4, content checksum cut", LZ4, frame(0x64, 0x40, 1, 0, 0, 0x80, 'x', 0, 0, 0, 0, 1), "its lz4 data can't be decoded: the frame is cut off"},
		{"lz4, skippable too long", LZ4, []byte("\x50\x2a\x4d\x18\xff\xff\xff\xffx"), "its lz4 data can't be decoded: the frame is cut off"},
		{"lz4, garbage behind", LZ4, frame(0x60, 0x40, 0, 0, 0, 0, 'g'), "its lz4 data can't be decoded: the frame is cut off"},
		{"zstd, text", Zstd, []byte("this is not zstd"), "its zstd data can't be decoded: invalid input: magic number mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, had := range []int{0, 1 << 18} { // a new buffer, and one with room for more than is right
				r := Reader{decoded: make([]byte, had)}
				wantFault(t, r.Reset(seal(c.codec, 1, c.src), 1<<20), c.want, false)
			}
		})
	}
}

// Dependent blocks, which the library's writer doesn't make: the second refers into the first.
func TestLZ4DependentBlocks(t *testing.T) {
	h := []byte{0x40, 0x40}
	src := append([]byte{0x04, 0x22, 0x4d, 0x18}, h...)
	src = append(src, byte(xxh32(h)>>8))
	src = append(src, 8, 0, 0, 0x80)
	src = append(src, "abcdefgh"...)
	// a match of 8 bytes, 8 back; then five literals, as every block must end
	src = append(src, 9, 0, 0, 0, 0x04, 8, 0, 0x50, 'v', 'w', 'x', 'y', 'z', 0, 0, 0, 0)
	const want = "abcdefghabcdefghvwxyz"
	for _, limit := range []int{len(want), 1 << 20} {
		if got, err := decodeOnce(LZ4, src, limit); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	src[4] |= flagIndependent
	src[6] = byte(xxh32(src[4:6]) >> 8)
	if _, err := decodeOnce(LZ4, src, 1<<20); err == nil {
		t.Error("an independent block may not refer to another")
	}
}

func TestXXH32(t *testing.T) {
	for s, want := range map[string]uint32{ // published values
		"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := xxh32([]byte(s)); got != want {
			t.Errorf("%q: %08x, want %08x", s, got, want)
		}
	}
}

// What we write must be what others read: the library's own frame reader, on every length around the borders of a block.
func TestLZ4FrameReadByLibrary(t *testing.T) {
	c := new(lz4.Compressor)
	var r = lz4.NewReader(nil)
	for _, n := range []int{1, 2, 15, 16, 17, 1000, lz4BlockSize - 1, lz4BlockSize, lz4BlockSize + 1, 3*lz4BlockSize + 7} {
		for name, data := range map[string][]byte{"noise": noise(n), "zeros": make([]byte, n), "text": []byte(strings.Repeat("abcdef ", n/7+1))[:n]} {
			src := appendLZ4([]byte("before"), data, c)
			if !bytes.HasPrefix(src, []byte("before")) {
				t.Fatal("the bytes before the frame changed")
			}
			src = src[6:]
			if most := 7 + 4 + n + 4*(n/lz4BlockSize+1); len(src) > most {
				t.Errorf("%d bytes of %s take %d", n, name, len(src))
			}
			r.Reset(bytes.NewReader(src))
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %s: %v", n, name, err)
			}
		}
	}
}

func TestReaderForms(t *testing.T) {
	want := mixed(200)
	plain := build(t, None, want...)
	for _, f := range forms {
		got, _, err := walk(seal200(f.codec, plain, f.encode(t, plain[HeaderSize:])), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		wantEntries(t, got, want)
	}
}

// seal200 puts other records under the header of plain.
func seal200(c Codec, plain, records []byte) []byte {
	b := append(bytes.Clone(plain[:HeaderSize]), records...)
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-beforeLength))
	b[atAttributes+1] |= byte(c)
	return resum(b)
}

func ExampleReader() {
	var b Builder
	b.Reset(nil)
	b.Add(1000, []byte("k"), []byte("hello"), nil)
	stored, err := b.Finish(LZ4)
	if err != nil {
		panic(err)
	}
	var r Reader
	if err := r.Reset(stored, 1<<20); err != nil {
		panic(err)
	}
	for rec := new(Record); r.Next(rec); {
		fmt.Printf("%d %s=%s\n", rec.Offset, rec.Key, rec.Value)
	}
	fmt.Println(r.Err())
	// Output:
	// 0 k=hello
	// <nil>
}
