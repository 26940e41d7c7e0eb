package disk

import (
	"encoding/binary"
	"iter"

	"sluice/wire/batch"
)

// search looks for whole batches where nothing says where one begins: behind a hole, byte by byte.
type search struct {
	w      *window
	off    uint64 // only batches with a base at or above this
	budget int64  // bytes that may still go through a checksum
	err    error  // I/O, after the loop
}

// behind searches positions [pos, end) for batches with a base at or above off. Bytes that only look like a batch cost a
// checksum each; the budget keeps bytes made to look so from costing the square of their number.
func (w *window) behind(off uint64, pos, end int64) *search {
	return &search{w: w, off: off, budget: 4*(end-pos) + windowSize}
}

// in yields position and header of each whole batch in [pos, end).
func (s *search) in(pos, end int64) iter.Seq2[int64, batch.Header] {
	return func(yield func(int64, batch.Header) bool) {
		for pos+batch.HeaderSize <= end && s.err == nil {
			b, err := s.w.peek(pos, batch.HeaderSize)
			if err != nil {
				s.err = err
				return
			}
			if len(b) < batch.HeaderSize {
				return // the file is shorter than it was said to be
			}
			step, h := s.candidate(b, end-pos)
			if pos += int64(step); h.Size == 0 {
				continue
			}
			if s.budget -= int64(h.Size); s.budget < 0 {
				return
			}
			_, _, err = s.w.batch(pos, h.BaseOffset, maxOffset)
			switch {
			case err == nil && !yield(pos, h):
				return
			case err == nil:
				pos += int64(h.Size)
			case isBad(err):
				pos++
			default:
				s.err = err
			}
		}
	}
}

// candidate tells how far into b the first thing lies that could be a batch, of at most left bytes; without one, how far
// to go on.
func (s *search) candidate(b []byte, left int64) (step int, h batch.Header) {
	last := int(min(int64(len(b)), left)) - batch.HeaderSize
	for i := 0; i <= last; i++ {
		if !s.plausible(b[i:], left-int64(i)) {
			continue
		}
		if h, err := batch.ParseHeader(b[i:]); err == nil {
			return i, h
		}
	}
	return last + 1, batch.Header{}
}

// plausible is a quick no to nearly every position: ParseHeader makes a sentence of each no, which is too dear to be
// asked about each byte of a segment.
func (s *search) plausible(b []byte, left int64) bool {
	const lengthAt, magicAt, deltaAt, countAt = 8, 16, 23, 57
	if b[magicAt] != 2 {
		return false
	}
	be := binary.BigEndian
	base, length := be.Uint64(b), int64(int32(be.Uint32(b[lengthAt:])))
	delta, count := int32(be.Uint32(b[deltaAt:])), int32(be.Uint32(b[countAt:]))
	return base >= s.off && base <= maxOffset && length > 0 && length+lengthAt+4 <= left && count > 0 && delta == count-1
}

// findLost looks behind the hole at `at` for batches that the log once held, and returns the offset after the last one.
func findLost(w *window, at spot, end int64) (next uint64, found bool, err error) {
	s := w.behind(at.off, at.pos, end)
	for _, h := range s.in(at.pos, end) {
		next, found = max(next, h.Next()), true
	}
	return next, found, s.err
}
