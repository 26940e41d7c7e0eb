package disk

import (
	"errors"
	"io"
	"os"
	"sync"

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

func ahead(fd int, pos, n int64) error {
	return again(func() error { return unix.Fadvise(fd, pos, n, unix.FADV_WILLNEED) })
}

// exactly has the kernel read just what is asked for, or told of by Ahead. By its own guess it may read 8 MiB at once for one
// miss, and where the kernel is not preempted, everybody waits until all of that is allocated and queued.
func exactly(fd int) {
	// A hint: without it all is read as well.
	_ = again(func() error { return unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) })
}

// readCached continues a short read until the kernel has nothing more in memory. The first refusal also makes it begin to
// read what was missing.
func readCached(fd int, p []byte, pos int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Preadv2(fd, [][]byte{p[done:]}, pos+int64(done), unix.RWF_NOWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return done, ErrCold
		case err == unix.EOPNOTSUPP, err == unix.ENOSYS:
			return done, errNoReadCached
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

// cached counts the pages that the kernel has. Those it is just reading count too, and they come in order: only of the
// last one is it asked whether it can be read. So few that this costs no more are asked one by one; so are all if the count
// is too small: cachestat leaves pages out when it is preempted in the middle of a large folio (seen with Linux 6.18, in 1
// of 4,000 calls on a busy machine), and before Linux 6.5 there is none.
func cached(fd int, pos, n int64) bool {
	counted := func() bool {
		have, err := cachedPages(fd, pos, n)
		return err == nil && have >= pagesIn(pos, n)
	}
	if pagesIn(pos, n) > 2 && counted() {
		pos, n = pos+n-1, 1
	}
	err := probe(fd, pos, n)
	if errors.Is(err, errNoReadCached) { // as on tmpfs; then the count is all that can be known
		size, err := sizeOf(fd)
		return err == nil && size >= pos+n && counted()
	}
	return err == nil
}

func pagesIn(pos, n int64) int64 {
	page := int64(os.Getpagesize())
	return (pos+n+page-1)/page - pos/page
}

func cachedPages(fd int, pos, n int64) (int64, error) {
	at, have := unix.CachestatRange{Off: uint64(pos), Len: uint64(n)}, unix.Cachestat_t{}
	err := unix.Cachestat(uint(fd), &at, &have, 0)
	return int64(have.Cache), err
}

// probe reads a byte of each page. Errors: ErrCold, io.EOF, errNoReadCached, I/O.
func probe(fd int, pos, n int64) error {
	b := oneByte.Get().(*[1]byte)
	defer oneByte.Put(b)
	page := int64(os.Getpagesize())
	for end := pos + n; pos < end; pos += page - pos%page {
		if _, err := readCached(fd, b[:], pos); err != nil {
			return err
		}
	}
	return nil
}

var oneByte = sync.Pool{New: func() any { return new([1]byte) }} // a local one would be allocated at each call

// blockSize is what statfs counts in: fragments, which older kernels left at 0 where they are blocks.
func blockSize(s *unix.Statfs_t) int64 {
	if s.Frsize > 0 {
		return int64(s.Frsize)
	}
	return int64(s.Bsize)
}
