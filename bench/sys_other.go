//go:build !linux

package main

import (
	"errors"
	"math"
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

func kernel() string { return runtime.GOOS }
