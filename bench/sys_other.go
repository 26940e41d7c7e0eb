//go:build !linux

package main

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"time"
)

// fdatasync is a full sync where there is no lesser one.
func fdatasync(f *os.File) error { return f.Sync() }

func allocate(f *os.File, size int64) error { return f.Truncate(size) }

func allocateKeepSize(f *os.File, size int64) error { return allocate(f, size) }

func pwriteDsync(f *os.File, p []byte, pos int64) error {
	if _, err := f.WriteAt(p, pos); err != nil {
		return err
	}
	return f.Sync()
}

func forget(*os.File) error { return errors.ErrUnsupported }

func forgetAll() error { return errors.ErrUnsupported }

func space(string) (bytes, files int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

func syncAll() {}

func inMemory(string) (bool, error) { return false, nil }

// A pacer waits as exactly as the runtime can.
type pacer struct{}

func newPacer() (pacer, error) { return pacer{}, nil }

func (pacer) until(t time.Time) { time.Sleep(time.Until(t)) }

func (pacer) close() {}

// Nobody is pinned here.

func processors() ([]int, error) { return nil, errors.ErrUnsupported }

func pin([]int) error { return errors.ErrUnsupported }

// What another process uses is not known here: 0 leaves the figure out.

func cpuOf(int) (time.Duration, error) { return 0, nil }

func residentOf(int) (now, most int64, err error) { return 0, 0, nil }

func diskReadsOf(int) (int64, error) { return 0, nil }

func stolenTime() time.Duration { return 0 }

func openFilesOf(int) (int, error) { return 0, nil }

// drain takes n bytes off a connection.
func drain(c *net.TCPConn, n int, got func(int)) error {
	_, err := io.CopyN(io.Discard, c, int64(n))
	got(n)
	return err
}

func kernel() string { return runtime.GOOS }
