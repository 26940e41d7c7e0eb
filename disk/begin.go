package disk

import (
	"fmt"
	"sync"
	"sync/atomic"

	"sluice/sched"
)

// progress is how far a log is durable, and the mark that tells of it.
type progress struct {
	// begun: appends may go on. Before the first append of a run it is stored durably that the log is no longer closed in
	// order, or, after an unclean start, that a new epoch begins (I3). Stored by the opener or the roller.
	begun  atomic.Bool
	wanted atomic.Bool // an append waits for that, or for the log to wake; set by the writer, cleared by the roller

	written atomic.Int64 // bytes appended since opening, stored by the writer
	durable atomic.Int64 // bytes of those that are durable

	marks markFile
	clean bool  // the log was closed in order and has not begun; its owner is that of marks
	seen  int32 // highest epoch a mark told of at opening
	owed  int32 // the epoch that the first append begins; 0: none. Fixed at opening

	mu struct { // what the durable point covers; locked by flusher and, in a log with Dsync, by the writer
		sync.Mutex
		base uint64 // of the segment
		tail tail
	}
}

// written is what the writer has put into a segment, as one value for the flusher.
type written struct {
	sync.Mutex
	tail tail
	sum  int64 // of progress.written at that tail
}

func (w *written) set(t tail, sum int64) {
	w.Lock()
	w.tail, w.sum = t, sum
	w.Unlock()
}

func (w *written) get() (tail, int64) {
	w.Lock()
	defer w.Unlock()
	return w.tail, w.sum
}

// covered moves the durable point to t, which lies in segment s, unless it is there already, or something below from is
// not durable.
func (l *Log) covered(s *segment, from uint64, t tail, sum int64) {
	p := &l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	durable := l.durable.Load()
	if t.off <= durable || from > durable {
		return
	}
	p.mu.base, p.mu.tail = s.base, t
	p.durable.Store(sum)
	l.durable.Store(t.off)
}

// Unsynced is what a power cut could take. Any goroutine; atomics only.
func (l *Log) Unsynced() (bytes int64, records uint64) {
	durable, off := l.progress.durable.Load(), l.durable.Load() // before what they are taken from, which only grows
	return l.progress.written.Load() - durable, l.next.Load() - off
}

// Mark writes the durable mark if the durable point has moved, without a sync: it is a lower bound. It allocates nothing.
// An ErrNoSpace (of a file system that copies on write) harms nothing; any other error has failed the log. FLUSHER ONLY,
// after it has answered: nobody waits for a mark.
func (l *Log) Mark(by By) error {
	if err := l.Err(); err != nil {
		return err
	}
	if !l.progress.begun.Load() || !l.enter(gateFlusher) { // who put it to sleep has left one
		return nil
	}
	defer l.leave(gateFlusher)
	m, moved := l.mark()
	if !moved {
		return nil
	}
	if err := l.progress.marks.write(by, m); err != nil {
		if retryable(err) {
			return err
		}
		return l.fail(err)
	}
	return nil
}

// mark is what the marks file should say, and whether that is news.
func (l *Log) mark() (m mark, moved bool) {
	p := &l.progress
	p.mu.Lock()
	m = mark{base: p.mu.base, tail: p.mu.tail, epoch: max(l.Epoch(), p.seen)}
	p.mu.Unlock()
	st := l.state.Load() // behind the base: the writer of a log with Dsync may roll meanwhile
	if st.prev != nil && m.base == st.active.base {
		m.before = st.prev.size.Load()
	}
	m.visible, m.knows = l.next.Load(), l.producers.there.Load()
	i := p.marks.have.newest()
	if i < 0 {
		return m, true
	}
	have := p.marks.have.slot[i]
	m.knows = m.knows || have.knows // also once the files are damaged, or nobody would miss them
	return m, have.base != m.base || have.tail != m.tail
}

// begin stores what must be stored before the first append of a run. Each step may be the last before a crash: without
// the first, the next start is as clean as this one; without the second it is unclean, and owes its own epoch.
func (l *Log) begin() error {
	p := &l.progress
	i := p.marks.have.newest()
	if i < 0 || p.marks.have.slot[i].clean && !sched.Planted("clean-flag-stays") {
		m, _ := l.mark()
		if err := p.marks.store(l.fs, ByRoller, m); err != nil {
			return l.beginFailed(err)
		}
		if i < 0 { // the file may be new
			if err := l.syncDir(ByRoller); err != nil {
				return l.beginFailed(err)
			}
		}
	}
	if !p.clean && !sched.Planted("no-new-epoch") {
		if err := l.storeEpoch(); err != nil {
			return err
		}
	}
	p.begun.Store(true)
	return nil
}

func (l *Log) storeEpoch() error {
	t, err := l.epochTable().nextEpoch(l.progress.seen, l.next.Load())
	if err != nil {
		return l.fail(fmt.Errorf("begin to append to %s: %w", l.dir, err))
	}
	if err := saveEpochs(l.fs, ByRoller, l.dir, t); err != nil {
		return l.beginFailed(err)
	}
	if err := l.syncDir(ByRoller); err != nil {
		return l.beginFailed(err)
	}
	l.epochs.Store(&t)
	return nil
}

func (l *Log) beginFailed(err error) error {
	err = fmt.Errorf("begin to append to %s: %w", l.dir, err)
	if retryable(err) {
		return err
	}
	return l.fail(err)
}

// syncDir makes the names in the log's directory durable.
func (l *Log) syncDir(by By) error {
	if sched.Planted("skip-dir-sync") {
		return nil
	}
	if err := l.fs.SyncDir(by, l.dir); err != nil {
		return noDescriptor(fmt.Errorf("sync directory %s: %w", l.dir, err))
	}
	return nil
}
