package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// allocate makes the file size bytes long, with blocks behind them.
func allocate(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }

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
