package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"sluice/sched"
	"sluice/wire/batch"
)

// recover finds the end of the log. Every segment before the last named one was synced before its successor got its
// name; so only the last one and the spare, from the durable mark on, can hold anything that is not known to be whole.
// They are scanned there, what is torn is set aside (I7), and the spare, if batches are in it, becomes the last segment.
func (p *opener) recover() error {
	last, err := p.openLast()
	if err != nil {
		return err
	}
	if err := p.openSpare(); err != nil {
		return err
	}
	p.clean = p.isClean(last)
	fresh := p.clean || p.refresh(last)
	if fresh {
		if err := p.dropEmptySpare(); err != nil {
			return err
		}
		if p.clean && p.spare != nil { // somebody else has put it there
			p.clean = false
			fresh = p.refresh(last)
		}
	}
	if p.l.epochTable() == nil {
		if err := p.rebuildEpochs(); err != nil {
			return err
		}
	}
	if !fresh {
		p.freeze(last)
		return nil
	}
	if err := p.findEnd(last); err != nil {
		return err
	}
	end := p.named[len(p.named)-1].end.Load()
	if p.broken == nil && p.marked && p.mark.visible > end {
		p.rec.lost(end, p.mark.visible)
	}
	if end == 0 {
		p.apply(p.syncDirs) // whoever made the file may have been killed before
	}
	return nil
}

// openLast opens the last named segment. Where none is left, one without a file stands for those that are missing, or,
// if a creation or a first roll was cut short, a new one is made.
func (p *opener) openLast() (*segment, error) {
	if len(p.named) == 0 && p.floor() == 0 {
		if err := p.createFirst(); err != nil {
			return nil, err
		}
		return p.named[0], nil
	}
	if len(p.named) == 0 {
		s := &segment{sealed: true}
		p.named = append(p.named, s)
		p.damage(0, p.floor(), p.l.place(0, 0), "all named segments are missing")
		return s, nil
	}
	s := p.named[len(p.named)-1]
	return s, p.open(s, segmentName(s.base))
}

func (p *opener) open(s *segment, name string) error {
	f, err := p.l.fs.Open(ByOpen, p.l.path(name))
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.live, s.sealed = newHandle(f), false
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", p.l.path(name), err)
	}
	s.allocated.Store(size)
	return nil
}

// isClean: the log was closed in order, and nothing speaks against it.
func (p *opener) isClean(last *segment) bool {
	return p.l.progress.marks.have.clean() && p.l.epochTable() != nil && p.broken == nil &&
		p.mark.base == last.base && p.mark.tail.pos == last.allocated.Load()
}

// refresh makes what is read next that which the device has: after a sync that failed, the kernel may still show bytes
// that never got there (B1). False: a sync fails again, and the log can only be read up to its mark.
func (p *opener) refresh(last *segment) bool {
	for _, s := range []*segment{last, p.spare} {
		if s == nil || s.live == nil {
			continue
		}
		err := s.live.file.Sync(ByOpen)
		if err == nil && !sched.Planted("trust-cache") {
			from := p.scanFrom(s)
			err = s.live.file.Evict(ByOpen, from, s.allocated.Load()-from)
		}
		if err != nil {
			p.breaks(fmt.Errorf("sync %s before it is scanned: %w; only what was durable before is shown, until a restart finds this mended",
				p.l.fileName(s), err))
			return false
		}
	}
	return true
}

// scanFrom is where the first page begins that a scan of the segment will read. What lies before was durable, so the
// cache is right about it, and readers may want it warm.
func (p *opener) scanFrom(s *segment) int64 {
	const page = 64 << 10 // the largest of any system: a page that is named in part stays
	if !p.marked || p.mark.base != s.base || s.unnamed {
		return 0
	}
	return min(p.mark.tail.last, s.allocated.Load()) &^ (page - 1)
}

