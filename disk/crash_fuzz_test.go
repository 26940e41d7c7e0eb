package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// fuzzedFiles are the files of a fuzzed log, but for its second segment; idx is the index of that one.
var fuzzedFiles = [8]string{
	"00000000000000000000.log", "idx", "next.seg",
	"marks", "epochs", "epochs.2", "gaps", "gaps.2",
}

// seedImages are the directories of a log with two segments and a third one that was not yet named, at several points of its
// life, with the base of the second.
func seedImages(t testing.TB) (images []image, base uint64) {
	take := func(e *env) { images = append(images, takeImage(t, e.fs)) }
	e := newEnv(t, fstest.NewMem(), tiny)
	take(e)
	for e.l.Info().Segments < 2 {
		e.append(t, sized(t, "a", 600))
		_, err := e.l.Sync()
		must(t, err)
		must(t, e.l.Mark(disk.ByFlusher))
	}
	base = e.l.Info().ActiveBase
	take(e)
	mem := e.fs.(*fstest.Mem).Kill()
	e = &env{fs: mem, s: openStore(t, mem), opt: tiny}
	e.openLog(t)
	e.append(t, sized(t, "b", 600)) // in a second epoch
	take(e)
	_, err := e.l.Sync()
	must(t, err)
	must(t, e.l.Mark(disk.ByFlusher))
	for !fits(e.l, 600) || e.l.Info().Segments < 3 {
		e.append(t, sized(t, "c", 600))
		if e.l.Info().Segments == 3 {
			break
		}
	}
	take(e) // the roll is not finished
	must(t, e.l.Close())
	take(e)
	return images, base
}

// FuzzOpenDirectory opens a log whose files are arbitrary: segments, spare, index, marks, epochs and gaps. It never panics and
// never grows; what it shows is dense but for damage that is told, and verify tells of that damage too; a kill and a second
// opening, and a close and a third, show the same (F6, F8).
func FuzzOpenDirectory(f *testing.F) {
	images, base := seedImages(f)
	for _, im := range images {
		im["idx"] = im[fmt.Sprintf("%020d.idx", base)]
	}
	second := fmt.Sprintf("%020d.log", base)
	add := func(im image) {
		var b [8][]byte
		for i, name := range fuzzedFiles {
			b[i] = []byte(im[name])
		}
		f.Add(base, []byte(im[second]), b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
	}
	for _, im := range images {
		add(im)
		for _, name := range append(fuzzedFiles[:], second) {
			bad := maps.Clone(im)
			delete(bad, name)
			add(bad)
			b := []byte(im[name])
			if len(b) == 0 {
				continue
			}
			bad[name] = string(b[:len(b)*2/3])
			add(bad)
			for i := range 3 {
				b[(i*977+40)%len(b)] ^= 0x41
			}
			bad[name] = string(b)
			add(bad)
			for _, other := range images { // a file from another time
				bad[name] = other[name]
				add(bad)
			}
		}
	}
	f.Fuzz(func(t *testing.T, base uint64, second, log, idx, spare, marks, epochs, epochs2, gaps, gaps2 []byte) {
		im := make(image)
		for i, b := range [][]byte{log, idx, spare, marks, epochs, epochs2, gaps, gaps2} {
			if len(b) > 0 {
				im[fuzzedFiles[i]] = string(b)
			}
		}
		name := fmt.Sprintf("%020d", max(1, base%1e9))
		if len(second) > 0 {
			im[name+".log"] = string(second)
		}
		if len(idx) > 0 {
			im[name+".idx"] = im["idx"]
			delete(im, "idx")
		}
		openArbitrary(t, im)
	})
}

func openArbitrary(t *testing.T, im image) {
	mem := fstest.NewMem()
	s := openStore(t, mem)
	must(t, s.CreateTopic(disk.ByController, "t", nil))
	must(t, mem.MkdirAll("test", "topics/t/0"))
	must(t, s.Close())
	putImage(t, mem, im)
	damaged := false
	_, err := disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) { damaged = damaged || f.Severity == disk.Damage })
	must(t, err)

	before, _ := substance(t, mem, "topics/t/0")
	first, l := openShown(t, mem)
	if l == nil {
		return
	}
	if after, _ := substance(t, mem, "topics/t/0"); after != before {
		t.Fatalf("opening leaves %d bytes of %d", after, before)
	}
	size := 0
	for _, text := range takeImage(t, mem) {
		size += len(text)
	}
	for _, text := range im {
		size -= len(text)
	}
	if size > 32<<10 { // marks, epochs twice, an empty segment with its allocation
		t.Fatalf("the directory grows by %d bytes", size)
	}
	if first.damage > 0 && !damaged {
		t.Fatalf("reads tell of damage, verify of none: %v", first)
	}
	killed := mem.Kill()
	if second, _ := openShown(t, killed); !second.keeps(first) {
		t.Fatalf("a second opening shows %v, the first %v", second, first)
	}
	if err := l.Close(); err != nil && l.Err() == nil {
		t.Fatal(err)
	}
	if third, _ := openShown(t, mem); !third.keeps(first) {
		t.Fatalf("after a close, an opening shows %v, the first %v", third, first)
	}
}

// shown is what a log shows of itself.
type shown struct {
	oldest, next uint64
	failed       bool
	records      []known
	damage       int
}

func (s shown) String() string {
	return fmt.Sprintf("[%d, %d), %d batches, %d times damage, failed %v", s.oldest, s.next, len(s.records), s.damage, s.failed)
}

// keeps: what was shown once is shown again. That may be more, when the first opening was misled by damage that it mended.
func (s shown) keeps(first shown) bool {
	there := make(map[known]bool)
	for _, r := range s.records {
		there[r] = true
	}
	return s.oldest == first.oldest && s.next == first.next && s.failed == first.failed &&
		!slices.ContainsFunc(first.records, func(r known) bool { return !there[r] })
}

func openShown(t *testing.T, mem *fstest.Mem) (shown, *disk.Log) {
	t.Helper()
	s := openStore(t, restarted{mem})
	l, r, err := s.OpenLog(disk.ByOpen, "t", 0, disk.LogOptions{SegmentBytes: 8 << 10})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return shown{}, nil
	}
	if l.Next() < r.Mark {
		t.Fatalf("the log ends at %d, below its mark: %+v", l.Next(), r)
	}
	got := shown{oldest: l.Oldest(), next: l.Next(), failed: l.Err() != nil}
	buf := make([]byte, 8<<10)
	for from := got.oldest; from < got.next; {
		ch, err := l.ReadAt(buf, from, nil)
		bad, corrupt := errors.AsType[*disk.CorruptError](err)
		switch {
		case corrupt:
			if bad.Next <= from || bad.From > from || bad.Next > got.next {
				t.Fatalf("at %d of %d: %v", from, got.next, err)
			}
			got.damage++
			from = bad.Next
		case err != nil:
			t.Fatal(err)
		default:
			h, err := batch.ParseHeader(ch.Bytes)
			must(t, err)
			if h.BaseOffset > from || ch.Next <= from || ch.Next > got.next {
				t.Fatalf("at %d of %d: read [%d, %d)", from, got.next, h.BaseOffset, ch.Next)
			}
			got.records = append(got.records, known{value: string(ch.Bytes), epoch: int32(ch.Next - from)})
			from = ch.Next
		}
	}
	return got, l
}
