package disk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// big are options under which nothing is rolled.
var big = disk.LogOptions{SegmentBytes: 64 << 20}

// locate locates, and lets go.
func locate(t testing.TB, l *disk.Log, from uint64, most int64, c *disk.Cursor, wait bool) (disk.Extent, error) {
	t.Helper()
	var x disk.Extent
	err := l.Locate(&x, from, most, c, wait)
	must(t, x.Release())
	must(t, x.Release())
	return x, err
}

// TestExtentIsFull: where all is known to be right, an extent ends where one more batch would be too many bytes, or at the
// end of the segment, whatever the index's interval.
func TestExtentIsFull(t *testing.T) {
	for _, interval := range []int64{100, 1 << 10, 1 << 20} {
		e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: 16 << 10, IndexInterval: interval})
		fill(t, e, 200, 0)
		for seg, name := range listNames(t, e.fs, logDir, ".log") {
			at := places(t, load(t, e.fs, name))
			for i, first := range at {
				for _, most := range []int{0, 1, first.end - first.pos, 1000, 4000, 1 << 20} {
					want := first
					for _, p := range at[i:] {
						if p.end-first.pos <= most {
							want = p
						}
					}
					from := first.first + uint64(most)%(first.next-first.first)
					x, err := locate(t, e.l, from, int64(most), nil, true)
					must(t, err)
					if x.Pos != int64(first.pos) || x.Size != int64(want.end-first.pos) || x.From != first.first || x.Next != want.next {
						t.Fatalf("interval %d, segment %d, offset %d, at most %d bytes: %d+%d [%d, %d), want %d+%d [%d, %d)", interval, seg, from, most,
							x.Pos, x.Size, x.From, x.Next, first.pos, want.end-first.pos, first.first, want.next)
					}
				}
			}
		}
		e.close(t)
	}
}

// TestLocateFromMemory: what was appended is located without a read; what the kernel has forgotten, or nobody in this process
// has seen, is brought by who waits, once, and is then as good.
func TestLocateFromMemory(t *testing.T) {
	var tr tracer
	mem := fstest.NewMem()
	e := newEnv(t, fstest.Trace(mem, tr.line), big)
	fill(t, e, 400, 0)
	end := e.l.Info().Bytes
	var c disk.Cursor
	step := func(what string, from uint64, most int64, wait bool, wantErr error, want ...string) disk.Extent {
		t.Helper()
		tr.take()
		x, err := locate(t, e.l, from, most, &c, wait)
		if got := tr.take(); !errors.Is(err, wantErr) || !slices.Equal(got, want) {
			t.Fatalf("%s: %v; it did\n%s\nwant %v\n%s", what, err, strings.Join(got, "\n"), wantErr, strings.Join(want, "\n"))
		}
		return x
	}
	read := func(pos, end int64) string { return fmt.Sprintf("reader read %s %d+%d", seg0, pos, end-pos) }
	x := step("appended", 0, end, false, nil)
	if x.Size != end || x.Next != 400 {
		t.Fatalf("the extent is %+v", x)
	}
	step("the end", 400, end, false, nil)
	e.append(t, build(t, rec{1, "new"}))
	step("reading on", 400, end, false, nil)
	end = e.l.Info().Bytes
	mem.SetCold(true)
	step("forgotten", 0, end, false, disk.ErrCold)
	step("forgotten, and brought", 0, end, true, nil, read(0, end))
	step("in memory again", 0, end, false, nil)

	e.reopen(t)
	step("nobody has looked", 0, end, false, disk.ErrCold)
	step("looked", 0, end, true, nil, "reader open "+seg0, read(0, end))
	step("looked before", 0, end, false, nil)
	mem.SetCold(true)
	x = step("a part of it, forgotten", 0, end/4, true, nil, read(0, end/4))
	x = step("reading on", x.Next, end/4, true, nil, read(x.Pos+x.Size, x.Pos+x.Size+end/4), fmt.Sprintf("reader ahead %s %d+%d", seg0, int64(44264), end/4))
	e.close(t)
}

