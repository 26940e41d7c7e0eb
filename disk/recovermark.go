package disk

import (
	"fmt"

	"sluice/sched"
	"sluice/wire/batch"
)

// proves tells whether the batch that the mark names ends there: then the file is the one that is meant, and what lies
// behind the mark can be scanned without a look at what lies before.
func (p *opener) proves(s *segment, m mark) (bool, error) {
	if m.tail.pos > s.allocated.Load() {
		return false, nil
	}
	if m.tail.pos == 0 {
		return true, nil
	}
	w := p.window(s)
	w.limit = m.tail.pos
	b, err := w.peek(m.tail.last, batch.HeaderSize)
	if err != nil {
		return false, err
	}
	h, err := batch.ParseHeader(b)
	if err != nil || h.CRC != m.tail.crc || h.Next() != m.tail.off || m.tail.last+int64(h.Size) != m.tail.pos || h.BaseOffset < s.base {
		return false, nil
	}
	_, _, err = w.batch(m.tail.last, h.BaseOffset, m.tail.off)
	if err != nil && !isBad(err) {
		return false, err
	}
	return err == nil, nil
}

// scanMarked finds the end of the segment that the mark is in. What lies before the mark is read only if the mark proves
// nothing: then the segment is scanned from its start. Should the scan end before the mark, durable bytes are damaged or
// missing: they are never cut, and the log can only be read.
func (p *opener) scanMarked(s *segment) error {
	m := p.mark
	ok, err := p.proves(s, m)
	if err != nil { // the mark holds all the same
		p.unreadable(s, m.tail.last, err)
		p.ends(s, m.tail)
		return nil
	}
	p.rec.Mark = m.tail.off
	if ok {
		p.scan(s, m.tail)
		return nil
	}
	if p.clean { // it was believed until here, and the file neither synced nor evicted
		p.clean = false
		if !p.refresh(s) {
			p.freeze(s)
			return nil
		}
	}
	if !p.scan(s, tail{spot: spot{0, s.base}}) {
		return nil
	}
	at := spot{s.size.Load(), s.end.Load()}
	if at.pos >= m.tail.pos && at.off >= m.tail.off || sched.Planted("cut-below-mark") {
		p.tell(marksName, "the mark is not that of the segment, which was scanned whole")
		p.rec.Mark, p.marked = 0, false
		return nil
	}
	return p.damagedBelow(s, at)
}

// damagedBelow opens a segment around damage below the mark, which the walk met at `at`. Whole batches may go on at the
// mark; if they do not, the log ends there.
func (p *opener) damagedBelow(s *segment, at spot) error {
	m := p.mark
	if at.pos >= m.tail.pos { // all that is there is whole, but it is not all
		p.ends(s, tail{spot: spot{at.pos, m.tail.off}})
		p.damage(at.off, m.tail.off, p.l.place(s.base, at.pos), "durable bytes are missing")
		return nil
	}
	w := p.window(s)
	end, err := p.walk(&w, m.tail, func(tail, batch.Header) {})
	if err != nil {
		return fmt.Errorf("scan %s at %d: %w", p.l.fileName(s), end.pos, err)
	}
	p.ends(s, end)
	s.size.Store(min(end.pos, s.allocated.Load()))
	s.index, s.lookup, s.front = nil, nil, spot{}
	v := view{seg: s, base: s.base, size: s.size.Load(), end: end.off, file: s.live.file, log: p.l, epochs: p.l.epochTable()}
	_, good, err := p.l.resume(ByOpen, &v, startAt(at))
	if err != nil {
		return fmt.Errorf("scan %s at %d: %w", p.l.fileName(s), at.pos, err)
	}
	p.damage(at.off, good.off, p.l.place(s.base, at.pos), "durable bytes are damaged or missing")
	return nil
}

// markIsInSpare: the mark's segment has not got its name yet, or is missing. The segment before it is whole; its size is
// in the mark.
func (p *opener) markIsInSpare(last *segment) error {
	m, s := p.mark, p.spare
	if s != nil {
		s.base = m.base
		ok, err := p.isMarked(s)
		if err != nil {
			return err
		}
		if ok {
			p.endBefore(last)
			p.named, p.spare = append(p.named, s), nil
			if err := p.scanMarked(s); err != nil {
				return err
			}
			p.checkFloor(s)
			p.adopt(last, s)
			return nil
		}
	}
	end := p.floor()
	last.end.Store(end)
	p.damage(m.base, end, p.l.place(m.base, 0), "the log's last segment is missing")
	return nil
}

// endBefore takes the segment before the marked one to the size that the mark tells. A mark of a later time tells none, as
// that segment is sealed then; and where bytes lie behind that size, it is the size of a segment that is missing. Then the
// segment is scanned: nothing is cut on the word of a mark that does not speak of it.
func (p *opener) endBefore(last *segment) {
	m := p.mark
	if last.live == nil {
		p.ends(last, tail{spot: spot{m.before, m.base}})
		return
	}
	if m.before > 0 && m.before <= last.allocated.Load() {
		w := p.window(last)
		rest, err := lastNonZero(&w, m.before)
		if err != nil {
			p.unreadable(last, m.before, err)
		}
		if rest < m.before { // as a rolled segment is: nothing but allocated space behind its end
			p.ends(last, tail{spot: spot{m.before, m.base}})
			return
		}
	}
	if !p.scan(last, tail{spot: spot{0, last.base}}) {
		return
	}
	if end := last.end.Load(); end != m.base {
		last.end.Store(m.base)
		p.damage(min(end, m.base), max(end, m.base), p.l.place(last.base, last.size.Load()), "the segment does not end where the one behind it begins")
	}
}

// isMarked tells whether the spare is the segment that the mark is in: by the batch at the mark, or by the first one.
func (p *opener) isMarked(s *segment) (bool, error) {
	if ok, err := p.proves(s, p.mark); err != nil {
		return false, fmt.Errorf("read %s at %d: %w", p.l.path(spareName), p.mark.tail.last, err)
	} else if ok && p.mark.tail.pos > 0 {
		return true, nil
	}
	w := p.window(s)
	_, _, err := w.batch(0, s.base, maxOffset)
	if err != nil && !isBad(err) {
		return false, fmt.Errorf("scan %s: %w", p.l.path(spareName), err)
	}
	return err == nil, nil
}
