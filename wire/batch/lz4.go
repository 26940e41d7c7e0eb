package batch

import (
	"encoding/binary"
	"errors"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame is read and written here, its blocks by the library. The library's own frame reader was the loser: it takes buffers
// of the block size that a frame claims (4 MiB and more, twice) whatever the cap, and decodes into them first.
//
//	frame = magic, flags, block size, [content size 8], checksum 1, blocks, end mark 4, [content checksum 4]
//	block = size 4 (high bit: stored uncompressed), bytes, [checksum 4]        all little-endian
const (
	lz4Magic     = 0x184D2204
	lz4Skippable = 0x184D2A50 // and the 15 after it
	lz4BlockRaw  = 1 << 31
	lz4Ratio     = 255 // the most that a byte can add to the output: as the length of a match

	flagVersion         = 0xC0
	flagVersion1        = 0x40
	flagIndependent     = 0x20
	flagBlockChecksum   = 0x10
	flagContentSize     = 0x08
	flagContentChecksum = 0x04
	flagReserved        = 0x02
	flagDictionary      = 0x01

	lz4Window = 64 << 10 // how far back a block may refer

	// What we write: independent blocks of 64 KiB, the only kind that the Java client has always read.
	lz4BlockSize = 64 << 10
)

var (
	errLZ4Cut      = errors.New("the frame is cut off")
	errLZ4Magic    = errors.New("it isn't an lz4 frame")
	errLZ4Header   = errors.New("the frame's header is malformed")
	errLZ4Checksum = errors.New("a checksum of the frame is wrong")
	errLZ4Size     = errors.New("the frame's content size is wrong")
	errLZ4Block    = errors.New("a block is malformed")
)

// lz4Frame is a frame's header.
type lz4Frame struct {
	flags    byte
	blockMax int
	content  uint64 // with flagContentSize
}

// parseLZ4Header reads the header at the front of src and returns what follows it.
func parseLZ4Header(src []byte) (f lz4Frame, rest []byte, err error) {
	if len(src) < 7 {
		return f, nil, errLZ4Cut
	}
	if le32(src) != lz4Magic {
		return f, nil, errLZ4Magic
	}
	f.flags = src[4]
	size := src[5] >> 4
	if f.flags&flagVersion != flagVersion1 || f.flags&(flagReserved|flagDictionary) != 0 || src[5]&^0x70 != 0 || size < 4 {
		return f, nil, errLZ4Header
	}
	f.blockMax = 1 << (8 + 2*size) // 4 to 7: 64 KiB to 4 MiB
	end := 6
	if f.flags&flagContentSize != 0 {
		if len(src) < 15 {
			return f, nil, errLZ4Cut
		}
		f.content = binary.LittleEndian.Uint64(src[6:])
		end = 14
	}
	if byte(xxh32(src[4:end])>>8) != src[end] {
		return f, nil, errLZ4Checksum
	}
	return f, src[end+1:], nil
}

// lz4Claim is the content size of the first frame.
func lz4Claim(src []byte) int64 {
	f, _, err := parseLZ4Header(src)
	if err != nil || f.flags&flagContentSize == 0 {
		return -1
	}
	return toInt64(f.content)
}

// decodeLZ4 decodes one frame or more.
func decodeLZ4(dst, src []byte) (int, error) {
	n := 0
	for first := true; first || len(src) > 0; first = false {
		if len(src) >= 8 && le32(src)&^0xF == lz4Skippable {
			size := le32(src[4:])
			if src = src[8:]; uint64(size) > uint64(len(src)) {
				return 0, errLZ4Cut
			}
			src = src[size:]
			continue
		}
		k, rest, err := decodeFrame(dst[n:], src)
		if err != nil {
			return 0, err
		}
		n += k
		src = rest
	}
	return n, nil
}

func decodeFrame(dst, src []byte) (n int, rest []byte, err error) {
	f, src, err := parseLZ4Header(src)
	if err != nil {
		return 0, nil, err
	}
	for {
		block, raw, rest, err := f.nextBlock(src)
		if err != nil {
			return 0, nil, err
		}
		src = rest
		if block == nil {
			break
		}
		k, err := f.decodeBlock(dst, n, block, raw)
		if err != nil {
			return 0, nil, err
		}
		n += k
	}
	if f.flags&flagContentSize != 0 && f.content != uint64(n) {
		return 0, nil, errLZ4Size
	}
	if f.flags&flagContentChecksum != 0 {
		if len(src) < 4 {
			return 0, nil, errLZ4Cut
		}
		if xxh32(dst[:n]) != le32(src) {
			return 0, nil, errLZ4Checksum
		}
		src = src[4:]
	}
	return n, src, nil
}

// nextBlock splits the first block off src; nil is the end mark.
func (f *lz4Frame) nextBlock(src []byte) (block []byte, raw bool, rest []byte, err error) {
	if len(src) < 4 {
		return nil, false, nil, errLZ4Cut
	}
	word := le32(src)
	src = src[4:]
	if word == 0 {
		return nil, false, src, nil
	}
	size := int64(word &^ lz4BlockRaw)
	if size > int64(f.blockMax) {
		return nil, false, nil, errLZ4Block
	}
	end := size
	if f.flags&flagBlockChecksum != 0 {
		end += 4
	}
	if int64(len(src)) < end {
		return nil, false, nil, errLZ4Cut
	}
	block = src[:size:size]
	if f.flags&flagBlockChecksum != 0 && xxh32(block) != le32(src[size:]) {
		return nil, false, nil, errLZ4Checksum
	}
	return block, word&lz4BlockRaw != 0, src[end:], nil
}

// decodeBlock decodes one block to dst[n:]; the frame's output before n serves as the window of dependent blocks.
func (f *lz4Frame) decodeBlock(dst []byte, n int, block []byte, raw bool) (int, error) {
	into := dst[n:]
	if raw {
		if len(block) > len(into) {
			return 0, errFull
		}
		return copy(into, block), nil
	}
	if len(dst) == 0 {
		return 0, errFull // the library's assembly takes a nil buffer for one without an end, and writes there
	}
	most := min(f.blockMax, lz4Ratio*len(block))
	whole := len(into) >= most
	if whole {
		into = into[:most]
	}
	var window []byte
	if f.flags&flagIndependent == 0 {
		window = dst[max(0, n-lz4Window):n]
	}
	k, err := lz4.UncompressBlockWithDict(block, into, window)
	if err == nil {
		return k, nil
	}
	if whole {
		return 0, errLZ4Block
	}
	return 0, errFull // or malformed: the library doesn't tell; with room for any block the next try does
}

// appendLZ4 appends src as one frame. It has no checksums: the batch's own covers it.
func appendLZ4(dst, src []byte, c *lz4.Compressor) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, lz4Magic)
	dst = append(dst, flagVersion1|flagIndependent, 4<<4)
	dst = append(dst, byte(xxh32(dst[len(dst)-2:])>>8))
	for len(src) > 0 {
		block := src[:min(len(src), lz4BlockSize)]
		src = src[len(block):]
		dst = appendLZ4Block(dst, block, c)
	}
	return le.AppendUint32(dst, 0)
}

func appendLZ4Block(dst, block []byte, c *lz4.Compressor) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, block...) // room for the block as it is: one that doesn't get smaller is stored so
	n, err := c.CompressBlock(block, dst[at+4:])
	if err != nil || n == 0 || n >= len(block) {
		copy(dst[at+4:], block) // CompressBlock may have scribbled
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(block))|lz4BlockRaw)
		return dst
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(n))
	return dst[:at+4+n]
}
