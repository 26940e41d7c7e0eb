package disk

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"sluice/sched"
)

// StoreOptions are a store's settings. Zero means the default.
type StoreOptions struct {
	Files int // descriptors that the store may hold at once; default 1,024, at least 17
}

const (
	defaultFiles = 1024
	minFiles     = serviceFiles + openingFiles + leastPins + awakeFiles + 1 // a log that rolls while another is read; one to spare
)

// The budget is cut into shares that nobody else may take, so that a stage which needs descriptors for what it has begun
// never waits for one that waits for it. What is not in use of any share keeps files open that may be read again.
//
//	service  the LOCK and its directory, and the one file at a time that roller, controller, scrubber and the ticks each look at or write
//	opening  for each log that is being opened or closed: marks, last segment, spare, and one to read or write aside
//	awake    for each log that can take appends: active segment, marks, and the spare or the segment before
//	pins     for each other file that somebody reads right now
const (
	lockFiles    = 2
	serviceFiles = lockFiles + 5
	openingFiles = 4
	awakeFiles   = 3
	leastPins    = 2 // a segment and its index
	mostPins     = 1024
	mostOpening  = 64 * openingFiles
)

func (o StoreOptions) withDefaults() (StoreOptions, error) {
	if o.Files == 0 {
		o.Files = defaultFiles
	}
	if o.Files < minFiles {
		return o, fmt.Errorf("disk: %d descriptors are too few for a store, which needs at least %d", o.Files, minFiles)
	}
	return o, nil
}

// FilesInfo is what the store holds open, and how well that goes, for statistics.
type FilesInfo struct {
	Budget, Open            int   // descriptors: allowed, and held
	Cached                  int   // files among those which are kept for reading: sealed segments, indexes, segments of logs asleep
	Awake                   int   // logs that hold their active segment and marks
	Hits, Misses, Evictions int64 // of the files kept for reading
	Waits                   int64 // for a descriptor
	Sleeps                  int64 // of logs, to make room for others
}

// Files may be called from any goroutine; it is cheap.
func (s *Store) Files() FilesInfo {
	f := s.files
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.mu.info
	i.Budget, i.Open, i.Cached, i.Awake = f.budget, int(f.open.Load()), f.mu.cached, f.mu.awake
	return i
}

// files is the store's account of descriptors. Any goroutine.
//
// Nobody waits in a circle: a wait for a pin or for the share of an opening is begun by somebody who holds neither, and
// whoever holds one waits for the disk at most. The roller, whom others wait for, never waits here (admit).
type files struct {
	budget                  int
	pins, openings, awakens int // the shares, in files, openings and logs

	open    atomic.Int64 // descriptors held, counted at the seam
	thirsty atomic.Int32 // logs that would wake if another one slept

	mu struct {
		sync.Mutex
		freed    *sync.Cond // told of the ends of pins and openings, while somebody waits
		waiting  int
		pinned   int // files in use for reading, and those that readers still have of logs which let go of them
		cached   int // all that are kept for reading, in use or not
		orphans  int // of pinned, those that are not in cached
		openings int
		awake    int
		admitted int64     // places given to logs so far
		hand     *Log      // in the ring of logs awake
		idle     *readFile // ring of those not in use, the one that was used last behind this one
		info     FilesInfo
	}
}

func newFiles(budget int) *files {
	f := &files{budget: budget}
	f.openings = min(max(budget/8, openingFiles), mostOpening) / openingFiles
	rest := budget - serviceFiles - f.openings*openingFiles
	f.pins = min(max(rest/3, leastPins), mostPins)
	f.awakens = (rest - f.pins) / awakeFiles
	f.mu.freed = sync.NewCond(&f.mu)
	f.mu.idle = &readFile{}
	f.mu.idle.before, f.mu.idle.behind = f.mu.idle, f.mu.idle
	return f
}

// opened counts descriptors at the seam.
func (f *files) opened(n int64) {
	if have := f.open.Add(n); sched.Invariants && have > int64(f.budget) {
		panic(fmt.Sprintf("BUG: %d descriptors are open, %d are allowed", have, f.budget))
	}
}

// freeLocked is how many descriptors are nobody's. Below zero: readers still have files of logs that let go of them, while
// all shares are used up.
func (f *files) freeLocked() int {
	m := &f.mu
	return f.budget - serviceFiles - m.openings*openingFiles - m.awake*awakeFiles - m.cached - m.orphans
}

// evictLocked takes files that are not in use out of the cache, until no more is promised than there is. The caller closes
// them, without the lock, before it opens what it has taken: so no more is ever open than is promised.
func (f *files) evictLocked() (victims []*readFile) {
	for f.freeLocked() < 0 && f.mu.idle.before != f.mu.idle {
		e := f.mu.idle.before
		f.dropLocked(e)
		f.mu.cached--
		f.mu.info.Evictions++
		victims = append(victims, e)
	}
	return victims
}

