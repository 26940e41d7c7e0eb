package disk

import (
	"fmt"

	"sluice/wire/batch"
)

func (p *opener) openSpare() error {
	if p.spare == nil {
		return nil
	}
	return p.open(p.spare, spareName)
}

// dropEmptySpare drops a spare with nothing in it: the roll had not come to its first append.
func (p *opener) dropEmptySpare() error {
	s := p.spare
	if s == nil {
		return nil
	}
	w := p.window(s)
	last, err := lastNonZero(&w, 0)
	if err != nil {
		return fmt.Errorf("scan %s: %w", p.l.path(spareName), err)
	}
	s.size.Store(last + 1)
	if last >= 0 {
		return nil
	}
	p.closeSpare()
	p.apply(func() error { return p.l.fs.Remove(ByOpen, p.l.path(spareName)) })
	return nil
}

// recoverSpare decides what next.seg is (F1), given the end of the last named segment.
//
//	first batch continues there  the roll had come to its first append: it is the next segment and gets its name
//	anything else                set aside whole; batches in it that begin after the end are possible loss
func (p *opener) recoverSpare(last *segment) error {
	s := p.spare
	if s == nil {
		return nil
	}
	w := p.window(s)
	end := last.end.Load()
	_, _, err := w.batch(0, end, maxOffset)
	if err != nil && !isBad(err) {
		return fmt.Errorf("scan %s: %w", p.l.path(spareName), err)
	}
	if err != nil {
		p.apply(func() error { return p.setSpareAside(s, end) })
		return nil
	}
	s.base = end
	p.named, p.spare = append(p.named, s), nil
	p.scan(s, tail{spot: spot{0, end}})
	p.checkFloor(s)
	p.adopt(last, s)
	return nil
}

// adopt finishes the roll: the predecessor is cut to size and synced before anything can follow it, then the spare gets
// its name, and only then may it be taken for the active segment. In a log that can only be read it keeps its name.
func (p *opener) adopt(last, s *segment) {
	if last.base == s.base { // an empty file has the name that the spare is about to get, and gives way
		p.named = append(p.named[:len(p.named)-2], s)
		p.apply(func() error { return p.giveUp(last) })
	} else {
		p.apply(func() error { return p.cutTail(last, segmentName(last.base)) })
		p.apply(func() error { return p.sealPredecessor(last) })
	}
	p.apply(func() error { return p.cutTail(s, spareName) })
	p.apply(func() error {
		name := p.l.path(segmentName(s.base))
		if err := p.l.fs.Rename(ByOpen, p.l.path(spareName), name); err != nil {
			return fmt.Errorf("rename %s to %s: %w", p.l.path(spareName), name, err)
		}
		s.unnamed = false
		return p.l.syncDir(ByOpen)
	})
}

func (p *opener) giveUp(empty *segment) error {
	h := empty.live
	empty.live = nil
	if err := h.release(ByOpen); err != nil {
		return fmt.Errorf("close an empty segment: %w", err)
	}
	return nil
}

func (p *opener) sealPredecessor(s *segment) error {
	l := p.l
	if err := l.cutToSize(ByOpen, s); err != nil {
		return err
	}
	// As at a roll: without its index the segment is only slower to read.
	if ix := s.whole(); ix != nil {
		if err := l.writeIndex(ByOpen, s.base, ix, s.end.Load(), s.size.Load()); err != nil {
			l.log.Sugar().Warnf("recovery goes on without an index: %v", err)
		}
	}
	return l.seal(ByOpen, s)
}

// setSpareAside keeps a spare that doesn't continue the log under a name of its own.
func (p *opener) setSpareAside(s *segment, end uint64) error {
	l := p.l
	stem := baseName(end)
	w := p.window(s)
	b, err := w.peek(0, batch.HeaderSize)
	if err != nil {
		return fmt.Errorf("scan %s: %w", l.path(spareName), err)
	}
	if h, err := batch.ParseHeader(b); err == nil && h.BaseOffset <= maxOffset {
		stem = baseName(h.BaseOffset)
	}
	next, found, err := findLost(&w, spot{0, end}, w.limit)
	if err != nil {
		return fmt.Errorf("scan %s: %w", l.path(spareName), err)
	}
	if found {
		p.rec.lost(end, next)
	}
	if err := s.live.file.Sync(ByOpen); err != nil { // after a clean stop it was not synced yet
		return fmt.Errorf("sync %s: %w", l.path(spareName), err)
	}
	name, _, err := p.cutName(stem, nil, 0, 0)
	if err != nil {
		return err
	}
	if err := l.fs.Rename(ByOpen, l.path(spareName), l.path(name)); err != nil {
		return fmt.Errorf("set the spare segment aside: %w", err)
	}
	p.rec.Cut += s.size.Load()
	p.rec.CutFile = l.path(name)
	return l.syncDir(ByOpen)
}

// closeSpare lets go of a spare that did not become a segment.
func (p *opener) closeSpare() {
	if p.spare == nil {
		return
	}
	if err := p.spare.live.release(ByOpen); err != nil {
		p.breaks(fmt.Errorf("close %s: %w", p.l.path(spareName), err))
	}
	p.spare = nil
}
