package disk

import "errors"

// Newest finds the record with the highest time, the first of them if several have it; Next with NoTime in an empty log. As
// FirstAt, it believes the headers of batches, and passes over damaged ones. It waits for the disk. Any goroutine.
func (l *Log) Newest() (Timed, error) {
	next, highest := l.next.Load(), int64(minTime)
	for from := l.Oldest(); from < next; {
		ms, end, err := l.highestIn(from, next)
		if damage, ok := errors.AsType[*CorruptError](err); ok {
			from = damage.Next
			continue
		}
		if err != nil {
			return Timed{}, err
		}
		highest, from = max(highest, ms), end
	}
	if highest == minTime {
		return Timed{next, NoTime}, nil
	}
	return l.FirstAt(highest, true)
}

// highestIn is the highest time in the segment that holds from, and where that ends.
func (l *Log) highestIn(from, next uint64) (ms int64, end uint64, err error) {
	v, err := l.view(from, true)
	if err != nil {
		return 0, 0, err
	}
	defer v.release(&err)
	v.end = min(v.end, next)
	begin, ms, err := l.highestKnown(&v)
	if err != nil {
		return 0, 0, err
	}
	if sum := v.seg.summary.Load(); v.held == nil && sum != nil {
		return sum.maxTime, v.end, nil
	}
	s := takeScratch(true)
	defer s.give()
	w, tr := s.window(&v, true), startAt(begin)
	for tr.at.off < v.end {
		h, err := w.header(tr.at.pos, tr.at.off, v.end)
		if isBad(err) {
			_, good, failed := l.resume(ByReader, &v, tr)
			if failed != nil {
				return 0, 0, l.placed(&v, tr.at.pos, failed)
			}
			tr = startAt(good)
			continue
		}
		if err != nil {
			return 0, 0, l.placed(&v, tr.at.pos, err)
		}
		ms = max(ms, h.MaxTime)
		tr.step(h)
	}
	return ms, v.end, nil
}

// highestKnown is the last batch that the index knows the highest time before, and that time; the segment's start if none.
func (l *Log) highestKnown(v *view) (spot, int64, error) {
	begin, ms := spot{0, v.base}, int64(minTime)
	p, x, err := l.points(v, true)
	if p == nil {
		return begin, ms, err
	}
	defer l.closeIndex(x)
	_, e, err := lastBefore(p, 0, func(e entry) bool { return v.base+uint64(e.rel) >= v.end || e.before == maxTime })
	if err == nil && e.pos > 0 && int64(e.pos) < v.size { // a bad index is as good as none
		begin, ms = v.spotOf(e), e.before
	}
	return begin, ms, nil
}
