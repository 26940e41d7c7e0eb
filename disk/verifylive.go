package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// InUse tells whether a process holds the data directory's LOCK. It takes the lock for a moment itself, shared, so that
// two who ask don't see each other.
func InUse(root string) (live bool, err error) {
	f, err := os.Open(filepath.Join(root, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask who has the directory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = again(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask who has the directory: %w", err)
	}
	return false, again(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
}
