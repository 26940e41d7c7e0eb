package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"

	"sluice/wire/batch"
)

// rebuildEpochs makes the epoch table from the batches. Epochs only rise, so segments whose first batches are of one
// epoch hold no other, and those in between need not be opened: a bisection finds the segments in which one begins, and
// only those are walked, header by header. An epoch that was begun and has left no batch is in the mark, at best.
func (p *opener) rebuildEpochs() error {
	l := p.l
	p.rec.Migrated = !p.names[epochsName] && !p.names[epochsName+secondCopy] && !p.names[marksName]
	r := epochRebuild{p: p}
	if err := r.run(); err != nil {
		return fmt.Errorf("make the epoch table of %s anew: %w", l.dir, err)
	}
	if len(r.table) == 0 {
		r.table = epochTable{{epoch: max(p.mark.epoch, 0), first: p.named[0].base}}
	}
	l.epochs.Store(&r.table)
	if !p.rec.Migrated {
		l.log.Warn("the epoch table was made anew from the batches", zap.String("log", l.dir), zap.Int("epochs", len(r.table)))
	}
	return nil
}

type epochRebuild struct {
	p     *opener
	table epochTable
}

func (r *epochRebuild) run() error {
	segs := r.p.named
	last := len(segs) - 1
	if err := r.between(0, last); err != nil {
		return err
	}
	if err := r.walk(segs[last]); err != nil {
		return err
	}
	if r.p.spare == nil {
		return nil
	}
	return r.walk(r.p.spare)
}

// between notes the epochs that begin in the segments [lo, hi).
func (r *epochRebuild) between(lo, hi int) error {
	if lo >= hi {
		return nil
	}
	first, ok, err := r.firstOf(r.p.named[lo])
	if err != nil {
		return err
	}
	after, ok2, err := r.firstOf(r.p.named[hi])
	if err != nil {
		return err
	}
	if ok && ok2 && first.Epoch == after.Epoch {
		r.note(first)
		return nil
	}
	if hi == lo+1 {
		return r.walk(r.p.named[lo])
	}
	mid := lo + (hi-lo)/2
	if err := r.between(lo, mid); err != nil {
		return err
	}
	return r.between(mid, hi)
}

// firstOf reads the header of a segment's first batch. False: there is no good one.
func (r *epochRebuild) firstOf(s *segment) (h batch.Header, ok bool, err error) {
	err = r.p.look(s, func(w *window) error {
		w.buf = make([]byte, batch.HeaderSize) // no more is wanted
		h, err = w.header(0, s.base, maxOffset)
		ok = err == nil
		if isBad(err) {
			err = nil
		}
		return err
	})
	return h, ok, err
}

// walk goes over a segment's headers, as far as they lead, and notes each epoch where it begins.
func (r *epochRebuild) walk(s *segment) error {
	return r.p.look(s, func(w *window) error {
		at := spot{0, s.base}
		if s.unnamed { // nothing else says where it begins
			b, err := w.peek(0, batch.HeaderSize)
			if err != nil {
				return err
			}
			if h, err := batch.ParseHeader(b); err == nil {
				at.off = h.BaseOffset
			}
		}
		for {
			h, err := w.header(at.pos, at.off, maxOffset)
			if err == nil && (len(r.table) == 0 || h.Epoch > r.table.last().epoch) {
				_, _, err = w.batch(at.pos, at.off, maxOffset) // a new epoch is not believed of just any bytes
			}
			if isBad(err) {
				return nil
			}
			if err != nil {
				return err
			}
			r.note(h)
			at = spot{at.pos + int64(h.Size), h.Next()}
		}
	})
}

func (r *epochRebuild) note(h batch.Header) {
	if h.Epoch >= 0 && (len(r.table) == 0 || h.Epoch > r.table.last().epoch && h.BaseOffset > r.table.last().first) {
		r.table = append(r.table, epochStart{h.Epoch, h.BaseOffset})
	}
}

// look opens a segment for a look; one that is missing has none.
func (p *opener) look(s *segment, look func(*window) error) error {
	if s.live != nil {
		w := p.window(s)
		return look(&w)
	}
	f, err := p.l.fs.Open(ByOpen, p.l.path(segmentName(s.base)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(look(&window{by: ByOpen, file: f, limit: s.size.Load()}), f.Close(ByOpen))
}
