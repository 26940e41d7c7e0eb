package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve uses mode 0, which also sets the length: with FALLOC_FL_KEEP_SIZE every append would still change the length,
// and an fdatasync would have to write the inode each time.
func reserve(fd int, size int64) error {
	err := unix.Fallocate(fd, 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errNoReserve
	}
	return err
}

func datasync(_ *os.File, fd int) error { return unix.Fdatasync(fd) }
