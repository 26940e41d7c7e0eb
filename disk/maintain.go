package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"
)

const (
	firstStep = 64 << 10 // bytes allocated to a new segment: a thousand idle logs hold 64 MiB, not 256 GiB
	lastStep  = 16 << 20 // bytes of the largest step: a few hundred ms of the fastest writer
)

// lastStepOf is the size of the step that brought an allocation to n bytes; steps double until they reach lastStep.
func lastStepOf(n int64) int64 { return min(max(n/2, firstStep), lastStep) }

// nextAllocation is the length to allocate when n bytes are, and stays at limit.
func nextAllocation(n, limit int64) int64 { return min(n+min(max(n, firstStep), lastStep), limit) }

// MaintenanceDue tells whether Maintain has something to do. Atomics only. WRITER or FLUSHER, after each pass. After a
// Maintain that could not do it all it stays true: the caller chooses when to try again.
func (l *Log) MaintenanceDue() bool {
	if l.files.thirsty.Load() > 0 {
		return true // another log waits for one to be put to sleep, and this one may be it
	}
	if l.failure.Load() != nil {
		return false
	}
	if l.indexWanted.Load() {
		return true
	}
	if !l.progress.begun.Load() || !l.awake() {
		return l.wakeDue()
	}
	st := l.state.Load()
	return st.rollDue() || l.growDue(st.active) || l.spareDue(st) || l.producersDue()
}

// wakeDue: an append waits for the log to begin, or to wake.
func (l *Log) wakeDue() bool { return l.progress.wanted.Load() || l.spareWanted.Load() }

// rollDue: the segment before the active one is synced, and its roll can be finished.
func (st *state) rollDue() bool { return st.prev != nil && st.prev.synced.Load() }

func (l *Log) growDue(active *segment) bool {
	size, allocated := active.size.Load(), active.allocated.Load()
	return max(size, allocated) < l.opt.SegmentBytes && allocated-size < lastStepOf(allocated)/2
}

// spareDue: three quarters of the segment are used, or two of the largest appends no longer fit (which comes earlier in
// tiny segments), or a roll has already asked.
func (l *Log) spareDue(st *state) bool {
	if st.spare != nil || st.prev != nil {
		return false
	}
	size, limit := st.active.size.Load(), l.opt.SegmentBytes
	return l.spareWanted.Load() || size >= limit/4*3 || (size > 0 && limit-size < 2*l.largest.Load())
}

// Maintain does what is due, so that the append path never has to (I8): it wakes a log, and lets it begin, whose first
// append waits, grows the active segment's allocation, seals a rolled segment once that is synced, names its successor, makes the next
// spare, and builds indexes, a step at a time. ready: an append that waited for this log can go on.
//
// While an append waits and cannot go on, err is only what keeps it waiting. ErrNoSpace harms nothing: it is tried again
// when Maintain is called again. Errors of making a file or of an index file are the same. ErrNoFiles is to be tried again
// behind any other log's Maintain. Any other error has failed the log. ROLLER ONLY: one goroutine for all logs of a store.
func (l *Log) Maintain() (ready bool, err error) {
	if err := l.Err(); err != nil {
		l.quench()
		return false, err
	}
	p := &l.progress
	if l.wakeDue() {
		p.wanted.Store(false) // before the work, so that what the writer asks for meanwhile is not forgotten
		if err = l.rise(); err == nil {
			err = l.knowProducers()
		}
		if err != nil {
			p.wanted.Store(true)
		}
	}
	up := p.begun.Load() && l.awake()
	var aside error // keeps no append waiting
	if up && err == nil {
		aside, err = l.prepare()
	}
	if l.failure.Load() == nil {
		aside = errors.Join(aside, l.rebuildIndex())
	}
	if err != nil {
		l.life.CompareAndSwap(lifeFresh, lifeIdle) // who waits for the log is told so, and won't come
	}
	waits := p.wanted.Load() || l.spareWanted.Load() && l.state.Load().spare == nil
	if !waits || l.failure.Load() != nil {
		return up && !waits, errors.Join(err, aside)
	}
	if aside != nil {
		l.log.Warn("work on the log's files failed, and will be tried again", zap.String("log", l.dir), zap.Error(aside))
	}
	return false, err
}

// prepare does what the next appends will need. Without space for growth, sealing still goes on: it gives blocks back.
func (l *Log) prepare() (aside, err error) {
	aside = l.grow()
	if l.failure.Load() == nil {
		indexErr, rollErr := l.finishRoll(ByRoller)
		aside, err = errors.Join(aside, indexErr), rollErr
	}
	if l.failure.Load() == nil && l.spareDue(l.state.Load()) {
		err = errors.Join(err, l.makeSpare())
	}
	if l.failure.Load() == nil {
		aside = errors.Join(aside, l.storeHanded())
	}
	return aside, err
}

func (l *Log) grow() error {
	active := l.state.Load().active
	if !l.growDue(active) {
		return nil
	}
	size := nextAllocation(max(active.size.Load(), active.allocated.Load()), l.opt.SegmentBytes)
	if err := active.live.file.Allocate(ByRoller, size); err != nil {
		err = full(fmt.Errorf("allocate %d bytes for %s: %w", size, l.fileName(active), err))
		if errors.Is(err, ErrNoSpace) {
			return err
		}
		return l.fail(err)
	}
	active.allocated.Store(size)
	return nil
}

