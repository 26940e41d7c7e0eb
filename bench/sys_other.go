//go:build !linux

package main

import (
	"os"
	"runtime"
	"time"
)

// fdatasync is a full sync where there is no lesser one.
func fdatasync(f *os.File) error { return f.Sync() }

func allocate(f *os.File, size int64) error { return f.Truncate(size) }

func syncAll() {}

func inMemory(string) (bool, error) { return false, nil }

// A pacer waits as exactly as the runtime can.
type pacer struct{}

func newPacer() (pacer, error) { return pacer{}, nil }

func (pacer) until(t time.Time) { time.Sleep(time.Until(t)) }

func (pacer) close() {}

func kernel() string { return runtime.GOOS }
