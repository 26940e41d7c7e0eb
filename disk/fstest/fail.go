package fstest

import (
	"errors"
	"fmt"

	"sluice/disk"
)

// Fail asks decide before every operation on f; an error is the operation's result, and the operation is not done. A
// *Short makes a write stop in the middle. A Close that fails leaves the file open, as far as f is concerned.
// decide may be called from several goroutines at once.
func Fail(f disk.FS, decide func(op Op) error) disk.FS {
	return &wrapper{fs: f, before: decide, after: func(Op, error) {}}
}

// Short is an error for a write: its first N bytes are written, then it fails with Err.
type Short struct {
	N   int
	Err error
}

func (s *Short) Error() string { return fmt.Sprintf("written %d bytes only: %v", s.N, s.Err) }

func (s *Short) Unwrap() error { return s.Err }

func asShort(err error) (*Short, bool) {
	return errors.AsType[*Short](err)
}
