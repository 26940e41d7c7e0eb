package disk

import (
	"errors"

	"sluice/wire/batch"
)

// Timed is an offset and its record's time (Unix ms).
type Timed struct {
	Offset uint64
	Time   int64
}

// NoTime is that of no record.
const NoTime = minTime

// FirstAt finds the first record whose time is at or after ms (Unix ms); if there is none, Next with NoTime. Times need
// not be in order. A batch's header is believed about its highest time; damaged batches are passed over. Any goroutine.
// Errors: ErrCold without wait, if memory alone does not tell; I/O.
func (l *Log) FirstAt(ms int64, wait bool) (Timed, error) {
	next := l.next.Load()
	if l.unreadable != nil {
		_, err := l.pick(0)
		return Timed{}, err
	}
	for from := l.Oldest(); from < next; {
		at, end, err := l.firstAt(from, next, ms, wait)
		if damage, ok := errors.AsType[*CorruptError](err); ok {
			from = damage.Next
			continue
		}
		if err != nil {
			return Timed{}, err
		}
		if at.Offset < end {
			return at, nil
		}
		from = end
	}
	return Timed{next, NoTime}, nil
}

// firstAt looks in the segment that holds from. at.Offset == end: not there; go on at end.
func (l *Log) firstAt(from, next uint64, ms int64, wait bool) (at Timed, end uint64, err error) {
	if end, ok := l.allBefore(from, ms); ok {
		return Timed{Offset: end}, end, nil
	}
	v, err := l.view(from, wait)
	if err != nil {
		return Timed{}, 0, err
	}
	defer v.release(&err)
	v.end = min(v.end, next)
	at, err = l.scanForTime(&v, ms, wait)
	return at, v.end, err
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
func (l *Log) scanForTime(v *view, ms int64, wait bool) (Timed, error) {
	s := takeScratch(wait)
	defer s.give()
	w := s.window(v, wait)
	at, _, err := l.before(v, wait, 0, func(e entry) bool { return e.before >= ms })
	if err != nil {
		return Timed{}, err
	}
	if at.pos > 0 {
		tr := startAt(at)
		if first, err := w.firstAt(v, &tr, ms); !isBad(err) {
			return first, l.placed(v, tr.at.pos, err)
		}
	}
	tr := startAt(spot{0, v.base})
	for {
		first, err := w.firstAt(v, &tr, ms)
		if !isBad(err) {
			return first, l.placed(v, tr.at.pos, err)
		}
		if !wait {
			return Timed{}, ErrCold
		}
		_, good, err := l.resume(ByReader, v, tr)
		if err != nil {
			return Timed{}, l.placed(v, tr.at.pos, err)
		}
		tr = startAt(good)
	}
}

// firstAt finds the first record at or after ms in the batches from tr on; v.end, if there is none. It leaves tr where it
// came to.
func (w *window) firstAt(v *view, tr *trail, ms int64) (Timed, error) {
	for tr.at.off < v.end {
		h, err := w.header(tr.at.pos, tr.at.off, v.end)
		if err != nil {
			return Timed{}, err
		}
		if h.MaxTime >= ms {
			if w.cached && (h.Codec() != batch.None || h.Size > lookSize) {
				return Timed{}, ErrCold // whoever looks into memory is not bounded in number: what takes much of it is for those who wait
			}
			_, b, err := w.batch(tr.at.pos, tr.at.off, v.end)
			if err != nil {
				return Timed{}, err
			}
			if first, ok := firstIn(b, h, ms); ok {
				return first, nil
			}
		}
		tr.step(h)
	}
	return Timed{Offset: v.end}, nil
}

// firstIn finds the first record at or after ms in the batch at the front of b. One whose records cannot be decoded, here
// and now or at all, counts from its first record: too early is safe, too late is a loss.
func firstIn(b []byte, h batch.Header, ms int64) (Timed, bool) {
	var r batch.Reader
	if err := r.Reset(b, batch.MaxSize); err != nil {
		return Timed{h.BaseOffset, h.MaxTime}, true
	}
	var rec batch.Record
	for r.Next(&rec) {
		if rec.Time >= ms {
			return Timed{rec.Offset, rec.Time}, true
		}
	}
	return Timed{h.BaseOffset, h.MaxTime}, r.Err() != nil
}
