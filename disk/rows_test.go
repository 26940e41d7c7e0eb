package disk_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// sealed is a log of several segments, closed, and the batches of the first.
func sealed(t *testing.T) (e *env, want []rec, b []byte, at []place) {
	t.Helper()
	e = newEnv(t, restarted{fstest.NewMem()}, small)
	want = fill(t, e, 300, 0)
	must(t, e.l.Close())
	b = load(t, e.fs, seg0)
	return e, want, b, places(t, b)
}

// around opens the log on a changed first segment, and wants all records but those in [first, next).
func around(t *testing.T, e *env, want []rec, b []byte, first, next uint64) {
	t.Helper()
	save(t, e.fs, seg0, b)
	e.openLog(t)
	must(t, e.l.Err())
	got, gaps := readAround(t, e.l, 3000)
	wantAround(t, got, gaps, want, first, next)
	must(t, e.l.Close())
}

// TestC3HeaderBits flips every bit of the header fields that the checksum does not cover, and of the checksum: the batch
// answers CORRUPT, alone.
func TestC3HeaderBits(t *testing.T) {
	e, want, b, at := sealed(t)
	for _, hit := range []place{at[0], at[len(at)/2], at[len(at)-1]} {
		for i := range 21 {
			for bit := range 8 {
				c := slices.Clone(b)
				c[hit.pos+i] ^= 1 << bit
				around(t, e, want, c, hit.first, hit.next)
			}
		}
	}
}

// TestC2SealedBits flips one bit in every field and in every 512 bytes of a sealed segment, and spoils whole sectors: what
// is hit answers CORRUPT, all else is served, and the log takes appends.
func TestC2SealedBits(t *testing.T) {
	e, want, b, at := sealed(t)
	hit := func(from, to int) (first, next uint64) { // offsets of the batches that bytes [from, to) touch
		first, next = 1<<63, 0
		for _, p := range at {
			if p.pos < to && from < p.end {
				first, next = min(first, p.first), max(next, p.next)
			}
		}
		return first, next
	}
	mid := at[len(at)/2]
	for _, field := range []int{0, 7, 8, 11, 12, 15, 16, 17, 21, 23, 26, 27, 35, 43, 51, 53, 57, 60, 61, 65} {
		c := slices.Clone(b)
		c[mid.pos+field] ^= 4
		around(t, e, want, c, mid.first, mid.next)
	}
	for pos := 0; pos < len(b); pos += 512 {
		end := min(pos+512, len(b))
		for _, spoil := range []func(sector []byte){
			func(s []byte) { s[len(s)/2] ^= 1 },
			func(s []byte) { clear(s) },
			func(s []byte) { copy(s, strings.Repeat("damage", 100)) },
		} {
			c := slices.Clone(b)
			spoil(c[pos:end])
			first, next := hit(pos, end)
			if slices.Equal(c, b) {
				continue
			}
			save(t, e.fs, seg0, c)
			e.openLog(t)
			got, gaps := readAround(t, e.l, 3000)
			wantWithin(t, got, gaps, want, first, next)
			must(t, e.l.Close())
		}
	}
	e.kill(t)
	e.append(t, build(t, rec{1, "x"}))
	e.close(t)
}

// wantWithin wants all records outside [first, next), and right ones inside.
func wantWithin(t *testing.T, got map[uint64]rec, gaps [][2]uint64, want []rec, first, next uint64) {
	t.Helper()
	for i, x := range want {
		off := uint64(i)
		if y, ok := got[off]; ok && x != y || !ok && (off < first || off >= next) {
			t.Fatalf("offset %d: there %v, want at most [%d, %d) lost; gaps %v", off, ok, first, next, gaps)
		}
	}
}

// TestC4WrongPlace writes whole batches with right checksums where they do not belong: none of them is ever served, and
// what they overwrote answers CORRUPT.
func TestC4WrongPlace(t *testing.T) {
	e, want, b, at := sealed(t)
	other := newEnv(t, fstest.NewMem(), small)
	fill(t, other, 300, 0)
	foreign := load(t, other.fs, seg0)
	size := func(p place) int { return p.end - p.pos }
	for i := 1; i < len(at)-1; i += 3 {
		for j := i + 1; j < len(at); j += 5 {
			if size(at[j]) > size(at[i]) {
				continue
			}
			c := slices.Clone(b)
			copy(c[at[i].pos:], b[at[j].pos:at[j].end])
			around(t, e, want, c, at[i].first, at[i].next)
		}
		c := slices.Clone(b)
		copy(c[at[i].pos+17:], foreign[at[len(at)-1].pos+17:at[len(at)-1].end]) // another's records under this header
		save(t, e.fs, seg0, c)
		e.openLog(t)
		got, gaps := readAround(t, e.l, 3000)
		for off, r := range got {
			if r != want[off] {
				t.Fatalf("offset %d is another batch's; gaps %v", off, gaps)
			}
		}
		must(t, e.l.Close())
	}
}

