package disk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// place is where a batch lies in its file, and which offsets it has.
type place struct {
	pos, end    int
	first, next uint64
}

// places lists the batches in a segment's bytes.
func places(t testing.TB, b []byte) []place {
	t.Helper()
	var all []place
	for pos := 0; pos < len(b); {
		h, err := batch.ParseHeader(b[pos:])
		if err != nil {
			break // zeros: allocated ahead
		}
		all = append(all, place{pos, pos + h.Size, h.BaseOffset, h.Next()})
		pos += h.Size
	}
	return all
}

// readAround reads the whole log, steps over damage, and returns the records by offset and the ranges stepped over.
func readAround(t *testing.T, l *disk.Log, size int) (got map[uint64]rec, gaps [][2]uint64) {
	t.Helper()
	got = make(map[uint64]rec)
	var c disk.Cursor
	var r batch.Reader
	for from := uint64(0); from < l.Next(); {
		ch, err := l.ReadAt(make([]byte, size), from, &c)
		var damage *disk.CorruptError
		if errors.As(err, &damage) {
			if damage.From > from || damage.Next <= from {
				t.Fatalf("asked for %d, damaged are [%d, %d)", from, damage.From, damage.Next)
			}
			gaps = append(gaps, [2]uint64{from, damage.Next})
			from = damage.Next
			continue
		}
		must(t, err)
		for i, x := range records(t, &r, ch, from) {
			got[from+uint64(i)] = x
		}
		from = ch.Next
	}
	return got, gaps
}

// segmentFaults damage one batch in the middle of a segment; lost are the batches that cannot be served then (C2 to C4).
var segmentFaults = []struct {
	name  string
	spoil func(b []byte, at, after place)
	lost  int
}{
	{"record flipped", func(b []byte, at, _ place) { b[at.end-1] ^= 1 }, 1},
	{"base flipped", func(b []byte, at, _ place) { b[at.pos+7] ^= 1 }, 1},
	{"base far away", func(b []byte, at, _ place) { b[at.pos] = 0x7f }, 1},
	{"length grown", func(b []byte, at, _ place) { b[at.pos+11]++ }, 1},
	{"length huge", func(b []byte, at, _ place) { b[at.pos+9] = 0xff }, 1},
	{"length negative", func(b []byte, at, _ place) { b[at.pos+8] = 0xff }, 1},
	{"length shrunk", func(b []byte, at, _ place) { b[at.pos+11]-- }, 1},
	{"magic", func(b []byte, at, _ place) { b[at.pos+16] = 1 }, 1},
	{"checksum", func(b []byte, at, _ place) { b[at.pos+17] ^= 0x80 }, 1},
	{"count", func(b []byte, at, _ place) { b[at.pos+60] = 0 }, 1},
	{"count and delta", func(b []byte, at, _ place) { b[at.pos+60] += 40; b[at.pos+26] += 40 }, 1},
	{"zeros", func(b []byte, at, _ place) { clear(b[at.pos:at.end]) }, 1},
	{"zeros over two", func(b []byte, at, after place) { clear(b[at.pos+70 : after.pos+70]) }, 2},
	{"swapped with the one after", func(b []byte, at, after place) {
		first, second := slices.Clone(b[at.pos:at.end]), slices.Clone(b[after.pos:after.end])
		copy(b[at.pos:], append(second, first...))
	}, 2},
	{"overwritten by the one after", func(b []byte, at, after place) { copy(b[at.pos:at.end], b[after.pos:after.end]) }, 1},
}

// TestC2C3C4SegmentFaults: damage in a sealed segment costs the records it hit and no others, index or not.
func TestC2C3C4SegmentFaults(t *testing.T) {
	for _, c := range segmentFaults {
		for _, index := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/index %v", c.name, index), func(t *testing.T) {
				e := newEnv(t, fstest.NewMem(), small)
				want := fill(t, e, 300, 0)
				must(t, e.l.Close())
				b := load(t, e.fs, seg0)
				all := places(t, b)
				mid := len(all) / 2
				for all[mid].end-all[mid].pos < all[mid+1].end-all[mid+1].pos {
					mid++ // so that the next fits over this one
				}
				c.spoil(b, all[mid], all[mid+1])
				save(t, e.fs, seg0, b)
				if !index {
					must(t, e.fs.Remove("test", idx0))
				}
				e.openLog(t)
				for _, size := range []int{1500, 5000} {
					got, gaps := readAround(t, e.l, size)
					wantAround(t, got, gaps, want, all[mid].first, all[mid+c.lost-1].next)
				}
				e.maintain(t) // a new index, over the damage
				got, gaps := readAround(t, e.l, 2000)
				wantAround(t, got, gaps, want, all[mid].first, all[mid+c.lost-1].next)
				if off, err := e.l.OffsetAt(1299, true); err != nil || off != 299 {
					t.Fatalf("a time behind the damage: %d, %v", off, err)
				}
				e.close(t)
			})
		}
	}
}

