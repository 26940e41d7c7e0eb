package disk

import "sluice/wire/batch"

// locate finds where the extent begins and ends in the pinned file. Errors: errChanged beside those of Locate.
func (x *Extent) locate(from uint64, most int64, c *Cursor, wait bool) error {
	v, s := &x.v, takeScratch(wait)
	gen := x.seg.checked.gen.Load() // before any byte is read
	defer s.give()
	w := s.window(v, wait)
	if wait { // a small read shall not take a large one's time
		w.buf = w.buf[:min(int64(len(w.buf)), max(most, lookSize))]
	}
	var end spot
	var unread bool // it is known that the bytes are right, but not that they are in memory
	err := x.log.search(v, from, c, wait, func(tr trail, known bool) (_ trail, err error) {
		begin := tr.at
		if !known || begin.off != from {
			if err := w.walk(v, &tr, from); err != nil {
				return tr, x.log.placed(v, tr.at.pos, err)
			}
		}
		x.Pos, x.From = tr.at.pos, tr.at.off
		r, ok := x.seg.checkedAt(x.Pos)
		switch {
		case ok && !(wait && r.to.off < v.end && r.to.pos < x.Pos+most):
			end, err = x.checkedEnd(&w, r, most, known && begin.pos >= r.from.pos)
			unread = true
		case wait:
			end, err = w.check(tr.at, x.Pos+most, v.end)
			unread = false
		default:
			err = ErrCold
		}
		return tr, x.log.placed(v, x.Pos, err)
	})
	if err != nil {
		return err
	}
	x.Size, x.Next = end.pos-x.Pos, end.off
	switch {
	case !wait && !v.file.Cached(x.Pos, x.Size):
		return ErrCold
	case !unread:
		x.seg.checked.add(stretch{spot{x.Pos, x.From}, end}, gen)
	case wait:
		if err := x.warm(s.buf, 0); err != nil {
			return err
		}
	}
	if wait && c.holds(v, from) { // it reads on
		// A hint: should it fail, so will the read of these bytes, where somebody is told.
		_ = v.file.Ahead(ByReader, end.pos, min(most, v.size-end.pos))
	}
	*c = Cursor{seg: x.seg, at: end}
	return nil
}

// checkedEnd finds where an extent of at most `most` bytes ends, or of one batch, of those in the stretch r, which have
// been checked. known: that a batch begins at the extent's begin needs no proof.
func (x *Extent) checkedEnd(w *window, r stretch, most int64, known bool) (spot, error) {
	v, begin := &x.v, spot{x.Pos, x.From}
	if !known {
		if _, err := w.prove(begin, v.end); err != nil {
			return begin, err
		}
	}
	limit := min(begin.pos+most, r.to.pos)
	if limit == r.to.pos && r.to.off <= v.end {
		return r.to, nil
	}
	end, err := x.log.before(v, !w.cached, func(e entry) bool { return int64(e.pos) > limit || v.base+uint64(e.rel) > v.end })
	if err != nil {
		return begin, err
	}
	if end.pos > begin.pos && v.index == nil { // a file's entry is proved by its batch
		_, err = w.prove(end, v.end)
	}
	if end.pos <= begin.pos || err != nil {
		end = begin
	}
	w.buf = w.buf[:min(max(limit-end.pos, 0)+batch.HeaderSize, int64(len(w.buf)))] // what lies behind is nobody's business
	for end == begin || end.pos < limit && end.off < v.end {
		h, err := w.header(end.pos, end.off, v.end)
		if isBad(err) {
			x.Doubt()
			return begin, errChanged
		}
		if err != nil && end == begin {
			return begin, err
		}
		if err != nil {
			break // up to there it may be read
		}
		if end != begin && end.pos+int64(h.Size) > limit {
			break
		}
		end = end.behind(h)
	}
	return end, nil
}

// check proves batches from at on, of which the last one ends at or before limit, or is the first. What is wrong with a later
// one than the first, the next call finds out.
func (w *window) check(at spot, limit int64, max uint64) (end spot, err error) {
	for end = at; end.off < max; {
		h, err := w.header(end.pos, end.off, max)
		if err == nil && end != at && end.pos+int64(h.Size) > limit {
			break
		}
		if err == nil {
			err = w.proveBytes(end.pos, h)
		}
		if err != nil {
			if end == at {
				return at, err
			}
			break
		}
		end = end.behind(h)
	}
	return end, nil
}