// TestC4WrongPlaceInTail does the same behind the mark of the active segment: the tail is cut there, set aside, and told
// as possible loss.
func TestC4WrongPlaceInTail(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	b := im["00000000000000000000.log"]
	for i := indexOf(at, mark) + 1; i < len(at)-3; i++ {
		for j := range len(at) {
			if j == i || at[j].end-at[j].pos > at[i].end-at[i].pos {
				continue
			}
			c := []byte(b)
			copy(c[at[i].pos:], b[at[j].pos:at[j].end])
			im["00000000000000000000.log"] = string(c)
			putImage(t, e.fs, im)
			e.kill(t)
			must(t, e.l.Err())
			if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want[:at[i].first]) {
				t.Fatalf("batch %d over %d: %d records are there, want %d", j, i, len(got), at[i].first)
			}
			if e.rec.LostFrom != at[i].first || e.rec.LostNext != uint64(len(want)) || e.rec.Cut == 0 {
				t.Fatalf("batch %d over %d: %+v", j, i, e.rec)
			}
		}
	}
}

// TestC7Overlap: two files that claim the same offsets. The names decide: an offset is served from the file with the
// highest base at or below it, what the other one holds of it is never looked at, and a batch across the border answers
// CORRUPT.
func TestC7Overlap(t *testing.T) {
	e, b, at, want := tail(t)
	im := takeImage(t, e.fs)
	cutAt := at[2]
	for name, c := range map[string]struct {
		first, second string
		lost          [2]uint64
	}{
		"equal bytes":     {b, b[cutAt.pos:], [2]uint64{}},
		"different bytes": {b[:cutAt.pos] + strings.Repeat("x", len(b)-cutAt.pos), b[cutAt.pos:], [2]uint64{}},
		"second short":    {b, b[cutAt.pos:cutAt.end], [2]uint64{cutAt.next, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			im["00000000000000000000.log"], im[baseName(cutAt.first)] = c.first, c.second
			delete(im, "marks")
			putImage(t, e.fs, im)
			e.openLog(t)
			got, gaps := readAround(t, e.l, 3000)
			wantAround(t, got, gaps, want[:e.l.Next()], c.lost[0], c.lost[1])
			if string(load(t, e.fs, seg0)) != c.first {
				t.Fatal("the older file was changed")
			}
			must(t, e.l.Close())
		})
	}
	delete(im, baseName(cutAt.first))
	im[baseName(cutAt.first+1)] = b[at[3].pos:] // its name is inside a batch of the other file
	im["00000000000000000000.log"] = b
	putImage(t, e.fs, im)
	e.openLog(t)
	got, gaps := readAround(t, e.l, 3000)
	wantWithin(t, got, gaps, want, cutAt.first, 12)
	must(t, e.l.Close())
}

func baseName(base uint64) string {
	return strings.Repeat("0", 18) + string([]byte{'0' + byte(base/10), '0' + byte(base%10)}) + ".log"
}

// TestC7DirectoryWithSegmentName is left alone and told, as any foreign file.
func TestC7DirectoryWithSegmentName(t *testing.T) {
	e, b, _, want := tail(t)
	must(t, e.fs.MkdirAll("test", "topics/t/0/00000000000000000003.log"))
	e.openLog(t)
	must(t, e.l.Err())
	if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want) || string(load(t, e.fs, seg0)) != b {
		t.Fatal("what was read is not what was appended")
	}
	e.close(t)
}

// TestC8ZeroLengthLast: an empty last segment is used again, as the active one, and nothing is renumbered; below the mark
// it is damage.
func TestC8ZeroLengthLast(t *testing.T) {
	e, b, at, want := tail(t)
	im := takeImage(t, e.fs)
	delete(im, "marks")
	im["00000000000000000000.log"], im[baseName(at[2].first)] = b[:at[2].pos], ""
	putImage(t, e.fs, im)
	e.openLog(t)
	must(t, e.l.Err())
	first, _ := e.append(t, build(t, rec{9, "new"}))
	if first != at[2].first || e.l.Info().ActiveBase != at[2].first {
		t.Fatalf("appended at %d", first)
	}
	if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, append(want[:first:first], rec{9, "new"})) {
		t.Fatal("what was read is not what was appended")
	}
	syncAndMark(t, e)
	save(t, e.fs, "topics/t/0/"+baseName(first), nil)
	e.fs = restarted{e.fs}
	e.kill(t)
	wantDamaged(t, e, append(want[:first:first], rec{}), first, first+1)
}

