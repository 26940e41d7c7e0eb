package batch

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdBlockMax  = 128 << 10 // what any block decodes to at most
	zstdWindowMin = 1 << 10   // a smaller window counts as this
	zstdSpare     = zstdBlockMax + 16

	zstdRaw, zstdRLE, zstdReserved = 0, 1, 3 // types of blocks
)

var (
	errZstdCut   = errors.New("the frame is cut off")
	errZstdBlock = errors.New("a block is malformed")
)

// A zstdFrame is what the outside of a frame tells: headers of frame and blocks, without decoding.
type zstdFrame struct {
	size        int   // bytes
	claim       int64 // content size, -1 unless the frame names it
	least, most int64 // bounds of the content size by the kinds and numbers of the blocks
	window      int64 // how far back it may refer
}

// parseZstdFrame reads the outside of the frame at the front of src.
func parseZstdFrame(src []byte) (zstdFrame, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return zstdFrame{}, err
	}
	if h.Skippable {
		size := int64(h.HeaderSize) + int64(h.SkippableSize)
		if size > int64(len(src)) {
			return zstdFrame{}, errZstdCut
		}
		return zstdFrame{size: int(size), claim: -1}, nil
	}
	f := zstdFrame{size: h.HeaderSize, claim: -1, window: toInt64(h.WindowSize)}
	if h.HasFCS {
		f.claim = toInt64(h.FrameContentSize)
	}
	if h.SingleSegment {
		f.window = f.claim
	}
	f.window = max(f.window, zstdWindowMin)
	if err := f.addBlocks(src); err != nil {
		return zstdFrame{}, err
	}
	if h.HasCheckSum {
		f.size += 4
	}
	if f.size > len(src) {
		return zstdFrame{}, errZstdCut
	}
	return f, nil
}

// addBlocks walks the blocks' headers: three bytes with the last mark, two bits of type, and the size.
func (f *zstdFrame) addBlocks(src []byte) error {
	blockMax := min(f.window, zstdBlockMax)
	for last := false; !last; {
		if len(src)-f.size < 3 {
			return errZstdCut
		}
		p := src[f.size:]
		word := int64(p[0]) | int64(p[1])<<8 | int64(p[2])<<16
		last = word&1 != 0
		size := word >> 3
		if size > blockMax {
			return errZstdBlock
		}
		stored := size
		switch word >> 1 & 3 {
		case zstdRaw:
			f.least += size
			f.most += size
		case zstdRLE:
			f.least += size
			f.most += size
			stored = 1
		case zstdReserved:
			return errZstdBlock
		default:
			f.most += blockMax
		}
		if f.size += 3 + int(stored); f.size > len(src) {
			return errZstdCut
		}
	}
	return nil
}

// toInt64 keeps absurd sizes absurd, and leaves room to add them up.
func toInt64(n uint64) int64 { return int64(min(n, 1<<40)) }

// decodeZstd is decode for zstd. The library notices too much output only after it has appended a block, which would copy the
// whole buffer to a larger one. So the buffer has room for all that the blocks can hold; or, where that is above the
// limit, for one block more than the limit, after which the decoder stops.
func (r *Reader) decodeZstd(src []byte, limit int) ([]byte, error) {
	var claim, least, most int64
	for rest := src; len(rest) > 0; {
		f, err := parseZstdFrame(rest)
		if err != nil {
			return nil, undecodable(Zstd, err)
		}
		if f.claim > f.most && f.claim <= int64(limit) {
			return nil, lyingClaim(Zstd, f.claim, f.most)
		}
		claim += max(f.claim, 0)
		least += f.least
		most += f.most
		rest = rest[f.size:]
	}
	if claim > int64(limit) || least > int64(limit) {
		return nil, ErrDecodedTooLarge
	}
	size := int(most)
	if most > int64(limit) {
		size = limit + zstdSpare
	}
	return decodeZstdFrames(r.buffer(size), src, limit)
}

// Decoders of zstd weigh some hundred KiB, and are shared like those of gzip. Without streams they run no goroutine.
var unzstds = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("BUG: zstd options: " + err.Error())
	}
	return d
}}

// decodeZstdFrames decodes all frames of src, which have been parsed before, into buf.
func decodeZstdFrames(buf, src []byte, limit int) ([]byte, error) {
	d := unzstds.Get().(*zstd.Decoder)
	defer unzstds.Put(d)
	out := buf[:0]
	for len(src) > 0 {
		f, err := parseZstdFrame(src)
		if err != nil {
			panic("BUG: a frame of zstd parsed once, but not twice: " + err.Error())
		}
		frame := src[:f.size]
		src = src[f.size:]
		left := int64(limit - len(out))
		stop := int64(1) << 62
		if f.claim < 0 && f.most > left { // the library itself stops at a claim, which has been compared with the limit
			// It takes the stop for a cap on the window too. Such a frame asks for more memory than the cap by itself.
			if f.window > left {
				return nil, ErrDecodedTooLarge
			}
			stop = left
		}
		if err := d.ResetWithOptions(nil, zstd.WithDecoderMaxMemory(uint64(stop))); err != nil {
			panic("BUG: zstd options: " + err.Error())
		}
		out, err = d.DecodeAll(frame, out)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return nil, ErrDecodedTooLarge
		}
		if err != nil {
			return nil, undecodable(Zstd, err)
		}
	}
	return out[:len(out):len(out)], nil
}
