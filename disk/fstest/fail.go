package fstest

import (
	"fmt"

	"sluice/disk"
)

// Fail asks decide before every operation on f; an error is the operation's result, and the operation is not done. A
// *Short makes a write or a read stop in the middle, a *Dropped makes a Sync lose bytes, a *Late comes after the deed. A Close that fails leaves the file open, as far as f is concerned.
// decide may be called from several goroutines at once.
func Fail(f disk.FS, decide func(op Op) error) disk.FS {
	return &wrapper{fs: f, before: decide, after: func(Op, error) {}}
}

// Short is an error for a write or a read: it is done with its first N bytes, then it fails with Err.
type Short struct {
	N   int
	Err error
}

func (s *Short) Error() string { return fmt.Sprintf("done with %d bytes only: %v", s.N, s.Err) }

func (s *Short) Unwrap() error { return s.Err }

// Dropped is an error for a Sync of a file of a Mem, also below other wrappers: the kernel could not write the unsynced
// pages, tells Err this once, and takes them for clean. They read as before until they are evicted, no later Sync writes
// them, and no power cut leaves them.
type Dropped struct{ Err error }

func (d *Dropped) Error() string { return fmt.Sprintf("the unsynced bytes are lost: %v", d.Err) }

func (d *Dropped) Unwrap() error { return d.Err }

// Late is an error for any operation: it is done, and yet fails with Err.
type Late struct{ Err error }

func (l *Late) Error() string { return fmt.Sprintf("done, and yet: %v", l.Err) }

func (l *Late) Unwrap() error { return l.Err }
