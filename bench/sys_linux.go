package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// allocate makes the file size bytes long, with blocks behind them.
func allocate(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }

// allocateKeepSize reserves blocks and leaves the length to the writes.
func allocateKeepSize(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
}

// pwriteDsync writes and returns once it is durable.
func pwriteDsync(f *os.File, p []byte, pos int64) error {
	n, err := unix.Pwritev2(int(f.Fd()), [][]byte{p}, pos, unix.RWF_DSYNC)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// forget makes the kernel drop the clean pages of a file.
func forget(f *os.File) error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// forgetAll makes the kernel drop clean pages, names and inodes of the whole machine. Only root may.
func forgetAll() error {
	f, err := os.OpenFile("/proc/sys/vm/drop_caches", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("3\n")
	return errors.Join(err, f.Close())
}

// space is what a folder's file system has left for this process.
func space(dir string) (bytes, files int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Ffree), nil
}

// syncAll lets the disk finish what earlier steps left to it.
func syncAll() { unix.Sync() }

// inMemory tells whether a folder is on a file system without a disk: a sync there costs nothing, and
// every figure with "synced" in it would be a lie.
func inMemory(dir string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Type) == unix.TMPFS_MAGIC || int64(s.Type) == unix.RAMFS_MAGIC, nil
}

// A pacer waits until moments that are closer together than the timers of the runtime, which round to a
// millisecond when nothing else runs. It keeps its thread.
type pacer struct{}

func newPacer() (pacer, error) {
	runtime.LockOSThread()
	// The kernel adds 50 us of slack to a sleep unless told otherwise.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		runtime.UnlockOSThread()
		return pacer{}, fmt.Errorf("prctl: %w", err)
	}
	return pacer{}, nil
}

func (pacer) until(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // EINTR: the loop goes on
	}
}

func (pacer) close() { runtime.UnlockOSThread() }

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimRight(string(u.Release[:]), "\x00")
}