// TestB8ReadErrors: a read that fails is an error of that read alone: the log is fine, nothing is cut, and the next one
// may succeed.
func TestB8ReadErrors(t *testing.T) {
	broken := ""
	e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if broken != "" && op.By == disk.ByReader && op.Kind == fstest.Read && strings.HasSuffix(op.Name, broken) {
			return syscall.EIO
		}
		return nil
	}), small)
	want := fill(t, e, 300, 0)
	at := places(t, load(t, e.fs, seg0))
	end := at[len(at)-1].next
	for _, broken = range []string{seg0, idx0} {
		for from := uint64(0); from < 300; from += 7 {
			_, err := e.l.ReadAt(make([]byte, 3000), from, nil)
			_, err2 := e.l.OffsetAt(int64(1000+from), true)
			if broken == seg0 && from < end {
				wantIs(t, err, syscall.EIO)
				wantIs(t, err2, syscall.EIO)
			} else {
				must(t, err)
			}
		}
		must(t, e.l.Err())
	}
	broken = ""
	wantReads(t, e.l, want)
	e.close(t)
}

// TestB8UnreadableAtStart: a page that an opening cannot read makes the log one that is only read, up to there, or up to
// its mark; nothing is changed, and the next start finds everything if the device does.
func TestB8UnreadableAtStart(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	last := indexOf(at, mark)
	for _, i := range []int{last, last + 1, len(at) - 1} {
		hit := at[i]
		s := openStore(t, restarted{fstest.Fail(e.fs, func(op fstest.Op) error {
			if op.By == disk.ByOpen && op.Kind == fstest.Read && op.Name == seg0 && op.Pos < int64(hit.end) && op.Pos+int64(op.Len) > int64(hit.pos) {
				return syscall.EIO
			}
			return nil
		})})
		l, r, err := s.OpenLog(disk.ByOpen, "t", 0, disk.LogOptions{})
		must(t, err)
		wantIs(t, l.Err(), disk.ErrFailed)
		wantIs(t, l.Err(), syscall.EIO)
		if r.Cut != 0 || l.Next() < uint64(mark) || l.Durable() != l.Next() {
			t.Fatalf("batch %d: next %d, %+v", i, l.Next(), r)
		}
		if got := readAll(t, l, 0, 3000); !slices.Equal(got, want[:l.Next()]) {
			t.Fatalf("batch %d: %d records", i, len(got))
		}
		must(t, l.Close())
		wantImage(t, takeImage(t, e.fs), im)
	}
	e.kill(t)
	wantReads(t, e.l, want)
	e.close(t)
}

