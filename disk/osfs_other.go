//go:build !linux

package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

func reserve(int, int64) error { return errNoReserve }

// datasync is os.File.Sync, which on darwin asks for F_FULLFSYNC: its plain fsync leaves the bytes in the drive's cache.
func datasync(f *os.File, _ int) error { return f.Sync() }

func writeSync(int, []byte, int64) (int, error) { return 0, errNoWriteSync }

// evict does nothing: darwin has no such call for a range.
func evict(int, int64, int64) error { return nil }

func readCached(int, []byte, int64) (int, error) { return 0, errNoReadCached }

func cached(int, int64, int64) bool { return false }

// ahead does nothing: it is a hint, and darwin's F_RDADVISE is bound to 2 GiB and to one range at a time.
func ahead(int, int64, int64) error { return nil }

func exactly(int) {}

func blockSize(s *unix.Statfs_t) int64 { return int64(s.Bsize) }
