package disk

import (
	"errors"
	"fmt"

	"sluice/wire/batch"
)

// Chunk is a run of whole batches as stored.
type Chunk struct {
	Bytes []byte // part of the buffer that was read into
	Next  uint64 // offset after the last record in Bytes: where to read on
}

// Cursor remembers where the last chunk ended in its file, so that reading on needs no index. The zero value is ready.
// It belongs to one reader and one log, and is only a hint: a wrong one costs time.
type Cursor struct {
	seg uint64 // base of the segment
	at  spot
}

// spot claims that the batch with base offset off starts at pos.
type spot struct {
	pos int64
	off uint64
}

// ReadAt fills buf with whole batches of one segment, from the batch that contains offset from, so the first records in
// it may lie before from. Empty Bytes: from is the end. Base, size and checksum of every batch returned are right. c may
// be nil. ReadAt allocates nothing while it reads an unsealed segment. Any goroutine.
//
// Errors: ErrOutOfRange; *BufferError when the first batch doesn't fit into buf; *CorruptError when from cannot be
// served, with the offset to go on at; others are I/O errors, after which the same call may be tried again.
func (l *Log) ReadAt(buf []byte, from uint64, c *Cursor) (ch Chunk, err error) {
	next := l.next.Load() // before the segment's size: what next promises is then in it
	if from > next {
		return Chunk{}, fmt.Errorf("%w: offset %d, the end is %d", ErrOutOfRange, from, next)
	}
	v, err := l.view(from)
	if err != nil {
		return Chunk{}, err
	}
	defer v.release(&err)
	v.end = min(v.end, next)
	if from == v.end && from == next {
		return Chunk{Next: from}, nil
	}
	if from >= v.end {
		return Chunk{}, &CorruptError{From: from, Next: l.after(v.base), Where: l.place(v.base, v.size), Why: "batches are missing between two segments"}
	}
	var none Cursor
	if c == nil {
		c = &none
	}
	return l.readFrom(&v, buf, from, c)
}

// after is the base of the segment that follows the one with that base.
func (l *Log) after(base uint64) uint64 {
	l.list.RLock()
	defer l.list.RUnlock()
	for i := len(l.list.segs) - 1; i > 0; i-- {
		if l.list.segs[i-1].base == base {
			return l.list.segs[i].base
		}
	}
	return l.next.Load()
}

// readFrom tries the cheapest way to the batch first. Each way is proved by the batch found there; one that turns out
// wrong leads to the next, and only the scan from the segment's start may say that the segment itself is damaged.
func (l *Log) readFrom(v *view, buf []byte, from uint64, c *Cursor) (Chunk, error) {
	if c.seg == v.base && c.at.off == from {
		if ch, err := l.readFromSpot(v, buf, c.at, from, c); !isBad(err) {
			return ch, err
		}
	}
	start := spot{0, v.base}
	if at, ok := l.lookUp(v, from); ok && at != start {
		if ch, err := l.readFromSpot(v, buf, at, from, c); !isBad(err) {
			return ch, err
		}
	}
	ch, err := l.readFromSpot(v, buf, start, from, c)
	if isBad(err) {
		err = l.corrupt(v, start, from, err)
	}
	return ch, err
}

// readFromSpot walks from a claimed batch to the one that contains from and returns it and those after it.
func (l *Log) readFromSpot(v *view, buf []byte, at spot, from uint64, c *Cursor) (Chunk, error) {
	w := window{by: ByReader, file: v.file, limit: v.size, buf: buf, fixed: true}
	if len(buf) < batch.HeaderSize {
		w.buf = make([]byte, batch.HeaderSize) // enough to tell how much is needed
	}
	at, h, err := w.walk(v, at, from)
	if err != nil {
		return Chunk{}, l.placed(v, at.pos, err)
	}
	_, b, err := w.batch(at.pos, at.off, v.end)
	if err != nil {
		return Chunk{}, l.placed(v, at.pos, err)
	}
	n, next := h.Size, h.Next()
	for next < v.end {
		h, err := batch.Verify(b[n:])
		if err != nil || w.fits(h, at.pos+int64(n), next, v.end) != nil {
			break // not whole in the buffer, or damaged: the next call finds out which
		}
		n, next = n+h.Size, h.Next()
	}
	*c = Cursor{seg: v.base, at: spot{at.pos + int64(n), next}}
	return Chunk{Bytes: b[:n:n], Next: next}, nil
}

// walk goes from header to header until the batch that contains from.
func (w *window) walk(v *view, at spot, from uint64) (spot, batch.Header, error) {
	for {
		h, err := w.header(at.pos, at.off, v.end)
		if err != nil || h.Next() > from {
			return at, h, err
		}
		at = spot{at.pos + int64(h.Size), h.Next()}
	}
}

// placed adds the file and the position to an I/O error; what callers tell apart stays as it is.
func (l *Log) placed(v *view, pos int64, err error) error {
	var small *BufferError
	if isBad(err) || errors.As(err, &small) {
		return err
	}
	return fmt.Errorf("read %s: %w", l.place(v.base, pos), err)
}

// lookUp asks the segment's index for the last batch it knows at or before from.
func (l *Log) lookUp(v *view, from uint64) (spot, bool) {
	if from == v.base {
		return spot{}, false
	}
	past := func(e entry) bool { return v.base+uint64(e.rel) > from }
	_, e, ok := l.search(v, past)
	return spot{int64(e.pos), v.base + uint64(e.rel)}, ok && int64(e.pos) < v.size
}

// search finds the last index entry for which past is false. False: no such entry, or no index that can be read; then
// the segment's start serves as well.
func (l *Log) search(v *view, past func(entry) bool) (int, entry, bool) {
	if v.index != nil {
		i, e, err := lastBefore(v.index, past)
		return i, e, i >= 0 && err == nil
	}
	x := l.openIndex(v)
	if x == nil {
		return -1, entry{}, false
	}
	defer l.closeIndex(x)
	i, e, err := lastBefore(x, past)
	return i, e, i >= 0 && err == nil
}

// corrupt turns a finding into the range of offsets to step over.
func (l *Log) corrupt(v *view, at spot, from uint64, why error) error {
	return &CorruptError{From: from, Next: v.end, Where: l.place(v.base, at.pos), Why: why.Error()}
}
