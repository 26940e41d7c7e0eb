package disk

import (
	"errors"

	"sluice/wire/batch"
)

// findLost looks behind a hole for whole batches that the log once held: valid ones with a base above the offset where
// the hole begins. It returns the offset after the last of them. Positions [at.pos, end) are searched byte by byte, as
// after a hole nothing says where a batch begins. Bytes that only look like batches cost a checksum each; the budget
// keeps bytes made to look so from costing the square of their number.
func findLost(w *window, at spot, end int64) (next uint64, found bool, err error) {
	budget := 4*(end-at.pos) + windowSize
	for pos := at.pos; pos+batch.HeaderSize <= end; {
		b, err := w.peek(pos, batch.HeaderSize)
		if err != nil {
			return 0, false, err
		}
		step, h := nextHeader(b, at.off, end-pos)
		pos += int64(step)
		if h.Size == 0 {
			continue
		}
		if budget -= int64(h.Size); budget < 0 {
			return next, found, nil
		}
		_, _, err = w.batch(pos, h.BaseOffset, maxOffset)
		switch {
		case err == nil:
			next, found = max(next, h.Next()), true
			pos += int64(h.Size)
		case isBad(err):
			pos++
		default:
			return 0, false, err
		}
	}
	return next, found, nil
}

// nextHeader returns how far into b the next thing lies that could be the header of a batch with a base at or above off
// that fits into left bytes; a zero header when there is none as far as b can tell.
func nextHeader(b []byte, off uint64, left int64) (step int, h batch.Header) {
	for i := 0; i+batch.HeaderSize <= len(b) && int64(i)+batch.HeaderSize <= left; i++ {
		if b[i+16] != 2 { // the magic, before anything dearer
			continue
		}
		h, err := batch.ParseHeader(b[i:])
		if err == nil && h.BaseOffset >= off && h.BaseOffset <= maxOffset && int64(h.Size) <= left-int64(i) {
			return i, h
		}
	}
	return max(1, min(len(b), int(min(left, 1<<30)))-batch.HeaderSize+1), batch.Header{}
}

// joinClose adds the result of closing f, which an opening gives up, to err.
func joinClose(err error, f File) error { return errors.Join(err, f.Close(ByOpen)) }
