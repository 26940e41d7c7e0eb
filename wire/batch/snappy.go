package batch

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/snappy"
)

// Snappy comes in two forms: one raw block, as most clients write it, or the framing of the Java library: a header of
// 16 bytes (xerialMagic, two versions), then chunks, each a big-endian length and a raw block.
const (
	xerialMagic  = "\x82SNAPPY\x00"
	xerialHeader = len(xerialMagic) + 4 + 4

	// snappyRatio bounds what a raw block can decode to: its best element turns 3 bytes into 64.
	snappyRatio = 22
)

var errXerial = errors.New("a chunk of the xerial framing is cut off")

func isXerial(src []byte) bool {
	return len(src) >= len(xerialMagic) && string(src[:len(xerialMagic)]) == xerialMagic
}

// nextChunk splits the first chunk off the bytes behind a xerial header.
func nextChunk(src []byte) (chunk, rest []byte, err error) {
	if len(src) < 4 {
		return nil, nil, errXerial
	}
	n := binary.BigEndian.Uint32(src)
	if src = src[4:]; uint64(n) > uint64(len(src)) {
		return nil, nil, errXerial
	}
	return src[:n], src[n:], nil
}

// snappyClaim is the decoded size, exact if the data is sound.
func snappyClaim(src []byte) (int64, error) {
	if !isXerial(src) {
		n, err := snappy.DecodedLen(src)
		return int64(n), err
	}
	if len(src) <= xerialHeader { // without a chunk there are no records
		return 0, errXerial
	}
	var total int64
	for src = src[xerialHeader:]; len(src) > 0; {
		chunk, rest, err := nextChunk(src)
		if err != nil {
			return 0, err
		}
		n, err := snappy.DecodedLen(chunk)
		if err != nil {
			return 0, err
		}
		total += int64(n) // no overflow: fewer than 2^24 chunks of less than 2^32
		src = rest
	}
	return total, nil
}

// decodeSnappy decodes what snappyClaim has passed.
func decodeSnappy(dst, src []byte) (int, error) {
	if !isXerial(src) {
		return decodeBlock(dst, src)
	}
	n := 0
	for src = src[xerialHeader:]; len(src) > 0; {
		chunk, rest, err := nextChunk(src)
		if err != nil {
			return 0, err
		}
		k, err := decodeBlock(dst[n:], chunk)
		if err != nil {
			return 0, err
		}
		n += k
		src = rest
	}
	return n, nil
}

// decodeBlock looks at the claim before the library does, which would allocate what doesn't fit.
func decodeBlock(dst, block []byte) (int, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return 0, err
	}
	if n > len(dst) {
		return 0, errFull
	}
	out, err := snappy.Decode(dst, block)
	return len(out), err
}
