package disk

import (
	"errors"

	"sluice/wire/batch"
)

// OffsetAt finds the first offset whose record's time is at or after ms (Unix ms); Next, if there is none. Times need
// not be in order. A batch's header is believed about its highest time; damaged batches are passed over. Any goroutine.
// Errors: ErrCold without wait, if memory alone does not tell; I/O.
func (l *Log) OffsetAt(ms int64, wait bool) (uint64, error) {
	next := l.next.Load()
	if l.unreadable != nil {
		_, err := l.pick(0)
		return 0, err
	}
	for from := l.Oldest(); from < next; {
		off, end, err := l.offsetAt(from, next, ms, wait)
		if damage, ok := errors.AsType[*CorruptError](err); ok {
			from = damage.Next
			continue
		}
		if err != nil {
			return 0, err
		}
		if off < end {
			return off, nil
		}
		from = end
	}
	return next, nil
}

// offsetAt looks in the segment that holds from. off == end: not there; go on at end.
func (l *Log) offsetAt(from, next uint64, ms int64, wait bool) (off, end uint64, err error) {
	if end, ok := l.allBefore(from, ms); ok {
		return end, end, nil
	}
	v, err := l.view(from, wait)
	if err != nil {
		return 0, 0, err
	}
	defer v.release(&err)
	v.end = min(v.end, next)
	off, err = l.scanForTime(&v, ms, wait)
	return off, v.end, err
}

// allBefore tells, without opening a file, whether the sealed segment that holds from is known to have nothing at or after
// ms, and where it ends.
func (l *Log) allBefore(from uint64, ms int64) (end uint64, ok bool) {
	v, err := l.pick(from)
	if err != nil {
		return 0, false // who opens it is told the same
	}
	defer v.release(&err)
	sum := v.seg.summary.Load()
	return v.end, v.held == nil && sum != nil && sum.maxTime < ms
}

// scanForTime starts at the last batch that the index knows to have nothing late enough before it. Should that turn out
// wrong, it starts again from the segment's start.
func (l *Log) scanForTime(v *view, ms int64, wait bool) (uint64, error) {
	s := takeScratch(wait)
	defer s.give()
	w := s.window(v, wait)
	at, err := l.before(v, wait, func(e entry) bool { return e.before >= ms })
	if err != nil {
		return 0, err
	}
	if at.pos > 0 {
		tr := startAt(at)
		if off, err := w.firstAt(v, &tr, ms); !isBad(err) {
			return off, l.placed(v, tr.at.pos, err)
		}
	}
	tr := startAt(spot{0, v.base})
	for {
		off, err := w.firstAt(v, &tr, ms)
		if !isBad(err) {
			return off, l.placed(v, tr.at.pos, err)
		}
		if !wait {
			return 0, ErrCold
		}
		_, good, err := l.resume(ByReader, v, tr)
		if err != nil {
			return 0, l.placed(v, tr.at.pos, err)
		}
		tr = startAt(good)
	}
}

// firstAt finds the first record at or after ms in the batches from tr on; v.end, if there is none. It leaves tr where it
// came to.
func (w *window) firstAt(v *view, tr *trail, ms int64) (uint64, error) {
	for tr.at.off < v.end {
		h, err := w.header(tr.at.pos, tr.at.off, v.end)
		if err != nil {
			return 0, err
		}
		if h.MaxTime >= ms {
			if w.cached && (h.Codec() != batch.None || h.Size > lookSize) {
				return 0, ErrCold // whoever looks into memory is not bounded in number: what takes much of it is for those who wait
			}
			_, b, err := w.batch(tr.at.pos, tr.at.off, v.end)
			if err != nil {
				return 0, err
			}
			if off, ok := firstIn(b, h, ms); ok {
				return off, nil
			}
		}
		tr.step(h)
	}
	return v.end, nil
}

// firstIn finds the first record at or after ms in the batch at the front of b. One whose records cannot be decoded, here
// and now or at all, counts from its first record: too early is safe, too late is a loss.
func firstIn(b []byte, h batch.Header, ms int64) (uint64, bool) {
	var r batch.Reader
	if err := r.Reset(b, batch.MaxSize); err != nil {
		return h.BaseOffset, true
	}
	var rec batch.Record
	for r.Next(&rec) {
		if rec.Time >= ms {
			return rec.Offset, true
		}
	}
	return h.BaseOffset, r.Err() != nil
}
