package disk

import (
	"errors"
	"io"
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

// writeSync continues a short write, as os.File does: only an error ends it.
func writeSync(fd int, p []byte, pos int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwritev2(fd, [][]byte{p[done:]}, pos+int64(done), unix.RWF_DSYNC)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return 0, errNoWriteSync
		case err != nil:
			return done, err
		case n == 0:
			return done, io.ErrShortWrite
		default:
			done += n
		}
	}
	return done, nil
}

func evict(fd int, pos, n int64) error {
	return again(func() error { return unix.Fadvise(fd, pos, n, unix.FADV_DONTNEED) })
}

// blockSize is what statfs counts in: fragments, which older kernels left at 0 where they are blocks.
func blockSize(s *unix.Statfs_t) int64 {
	if s.Frsize > 0 {
		return int64(s.Frsize)
	}
	return int64(s.Bsize)
}