// waitLocked waits until a pin or an opening has ended.
func (f *files) waitLocked() {
	f.mu.waiting++
	f.mu.freed.Wait()
	f.mu.waiting--
}

func (f *files) freedLocked() {
	if f.mu.waiting > 0 {
		f.mu.freed.Broadcast()
	}
}

// lease takes the descriptors that opening or closing a log needs, and waits for them if it must. Whoever calls it holds no
// pin and no lease.
func (f *files) lease() (release func()) {
	f.mu.Lock()
	for waits := false; ; waits = true {
		if f.mu.openings < f.openings {
			f.mu.openings++
			break
		}
		if !waits {
			f.mu.info.Waits++
		}
		f.waitLocked()
	}
	victims := f.evictLocked()
	f.mu.Unlock()
	closeAll(victims)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.mu.openings--
		f.freedLocked()
	}
}

// over tells that more is promised than there is. Whoever can put off what he has begun does so.
func (f *files) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.freeLocked() < 0
}

// orphan counts a file that readers keep longer than the log that lets go of it.
func (f *files) orphan(h *handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h.orphaned = f
	f.mu.orphans++
	f.mu.pinned++
}

func (f *files) orphanClosed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.orphans--
	f.mu.pinned--
	f.freedLocked()
}

// ErrNoFiles: all logs that could make room for this one are at work just now. Maintain is to be called again when the
// next one of them is maintained, which their MaintenanceDue asks for meanwhile, and when one of them was closed.
var ErrNoFiles = errors.New("disk: all descriptors for logs that take appends are in use")

// admit gives the log a place among those that are awake. If all are taken, another log is put to sleep for it: one that
// has nothing unsynced and was not appended to since it was last asked, else any that nobody is at work in, a failed one
// too. ROLLER ONLY: whoever sleeps here wakes by the same goroutine.
//
// It never waits, since the logs that it would wait for may be waiting for the roller. ErrNoFiles promises that a log which
// is awake has work under way, or is about to: at the end of that its writer or flusher sees that somebody is thirsty, and
// asks for the roller. Or it is being closed, and whoever does that asks for the roller behind it: the same holds for one
// that was woken for an append which a drop has cut off. Any other error promises nothing.
func (f *files) admit(l *Log) error {
	if f.tryAdmit(l) {
		return nil
	}
	if !l.thirsty {
		l.thirsty = true
		f.thirsty.Add(1) // before looking: who is at work now will see it
	}
	for admitted := int64(-1); admitted != f.countAdmitted(); { // else a new log took the place that was freed, and was not asked
		admitted = f.countAdmitted()
		if ok, busy := f.makeWay(l); ok || f.tryAdmit(l) { // one was closed meanwhile
			return nil
		} else if busy {
			return ErrNoFiles
		}
	}
	return unmade(errors.New("no descriptor is left for another log that takes appends, and none of those can be put to sleep"))
}

// makeWay puts logs to sleep until this one has a place. busy: one of those that can't sleep has work under way.
func (f *files) makeWay(l *Log) (ok, busy bool) {
	for _, last := range []bool{false, true} {
		for range f.countAwake() {
			v := f.next()
			if v == nil {
				break
			}
			slept, working := v.yield(last)
			busy = busy || working
			if slept && f.tryAdmit(l) {
				return true, busy
			}
		}
	}
	return false, busy
}

// tryAdmit gives a log that is not among them a place, if one is free.
func (f *files) tryAdmit(l *Log) bool {
	f.mu.Lock()
	if f.mu.awake >= f.awakens {
		f.mu.Unlock()
		return false
	}
	f.mu.awake++
	f.mu.admitted++
	if f.mu.hand == nil {
		l.ring.before, l.ring.behind, f.mu.hand = l, l, l
	} else { // the hand comes to it last
		l.ring.behind, l.ring.before = f.mu.hand, f.mu.hand.ring.before
		l.ring.before.ring.behind, l.ring.behind.ring.before = l, l
	}
	victims := f.evictLocked()
	f.mu.Unlock()
	closeAll(victims)
	return true
}

// leave takes a log out of those that are awake, once its files are closed.
func (f *files) leave(l *Log) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.ring.before == nil {
		return
	}
	f.mu.awake--
	l.ring.before.ring.behind, l.ring.behind.ring.before = l.ring.behind, l.ring.before
	if f.mu.hand == l {
		f.mu.hand = l.ring.behind
	}
	if f.mu.hand == l {
		f.mu.hand = nil
	}
	l.ring.before, l.ring.behind = nil, nil
}

// next moves the hand over a log.
func (f *files) next() *Log {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.mu.hand
	if l != nil {
		f.mu.hand = l.ring.behind
	}
	return l
}

func (f *files) countAwake() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.awake
}

func (f *files) countAdmitted() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.admitted
}

func (f *files) slept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.info.Sleeps++
}
