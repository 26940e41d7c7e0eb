package disk

import (
	"errors"
	"fmt"
)

// rebuildStep is how many bytes of a segment one Maintain scans for a new index, so that a roll never waits long for it.
const rebuildStep = 4 << 20

// rebuild is an index being built: the file of a sealed segment whose index readers found missing or damaged, or, in
// memory, what opening did not scan of the active one.
type rebuild struct {
	v     view // its file is open during a step only: each log may have begun with one
	front bool // in memory
	w     window
	index *memIndex
	at    spot
	seen  map[*segment]bool // tried already: an index that fails its check again would be built for ever
}

// IndexDue tells whether Maintain has a step of an index to build, which no append asks for: readers of an idle log go the
// long way until then. Atomics only; any goroutine.
func (l *Log) IndexDue() bool { return l.failure.Load() == nil && l.indexWanted.Load() }

// wantIndex is called by readers.
func (l *Log) wantIndex(s *segment) {
	s.badIndex.Store(true)
	l.indexWanted.Store(true)
}

// rebuildIndex does one step. Its errors, like those of writing any index, harm nothing; that segment stays slow to read.
func (l *Log) rebuildIndex() error {
	if !l.indexWanted.Load() {
		return nil
	}
	r := &l.rebuild
	if r.v.seg == nil {
		l.indexWanted.Store(false) // before looking: a reader may ask again meanwhile
		s := l.withoutIndex()
		if s == nil {
			return nil
		}
		l.indexWanted.Store(true) // there may be more
		r.start(l, s)
	}
	done, err := r.open(l)
	if err == nil && !done {
		return nil
	}
	switch {
	case done && r.front:
		l.splice(r.v.seg, r.index)
	case done:
		if err = l.writeIndex(ByRoller, r.v.base, r.index, r.v.end, r.v.size); err == nil {
			l.files.forget(r.v.seg, indexOfIt)
			r.v.seg.summary.Store(nil)
			r.v.seg.badIndex.Store(false)
		}
	}
	r.stop()
	return err
}

// splice shows readers the index of what lay before the mark, unless the segment was sealed meanwhile.
func (l *Log) splice(s *segment, front *memIndex) {
	l.list.Lock()
	defer l.list.Unlock()
	s.front = spot{}
	delete(l.rebuild.seen, s) // it may need a file, too, once it is sealed
	if !s.sealed {
		s.lookup = &spliced{front: front, back: s.index}
	}
}

// withoutIndex finds a segment that needs an index and was not tried yet.
func (l *Log) withoutIndex() *segment {
	l.list.RLock()
	defer l.list.RUnlock()
	for _, s := range l.list.segs {
		if (s.sealed && s.badIndex.Load() || !s.sealed && s.front.pos > 0) && !l.rebuild.seen[s] {
			return s
		}
	}
	return nil
}

func (r *rebuild) start(l *Log, s *segment) {
	if r.seen == nil {
		r.seen = make(map[*segment]bool)
	}
	r.seen[s] = true
	r.v = view{seg: s, base: s.base, size: s.size.Load(), end: s.end.Load(), log: l, epochs: l.epochTable()}
	if r.front = !s.sealed; r.front {
		r.v.size, r.v.end = s.front.pos, s.front.off
	}
	r.at = spot{0, s.base}
	r.w = r.v.window(ByRoller)
	r.index = newMemIndex(l.opt.SegmentBytes, l.opt.IndexInterval)
}

// open does a step with the segment's file.
func (r *rebuild) open(l *Log) (done bool, err error) {
	f, err := l.fs.Open(ByRoller, l.fileName(r.v.seg))
	if err != nil {
		return false, fmt.Errorf("open a segment to index it: %w", err)
	}
	r.v.file, r.w.file = f, f
	done, err = r.step(l)
	if failed := f.Close(ByRoller); failed != nil {
		err = errors.Join(err, fmt.Errorf("close an indexed segment: %w", failed))
	}
	return done, err
}

// step goes over the next batches, and over damage, to the segment's end.
func (r *rebuild) step(l *Log) (done bool, err error) {
	for stop := r.at.pos + rebuildStep; r.at.off < r.v.end && r.at.pos < stop; {
		h, _, err := r.w.batch(r.at.pos, r.at.off, r.v.end)
		switch {
		case err == nil:
			r.index.note(r.at.off-r.v.base, r.at.pos, h.MaxTime, h.CRC)
			r.at = spot{r.at.pos + int64(h.Size), h.Next()}
		case isBad(err):
			hole, good, err := l.resume(ByRoller, &r.v, startAt(r.at))
			if err != nil {
				return false, l.placed(&r.v, hole.pos, err)
			}
			r.at = good
		default:
			return false, l.placed(&r.v, r.at.pos, err)
		}
	}
	r.index.publish()
	return r.at.off >= r.v.end, nil
}

// stop ends work on a segment, finished or not.
func (r *rebuild) stop() { r.v, r.w, r.index = view{}, window{}, nil }
