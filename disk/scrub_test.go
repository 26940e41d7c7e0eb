package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// scrubRound scrubs until the end of a round in steps of max bytes, and returns the bytes gone over and what was told.
func scrubRound(t *testing.T, l *disk.Log, c *disk.ScrubCursor, max int64) (n int64, told []error) {
	t.Helper()
	for range 10_000 {
		part, err := l.Scrub(c, max)
		if errors.Is(err, io.EOF) {
			return n, told
		}
		if err != nil {
			told = append(told, err)
		} else if part == 0 || part > max && part > 2000 { // the largest batch has some 1,700 bytes
			t.Fatalf("asked for %d bytes, got %d", max, part)
		}
		n += part
	}
	t.Fatal("a round never ends")
	return 0, nil
}

// sealedBytes counts the bytes of all segments but the last.
func sealedBytes(t *testing.T, e *env) (n int64) {
	t.Helper()
	for _, s := range listNames(t, e.fs, "topics/t/0", ".log") {
		n += int64(len(load(t, e.fs, s)))
	}
	return n - int64(len(load(t, e.fs, seg0[:len(seg0)-24]+lastBase(t, e)+".log")))
}

func lastBase(t *testing.T, e *env) string {
	t.Helper()
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	last := segs[len(segs)-1]
	return strings.TrimSuffix(last[len(last)-24:], ".log")
}

// TestC2C3C4ScrubTellsDamage: the scrubber tells each kind of damage in a sealed segment once a round, with the offsets
// that cannot be served, and goes over everything else.
func TestC2C3C4ScrubTellsDamage(t *testing.T) {
	for _, fault := range segmentFaults {
		t.Run(fault.name, func(t *testing.T) {
			e := newEnv(t, fstest.NewMem(), small)
			fill(t, e, 300, 0)
			var c disk.ScrubCursor
			if _, told := scrubRound(t, e.l, &c, 3000); told != nil {
				t.Fatalf("a good log: %v", told)
			}
			b := load(t, e.fs, seg0)
			all := places(t, b)
			mid := len(all) / 2
			for all[mid].end-all[mid].pos < all[mid+1].end-all[mid+1].pos {
				mid++
			}
			fault.spoil(b, all[mid], all[mid+1])
			last := all[len(all)-1]
			b[last.end-1] ^= 1 // a second one, which is found only by going on
			overwrite(t, e.fs, seg0, b)
			for _, max := range []int64{1, 3000, 1 << 20} {
				n, told := scrubRound(t, e.l, &c, max)
				var damage *disk.CorruptError
				if len(told) != 2 || !errors.As(told[0], &damage) ||
					damage.From != all[mid].first || damage.Next != all[mid+fault.lost-1].next ||
					!errors.As(told[1], &damage) || damage.From != last.first || damage.Next != last.next {
					t.Fatalf("told %v, want [%d, %d)", told, all[mid].first, all[mid+fault.lost-1].next)
				}
				if want := sealedBytes(t, e); n != want {
					t.Fatalf("gone over %d bytes of %d", n, want)
				}
			}
			e.close(t)
		})
	}
}

// overwrite changes a file that may be open, in place, as a disk does.
func overwrite(t *testing.T, f disk.FS, name string, b []byte) {
	t.Helper()
	file, err := f.Open("test", name)
	must(t, err)
	_, err = file.WriteAt("test", b, 0)
	must(t, err)
	must(t, file.Close("test"))
}

// TestC6ScrubTellsMissing: a segment that is gone or cut short is told, and those after it are scrubbed.
func TestC6ScrubTellsMissing(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	fill(t, e, 400, 0)
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	b := load(t, e.fs, segs[1])
	gone := places(t, b)
	first, next := gone[0].first, gone[len(gone)-1].next
	var c disk.ScrubCursor
	for name, spoil := range map[string]func(){
		"missing":   func() { must(t, e.fs.Remove("test", segs[1])) },
		"cut short": func() { save(t, e.fs, segs[1], b[:10]) },
	} {
		spoil()
		_, told := scrubRound(t, e.l, &c, 2000)
		var damage *disk.CorruptError
		if len(told) != 1 || !errors.As(told[0], &damage) || damage.From != first || damage.Next != next {
			t.Errorf("%s: told %v, want [%d, %d)", name, told, first, next)
		}
	}
	e.close(t)
	if _, err := e.l.Scrub(&c, 1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed log: %v", err)
	}
}

// weak is a file system on a device that cannot read some pages of one file. A read gives what lies before them.
type weak struct {
	disk.FS
	name  string
	pages map[int64]bool
}

type weakFile struct {
	disk.File
	pages map[int64]bool
}

