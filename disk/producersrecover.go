package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sluice/sched"
	"sluice/wire/batch"
)

// producersLook is how far back opening reads when no snapshot of the producers is good, bytes: a segment of the usual size.
const producersLook = defaultSegmentBytes

// recoverProducers finds out what the log knew of its producers: the newest good snapshot, and the batches behind it. The
// log's end is known by then. A log that can only be read needs none of it, and where it cannot be read, the log becomes one:
// to append without that knowledge might append twice.
func (p *opener) recoverProducers() {
	ps := &p.l.producers
	had := p.names[producersNames[0]] || p.names[producersNames[1]] || p.marked && p.mark.knows
	if !had || p.broken != nil || sched.Planted("forget-producers") {
		return
	}
	ps.table = newProducerTable(ps.bound, p.l.opt.Clock)
	s, err := p.newestSnapshot()
	if err != nil {
		p.breaks(err)
		return
	}
	var base uint64
	var at spot
	if s != nil {
		ps.table.load(s)
		ps.stored = s.at.off
		ps.there.Store(true)
		base, at = s.base, s.at.spot
	} else {
		base, at = p.lookBack()
		p.tell(producersName, fmt.Sprintf("no copy is good; made anew from the batches from offset %d on: what producers appended before is not known "+
			"any more, and a batch of theirs that is sent again would be appended twice", at.off))
	}
	if err := p.replay(base, at); err != nil {
		p.breaks(err)
	}
}

// newestSnapshot reads both copies. One that is not good is the next to be written. Nil: there is none. What could not be
// read may be good: that is an error, unless the other one is.
func (p *opener) newestSnapshot() (newest *snapshot, err error) {
	ps := &p.l.producers
	var unread error
	for i := range producersNames {
		s, err := loadSnapshot(p.l.fs, ByOpen, p.l.dir, i)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			p.tell(producersNames[i], fmt.Sprintf("%v; the other copy is looked for", err))
			if !errors.Is(err, errDamaged) {
				unread = fmt.Errorf("%w; the log is read only until a restart finds this mended", err)
			}
			continue
		}
		if ok, err := p.about(s); err != nil {
			return nil, p.unknowing(s.base, err)
		} else if !ok {
			p.tell(producersNames[i], "it is not about the log as it is now; the other copy is looked for")
			continue
		}
		if newest == nil || s.at.off > newest.at.off {
			newest, ps.turn = s, 1-i
		}
	}
	if newest == nil {
		return nil, unread
	}
	return newest, nil
}

// about proves a snapshot by the batch in front of it. One whose segment is gone is believed as it is: only what lies
// before the log's begin goes.
func (p *opener) about(s *snapshot) (bool, error) {
	if s.at.off > p.named[len(p.named)-1].end.Load() {
		return false, nil
	}
	if s.base < p.named[0].base {
		return true, nil
	}
	for _, seg := range p.named {
		if seg.base != s.base {
			continue
		}
		if s.at.pos == 0 {
			return true, nil
		}
		ok := false
		err := p.look(seg, func(w *window) error {
			w.limit = min(w.limit, s.at.pos)
			b, err := w.peek(s.at.last, batch.HeaderSize)
			if err != nil {
				return err
			}
			h, err := batch.ParseHeader(b)
			ok = err == nil && h.CRC == s.at.crc && h.Next() == s.at.off && s.at.last+int64(h.Size) == s.at.pos
			return nil
		})
		return ok || err == nil && p.repaired(s), err
	}
	return p.repaired(s), nil
}

// repaired tells whether the snapshot may be right although the batch in front of it is not where it was, as a repair has
// made the segment anew and declared a gap. Then it is about the same offset, which is to be looked for from the start of a
// segment on.
func (p *opener) repaired(s *snapshot) bool {
	if !slices.ContainsFunc(p.l.gaps, func(g Gap) bool { return g.From < s.at.off && s.base < g.Next }) {
		return false
	}
	for _, seg := range p.named {
		if seg.base <= s.at.off {
			s.base = seg.base
		}
	}
	s.at.pos, s.at.last = 0, 0
	return true
}

// lookBack is where to begin without a snapshot: a few segments before the end; or, if the last one is longer than that,
// at the mark.
func (p *opener) lookBack() (base uint64, at spot) {
	last := p.named[len(p.named)-1]
	if p.marked && p.mark.base == last.base {
		base, at = last.base, p.mark.tail.spot
	} else {
		base, at = last.base, spot{last.size.Load(), last.end.Load()}
	}
	left := int64(producersLook)
	for i := len(p.named) - 1; i >= 0; i-- {
		s := p.named[i]
		if left -= s.size.Load(); left < 0 {
			break
		}
		base, at = s.base, spot{0, s.base}
	}
	return base, at
}

// replay takes up batches in the order of their offsets.
type replay struct {
	table *producerTable
	now   int64
	next  uint64 // offset that is due

	lost, lostFrom uint64 // how many offsets no batch was found for that can be read, and the first
}

// replay takes up the batches from an offset on, which is at that position in the segment of that base, or behind it.
func (p *opener) replay(base uint64, at spot) error {
	ps := &p.l.producers
	r := replay{table: ps.table, now: ps.table.now(), next: at.off}
	for i, s := range p.named {
		from := spot{0, s.base}
		if s.base == base && at.pos > 0 {
			from = at
		}
		if i+1 < len(p.named) && p.named[i+1].base <= at.off || s.end.Load() <= at.off {
			continue
		}
		end := from
		err := p.look(s, func(w *window) error {
			w.limit = s.size.Load()
			v := view{seg: s, base: s.base, size: w.limit, end: s.end.Load(), file: w.file, index: s.lookup, log: p.l, epochs: w.epochs}
			return r.segment(w, &v, &end)
		})
		if err != nil {
			return p.unknowing(s.base, err)
		}
		p.rec.Replayed += end.pos - from.pos
	}
	ps.since = -p.rec.Replayed
	r.reach(p.named[len(p.named)-1].end.Load())
	if r.lost > 0 {
		r.table.forgetDoubtful()
		p.tell(producersName, fmt.Sprintf("not all that producers appended from offset %d on can be read (lost: %d); one that has appended "+
			"nothing behind that is taken for a new one", r.lostFrom, r.lost))
	}
	return nil
}

// segment takes up the batches from a spot on, but for those that are not due any more, and leaves at where they end. It
// steps over damage. Errors: I/O.
func (r *replay) segment(w *window, v *view, at *spot) error {
	for at.off < v.end {
		h, _, err := w.batch(at.pos, at.off, v.end)
		if isBad(err) {
			_, *at, err = v.log.resume(ByOpen, v, startAt(*at))
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if h.BaseOffset >= r.next {
			r.reach(h.BaseOffset)
			if s, ok := sequenceOf(h); ok {
				r.table.note(s, h.BaseOffset, r.now)
			}
			r.next = h.Next()
		}
		*at = at.behind(h)
	}
	return nil
}

// reach goes on at an offset. Any producer may have appended what is missing before it.
func (r *replay) reach(off uint64) {
	if off <= r.next {
		return
	}
	if r.lost == 0 {
		r.lostFrom = r.next
	}
	r.lost += off - r.next
	r.next = off
	r.table.doubtAll()
}

func (p *opener) unknowing(base uint64, err error) error {
	return fmt.Errorf("read %s for what is known of the producers: %w; the log is read only until a restart finds this mended",
		p.l.path(segmentName(base)), err)
}