// TestC2DamageIsSeenOnce: a batch is proved before it is first sent; what was proved is sent unseen, until somebody doubts it
// or a scrub finds it damaged.
func TestC2DamageIsSeenOnce(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), big)
	fill(t, e, 100, 0)
	at := places(t, load(t, e.fs, seg0))
	bad := at[len(at)/2]
	flipAt := func(pos int) {
		f, err := e.fs.Open("test", seg0)
		must(t, err)
		b := []byte{0}
		_, err = f.ReadAt("test", b, int64(pos))
		must(t, err)
		b[0] ^= 1
		_, err = f.WriteAt("test", b, int64(pos))
		must(t, err)
		must(t, f.Close("test"))
	}
	flip := func() { flipAt(bad.end - 1) }
	want := func(what string, from uint64, wait bool, next uint64, wantErr string) disk.Extent {
		t.Helper()
		x, err := locate(t, e.l, from, 1<<20, nil, wait)
		if fmt.Sprint(err) != wantErr && !strings.HasPrefix(fmt.Sprint(err), wantErr) || err == nil && x.Next != next {
			t.Fatalf("%s: %+v, %v; want the end %d, %s", what, x, err, next, wantErr)
		}
		return x
	}
	cold, damaged := disk.ErrCold.Error(), fmt.Sprintf("disk: offsets %d to %d are damaged", bad.first, bad.next)
	flip()
	x := want("appended by this process", 0, false, 100, "<nil>")
	x.Doubt()
	want("in doubt, from memory", 0, false, 0, cold)
	want("in doubt", 0, true, bad.first, "<nil>")
	want("in front of it", 0, false, bad.first, "<nil>")
	want("damaged", bad.first, true, 0, damaged)
	want("damaged, from memory", bad.first, false, 0, cold)
	want("behind it", bad.next, true, 100, "<nil>")
	want("behind it, again", bad.next, false, 100, "<nil>")
	flip()
	want("whole again", 0, true, 100, "<nil>")
	for _, wait := range []bool{false, true} { // a header that was right, where one is needed to find the extent's end
		flipAt(bad.pos + 7)
		x, err := locate(t, e.l, 0, int64(bad.end), nil, wait)
		if !wait && !errors.Is(err, disk.ErrCold) || wait && (err != nil || x.Next != bad.first) {
			t.Fatalf("waiting %t: %+v, %v; want the end %d", wait, x, err, bad.first)
		}
		flipAt(bad.pos + 7)
		want("whole again", 0, true, 100, "<nil>")
	}
	e.reopen(t)
	flip()
	want("not looked at in this process", 0, false, 0, cold)
	want("up to the damage", 0, true, bad.first, "<nil>")
	must(t, e.l.Close())
}

// TestC2ScrubbedDamageIsNotSent: what was proved, and a scrub finds damaged, is not sent unseen any more.
func TestC2ScrubbedDamageIsNotSent(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	fill(t, e, 300, 0)
	at := places(t, load(t, e.fs, seg0))
	x, err := locate(t, e.l, 0, 1<<20, nil, true)
	must(t, err)
	f, err := e.fs.Open("test", seg0)
	must(t, err)
	_, err = f.WriteAt("test", []byte{0xff}, int64(at[3].end-1))
	must(t, err)
	must(t, f.Close("test"))
	if _, err := locate(t, e.l, 0, x.Size, nil, false); err != nil {
		t.Fatalf("in front of the scrub: %v", err)
	}
	var c disk.ScrubCursor
	for err = nil; err == nil; {
		_, err = e.l.Scrub(&c, 1<<20)
	}
	if damage, ok := errors.AsType[*disk.CorruptError](err); !ok || damage.From != at[3].first {
		t.Fatalf("the scrub says %v", err)
	}
	if _, err := locate(t, e.l, 0, x.Size, nil, false); !errors.Is(err, disk.ErrCold) {
		t.Fatalf("behind the scrub: %v", err)
	}
	if x, err = locate(t, e.l, 0, x.Size, nil, true); err != nil || x.Next != at[3].first {
		t.Fatalf("%+v, %v; want the end %d", x, err, at[3].first)
	}
	must(t, e.l.Close())
}

// TestC10TruncatedUnderAReader: a segment that somebody cuts while it is read is found out by the next look at it, wherever it
// is cut: what is left is served, the rest answers what is damaged, and what is appended behind is served again.
func TestC10TruncatedUnderAReader(t *testing.T) {
	for name, newFS := range map[string]func(t *testing.T) disk.FS{
		"mem": func(*testing.T) disk.FS { return fstest.NewMem() },
		"os":  func(t *testing.T) disk.FS { return disk.OS(t.TempDir()) },
	} {
		for _, sealed := range []bool{false, true} {
			for _, cut := range []struct {
				name string
				at   func(all []place) int
			}{
				{"to nothing", func([]place) int { return 0 }},
				{"in a header", func(all []place) int { return all[len(all)/2].pos + 30 }},
				{"in a record", func(all []place) int { return all[len(all)/2].end - 1 }},
				{"between batches", func(all []place) int { return all[len(all)/2].pos }},
				{"at a page", func([]place) int { return 4096 }},
				{"by a byte", func(all []place) int { return all[len(all)-1].end - 1 }},
			} {
				t.Run(fmt.Sprintf("%s sealed %t %s", name, sealed, cut.name), func(t *testing.T) {
					testTruncated(t, newFS(t), sealed, cut.at)
				})
			}
		}
	}
}

