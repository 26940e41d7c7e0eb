package disk

// resume finds the damage that stopped a walk, and where the segment's batches go on behind it: the nearest batch that can
// be proved, else the segment's end. What lies between is what readers must step over, so near matters. Errors: I/O.
func (l *Log) resume(by By, v *view, tr trail) (hole, good spot, err error) {
	w := v.window(by)
	hole = tr.at
	if tr.passed != tr.at {
		_, _, err := w.batch(tr.passed.pos, tr.passed.off, v.end)
		if isBad(err) {
			hole = tr.passed
		} else if err != nil {
			return hole, hole, err
		}
	}
	good, err = l.resumeBehind(&w, v, hole)
	return hole, good, err
}

func (l *Log) resumeBehind(w *window, v *view, at spot) (spot, error) {
	h, err := w.header(at.pos, at.off, v.end)
	if err == nil { // the header is right, so the records are not, and only they are lost
		after := spot{at.pos + int64(h.Size), h.Next()}
		ok, err := w.continues(v, after)
		if ok || err != nil {
			return after, err
		}
	} else if !isBad(err) {
		return spot{}, err
	}
	goal := spot{v.size, v.end}
	if known, ok := l.entryBehind(v, at); ok {
		_, _, err := w.batch(known.pos, known.off, v.end)
		if err == nil {
			goal = known
		} else if !isBad(err) {
			return spot{}, err
		}
	}
	// A batch found byte by byte may be bytes of a record. That another one, or the goal, follows right behind it, makes
	// it one of the log's.
	s := w.behind(at.off, at.pos+1, goal.pos)
	for pos, h := range s.in(at.pos+1, goal.pos) {
		if h.Next() > goal.off {
			continue
		}
		after := spot{pos + int64(h.Size), h.Next()}
		if after == goal {
			return spot{pos, h.BaseOffset}, nil
		}
		ok, err := w.continues(v, after)
		if err != nil {
			return spot{}, err
		}
		if ok {
			return spot{pos, h.BaseOffset}, nil
		}
	}
	return goal, s.err
}

// continues tells whether a batch begins at that spot, or the view ends there.
func (w *window) continues(v *view, at spot) (bool, error) {
	if at.off == v.end {
		return true, nil
	}
	_, err := w.header(at.pos, at.off, v.end)
	if isBad(err) {
		return false, nil
	}
	return err == nil, err
}

// entryBehind is the first batch behind the damage that the index knows.
func (l *Log) entryBehind(v *view, at spot) (spot, bool) {
	p, x, err := l.points(v, true)
	if p == nil || err != nil {
		return spot{}, false
	}
	defer l.closeIndex(x)
	i, _, err := lastBefore(p, 0, func(e entry) bool {
		return int64(e.pos) > at.pos && v.base+uint64(e.rel) >= at.off
	})
	if err != nil || i+1 >= p.len() {
		return spot{}, false
	}
	e, err := p.at(i + 1)
	return v.spotOf(e), err == nil && int64(e.pos) < v.size
}
