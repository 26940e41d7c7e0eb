package disk_test

import (
	"testing"

	"sluice/disk"
)

// A read brings into memory what it asked for, and what Ahead told of, whoever opened the file: a sealed segment keeps the
// descriptor that it was written through. A kernel that reads on by its own guess holds up everybody where it is not preempted.
func TestReadersReadWhatTheyAskFor(t *testing.T) {
	const size, pos, n = 16 << 20, 8 << 20, 64 << 10
	fsys := disk.OS(t.TempDir())
	made, err := fsys.Create(disk.ByRoller, "f")
	must(t, err)
	_, err = made.WriteAt(disk.ByWriter, make([]byte, size), 0)
	must(t, err)
	must(t, made.Sync(disk.ByFlusher))
	opened, err := fsys.Open(disk.ByReader, "f")
	must(t, err)
	for name, file := range map[string]disk.File{"made": made, "opened": opened} {
		must(t, file.Evict(disk.ByReader, 0, size))
		if file.Cached(pos, n) {
			t.Skip("skipped: this file system keeps what was to be forgotten, as tmpfs does")
		}
		for p := int64(pos); p < pos+4*n; p += n { // in order: then a kernel guesses most
			_, err = file.ReadAt(disk.ByReader, make([]byte, n), p)
			must(t, err)
		}
		for p := int64(pos + 4*n); p < size; p += n {
			if file.Cached(p, n) {
				t.Fatalf("%s: bytes from %d on are in memory, read to %d", name, p, pos+4*n)
			}
		}
		must(t, file.Close(disk.ByReader))
	}
}
