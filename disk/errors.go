package disk

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	// ErrLocked: another process, or another Store of this one, has the directory.
	ErrLocked = errors.New("disk: the data directory is in use by another process; stop that one first")
	// ErrOutOfRange: the offset lies before Oldest or after Next.
	ErrOutOfRange = errors.New("disk: offset out of range")
	// ErrNoSpace: the file system or the quota is full. Nothing of the append is in the file, and the log goes on.
	ErrNoSpace = errors.New("disk: no space left")
	// ErrFailed: the log takes no appends in this process: a write or sync of it failed (I6), or opening found damage. It
	// wraps the reason, which says what to do. Reads go on.
	ErrFailed = errors.New("disk: log failed earlier and takes no appends until the process is restarted")

	// ErrCold: an answer from memory was asked for, and it would take an open, a wait for a descriptor or one for the device.
	ErrCold = errors.New("disk: not in memory")

	errClosed = errors.New("disk: log is closed")
	errUnmade = errors.New("disk: nothing was made")
)

// CorruptError says that stored bytes are not what was written. Offsets [From, Next) cannot be served; Next can, or is
// where the log ends. Where reads "segment@position", the position in bytes.
type CorruptError struct {
	From, Next uint64
	Where, Why string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("disk: offsets %d to %d are damaged at %s: %s; continue at %d, or restore the file from a copy",
		e.From, e.Next, e.Where, e.Why, e.Next)
}

// unmade says of a failed step that it has left nothing in doubt, so that it can be tried again: a file that could not be
// created, for lack of a descriptor or of a right.
func unmade(err error) error { return fmt.Errorf("%w: %w", errUnmade, full(err)) }

// noDescriptor says unmade of a step that could not even open its file.
func noDescriptor(err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return unmade(err)
	}
	return err
}

// retryable tells failures of making a file which do not end the log's life as a writer (I6).
func retryable(err error) bool { return errors.Is(err, errUnmade) || errors.Is(err, ErrNoSpace) }

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// full wraps err with ErrNoSpace when that is what it means, so that callers branch on one name.
func full(err error) error {
	if noSpace(err) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
