package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"
)

// A log sleeps while its files are closed: its active segment, its marks, its spare. Opening leaves logs asleep, but for new
// ones; and where another log needs their descriptors, the roller puts a log to sleep that nobody is at work in. Readers
// notice nothing: they open the segment by its name (view). The next append wakes it as if it had not begun: Room says that
// there is none, and Maintain opens the files.
//
// Before a file is closed, everything in it is synced by that very descriptor (I13): an inode that leaves the kernel's
// memory forgets that its pages could not be written, and a later fdatasync on another descriptor would return 0.
//
// # The gate
//
// Writer and flusher pass a log's gate before they touch its files, and the roller puts it to sleep only if it finds nobody
// behind it: one compare-and-swap from "nobody" to asleep. Writer and flusher never wait there. The writer that finds the
// gate closed stalls the log, as one without a spare. The flusher that does finds nothing to sync, as a log that sleeps has
// nothing unsynced; or else it is being synced by the roller this moment, and the flusher waits for that as it would for
// its own sync of that file (falling).
//
// What may be under way meanwhile, and why it is no harm:
//
//	reads      those who have the live file keep it till they are done, counted as orphans; others open it by name. What
//	           they were promised (size, end) does not move while the gate is closed.
//	a roll     it is finished first, by the roller, as all before it is synced then. If that fails the log stays awake.
//	an index   is built through a descriptor of its own.
//	Close      of a dropped log comes from the controller: falling is its turn, and a closed log is not put to sleep.
//	a failure  of the log's sync or marks while it falls asleep fails it (I6); of its files nothing is lost that was not
//	           told, and it can be put to sleep without a sync, or failed logs could keep all others awake or asleep.
//
// A log that was just woken is not put to sleep before its writer has come to it: of more logs that wait than may be awake,
// none would get anywhere else.

// What is behind the gate.
const (
	gateWriter  uint32 = 1 << iota
	gateFlusher        // in Sync or Mark
	gateAsleep
)

// How a log that is awake was used of late.
const (
	lifeIdle int32 = iota
	lifeUsed
	lifeFresh // woken for an append that has not come yet
)

// ErrAsleep: nothing was appended, since the log fell asleep behind Room. It is to be treated as one without room.
var ErrAsleep = errors.New("disk: the log is asleep, and Maintain wakes it")

func (l *Log) enter(who uint32) bool {
	if l.gate.Or(who)&gateAsleep == 0 {
		return true
	}
	l.leave(who)
	return false
}

func (l *Log) leave(who uint32) { l.gate.And(^who) }

func (l *Log) awake() bool { return l.gate.Load()&gateAsleep == 0 }

// touch notes that the writer has come.
func (l *Log) touch() {
	if l.life.Load() != lifeUsed {
		l.life.Store(lifeUsed)
	}
}

// Forgo tells that an append, if one has woken the log, is not going to come. WRITER ONLY.
func (l *Log) Forgo() { l.touch() }

// rise lets the log take appends: its files are open, and what its first append of the run makes true is stored. Roller.
func (l *Log) rise() error {
	if err := l.wake(); err != nil {
		return err
	}
	if l.progress.begun.Load() {
		return nil
	}
	return l.begin()
}

// wake opens the files of a log that sleeps. Errors that harm nothing are retryable, or ErrNoFiles; others have failed the
// log.
func (l *Log) wake() error {
	if l.awake() {
		return nil
	}
	err := l.files.admit(l)
	if errors.Is(err, ErrNoFiles) {
		return err
	}
	l.quench()
	if err != nil {
		return err
	}
	if err := l.openFiles(ByRoller); err != nil {
		l.files.leave(l)
		return err
	}
	l.life.Store(lifeFresh)
	l.leave(gateAsleep)
	return nil
}

// quench: the log waits for others no more. Roller, or whoever closes the log.
func (l *Log) quench() {
	if l.thirsty {
		l.thirsty = false
		l.files.thirsty.Add(-1)
	}
}

