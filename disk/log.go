package disk

import (
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"sluice/sched"
)

const (
	defaultSegmentBytes  = 256 << 20
	defaultIndexInterval = 4 << 10
)

// LogOptions are a log's settings. Zero means the default.
type LogOptions struct {
	SegmentBytes  int64       // a segment is rolled before it would pass this; default 256 MiB, at most 4 GiB
	IndexInterval int64       // bytes of log between two entries of the index; default 4 KiB
	Dsync         bool        // every append is durable when it returns
	Clock         sched.Clock // measures Recovery.Took, tells when producers appended; default time.Now
	Producers     *Producers  // bounds what all logs know of producers; default: this one 10,000, for a day
}

// Log is one partition: a row of segments, of which the last is active. Each method's comment names the stage that may
// call it; for each of those stages there is one goroutine at a time. After Close only Info and the numbers answer.
type Log struct {
	fs      FS
	files   *files // nil: nobody counts descriptors
	dir     string
	opt     LogOptions
	log     *zap.Logger
	onClose func() // tells the store

	rebuild   rebuild // roller only
	progress  progress
	producers producerState
	gaps      []Gap // fixed at opening

	unreadable error // why nothing could be opened; fixed

	epochs      atomic.Pointer[epochTable] // stored by the opener and the roller
	state       atomic.Pointer[state]
	next        atomic.Uint64 // stored by the writer, after the active segment's size
	durable     atomic.Uint64 // stored under progress.mu
	oldest      atomic.Uint64
	spareWanted atomic.Bool  // a roll found none; stored by the writer
	indexWanted atomic.Bool  // a reader found none, or a bad one
	largest     atomic.Int64 // bytes of the largest append so far, stored by the writer
	failure     atomic.Pointer[failure]
	damage      atomic.Pointer[CorruptError] // the first that a read has met

	// Sleep (sleep.go).
	gate     atomic.Uint32
	life     atomic.Int32
	shut     bool       // writer only: Room has met a closed gate, or a log that has not begun
	thirsty  bool       // counted in files.thirsty; roller only
	falling  sync.Mutex // held while the log is put to sleep or closed
	over     bool       // closed; guarded by falling
	restless bool       // it was told that the log can't be put to sleep; roller only
	ring     struct {   // guarded by files.mu
		before, behind *Log // in the ring of logs awake; nil: it is not in it
		closed         bool
	}

	// Locked by the writer at a roll, by the roller when a segment is sealed, by Close; read-locked by readers.
	list struct {
		sync.RWMutex
		segs   []*segment // by base; never empty
		bytes  int64      // in all but the active one
		closed bool
	}
}

// state is which segment is what. It goes round in one direction, and in each state only one stage may take the step:
//
//	{active}        roller, having made a spare    ->  {active, spare}
//	{active, spare} writer, at a roll              ->  {active, prev}: the spare, and the one before
//	{active, prev}  roller, having finished a roll ->  {active}
//
// It is one value: with a pointer for each, a roller that looked in the middle of a roll took it for a log without
// spare, and removed the file that was just becoming the active one.
type state struct{ active, prev, spare *segment }

// step moves the state on.
func (l *Log) step(from *state, to state) {
	if !l.state.CompareAndSwap(from, &to) {
		panic("BUG: two stages moved a log's segments at once")
	}
}

type failure struct{ first, sticky error }

// fail ends the log's life as a writer (I6). Only the first error counts: what follows is its consequence.
func (l *Log) fail(err error) error {
	if l.failure.CompareAndSwap(nil, &failure{err, fmt.Errorf("%w: %w", ErrFailed, err)}) {
		l.log.Error("the log takes no more appends until the server is restarted; what it holds is still read",
			zap.String("log", l.dir), zap.Error(err))
	}
	return err
}

// met remembers the first damage that a read of this run comes upon, and tells of it: the client that asked is not the one
// who looks after the disk.
func (l *Log) met(d *CorruptError) *CorruptError {
	if l.damage.CompareAndSwap(nil, d) {
		l.log.Error("stored records are damaged; `sluice verify` lists all damage, docs/damage.md says how to go on", zap.String("log", l.dir), zap.Error(d))
	}
	return d
}

// Damage is the first damage that a read or a scrub has met in this run, but for declared gaps; nil: none. Any goroutine.
func (l *Log) Damage() *CorruptError { return l.damage.Load() }

// Err is nil, or ErrFailed with the first error inside. Any goroutine.
func (l *Log) Err() error {
	if f := l.failure.Load(); f != nil {
		return f.sticky
	}
	return nil
}

// CheckFile fails a log whose active segment has been removed under it: what is appended goes into a file that nobody will
// find. The sooner somebody hears of it the better, so it is to be called again and again. A log that sleeps notices when
// it wakes. Any goroutine.
func (l *Log) CheckFile() {
	l.list.RLock()
	s := l.list.segs[len(l.list.segs)-1]
	h := s.live
	if h != nil {
		h.refs.Add(1) // as in pick
	}
	l.list.RUnlock()
	if h == nil {
		return
	}
	named, err := h.file.Named()
	if failed := h.release(ByReader); failed != nil { // as in view.release
		_ = l.fail(failed) // which tells it, as below
	}
	l.list.RLock()
	closed := l.list.closed // dropped, perhaps; then its files are removed
	l.list.RUnlock()
	if !named && err == nil && !closed {
		// Whoever asked can do nothing about it: the log has told it, and Err tells it from now on.
		_ = l.fail(fmt.Errorf("somebody has removed the file %s, which is appended to: its records are lost when the server stops, so copy them first (sluice read)", l.path(segmentName(s.base))))
	}
}

// Next is the offset the next record gets: the visible end. Any goroutine.
func (l *Log) Next() uint64 { return l.next.Load() }

// Durable is the offset below which every record is covered by an fdatasync that returned 0. Any goroutine.
func (l *Log) Durable() uint64 { return l.durable.Load() }

// Oldest is the first offset that is still there. Any goroutine.
func (l *Log) Oldest() uint64 { return l.oldest.Load() }

// Dirty tells whether a Sync would find something to do. Any goroutine.
func (l *Log) Dirty() bool { return l.durable.Load() != l.next.Load() }

// Info is a log's size, for statistics.
type Info struct {
	Segments   int
	Bytes      int64 // of batches, allocation ahead of use not counted
	ActiveBase uint64
}

// Info may be called from any goroutine.
func (l *Log) Info() Info {
	l.list.RLock()
	defer l.list.RUnlock()
	active := l.list.segs[len(l.list.segs)-1]
	return Info{Segments: len(l.list.segs), Bytes: l.list.bytes + active.size.Load(), ActiveBase: active.base}
}

func (l *Log) path(name string) string { return path.Join(l.dir, name) }

// place names a position for people: "segment@position".
func (l *Log) place(base uint64, pos int64) string {
	return fmt.Sprintf("%s@%d", l.path(segmentName(base)), pos)
}

// fileName is the segment's name as the roller knows it.
func (l *Log) fileName(s *segment) string {
	if s.unnamed {
		return l.path(spareName)
	}
	return l.path(segmentName(s.base))
}

var errLogClosed = fmt.Errorf("%w: %w", errClosed, fs.ErrClosed)
