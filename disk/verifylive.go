package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// InUse tells whether a process holds the data directory, by its LOCK or, should somebody have removed that, by the
// directory itself. It takes the locks for a moment itself, shared, so that two who ask don't see each other.
func InUse(root string) (live bool, err error) {
	for _, name := range []string{filepath.Join(root, lockFile), root} {
		if live, err = lockedByOther(name); live || err != nil {
			break
		}
	}
	return live, err
}

// lockedByOther is false for a name that is not there.
func lockedByOther(name string) (locked bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask who has the directory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = flock(f, unix.LOCK_SH)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask who has the directory: %w", err)
	}
	return false, flock(f, unix.LOCK_UN)
}