// finishRoll does what a roll left to do, once the old segment is synced, in the order of F1: cut to size, sync, index,
// rename the new segment, sync the directory. Every step may be the last before a crash; recovery takes it from there.
func (l *Log) finishRoll(by By) (indexErr, err error) {
	st := l.state.Load()
	if !st.rollDue() {
		return nil, nil
	}
	old := st.prev
	if !old.sealed {
		if err := l.cutToSize(by, old); err != nil {
			return nil, l.fail(err)
		}
		if ix := old.whole(); ix != nil {
			indexErr = l.writeIndex(by, old.base, ix, old.end.Load(), old.size.Load())
		} else {
			l.wantIndex(old)
		}
		if err := l.seal(by, old); err != nil {
			return indexErr, l.fail(err)
		}
	}
	if err := l.nameActive(by, st.active); err != nil {
		return indexErr, err
	}
	l.step(st, state{active: st.active})
	return indexErr, nil
}

// cutToSize gives back what is allocated beyond the last batch, durably: a sealed file's size is what opening goes by. A
// file that is shorter was cut by somebody else: made longer, its zeros would be taken for batches that were checked.
func (l *Log) cutToSize(by By, s *segment) error {
	size := s.size.Load()
	have, err := s.live.file.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", l.path(segmentName(s.base)), err)
	}
	if have < size {
		return fmt.Errorf("%s has %d bytes, of %d that were written", l.path(segmentName(s.base)), have, size)
	}
	if have == size {
		return nil
	}
	if err := s.live.file.Truncate(by, size); err != nil {
		return fmt.Errorf("cut %s to %d: %w", l.path(segmentName(s.base)), size, err)
	}
	if err := s.live.file.Sync(by); err != nil {
		return fmt.Errorf("sync %s, cut to %d: %w", l.path(segmentName(s.base)), size, err)
	}
	return nil
}

// seal takes the open file and the index away from the segment; from now on it is read by name.
func (l *Log) seal(by By, s *segment) error {
	l.list.Lock()
	h := s.live
	s.live, s.index, s.lookup, s.sealed = nil, nil, nil, true
	l.list.Unlock()
	if err := l.letGo(by, h); err != nil {
		return fmt.Errorf("close %s: %w", l.path(segmentName(s.base)), err)
	}
	return nil
}

// nameActive renames next.seg to its base. Acks hold under either name, so a lack of space only postpones it.
func (l *Log) nameActive(by By, active *segment) error {
	if active.unnamed {
		name := l.path(segmentName(active.base))
		if err := l.fs.Rename(by, l.path(spareName), name); err != nil {
			err = full(fmt.Errorf("rename %s to %s: %w", l.path(spareName), name, err))
			if errors.Is(err, ErrNoSpace) {
				return err
			}
			return l.fail(err)
		}
		active.unnamed = false
	}
	if err := l.syncDir(by); err != nil {
		if retryable(err) {
			return err
		}
		return l.fail(err)
	}
	return nil
}

// makeSpare creates the next segment ahead: allocated, and durable in its directory before the first batch can be in it.
func (l *Log) makeSpare() error {
	st := l.state.Load()
	if st.active.unnamed {
		panic("BUG: a spare is wanted while the active segment has its name")
	}
	if l.files.over() { // readers still have what the log has let go of, and others have all the rest
		return unmade(errors.New("no descriptor is left for the next segment"))
	}
	name := l.path(spareName)
	f, err := l.fs.Create(ByRoller, name)
	if errors.Is(err, fs.ErrExist) { // left by an attempt that could not be undone
		if err := l.fs.Remove(ByRoller, name); err != nil {
			return fmt.Errorf("remove the unused %s: %w", name, err)
		}
		f, err = l.fs.Create(ByRoller, name)
	}
	if err != nil {
		return full(fmt.Errorf("create %s: %w", name, err))
	}
	s := &segment{live: newHandle(f), unnamed: true}
	s.index = newMemIndex(l.opt.SegmentBytes, l.opt.IndexInterval)
	s.lookup = s.index
	size := nextAllocation(0, l.opt.SegmentBytes)
	if err := f.Allocate(ByRoller, size); err != nil {
		err = full(fmt.Errorf("allocate %d bytes for %s: %w", size, name, err))
		return errors.Join(err, f.Close(ByRoller), l.fs.Remove(ByRoller, name))
	}
	err = f.Sync(ByRoller)
	if err == nil {
		err = l.syncDir(ByRoller)
	}
	if retryable(err) {
		return errors.Join(err, f.Close(ByRoller), l.fs.Remove(ByRoller, name))
	}
	if err != nil {
		return errors.Join(l.fail(fmt.Errorf("make %s durable: %w", name, err)), f.Close(ByRoller))
	}
	s.allocated.Store(size)
	l.step(st, state{active: st.active, spare: s})
	return nil
}
