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
	var entry int
	if c.seg == x.seg {
		entry = c.entry
	}
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
			end, err = x.checkedEnd(&w, r, most, known && begin.pos >= r.from.pos, &entry)
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
	*c = Cursor{x.seg, end, entry}
	return nil
}

// looksMost is how many headers a walk may look at where the index could spare it some.
const looksMost = 16

// checkedEnd finds where an extent of at most `most` bytes ends, or of one batch, of those in the stretch r, which have
// been checked. known: that a batch begins at the extent's begin needs no proof. Where batches are large it goes from
// header to header, which proves itself: a large batch that only an index knows would have to be read whole.
func (x *Extent) checkedEnd(w *window, r stretch, most int64, known bool, entry *int) (spot, error) {
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
	end, buf, jumped := begin, w.buf, false
	look := int64(len(buf))
	for end == begin || end.pos < limit && end.off < v.end {
		w.buf = buf[:min(max(limit-end.pos, 0)+batch.HeaderSize, look)] // what lies behind is nobody's business
		h, err := w.header(end.pos, end.off, v.end)
		if isBad(err) {
			x.Doubt()
			return begin, errChanged
		}
		if err != nil && end == begin {
			return begin, err
		}
		if err != nil || end != begin && end.pos+int64(h.Size) > limit {
			break // up to there it may be read
		}
		if look = int64(len(buf)); int64(h.Size) >= look { // the next one is not in the bytes behind it, probably
			look = batch.HeaderSize
		}
		if jumped || (limit-end.pos)/int64(h.Size) <= looksMost {
			end = end.behind(h)
			continue
		}
		w.buf, jumped = buf, true
		if end, err = x.jump(w, end, limit, entry); err != nil {
			return begin, err
		}
	}
	return end, nil
}

// jump finds the last batch the index knows that begins at or before limit, and proves it; at, if that is none behind it.
// Errors: ErrCold.
func (x *Extent) jump(w *window, at spot, limit int64, last *int) (spot, error) {
	v := &x.v
	to, i, err := x.log.before(v, !w.cached, *last, func(e entry) bool { return int64(e.pos) > limit || v.base+uint64(e.rel) > v.end })
	if err != nil {
		return at, err
	}
	if *last = i; to.pos <= at.pos {
		return at, nil
	}
	if v.index == nil { // a file's entry is proved by its batch
		if _, err := w.prove(to, v.end); err != nil {
			return at, nil
		}
	}
	return to, nil
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