func testTruncated(t *testing.T, f disk.FS, sealed bool, cut func([]place) int) {
	e := newEnv(t, f, disk.LogOptions{SegmentBytes: 16 << 10, IndexInterval: 1 << 10})
	n := uint64(40)
	if sealed {
		n = 100
	}
	want := fill(t, e, n, 0)
	name := listNames(t, f, logDir, ".log")[0]
	at := places(t, load(t, f, name))
	last := at[len(at)-1]
	var x disk.Extent
	must(t, e.l.Locate(&x, 0, 1<<20, nil, true))
	if x.Next != last.next {
		t.Fatalf("%+v, want the end %d", x, last.next)
	}
	size := cut(at)
	file, err := f.Open("test", name)
	must(t, err)
	must(t, file.Truncate("test", int64(size)))
	must(t, file.Close("test"))
	if n, err := x.File().ReadAt("test", make([]byte, x.Size), x.Pos); n != size { // as a sendfile would come up short
		t.Fatalf("%d bytes of the cut file can be read, %v", n, err)
	}
	must(t, x.Release())
	if err := x.Pin(0, false); !errors.Is(err, disk.ErrCold) {
		t.Fatalf("pinned from memory: %v", err)
	}
	if err := x.Pin(0, true); err == nil || errors.Is(err, disk.ErrCold) {
		t.Fatalf("pinned: %v", err)
	}
	good := 0
	for good < len(at) && at[good].end <= size {
		good++
	}
	whole := at[good].first // offsets before it are still there, for the cut takes a byte at least
	var r batch.Reader
	for _, w := range ways {
		for from := uint64(0); from < whole; {
			ch, err := w.read(t, e.l, from, 2000, nil)
			must(t, err)
			if got := records(t, &r, ch, from); ch.Next > whole || !slices.Equal(got, want[from:ch.Next]) {
				t.Fatalf("%s: from %d to %d, whole is all before %d", w.name, from, ch.Next, whole)
			}
			from = ch.Next
		}
		for from := whole; from < last.next; from++ {
			_, err := w.read(t, e.l, from, 2000, nil)
			damage, ok := errors.AsType[*disk.CorruptError](err)
			if !ok || damage.From != whole || damage.Next != last.next {
				t.Fatalf("%s: offset %d: %v, damaged are [%d, %d)", w.name, from, err, whole, last.next)
			}
		}
	}
	if !sealed {
		first, _ := e.append(t, build(t, rec{5, "new"}))
		if got := readAll(t, e.l, first, 1000); len(got) != 1 || got[0].value != "new" {
			t.Fatalf("appended at %d: %v", first, got)
		}
		must(t, e.l.Close())
	} else if err := e.l.Close(); err == nil || !strings.Contains(err.Error(), "that were written") {
		t.Fatalf("sealed and closed: %v", err)
	}
}