// freeze shows the log as far as the mark goes, without a look at what lies behind.
func (p *opener) freeze(last *segment) {
	m := p.mark
	switch {
	case p.marked && m.base == last.base:
		p.ends(last, m.tail)
	case p.marked && m.base > last.base && p.spare != nil:
		p.spare.base = m.base
		size := m.before
		if size == 0 { // it was sealed
			size = last.allocated.Load()
		}
		p.ends(last, tail{spot: spot{size, m.base}})
		p.ends(p.spare, m.tail)
		p.named, p.spare = append(p.named, p.spare), nil
	default:
		p.ends(last, tail{spot: spot{0, last.base}})
	}
}

// ends sets the end of a segment for those who write and read it.
func (p *opener) ends(s *segment, t tail) {
	s.size.Store(t.pos)
	s.end.Store(t.off)
	s.written.set(t, 0)
}

// findEnd finds where the log's batches end, given that the last named segment is open.
func (p *opener) findEnd(last *segment) error {
	m := p.mark
	if p.marked && m.base > last.base {
		return p.markIsInSpare(last)
	}
	if last.live == nil {
		last.end.Store(p.floor())
		return nil
	}
	if p.marked && m.base == last.base {
		if err := p.scanMarked(last); err != nil {
			return err
		}
	} else {
		if p.marked && m.tail.off > last.base { // it speaks of offsets that other names claim
			p.tell(marksName, "the mark contradicts the segments' names; the last segment is scanned whole")
		}
		p.scan(last, tail{spot: spot{0, last.base}})
	}
	p.checkFloor(last)
	p.apply(func() error { return p.cutTail(last, segmentName(last.base)) })
	return p.recoverSpare(last)
}

// checkFloor: an end before what the log had reached is damage, and not to be cut.
func (p *opener) checkFloor(s *segment) {
	if end, floor := s.end.Load(), p.floor(); end < floor {
		p.damage(end, floor, p.l.place(s.base, s.size.Load()), "the file ends before an offset that was durable")
		s.end.Store(floor)
	}
}

// scan checks batches from a proved spot on, indexes them, and takes the segment to end where they do, or where it cannot
// be read (false).
func (p *opener) scan(s *segment, from tail) bool {
	s.index = newMemIndex(p.l.opt.SegmentBytes, p.l.opt.IndexInterval)
	s.lookup = s.index
	if from.pos > 0 {
		s.front, s.lookup = from.spot, &spliced{back: s.index}
	}
	w := p.window(s)
	at, err := p.walk(&w, from, func(t tail, h batch.Header) {
		s.index.note(t.off-s.base, t.pos, h.MaxTime, h.CRC)
	})
	if err != nil {
		p.unreadable(s, at.pos, err)
	}
	s.index.publish()
	s.checked.add(stretch{from.spot, at.spot}, s.checked.gen.Load())
	p.ends(s, at)
	return err == nil
}

// unreadable makes the log one that is only read, because a part of it cannot be (B8): the device may find it again.
func (p *opener) unreadable(s *segment, pos int64, err error) {
	p.breaks(fmt.Errorf("read %s at %d: %w; the log is shown up to there, until a restart finds this mended", p.l.fileName(s), pos, err))
}

// walk goes over whole batches from a spot on, and returns where they end.
func (p *opener) walk(w *window, t tail, each func(tail, batch.Header)) (tail, error) {
	from := t.pos
	for t.pos < w.limit {
		h, _, err := w.batch(t.pos, t.off, maxOffset)
		if isBad(err) {
			break
		}
		if err != nil {
			return t, err
		}
		each(t, h)
		t.step(h)
	}
	p.rec.Scanned += t.pos - from
	return t, nil
}

func (p *opener) window(s *segment) window {
	return window{by: ByOpen, file: s.live.file, limit: s.allocated.Load(), epochs: p.l.epochTable()}
}

// removeIfThere removes a file that may be missing already.
func removeIfThere(f FS, by By, name string) error {
	if err := f.Remove(by, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
