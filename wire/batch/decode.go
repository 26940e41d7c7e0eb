package batch

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// decodedMin is the least size of a decode buffer: it spares small batches of an unknown size their second try.
const decodedMin = 4 << 10

// errFull means that the decoded bytes don't fit into the buffer; a larger one may hold them.
var errFull = errors.New("batch: decode buffer full")

// decode fills r.decoded with the decoded records and returns them.
//
// Every decoder writes into a buffer of a fixed size, so that none of them can go beyond the cap whatever its input claims.
// A buffer that proves too small is dropped, doubled, and the work begun again. Growing by append was the loser: while it copies, old
// and new buffer live together, which makes one and a half times the cap. The size that the data claims only sets where the doubling begins, and is
// believed up to 16 times the compressed size.
func (r *Reader) decode(c Codec, src []byte, limit int) ([]byte, error) {
	limit = max(limit, 0)
	claim, f := claimedSize(c, src)
	if f != nil {
		return nil, f
	}
	if claim > int64(limit) {
		return nil, ErrDecodedTooLarge
	}
	for size := firstSize(claim, len(src), limit); ; size = min(2*size, limit) {
		if len(r.decoded) < size {
			r.decoded = nil // before the new one is made
			r.decoded = make([]byte, size)
		}
		size = min(len(r.decoded), limit)
		n, err := decodeInto(r.decoded[:size:size], c, src)
		if err == nil {
			return r.decoded[:n:n], nil
		}
		if !errors.Is(err, errFull) {
			return nil, faultf("its %v data can't be decoded: %v", c, err)
		}
		if size == limit {
			return nil, ErrDecodedTooLarge
		}
	}
}

// firstSize is the size of the buffer for the first try, at most limit.
func firstSize(claim int64, compressed, limit int) int {
	size := 4 * compressed
	if claim >= 0 {
		size = int(min(claim, int64(16*compressed)))
	}
	return min(max(size, decodedMin), limit)
}

// claimedSize is what the data itself says about its decoded size, -1 when it says nothing. Anyone may have written it.
func claimedSize(c Codec, src []byte) (int64, *Fault) {
	switch c {
	case Gzip:
		return gzipClaim(src), nil
	case Snappy:
		n, err := snappyClaim(src)
		if err != nil {
			return 0, faultf("its snappy data can't be decoded: %v", err)
		}
		return n, nil
	case LZ4:
		return lz4Claim(src), nil
	case Zstd:
		return zstdClaim(src), nil
	}
	return 0, faultf("its codec %d is unknown", c)
}

// decodeInto decodes all of src into dst, within len(dst), and returns the number of bytes. errFull: dst is too small.
func decodeInto(dst []byte, c Codec, src []byte) (int, error) {
	switch c {
	case Gzip:
		return decodeGzip(dst, src)
	case Snappy:
		return decodeSnappy(dst, src)
	case LZ4:
		return decodeLZ4(dst, src)
	case Zstd:
		return decodeZstd(dst, src)
	}
	panic("BUG: decodeInto of codec " + c.String())
}

// A gunzip weighs some 45 KiB, and a server has a Reader per connection; so they are shared. At most one per goroutine
// inside Reset is in use, and the garbage collector empties the pool.
var gunzips = sync.Pool{New: func() any { return new(gunzip) }}

type gunzip struct {
	src bytes.Reader
	gzip.Reader
	probe [1]byte
}

func decodeGzip(dst, src []byte) (int, error) {
	z := gunzips.Get().(*gunzip)
	defer gunzips.Put(z)
	z.src.Reset(src)
	defer z.src.Reset(nil) // the pool must not hold the caller's bytes
	if err := z.Reset(&z.src); err != nil {
		return 0, noEOF(err)
	}
	n := 0
	for {
		into := dst[n:]
		if len(into) == 0 {
			into = z.probe[:] // only the end, with its checksum, may still come
		}
		k, err := z.Read(into)
		if k > 0 && n == len(dst) {
			return 0, errFull
		}
		n += k
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// gzipClaim is the size in the trailer: of the last member alone, modulo 2^32.
func gzipClaim(src []byte) int64 {
	if len(src) < 18 { // header and trailer
		return -1
	}
	return int64(le32(src[len(src)-4:]))
}

// zstdDecoder is one for the process: its work space is some hundred KiB per concurrent decode, of which it allows one per processor;
// further ones wait. It starts no goroutine, as nothing is ever streamed.
var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("BUG: zstd options: " + err.Error())
	}
	return d
})

func decodeZstd(dst, src []byte) (int, error) {
	out, err := zstdDecoder().DecodeAll(src, dst[:0])
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out) > len(dst) {
		return 0, errFull
	}
	if err != nil {
		return 0, err
	}
	return len(out), nil
}

// zstdClaim is the content size of the first frame.
func zstdClaim(src []byte) int64 {
	var h zstd.Header
	if h.Decode(src) != nil || !h.HasFCS || h.FrameContentSize > 1<<62 {
		return -1
	}
	return int64(h.FrameContentSize)
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
