package disk_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// marked is a log at which a process is killed: its first 20 records were synced and marked, 20 more only written. at
// lists the batches of its one segment.
func marked(t testing.TB) (e *env, want []rec, mark int, at []place) {
	t.Helper()
	e = newEnv(t, restarted{fstest.NewMem()}, disk.LogOptions{})
	want = fill(t, e, 20, 0)
	syncAndMark(t, e)
	want = append(want, fillMore(t, e, 17)...)
	for range 3 { // small: some tests go over each bit of them
		r := rec{int64(1000 + len(want)), fmt.Sprint(len(want))}
		e.append(t, build(t, r))
		want = append(want, r)
	}
	at = places(t, load(t, e.fs, seg0))
	return e, want, 20, at
}

// fillMore appends n records one by one, behind those that are there.
func fillMore(t testing.TB, e *env, n int) (all []rec) {
	t.Helper()
	for range n {
		i := int(e.l.Next())
		r := rec{int64(1000 + i), fmt.Sprint(i) + strings.Repeat("y", i*31%300)}
		e.append(t, build(t, r))
		all = append(all, r)
	}
	return all
}

func syncAndMark(t testing.TB, e *env) {
	t.Helper()
	_, err := e.l.Sync()
	must(t, err)
	must(t, e.l.Mark(disk.ByFlusher))
}

// kill ends the process without a word, and opens the log in the next one.
func (e *env) kill(t testing.TB) {
	t.Helper()
	e.s = openStore(t, restarted{e.fs})
	e.openLog(t)
}

// indexOf finds the batch that ends at an offset.
func indexOf(at []place, next int) int {
	return slices.IndexFunc(at, func(p place) bool { return p.next == uint64(next) })
}

// TestA1ScanBehindMark shows that after a kill only what lies behind the durable mark is scanned, and nothing is lost.
func TestA1ScanBehindMark(t *testing.T) {
	e, want, mark, at := marked(t)
	e.kill(t)
	pos := at[indexOf(at, mark)].end
	if r := e.rec; r.Clean || r.Mark != uint64(mark) || r.Scanned != int64(at[len(at)-1].end-pos) || r.Cut != 0 {
		t.Fatalf("opening says %+v; the mark is at %d, position %d", r, mark, pos)
	}
	if e.l.Durable() != uint64(len(want)) {
		t.Fatalf("durable are %d", e.l.Durable())
	}
	wantReads(t, e.l, want)
	wantTimes(t, e.l, want)
	e.maintain(t) // indexes what was not scanned
	wantReads(t, e.l, want)
	wantTimes(t, e.l, want)
	want = append(want, fillMore(t, e, 5)...)
	wantTimes(t, e.l, want)
	e.close(t)
	e.kill(t)
	if r := e.rec; !r.Clean || r.Scanned != 0 {
		t.Fatalf("after a clean stop: %+v", r)
	}
	wantReads(t, e.l, want)
	e.close(t)
}

// TestSplicedIndexIsSealed: a segment that was opened behind a mark is sealed with a whole index, if there was time to
// build it, and gets one later if there was not.
func TestSplicedIndexIsSealed(t *testing.T) {
	for _, early := range []bool{true, false} {
		e := newEnv(t, restarted{fstest.NewMem()}, small)
		want := fill(t, e, 40, 0)
		syncAndMark(t, e)
		e.kill(t)
		if early {
			e.maintain(t)
		}
		e.begin(t)
		for fits(e.l, 500) {
			r := rec{int64(1000 + len(want)), strings.Repeat("z", 400)}
			_, _, err := e.l.Append(build(t, r))
			must(t, err)
			want = append(want, r)
		}
		want = append(want, fillMore(t, e, 40)...)
		syncAndMark(t, e)
		wantReads(t, e.l, want)
		e.maintain(t)
		if !exists(t, e.fs, idx0) {
			t.Fatalf("early %v: the sealed segment has no index", early)
		}
		wantReads(t, e.l, want)
		wantTimes(t, e.l, want)
		e.close(t)
	}
}

// TestI2MarkNeverLeads shows that the mark never claims what no fdatasync that returned 0 covers: not when the sync of
// the old segment fails behind a roll, nor that of the new one.
func TestI2MarkNeverLeads(t *testing.T) {
	for _, broken := range []string{seg0, spare} {
		mem := fstest.NewMem()
		e := rolled(t, fstest.Fail(mem, func(op fstest.Op) error {
			if op.Kind == fstest.Sync && op.By == disk.ByFlusher && op.Name == broken {
				return errBroken
			}
			return nil
		}))
		border := e.l.Next() - 1
		_, err := e.l.Sync()
		wantIs(t, err, errBroken)
		wantIs(t, e.l.Mark(disk.ByFlusher), disk.ErrFailed)
		m := newestSlot(load(t, mem, marksFile))
		if want := map[string]uint64{seg0: 0, spare: border}[broken]; m.off > want || e.l.Durable() != want {
			t.Errorf("%s: the mark says %d, durable are %d, want %d", broken, m.off, e.l.Durable(), want)
		}
	}
}