// TestC2DeclaredGap: a range that a repair has given up answers CORRUPT and says so; the log opens without an error, with
// the gap at its start, in the middle and at its end, and takes appends.
func TestC2DeclaredGap(t *testing.T) {
	e, want, _, _ := sealed(t)
	im := takeImage(t, e.fs)
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	spans := make([][2]uint64, len(segs)) // offsets of each segment
	for i, name := range segs {
		at := places(t, load(t, e.fs, name))
		spans[i] = [2]uint64{at[0].first, at[len(at)-1].next}
	}
	last := len(segs) - 1
	for name, c := range map[string]struct {
		span  [2]uint64
		spoil func()
	}{
		"start":  {spans[0], func() { must(t, e.fs.Remove("test", segs[0])) }},
		"middle": {spans[1], func() { must(t, e.fs.Remove("test", segs[1])) }},
		"empty":  {spans[1], func() { save(t, e.fs, segs[1], nil) }},
		"end": {spans[last], func() {
			must(t, e.fs.Remove("test", segs[last]))
			must(t, e.fs.Remove("test", marksFile))
			save(t, e.fs, "topics/t/0/00000000000000000300.log", nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			putImage(t, e.fs, im)
			c.spoil()
			must(t, disk.SaveGapsForTest(e.fs, "topics/t/0", []disk.Gap{{From: c.span[0], Next: c.span[1], Why: "lost a disk"}}))
			e.openLog(t)
			must(t, e.l.Err())
			if got := e.l.Gaps(); len(got) != 1 || got[0].From != c.span[0] {
				t.Fatalf("gaps %v", got)
			}
			got, gaps := readAround(t, e.l, 3000)
			wantAround(t, got, gaps, want, c.span[0], c.span[1])
			if len(gaps) != 1 || gaps[0] != c.span {
				t.Fatalf("gaps %v, want %v", gaps, c.span)
			}
			_, err := e.l.ReadAt(make([]byte, 100), c.span[0], nil)
			damage, ok := errors.AsType[*disk.CorruptError](err)
			if !ok || !strings.Contains(damage.Why, "lost a disk") || damage.From != c.span[0] || damage.Next != c.span[1] {
				t.Fatalf("inside the gap: %v", err)
			}
			if off, err := e.l.OffsetAt(int64(1000+c.span[0]), true); err != nil || off != c.span[1] {
				t.Fatalf("a time in the gap is at %d, %v", off, err)
			}
			first, _ := e.append(t, build(t, rec{1, "x"}))
			if first != 300 {
				t.Fatalf("appended at %d", first)
			}
			must(t, e.l.Close())
		})
	}
}

// TestC9SmallFileFlips flips every byte of each copy of each small file: the other copy is used, and written over it.
func TestC9SmallFileFlips(t *testing.T) {
	e, want, _, _ := sealed(t)
	must(t, e.s.Close())
	for _, name := range []string{"node.json", "topics/t/topic.json", "topics/t/0/epochs"} {
		for _, file := range []string{name, name + ".2"} {
			right := load(t, e.fs, file)
			for i := range right {
				b := slices.Clone(right)
				b[i] ^= 0x15
				save(t, e.fs, file, b)
				s := openStore(t, e.fs)
				l, _, err := s.OpenLog(disk.ByOpen, "t", 0, small)
				must(t, err)
				must(t, l.Err())
				if l.Next() != uint64(len(want)) || l.Epoch() != 0 || s.NodeID() != e.s.NodeID() {
					t.Fatalf("%s byte %d: next %d, epoch %d", file, i, l.Next(), l.Epoch())
				}
				must(t, l.Close())
				if !slices.Equal(load(t, e.fs, file), right) {
					t.Fatalf("%s byte %d was not mended", file, i)
				}
			}
		}
	}
}

// TestMaintainTellsWhyAppendsWait: while an append waits for a spare, Maintain's error is why there is none, and no other:
// not an index that cannot be built, and never "no space" for anything else.
func TestMaintainTellsWhyAppendsWait(t *testing.T) {
	var broken string
	e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.By == disk.ByRoller && broken != "" && strings.Contains(op.Name, broken) && (op.Kind == fstest.Create || op.Kind == fstest.Open) {
			return syscall.EMFILE
		}
		return nil
	}), small)
	fill(t, e, 300, 0)
	e.reopen(t)
	e.begin(t)
	must(t, e.fs.Remove("test", idx0))
	if _, err := e.l.ReadAt(make([]byte, 3000), 50, nil); err != nil {
		t.Fatal(err)
	}
	broken = seg0 // cannot be opened to build its index
	for fits(e.l, 900) {
		_, _, err := e.l.Append(sized(t, "x", 800))
		must(t, err)
	}
	broken = ".seg"
	if e.l.Roll() {
		t.Fatal("there is a spare")
	}
	ready, err := e.l.Maintain()
	if wantIs(t, err, syscall.EMFILE); ready || errors.Is(err, disk.ErrNoSpace) || e.l.Err() != nil {
		t.Fatalf("ready %v, %v; %v", ready, err, e.l.Err())
	}
	broken = seg0
	if ready, err := e.l.Maintain(); !ready {
		t.Fatalf("ready %v, %v", ready, err)
	}
	if !e.l.Roll() {
		t.Fatal("there is no spare")
	}
	_, _, err = e.l.Append(sized(t, "x", 9000))
	must(t, err)
	for fits(e.l, 900) {
		_, _, err := e.l.Append(sized(t, "x", 800))
		must(t, err)
	}
	if e.l.Roll() { // the segment before is not synced
		t.Fatal("there is a spare")
	}
	must(t, e.fs.Remove("test", "topics/t/0/"+listNames(t, e.fs, "topics/t/0", ".idx")[0][len("topics/t/0/"):]))
	if ready, err := e.l.Maintain(); ready || err != nil {
		t.Fatalf("ready %v, %v", ready, err)
	}
}