// wantAround wants all records but those in [first, next).
func wantAround(t *testing.T, got map[uint64]rec, gaps [][2]uint64, want []rec, first, next uint64) {
	t.Helper()
	for i, x := range want {
		off := uint64(i)
		y, ok := got[off]
		if lost := off >= first && off < next; lost == ok || ok && x != y {
			t.Fatalf("offset %d: there %v, want only [%d, %d) lost; gaps %v", off, ok, first, next, gaps)
		}
	}
}

// TestC6SegmentMissing: a segment that is gone is a range that answers CORRUPT; nothing is renumbered (C6).
func TestC6SegmentMissing(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	want := fill(t, e, 400, 0)
	must(t, e.l.Close())
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	b := load(t, e.fs, segs[1])
	gone := places(t, b)
	first, next := gone[0].first, gone[len(gone)-1].next
	for name, spoil := range map[string]func(){
		"before opening": func() { must(t, e.fs.Remove("test", segs[1])); e.openLog(t) },
		"after opening":  func() { e.openLog(t); must(t, e.fs.Remove("test", segs[1])) },
		"cut short":      func() { e.openLog(t); save(t, e.fs, segs[1], b[:10]) },
	} {
		t.Run(name, func(t *testing.T) {
			save(t, e.fs, segs[1], b)
			spoil()
			got, gaps := readAround(t, e.l, 2000)
			wantAround(t, got, gaps, want, first, next)
			if off, err := e.l.OffsetAt(1399, true); err != nil || off != 399 {
				t.Fatalf("a time behind the gap: %d, %v", off, err)
			}
			must(t, e.l.Close())
		})
	}
}

// TestC6C8HolesOpenForReading: what names and sizes show to be missing makes that log one that is only read: the missing
// offsets answer CORRUPT, all others are served, and nothing is renumbered.
func TestC6C8HolesOpenForReading(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	want := fill(t, e, 400, 0)
	must(t, e.l.Close())
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	whole := takeImage(t, e.fs)
	first, second := places(t, load(t, e.fs, segs[0])), places(t, load(t, e.fs, segs[1]))
	for name, c := range map[string]struct {
		spoil       func()
		first, next uint64
	}{
		"first missing": {func() { must(t, e.fs.Remove("test", segs[0])) }, 0, first[len(first)-1].next},
		"first empty":   {func() { save(t, e.fs, segs[0], nil) }, 0, first[len(first)-1].next},
		"middle empty":  {func() { save(t, e.fs, segs[1], nil) }, second[0].first, second[len(second)-1].next},
	} {
		t.Run(name, func(t *testing.T) {
			putImage(t, e.fs, whole)
			c.spoil()
			before := takeImage(t, e.fs)
			e.openLog(t)
			wantDamaged(t, e, want, c.first, c.next)
			wantImage(t, takeImage(t, e.fs), before)
		})
	}
	must(t, e.s.CreateTopic(disk.ByController, "other", nil))
	l, _, err := e.s.OpenLog(disk.ByOpen, "other", 0, small)
	must(t, err)
	must(t, l.Err())
	must(t, l.Close())
}

// wantDamaged wants a log that is only read, with all records but those in [first, next), and says so; it closes it.
func wantDamaged(t *testing.T, e *env, want []rec, first, next uint64) {
	t.Helper()
	wantIs(t, e.l.Err(), disk.ErrFailed)
	damage, ok := errors.AsType[*disk.CorruptError](e.l.Err())
	if !ok || damage.From < first || damage.Next > next || damage.From >= damage.Next || !strings.Contains(damage.Where, ".log@") ||
		!strings.Contains(e.l.Err().Error(), "sluice repair") {
		t.Fatalf("the log says %v, want [%d, %d)", e.l.Err(), first, next)
	}
	if e.l.Next() != uint64(len(want)) {
		t.Fatalf("the end is %d, want %d", e.l.Next(), len(want))
	}
	for _, size := range []int{4000, 9000} {
		got, gaps := readAround(t, e.l, size)
		wantAround(t, got, gaps, want, first, next)
		if len(gaps) != 1 || gaps[0] != [2]uint64{first, next} {
			t.Fatalf("damaged are %v, want [%d, %d)", gaps, first, next)
		}
	}
	if room, _ := e.l.Room(); room == 0 || e.l.MaintenanceDue() {
		t.Fatal("an append would wait for ever")
	}
	_, _, err := e.l.Append(build(t, rec{1, "late"}))
	wantIs(t, err, disk.ErrFailed)
	_, err = e.l.Sync()
	wantIs(t, err, disk.ErrFailed)
	wantIs(t, e.l.Mark(disk.ByFlusher), disk.ErrFailed)
	must(t, e.l.Close())
}