// slot is one slot of a marks file, for tests to read and to forge.
type slot struct {
	at                      int
	seq, base, off, visible uint64
	pos, last, before       int64
	crc                     uint32
	clean                   bool
}

func readSlot(b []byte, at int) slot {
	be := binary.BigEndian
	b = b[at:]
	return slot{at, be.Uint64(b[16:]), be.Uint64(b[24:]), be.Uint64(b[40:]), be.Uint64(b[64:]),
		int64(be.Uint64(b[32:])), int64(be.Uint64(b[48:])), int64(be.Uint64(b[56:])), be.Uint32(b[72:]), b[15]&1 != 0}
}

func newestSlot(b []byte) slot {
	first, second := readSlot(b, 0), readSlot(b, 4096)
	if second.seq > first.seq {
		return second
	}
	return first
}

// forge writes s over its slot, with a right checksum.
func (s slot) forge(b []byte) []byte {
	be := binary.BigEndian
	p := b[s.at : s.at+88]
	be.PutUint64(p[16:], s.seq)
	be.PutUint64(p[24:], s.base)
	be.PutUint64(p[32:], uint64(s.pos))
	be.PutUint64(p[40:], s.off)
	be.PutUint64(p[48:], uint64(s.last))
	be.PutUint64(p[56:], uint64(s.before))
	be.PutUint64(p[64:], s.visible)
	be.PutUint32(p[72:], s.crc)
	p[15] = 0
	if s.clean {
		p[15] = 1
	}
	be.PutUint32(p[84:], crc32.Checksum(p[:84], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

const marksFile = "topics/t/0/marks"

// TestC9Marks flips every byte of the marks file: with one slot damaged the other one is used, with both the segment is
// scanned whole, and nothing is lost.
func TestC9Marks(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	right := im["marks"]
	whole := int64(at[len(at)-1].end)
	open := func(b []byte, repaired int, scanned ...int64) {
		t.Helper()
		im["marks"] = string(b)
		putImage(t, e.fs, im)
		e.kill(t)
		if e.rec.Clean || len(e.rec.Repaired) != repaired || !slices.Contains(scanned, e.rec.Scanned) {
			t.Fatalf("opening says %+v, want %d repaired, scanned %v", e.rec, repaired, scanned)
		}
		wantReads(t, e.l, want)
		e.append(t, build(t, rec{1, "x"}))
		if e.l.Epoch() != 1 {
			t.Fatalf("the epoch is %d", e.l.Epoch())
		}
	}
	behind := whole - int64(at[indexOf(at, mark)].end)
	for i := range 88 {
		for _, slots := range [][]int{{0}, {4096}, {0, 4096}} {
			b := []byte(right)
			for _, s := range slots {
				b[s+i] ^= 0x41
			}
			if len(slots) == 2 {
				open(b, 1, whole)
			} else {
				open(b, 1, behind, whole) // the older slot may have nothing to say
			}
		}
	}
	for _, n := range []int{0, 50, 88, 4096, 4100} {
		b := []byte(right)[:n]
		open(b, 1, behind, whole)
	}
	delete(im, "marks")
	putImage(t, e.fs, im)
	e.kill(t)
	if e.rec.Scanned != whole {
		t.Fatalf("without marks: %+v", e.rec)
	}
	wantReads(t, e.l, want)
}

// TestC9LyingMarks: a mark that proves nothing is not believed; one that tells of more than there is makes the log one
// that is only read.
func TestC9LyingMarks(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	m := newestSlot([]byte(im["marks"]))
	end := at[len(at)-1]
	if m.off != uint64(mark) || m.pos != int64(at[indexOf(at, mark)].end) {
		t.Fatalf("the mark is %+v", m)
	}
	for name, c := range map[string]struct {
		lie  func(s *slot)
		fine bool
		next uint64
	}{
		"position":           {func(s *slot) { s.pos++ }, true, 40},
		"offset":             {func(s *slot) { s.off++ }, true, 40},
		"last":               {func(s *slot) { s.last-- }, true, 40},
		"checksum":           {func(s *slot) { s.crc++ }, true, 40},
		"start":              {func(s *slot) { s.last = 0 }, true, 40},
		"beyond the file":    {func(s *slot) { s.pos, s.last, s.off = 1<<30, 1<<30-100, 50 }, false, 50},
		"offset beyond":      {func(s *slot) { s.off = 41 }, false, 41},
		"another segment":    {func(s *slot) { s.base, s.off = 100, 110 }, false, 110},
		"mark at a true end": {func(s *slot) { s.pos, s.off, s.last, s.crc = int64(end.end), 40, int64(end.pos), lastCRC(im, end) }, true, 40},
	} {
		t.Run(name, func(t *testing.T) {
			lie := m
			c.lie(&lie)
			putImage(t, e.fs, im)
			save(t, e.fs, marksFile, lie.forge([]byte(im["marks"])))
			e.kill(t)
			if (e.l.Err() == nil) != c.fine || e.l.Next() != c.next {
				t.Fatalf("next %d, %v; %+v", e.l.Next(), e.l.Err(), e.rec)
			}
			got, gaps := readAround(t, e.l, 2000)
			wantAround(t, got, gaps, want, 40, 200)
			if !c.fine {
				wantIs(t, e.l.Err(), disk.ErrFailed)
				if load(t, e.fs, seg0) == nil || string(load(t, e.fs, seg0)) != im["00000000000000000000.log"] {
					t.Fatal("the segment was changed")
				}
			}
		})
	}
	other := []byte(im["marks"])
	binary.BigEndian.PutUint32(other[m.at+76:], 7)
	putImage(t, e.fs, im)
	save(t, e.fs, marksFile, m.forge(other))
	e.kill(t)
	if e.rec.Mark == uint64(mark) || e.l.Err() != nil {
		t.Fatalf("another log's mark: %+v, %v", e.rec, e.l.Err())
	}
}

func lastCRC(im image, p place) uint32 {
	return binary.BigEndian.Uint32([]byte(im["00000000000000000000.log"])[p.pos+17:])
}

// TestA3C1FlippedTailBehindMark flips every bit of the last three batches, which lie behind the mark: they are cut from
// the first bad one on, set aside, and nothing before is touched.
func TestA3C1FlippedTailBehindMark(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	b := im["00000000000000000000.log"]
	n := len(at)
	for i := at[n-3].pos; i < at[n-1].end; i++ {
		for bit := range 8 {
			c := []byte(b)
			c[i] ^= 1 << bit
			im["00000000000000000000.log"] = string(c)
			putImage(t, e.fs, im)
			e.kill(t)
			hit := slices.IndexFunc(at, func(p place) bool { return i < p.end })
			if e.l.Err() != nil || e.l.Next() != at[hit].first || e.rec.Mark != uint64(mark) {
				t.Fatalf("byte %d bit %d: next %d, %v, %+v", i, bit, e.l.Next(), e.l.Err(), e.rec)
			}
			cut := fmt.Sprintf("topics/t/0/00000000000000000000-%d.cut", at[hit].pos)
			if e.rec.CutFile != cut || string(load(t, e.fs, cut)) != strings.TrimRight(string(c[at[hit].pos:]), "\x00") {
				t.Fatalf("byte %d bit %d: cut into %q", i, bit, e.rec.CutFile)
			}
			if i%16 == 0 && bit == 0 {
				if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want[:at[hit].first]) {
					t.Fatal("what was read is not what was appended")
				}
			}
		}
	}
}

// TestC2FlippedBelowMark flips a bit in every batch below the mark: nothing is cut, that batch alone answers CORRUPT.
// Appends go on, unless the damage was met at opening, in the batch that proves the mark.
func TestC2FlippedBelowMark(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	b := im["00000000000000000000.log"]
	last := indexOf(at, mark)
	for i := range last + 1 {
		for _, off := range []int{3, 9, 14, 16, 19, 22, 30, 59, 65} {
			c := []byte(b)
			c[at[i].pos+off] ^= 0x10
			im["00000000000000000000.log"] = string(c)
			putImage(t, e.fs, im)
			e.kill(t)
			got, gaps := readAround(t, e.l, 2000)
			wantAround(t, got, gaps, want, at[i].first, at[i].next)
			if (e.l.Err() != nil) != (i == last) || e.rec.Cut != 0 {
				t.Fatalf("batch %d byte %d: %v, %+v", i, off, e.l.Err(), e.rec)
			}
			if i == last {
				before := takeImage(t, e.fs)
				wantDamaged(t, e, want, at[i].first, at[i].next)
				wantImage(t, takeImage(t, e.fs), before)
				continue
			}
			first, _ := e.append(t, build(t, rec{1, "x"}))
			if first != uint64(len(want)) {
				t.Fatalf("appended at %d", first)
			}
		}
	}
}

// TestC6EndBelowMark cuts the active segment short below its mark, or takes it away: the log is only read, the missing
// range answers CORRUPT, and its end is the mark's.
func TestC6EndBelowMark(t *testing.T) {
	e, want, mark, at := marked(t)
	im := takeImage(t, e.fs)
	b := im["00000000000000000000.log"]
	for i := range indexOf(at, mark) + 1 {
		for _, end := range []int{at[i].pos, at[i].pos + 1, at[i].end - 1} {
			im["00000000000000000000.log"] = b[:end]
			putImage(t, e.fs, im)
			e.kill(t)
			if e.rec.Cut != 0 || e.l.Durable() != uint64(mark) {
				t.Fatalf("%+v, durable %d", e.rec, e.l.Durable())
			}
			wantDamaged(t, e, want[:mark], at[i].first, uint64(mark))
			wantImage(t, takeImage(t, e.fs), im)
		}
	}
	delete(im, "00000000000000000000.log")
	putImage(t, e.fs, im)
	e.kill(t)
	wantDamaged(t, e, want[:mark], 0, uint64(mark))
	wantImage(t, takeImage(t, e.fs), im)
}

// TestC6LastSegmentMissing: without the segment the mark is in, the log ends at the mark and is only read; with it in the
// spare's file, everything is there after a scan of what lies behind the mark.
func TestC6LastSegmentMissing(t *testing.T) {
	e := rolled(t, restarted{fstest.NewMem()})
	border := e.l.Next() - 1
	fillMore(t, e, 3) // in the spare
	syncAndMark(t, e)
	im := takeImage(t, e.fs)
	m := newestSlot([]byte(im["marks"]))
	if m.base != border || m.before == 0 {
		t.Fatalf("the mark is %+v", m)
	}
	all := readAll(t, e.l, 0, 5000)
	e.kill(t)
	if e.rec.Scanned != 0 || e.l.Err() != nil || exists(t, e.fs, spare) {
		t.Fatalf("%+v, %v", e.rec, e.l.Err())
	}
	wantAround(t, first(readAround(t, e.l, 5000)), nil, all, 0, 0)
	delete(im, "next.seg")
	putImage(t, e.fs, im)
	e.kill(t)
	wantDamaged(t, e, all, border, uint64(len(all)))
	im["next.seg"] = strings.Repeat("x", 5000)
	putImage(t, e.fs, im)
	e.kill(t)
	wantDamaged(t, e, all, border, uint64(len(all)))
	wantImage(t, takeImage(t, e.fs), im)
}

func first[A, B any](a A, _ B) A { return a }

// TestF1KillInRoll kills before each operation of two rolls, with marks; afterwards everything that was written is there,
// under the right names, and there is one active segment.
func TestF1KillInRoll(t *testing.T) {
	type moment struct {
		im   image
		next uint64
	}
	var moments []moment
	var l *disk.Log
	mem := fstest.NewMem()
	e := newEnv(t, fstest.Fail(mem, func(op fstest.Op) error {
		if l != nil && op.By != disk.ByReader && op.Kind != fstest.Read && op.Kind != fstest.Size {
			moments = append(moments, moment{takeImage(t, mem), l.Next()})
		}
		return nil
	}), disk.LogOptions{SegmentBytes: 4 << 10, IndexInterval: 1 << 10})
	l = e.l
	var want []rec
	for len(listNames(t, mem, "topics/t/0", ".log")) < 4 {
		want = append(want, fillMore(t, e, 1)...)
		if len(want)%3 == 0 {
			syncAndMark(t, e)
		}
	}
	for i, m := range moments {
		k := &env{fs: restarted{fstest.NewMem()}, opt: e.opt}
		k.s = openStore(t, k.fs)
		must(t, k.s.CreateTopic(disk.ByController, "t", nil))
		must(t, k.fs.MkdirAll("test", "topics/t/0"))
		putImage(t, k.fs, m.im)
		k.openLog(t)
		must(t, k.l.Err())
		if got := readAll(t, k.l, 0, 1000); !slices.Equal(got, want[:m.next]) {
			t.Fatalf("moment %d: %d records, want %d", i, len(got), m.next)
		}
		if exists(t, k.fs, spare) || k.rec.Cut != 0 || k.rec.LostFrom != k.rec.LostNext {
			t.Fatalf("moment %d: %+v", i, k.rec)
		}
		k.close(t)
	}
	if len(moments) < 100 {
		t.Fatalf("only %d moments", len(moments))
	}
}
