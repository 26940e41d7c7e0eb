//go:build !linux

package disk

import "os"

func reserve(int, int64) error { return errNoReserve }

// datasync is os.File.Sync, which on darwin asks for F_FULLFSYNC: its plain fsync leaves the bytes in the drive's cache.
func datasync(f *os.File, _ int) error { return f.Sync() }
