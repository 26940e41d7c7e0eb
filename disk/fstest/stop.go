package fstest

import (
	"errors"
	"sync"

	"sluice/disk"
)

// ErrStopped is the result of every operation of a process that is dead.
var ErrStopped = errors.New("fstest: the process is dead")

// Last says how far the operation came at which a process died.
type Last int

const (
	Undone Last = iota
	Done
	Half // a write: its first half; anything else: as Undone
)

// Stopper is the file system of a process that dies.
type Stopper struct {
	disk.FS
	mu      sync.Mutex
	changes int
	end     int // the number of the last change; negative: there is none
	stopped bool
}

// Stop returns f for a process that dies in the n-th operation that changes something, counted from 0: that one comes as far
// as last says, and fails, as does everything after it. What f then holds is what the process left; Kill and Crash of a Mem
// tell what the next one finds. With a negative n it never dies.
func Stop(f disk.FS, n int, last Last) *Stopper {
	s := &Stopper{end: n}
	s.FS = &wrapper{fs: f, before: func(op Op) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stopped {
			return ErrStopped
		}
		if !op.Changes() {
			return nil
		}
		s.changes++
		if s.changes-1 != s.end {
			return nil
		}
		s.stopped = true
		if write := op.Kind == Write || op.Kind == WriteSync; write && last == Half {
			return &Short{N: op.Len / 2, Err: ErrStopped}
		}
		if last == Done {
			return &Late{ErrStopped}
		}
		return ErrStopped
	}, after: func(Op, error) {}}
	return s
}

// StopAfter lets n more changes pass, and the process die in the one after them.
func (s *Stopper) StopAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = s.changes + n
}

// Changes counts the operations so far that change something, with the one at which the process died.
func (s *Stopper) Changes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// Stopped tells whether the process is dead.
func (s *Stopper) Stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Slow calls wait before every operation on f. It may block for as long as it likes: on a channel, or, in a bubble of
// synctest, in a sleep. It may be called from several goroutines at once.
func Slow(f disk.FS, wait func(op Op)) disk.FS {
	return Fail(f, func(op Op) error { wait(op); return nil })
}
