package disk

import (
	"errors"
	"fmt"

	"sluice/sched"
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

// trail is where a walk over headers is, and the last batch it stepped over: that one's header, unproved, may be what led
// it astray. Both the same: none yet.
type trail struct{ at, passed spot }

func startAt(at spot) trail { return trail{at, at} }

func (tr *trail) step(h batch.Header) {
	tr.passed = tr.at
	tr.at = spot{tr.at.pos + int64(h.Size), h.Next()}
}

// ReadAt fills buf with whole batches of one segment, from the batch that contains offset from, so the first records in
// it may lie before from. Empty Bytes: from is the end. Base, size and checksum of every batch returned are right. c may
// be nil. ReadAt allocates nothing while it reads an unsealed segment. Any goroutine.
//
// Errors: ErrOutOfRange; *BufferError when the first batch doesn't fit into buf; *CorruptError when from cannot be
// served, with the offset to go on at; others are I/O errors, after which the same call may be tried again.
func (l *Log) ReadAt(buf []byte, from uint64, c *Cursor) (Chunk, error) {
	return l.read(buf, from, c, true)
}

// ReadCached is ReadAt from memory alone: ErrCold where that would need a file that is not open, or bytes that the kernel
// would have to read. It never waits, and allocates nothing.
func (l *Log) ReadCached(buf []byte, from uint64, c *Cursor) (Chunk, error) {
	return l.read(buf, from, c, false)
}

func (l *Log) read(buf []byte, from uint64, c *Cursor, wait bool) (ch Chunk, err error) {
	next := l.next.Load() // before the segment's size: what next promises is then in it
	if from > next && l.unreadable == nil {
		return Chunk{}, fmt.Errorf("%w: offset %d, the end is %d", ErrOutOfRange, from, next)
	}
	v, err := l.view(from, wait)
	if err != nil {
		return Chunk{}, err
	}
	defer v.release(&err)
	v.end = min(v.end, next)
	if from == v.end { // the end of the log: any other segment holds more than that
		return Chunk{Next: from}, nil
	}
	var none Cursor
	if c == nil {
		c = &none
	}
	return l.readFrom(&v, buf, from, c, wait)
}

// readFrom tries the cheapest way to the batch first. Each way is proved by the batch found there; one that turns out
// wrong leads to the next. Only the scan from the segment's start may say that the segment itself is damaged.
func (l *Log) readFrom(v *view, buf []byte, from uint64, c *Cursor, wait bool) (Chunk, error) {
	if tr := startAt(c.at); c.seg == v.base && c.at.off == from {
		if ch, err := l.readFromSpot(v, buf, &tr, from, c, wait); !isBad(err) {
			return ch, err
		}
	}
	if !wait && v.index == nil && from != v.base {
		return Chunk{}, ErrCold
	}
	if at, ok := l.lookUp(v, from); ok {
		tr := startAt(at)
		if ch, err := l.readFromSpot(v, buf, &tr, from, c, wait); !isBad(err) || sched.Planted("trust-index") {
			return ch, err
		}
	}
	tr := startAt(spot{0, v.base})
	for {
		ch, err := l.readFromSpot(v, buf, &tr, from, c, wait)
		if !isBad(err) {
			return ch, err
		}
		if !wait { // how far the damage reaches takes more than memory to find
			return Chunk{}, ErrCold
		}
		hole, good, failed := l.resume(ByReader, v, tr)
		if failed != nil {
			return Chunk{}, l.placed(v, tr.at.pos, failed)
		}
		if good.off > from {
			return Chunk{}, &CorruptError{From: hole.off, Next: good.off, Where: l.place(v.base, hole.pos), Why: err.Error()}
		}
		tr = startAt(good) // the damage lies before what is asked for
	}
}

// readFromSpot walks from a claimed batch to the one that contains from and returns it and those after it. It leaves tr
// where it came to.
func (l *Log) readFromSpot(v *view, buf []byte, tr *trail, from uint64, c *Cursor, wait bool) (Chunk, error) {
	w := v.window(ByReader)
	w.buf, w.fixed, w.cached = buf, true, !wait
	if len(buf) < batch.HeaderSize {
		w.buf = make([]byte, batch.HeaderSize) // enough to tell how much is needed
	}
	if err := w.walk(v, tr, from); err != nil {
		return Chunk{}, l.placed(v, tr.at.pos, err)
	}
	at := tr.at
	h, b, err := w.batch(at.pos, at.off, v.end)
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
func (w *window) walk(v *view, tr *trail, from uint64) error {
	for {
		h, err := w.header(tr.at.pos, tr.at.off, v.end)
		if err != nil || h.Next() > from {
			return err
		}
		tr.step(h)
	}
}

// placed adds the file and the position to an I/O error; what callers tell apart stays as it is.
func (l *Log) placed(v *view, pos int64, err error) error {
	if _, small := errors.AsType[*BufferError](err); err == nil || small || isBad(err) || errors.Is(err, ErrCold) {
		return err
	}
	return fmt.Errorf("read %s: %w", l.place(v.base, pos), err)
}

// lookUp asks the segment's index for the last batch it knows at or before from. False: the segment's start will do.
func (l *Log) lookUp(v *view, from uint64) (spot, bool) {
	if from == v.base {
		return spot{}, false
	}
	return l.search(v, func(e entry) bool { return v.base+uint64(e.rel) > from })
}

// search finds the last batch in the index for which past is false, other than the segment's first.
func (l *Log) search(v *view, past func(entry) bool) (spot, bool) {
	p, x := l.points(v)
	if p == nil {
		return spot{}, false
	}
	defer l.closeIndex(x)
	i, e, err := lastBefore(p, past)
	return v.spotOf(e), i > 0 && err == nil && int64(e.pos) < v.size
}

// points opens the index of v; nil: there is none that can be used. The caller closes x.
func (l *Log) points(v *view) (p points, x *indexFile) {
	if v.index != nil {
		return v.index, nil
	}
	if x = l.openIndex(v); x != nil {
		return x, x
	}
	return nil, nil
}

func (v *view) spotOf(e entry) spot { return spot{int64(e.pos), v.base + uint64(e.rel)} }