func (w *weak) Open(by disk.By, name string) (disk.File, error) {
	f, err := w.FS.Open(by, name)
	if err != nil || name != w.name {
		return f, err
	}
	return weakFile{f, w.pages}, nil
}

func (f weakFile) ReadAt(by disk.By, p []byte, pos int64) (int, error) {
	for at := pos; at < pos+int64(len(p)); at += 4096 - at%4096 {
		if !f.pages[at/4096] {
			continue
		}
		if n, err := f.File.ReadAt(by, p[:at-pos], pos); err != nil || at-pos > int64(n) {
			return n, err
		}
		return int(at - pos), syscall.EIO
	}
	return f.File.ReadAt(by, p, pos)
}

// TestB8ScrubTellsReadErrors: a page that cannot be read is told once a round, with the offsets it costs, and everything
// around it is gone over; where more and more cannot be read, that segment is given up, and the next ones are not.
func TestB8ScrubTellsReadErrors(t *testing.T) {
	f := &weak{FS: fstest.NewMem(), name: seg0, pages: map[int64]bool{}}
	e := newEnv(t, f, disk.LogOptions{SegmentBytes: 250 << 10, IndexInterval: 16 << 10})
	fill(t, e, 1500, 0)
	_, err := e.l.Sync()
	must(t, err)
	e.maintain(t) // one sealed segment, and the active one
	b := load(t, f, seg0)
	all := places(t, b)
	var hit []place // the batches that lie in page 1
	for _, p := range all {
		if p.pos < 2*4096 && p.end > 4096 {
			hit = append(hit, p)
		}
	}
	from, next, want := hit[0].first, hit[len(hit)-1].next, sealedBytes(t, e)
	last := all[len(all)-1]
	b[len(b)-1] ^= 1 // found only by going on
	overwrite(t, f, seg0, b)
	var c disk.ScrubCursor
	scrubRound(t, e.l, &c, 1500) // leaves in the buffer what the device will not give again
	f.pages[1] = true
	var damage *disk.CorruptError
	for range 2 {
		n, told := scrubRound(t, e.l, &c, 1500)
		if len(told) != 2 || !errors.As(told[0], &damage) || damage.From != from || damage.Next != next ||
			!strings.Contains(damage.Why, "cannot be read: input/output error") ||
			!errors.As(told[1], &damage) || damage.From != last.first || strings.Contains(damage.Why, "read") {
			t.Fatalf("told %v, want [%d, %d)", told, from, next)
		}
		if n != want {
			t.Fatalf("gone over %d bytes of %d", n, want)
		}
	}
	for page := range int64(80) {
		f.pages[page] = true
	}
	_, told := scrubRound(t, e.l, &c, 1500)
	if len(told) != 1 || !errors.Is(told[0], syscall.EIO) || !strings.Contains(told[0].Error(), seg0+"@") {
		t.Fatalf("told %v", told)
	}
	clear(f.pages)
	e.close(t)
}

// TestScrubAllocatesNothing: a call allocates for opening a file, and not for what it then reads: the buffer is kept.
func TestScrubAllocatesNothing(t *testing.T) {
	countable(t)
	e := newEnv(t, fstest.NewMem(), small)
	fill(t, e, 400, 0)
	var c disk.ScrubCursor
	scrubRound(t, e.l, &c, 4000)
	kept := c // a round is over
	cost := func(begin disk.ScrubCursor, max int64) float64 {
		return testing.AllocsPerRun(20, func() {
			c = begin
			if n, err := e.l.Scrub(&c, max); err != nil || n == 0 {
				t.Fatal(n, err)
			}
		})
	}
	one, all, fresh := cost(kept, 1), cost(kept, 1<<20), cost(disk.ScrubCursor{}, 1)
	if one != all || one >= fresh {
		t.Errorf("a batch costs %v allocations, a file %v, a buffer with it %v", one, all, fresh)
	}
	e.close(t)
}

// TestC2ScrubAsksTheDevice: what is scrubbed is evicted before it is read.
func TestC2ScrubAsksTheDevice(t *testing.T) {
	var tr tracer
	e := newEnv(t, fstest.Trace(fstest.NewMem(), tr.line), small)
	fill(t, e, 200, 0)
	tr.take()
	var c disk.ScrubCursor
	if _, err := e.l.Scrub(&c, 1000); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(tr.take(), "\n")
	evict, read := strings.Index(got, "scrub evict "+seg0), strings.Index(got, "scrub read "+seg0)
	if evict < 0 || read < evict {
		t.Errorf("operations:\n%s", got)
	}
	e.close(t)
}