// TestB8LocateErrors: where the device gives an error, that is what is told, to that read alone; it is no damage, what was
// known of the bytes around is still known, and once the device reads again all is as before.
func TestB8LocateErrors(t *testing.T) {
	var from, to atomic.Int64 // where it gives one
	mem := fstest.NewMem()
	e := newEnv(t, fstest.Fail(mem, func(op fstest.Op) error {
		if (op.Kind == fstest.Read || op.Kind == fstest.ReadCached) && op.By == disk.ByReader && strings.HasSuffix(op.Name, ".log") &&
			op.Pos < to.Load() && op.Pos+int64(op.Len) > from.Load() {
			return &fstest.Short{N: int(max(0, from.Load()-op.Pos)), Err: syscall.EIO}
		}
		return nil
	}), big)
	want := fill(t, e, 1000, 0)
	at := places(t, load(t, e.fs, e.name(t)))
	bad := at[len(at)/2]
	for _, reopened := range []bool{false, true} {
		if reopened {
			e.reopen(t)
			e.maintain(t)
		}
		for _, w := range ways[2:] {
			mem.SetCold(true)
			from.Store(int64(bad.pos))
			to.Store(int64(bad.end))
			failed := 0
			for _, p := range at {
				ch, err := w.read(t, e.l, p.first, 5000, nil)
				if err != nil {
					failed++
					wantIs(t, err, syscall.EIO)
					if _, ok := errors.AsType[*disk.CorruptError](err); ok || p.pos < bad.pos || p.pos > bad.end+8<<10 { // behind it up to the index's next entry: the way there leads over it
						t.Fatalf("%s: offset %d: %v; unreadable are %+v, this is %+v", w.name, p.first, err, bad, p)
					}
					continue
				}
				var r batch.Reader
				if got := records(t, &r, ch, p.first); !slices.Equal(got, want[p.first:ch.Next]) {
					t.Fatalf("offset %d is not what was appended", p.first)
				}
			}
			if failed == 0 {
				t.Fatalf("%s: no read failed", w.name)
			}
			to.Store(0)
			must(t, e.l.Err())
			_, err := w.read(t, e.l, bad.first, 5000, nil)
			must(t, err)
		}
	}
	e.close(t)
}

// name is the active segment's file.
func (e *env) name(t testing.TB) string {
	t.Helper()
	all := listNames(t, e.fs, logDir, ".log")
	return all[len(all)-1]
}

// TestPinnedExtents: a pin without its release, and a release that is not needed.
func TestPinnedExtents(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), big)
	fill(t, e, 10, 0)
	var x disk.Extent
	must(t, x.Release())
	x.Doubt()
	must(t, e.l.Locate(&x, 0, 1<<20, nil, false))
	for what, do := range map[string]func() error{
		"located": func() error { return e.l.Locate(&x, 0, 1<<20, nil, false) },
		"pinned":  func() error { return x.Pin(0, false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s twice", what)
				}
			}()
			must(t, do())
		}()
	}
	must(t, e.l.Close())
	if _, err := x.File().ReadAt("test", make([]byte, x.Size), x.Pos); err != nil {
		t.Fatalf("a pinned file of a log that was closed: %v", err)
	}
	must(t, x.Release())
	if err := x.Pin(0, true); err == nil {
		t.Fatal("a closed log was pinned")
	}
	must(t, e.s.Close())
}

// TestLargeBatches: a batch larger than any buffer is proved piece by piece.
func TestLargeBatches(t *testing.T) {
	for _, segment := range []int64{64 << 10, 64 << 20} {
		e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: segment})
		var want []rec
		for i, n := range []int{100, 300 << 10, 256 << 10, 100, 1 << 20, 9000, 100} {
			r := rec{int64(i), strings.Repeat(string(rune('a'+i)), n)}
			want = append(want, r)
			e.append(t, build(t, r))
		}
		e.reopen(t)
		var r batch.Reader
		for _, w := range ways {
			for from := range uint64(len(want)) {
				for _, size := range []int{0, 400 << 10, 8 << 20} {
					ch, err := w.read(t, e.l, from, size, nil)
					must(t, err)
					if got := records(t, &r, ch, from); !slices.Equal(got, want[from:ch.Next]) {
						t.Fatalf("%s: offset %d is not what was appended", w.name, from)
					}
				}
			}
		}
		e.close(t)
	}
}

// TestLocateBesideForget: what a reader has found right while somebody found the segment damaged is not sent unseen, but
// checked again.
func TestLocateBesideForget(t *testing.T) {
	var other disk.Extent
	var beside atomic.Bool
	e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Kind == fstest.Read && op.By == disk.ByReader && beside.Load() {
			other.Doubt()
		}
		return nil
	}), big)
	fill(t, e, 100, 0)
	e.reopen(t)
	must(t, e.l.Locate(&other, 0, 1<<20, nil, true))
	must(t, other.Release())
	other.Doubt()
	for _, forgotten := range []bool{true, false} {
		beside.Store(forgotten)
		x, err := locate(t, e.l, 0, 1<<20, nil, true)
		if err != nil || x.Size == 0 {
			t.Fatalf("%d bytes, %v", x.Size, err)
		}
		if _, err = locate(t, e.l, 0, 1<<20, nil, false); errors.Is(err, disk.ErrCold) != forgotten {
			t.Fatalf("forgotten while it was checked: %t; located without a look: %v", forgotten, err)
		}
	}
	e.close(t)
}
