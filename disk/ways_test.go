package disk_test

import (
	"errors"
	"testing"

	"sluice/disk"
	"sluice/wire/batch"
)

// way is one way to get whole batches, of at most that size, or the first one alone. It makes do itself where memory does
// not tell.
type way struct {
	name string
	read func(t testing.TB, l *disk.Log, from uint64, size int, c *disk.Cursor) (disk.Chunk, error)
}

var ways = []way{
	{"Locate and check", func(t testing.TB, l *disk.Log, from uint64, size int, c *disk.Cursor) (disk.Chunk, error) {
		return l.ReadAt(make([]byte, size), from, c)
	}},
	{"Locate", func(t testing.TB, l *disk.Log, from uint64, size int, c *disk.Cursor) (disk.Chunk, error) {
		return located(t, l, from, size, c, true)
	}},
	{"Locate cached", func(t testing.TB, l *disk.Log, from uint64, size int, c *disk.Cursor) (disk.Chunk, error) {
		ch, err := located(t, l, from, size, c, false)
		if errors.Is(err, disk.ErrCold) {
			return located(t, l, from, size, c, true)
		}
		return ch, err
	}},
}

// located reads an extent, and wants all that is promised of one.
func located(t testing.TB, l *disk.Log, from uint64, size int, c *disk.Cursor, wait bool) (disk.Chunk, error) {
	t.Helper()
	var x disk.Extent
	if err := l.Locate(&x, from, int64(size), c, wait); err != nil {
		must(t, x.Release())
		return disk.Chunk{}, err
	}
	if x.Size == 0 {
		if x.From != from || x.Next != from {
			t.Fatalf("an empty extent has [%d, %d), asked for %d", x.From, x.Next, from)
		}
		must(t, x.Release())
		return disk.Chunk{Next: from}, nil
	}
	must(t, x.Release()) // and open it again, as one does who waited for a client
	if err := x.Pin(0, wait); err != nil {
		return disk.Chunk{}, err // it may have been sealed meanwhile, and its file closed
	}
	b := make([]byte, x.Size)
	read := x.File().ReadCached
	if _, os := x.File().Fd(); os { // whose memory is not ours
		read = x.File().ReadAt
	}
	n, err := read("test", b, x.Pos)
	if n != len(b) {
		t.Fatalf("%d bytes of %d can be read: %v", n, len(b), err)
	}
	must(t, x.Release())
	h, err := batch.ParseHeader(b)
	must(t, err)
	if h.BaseOffset != x.From || x.From > from || h.Next() <= from {
		t.Fatalf("asked for %d, the extent begins at %d, its first batch has [%d, %d)", from, x.From, h.BaseOffset, h.Next())
	}
	if len(b) > max(size, h.Size) {
		t.Fatalf("asked for %d bytes, the extent has %d and its first batch %d", size, len(b), h.Size)
	}
	return disk.Chunk{Bytes: b, Next: x.Next}, nil
}
