package batch

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const gzipRatio = 1032 // deflate turns two bits into 258 bytes at best

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
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// gzipClaim is the size in the trailer. It speaks of the last member alone, modulo 2^32, and says nothing when it
// can't be true: then the decoder's own complaint is the better one.
func gzipClaim(src []byte) int64 {
	if len(src) < 18 { // header and trailer
		return -1
	}
	if n := int64(le32(src[len(src)-4:])); n <= gzipRatio*int64(len(src)) {
		return n
	}
	return -1
}