// openFiles opens what a log needs to take appends.
func (l *Log) openFiles(by By) error {
	s := l.state.Load().active
	f, err := l.fs.Open(by, l.fileName(s))
	if err != nil {
		return l.unopened(l.fileName(s), err)
	}
	size, err := f.Size()
	if err == nil && size < s.size.Load() {
		err = l.fail(&CorruptError{From: s.base, Next: s.end.Load(), Where: l.place(s.base, size), Why: "the file has become shorter while it was closed"})
	}
	marks := &l.progress.marks
	if err == nil && marks.there { // else begin makes it
		if err = marks.open(l.fs, by); err != nil {
			err = l.unopened(l.path(marksName), err)
		}
	}
	if err != nil {
		return errors.Join(err, f.Close(by))
	}
	l.list.Lock()
	s.live = newHandle(f)
	l.list.Unlock()
	l.files.forget(s, dataFile) // or its descriptor would be kept twice
	return nil
}

// unopened judges a file that could not be opened: for want of a descriptor or a right it can be tried again.
func (l *Log) unopened(name string, err error) error {
	err = fmt.Errorf("wake the log, open %s: %w", name, err)
	if errors.Is(err, fs.ErrNotExist) {
		return l.fail(err)
	}
	return unmade(err)
}

// yield asks a log that is awake for its place. Without last it gives it only if that takes no sync, and if it was not used
// since it was last asked. working: it cannot, but somebody is at work in it, or will be, or closes it. Roller.
func (l *Log) yield(last bool) (slept, working bool) {
	if !l.falling.TryLock() { // it is being closed, or its flusher looks what came of the last try
		return false, true
	}
	defer l.falling.Unlock()
	if !last && (l.Dirty() || l.life.CompareAndSwap(lifeUsed, lifeIdle)) {
		return false, false
	}
	failed := l.Err() != nil
	if l.over || !failed && l.life.Load() == lifeFresh {
		return false, true
	}
	if !l.gate.CompareAndSwap(0, gateAsleep) {
		return false, true
	}
	if err := l.settleDown(); err != nil {
		if !l.restless { // it is tried again for each append that waits: once is enough
			l.log.Warn("a log could not be put to sleep to make room for another one", zap.String("log", l.dir), zap.Error(err))
		}
		l.restless = true
		l.leave(gateAsleep)
		return false, false
	}
	l.restless = false
	l.files.leave(l)
	l.files.slept()
	return true, false
}

// settleDown makes everything durable and closes the files. After an error the log is awake, if it has not failed as good
// as before.
func (l *Log) settleDown() error {
	if l.Err() == nil {
		if err := l.settleFiles(); err != nil {
			return err
		}
	}
	errs := []error{l.dropSpare(ByRoller), l.closeSegments(ByRoller)}
	if err := l.progress.marks.close(ByRoller); err != nil {
		errs = append(errs, l.fail(err))
	}
	if err := errors.Join(errs...); err != nil { // what is told here is about files that are closed
		l.log.Warn("a log went to sleep with an error", zap.String("log", l.dir), zap.Error(err))
	}
	return nil
}

// settleFiles syncs what is appended, finishes a roll, and leaves a durable mark.
func (l *Log) settleFiles() error {
	if _, err := l.sync(ByRoller); err != nil {
		return err
	}
	indexErr, err := l.finishRoll(ByRoller)
	if err != nil {
		return err
	}
	if indexErr != nil { // as anywhere: slower to read, until it is made anew
		l.log.Warn("a segment's index could not be written", zap.String("log", l.dir), zap.Error(indexErr))
	}
	marks := &l.progress.marks
	if m, moved := l.mark(); moved && l.progress.begun.Load() {
		if err := marks.write(ByRoller, m); err != nil && !retryable(err) { // for want of room, the mark before it holds
			return l.fail(err)
		}
	}
	if marks.unsynced {
		if err := marks.sync(ByRoller); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// closeSegments lets go of all open segments; readers at work keep theirs. An error fails the log.
func (l *Log) closeSegments(by By) error {
	var held []*handle
	l.list.Lock()
	for _, s := range l.list.segs {
		if s.live != nil {
			held = append(held, s.live)
			s.live = nil
		}
	}
	l.list.Unlock()
	var errs []error
	for _, h := range held {
		if err := l.letGo(by, h); err != nil {
			errs = append(errs, l.fail(fmt.Errorf("close a segment of log %s: %w", l.dir, err)))
		}
	}
	return errors.Join(errs...)
}

// letGo gives up the log's own reference to a file. What readers keep of it is from now on counted as theirs.
func (l *Log) letGo(by By, h *handle) error {
	if h.refs.Load() > 1 {
		l.files.orphan(h)
	}
	return h.release(by)
}
