package disk

import (
	"errors"
	"fmt"

	"sluice/sched"
	"sluice/wire/batch"
)

// Cursor remembers where the last read ended in its file, so that reading on needs no index. The zero value is ready. It
// belongs to one goroutine at a time. It is only a hint: one from elsewhere, or of another log, costs time.
type Cursor struct {
	seg   *segment // which is the same as long as the log is open: so at is known to be a batch's begin
	at    spot
	entry int // of the segment's index, the last that was looked at
}

func (c *Cursor) holds(v *view, from uint64) bool { return c.seg == v.seg && c.at.off == from }

// spot claims that the batch with base offset off starts at pos.
type spot struct {
	pos int64
	off uint64
}

// behind is where the batch with that header, which is at s, ends.
func (s spot) behind(h batch.Header) spot { return spot{s.pos + int64(h.Size), h.Next()} }

// trail is where a walk over headers is, and the last batch it stepped over: that one's header, unproved, may be what led
// it astray. Both the same: none yet.
type trail struct{ at, passed spot }

func startAt(at spot) trail { return trail{at, at} }

func (tr *trail) step(h batch.Header) {
	tr.passed = tr.at
	tr.at = tr.at.behind(h)
}

// search tries the cheapest way to the batch that holds from first: the cursor, the index, the segment's start. Each is
// proved by the batch that try finds there; one that turns out wrong leads to the next. known: that a batch begins there
// needs no proof. try returns where it came to. Only the scan from the segment's start may say that the segment itself is
// damaged.
func (l *Log) search(v *view, from uint64, c *Cursor, wait bool, try func(tr trail, known bool) (trail, error)) error {
	if c.holds(v, from) {
		if _, err := try(startAt(c.at), true); !isBad(err) {
			return err
		}
	}
	at, err := l.lookUp(v, from, wait)
	if err != nil {
		return err
	}
	if at.pos > 0 {
		if _, err := try(startAt(at), v.index != nil); !isBad(err) || sched.Planted("trust-index") {
			return err
		}
	}
	tr := startAt(spot{0, v.base})
	for {
		tr, err = try(tr, true)
		if !isBad(err) {
			return err
		}
		if !wait { // how far the damage reaches takes more than memory to find
			return ErrCold
		}
		hole, good, failed := l.resume(ByReader, v, tr)
		if failed != nil {
			return l.placed(v, tr.at.pos, failed)
		}
		if good.off > from {
			return l.met(&CorruptError{From: hole.off, Next: good.off, Where: l.place(v.base, hole.pos), Why: err.Error()})
		}
		tr = startAt(good) // the damage lies before what is asked for
	}
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
	if err == nil || isBad(err) || errors.Is(err, ErrCold) {
		return err
	}
	return fmt.Errorf("read %s: %w", l.place(v.base, pos), err)
}

// lookUp asks the segment's index for the last batch it knows at or before from. Position 0: it is the segment's first, or
// there is no index to ask. Errors: ErrCold.
func (l *Log) lookUp(v *view, from uint64, wait bool) (spot, error) {
	if from == v.base {
		return spot{}, nil
	}
	at, _, err := l.before(v, wait, 0, func(e entry) bool { return v.base+uint64(e.rel) > from })
	return at, err
}

// before finds the last batch in the index for which past is false, and the number of its entry; near is the number of one
// not far from it, or 0. Position 0: it is the segment's first, or there is no index that could be used. Errors: ErrCold
// without wait.
func (l *Log) before(v *view, wait bool, near int, past func(entry) bool) (spot, int, error) {
	p, x, err := l.points(v, wait)
	if p == nil {
		return spot{}, 0, err
	}
	defer l.closeIndex(x)
	i, e, err := lastBefore(p, near, past)
	if errors.Is(err, ErrCold) {
		return spot{}, 0, err
	}
	if err != nil || i < 0 || int64(e.pos) >= v.size {
		return spot{}, 0, nil
	}
	return v.spotOf(e), i, nil
}

// points opens the index of v; nil: there is none that can be used. The caller closes x. Errors: ErrCold.
func (l *Log) points(v *view, wait bool) (p points, x *indexFile, err error) {
	if v.index != nil {
		return v.index, nil, nil
	}
	if x, err = l.openIndex(v, wait); x == nil {
		return nil, nil, err
	}
	return x, x, nil
}

func (v *view) spotOf(e entry) spot { return spot{int64(e.pos), v.base + uint64(e.rel)} }
