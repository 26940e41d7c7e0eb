package batch

import "errors"

// decodedMin is the least size of a decode buffer whose use is unknown: it spares small batches their second try.
const decodedMin = 4 << 10

var (
	errFull  = errors.New("the decode buffer is full") // a larger one may hold it
	errCodec = errors.New("it is unknown")
)

// decode fills r.decoded with the decoded records and returns them.
//
// Every decoder writes into a buffer of a fixed size, so that none of them can go beyond the cap whatever its input claims.
// A buffer that proves too small is dropped, doubled, and the work begun again. Growing by append was the loser: while
// it copies, old and new buffer live together, which makes one and a half times the cap.
func (r *Reader) decode(c Codec, src []byte, limit int) ([]byte, error) {
	limit = max(limit, 0)
	if c == Zstd {
		return r.decodeZstd(src, limit)
	}
	size, err := firstSize(c, src, limit)
	for ; err == nil; size = min(max(2*size, decodedMin), limit) {
		buf := r.buffer(size)
		size = min(len(buf), limit) // an old buffer may be larger
		n, failed := decodeInto(buf[:size:size], c, src)
		switch {
		case failed == nil:
			return buf[:n:n], nil
		case !errors.Is(failed, errFull):
			err = undecodable(c, failed)
		case size == limit:
			err = ErrDecodedTooLarge
		}
	}
	return nil, err
}

// buffer is r.decoded, with at least size bytes.
func (r *Reader) buffer(size int) []byte {
	if len(r.decoded) < size {
		r.decoded = nil // before the new one is made
		r.decoded = make([]byte, size)
	}
	return r.decoded
}

func undecodable(c Codec, err error) *Fault {
	return faultf("its %v data can't be decoded: %v", c, err)
}

// firstSize is the size of the buffer for the first try, at most limit. What the data claims is believed if its
// format could hold that much at all: honest data is decoded once, and a lie in a few bytes gets no memory.
func firstSize(c Codec, src []byte, limit int) (int, error) {
	claim, most, err := claimedSize(c, src)
	switch {
	case err != nil:
		return 0, undecodable(c, err)
	case claim < 0:
		return min(max(4*len(src), decodedMin), limit), nil
	case claim > int64(limit):
		return 0, ErrDecodedTooLarge
	case claim > most:
		return 0, lyingClaim(c, claim, most)
	}
	return int(claim), nil
}

func lyingClaim(c Codec, claim, most int64) *Fault {
	return faultf("its %v data can't be decoded: it claims %d bytes, but can hold at most %d", c, claim, most)
}

// claimedSize is what the data itself says about its decoded size, -1 when it says nothing, and the most that so many
// bytes can decode to.
func claimedSize(c Codec, src []byte) (claim, most int64, err error) {
	n := int64(len(src))
	switch c {
	case Gzip:
		return gzipClaim(src), gzipRatio * n, nil
	case Snappy:
		claim, err = snappyClaim(src)
		return claim, snappyRatio * n, err
	case LZ4:
		return lz4Claim(src), lz4Ratio * n, nil
	}
	return 0, 0, errCodec
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
	}
	panic("BUG: decodeInto of " + c.String())
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
