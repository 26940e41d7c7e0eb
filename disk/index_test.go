package disk_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

const idx0 = "topics/t/0/00000000000000000000.idx"

// reseal gives an index file a right checksum, so that only what it says is wrong.
func reseal(b []byte) []byte {
	n := len(b) - 4
	binary.BigEndian.PutUint32(b[n:], crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// indexFaults are ways to spoil the index file of segment 0, given the right one and that of another log (C5).
var indexFaults = []struct {
	name  string
	spoil func(right, other []byte) []byte // nil: no file
	lies  bool                             // passes every check that doesn't look at the segment
}{
	{"missing", func(_, _ []byte) []byte { return nil }, false},
	{"empty", func(_, _ []byte) []byte { return []byte{} }, false},
	{"head only", func(b, _ []byte) []byte { return b[:24] }, false},
	{"short by one", func(b, _ []byte) []byte { return b[:len(b)-1] }, false},
	{"short by an entry", func(b, _ []byte) []byte { return b[:len(b)-16] }, false},
	{"longer by an entry", func(b, _ []byte) []byte { return append(b, make([]byte, 16)...) }, false},
	{"zero", func(b, _ []byte) []byte { return make([]byte, len(b)) }, false},
	{"another log's", func(_, other []byte) []byte { return other }, false},
	{"another version", func(b, _ []byte) []byte { b[11] = 2; return reseal(b) }, false},
	{"another base", func(b, _ []byte) []byte { b[23] = 7; return reseal(b) }, false},
	{"another end", func(b, _ []byte) []byte { b[len(b)-40+7]++; return reseal(b) }, false},
	{"another size", func(b, _ []byte) []byte { b[len(b)-40+15]++; return reseal(b) }, false},
	{"another count", func(b, _ []byte) []byte { b[len(b)-40+27]++; return reseal(b) }, false},
	{"no entries", func(b, _ []byte) []byte {
		b = append(b[:24:24], b[len(b)-40:]...)
		binary.BigEndian.PutUint32(b[len(b)-40+24:], 0)
		return reseal(b)
	}, true},
	{"shifted offsets", func(b, _ []byte) []byte { return reseal(eachEntry(b, func(e []byte) { e[3]++ })) }, true},
	{"shifted positions", func(b, _ []byte) []byte { return reseal(eachEntry(b, func(e []byte) { e[7]++ })) }, true},
	{"positions past the end", func(b, _ []byte) []byte { return reseal(eachEntry(b, func(e []byte) { e[4] = 0xff })) }, true},
	{"all entries the same", func(b, _ []byte) []byte {
		last := slices.Clone(b[len(b)-40-16 : len(b)-40])
		return reseal(eachEntry(b, func(e []byte) { copy(e, last) }))
	}, true},
	{"backwards", func(b, _ []byte) []byte {
		n := (len(b) - 64) / 16
		c := slices.Clone(b)
		for i := range n {
			copy(b[24+16*i:24+16*i+16], c[24+16*(n-1-i):])
		}
		return reseal(b)
	}, true},
}

// eachEntry changes every entry but the first.
func eachEntry(b []byte, change func(e []byte)) []byte {
	for at := 24 + 16; at < len(b)-40; at += 16 {
		change(b[at : at+16])
	}
	return b
}

// TestC5IndexFaults: with a damaged index, reads are right, and the index is built anew.
func TestC5IndexFaults(t *testing.T) {
	other := newEnv(t, fstest.NewMem(), small)
	fill(t, other, 300, 200)
	for _, c := range indexFaults {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, fstest.NewMem(), small)
			want := fill(t, e, 300, 0)
			right := load(t, e.fs, idx0)
			must(t, e.l.Close())
			if b := c.spoil(slices.Clone(right), load(t, other.fs, idx0)); b != nil {
				save(t, e.fs, idx0, b)
			} else {
				must(t, e.fs.Remove("test", idx0))
			}
			e.openLog(t)
			wantReads(t, e.l, want)
			e.maintain(t)
			if got := load(t, e.fs, idx0); !c.lies && !bytes.Equal(got, right) {
				t.Fatalf("the index is not what it was:\n%x\n%x", got, right)
			}
			wantReads(t, e.l, want)
			e.close(t)
		})
	}
}

// wantReads reads from each offset and asks for each time; times are 1000 + the offset, as fill makes them.
func wantReads(t testing.TB, l *disk.Log, want []rec) {
	t.Helper()
	var r batch.Reader
	for from := range uint64(len(want)) {
		for _, w := range ways {
			ch, err := w.read(t, l, from, 2000, nil)
			must(t, err)
			if got := records(t, &r, ch, from); ch.Next <= from || !slices.Equal(got, want[from:ch.Next]) {
				t.Fatalf("%s: from %d to %d is not what was appended", w.name, from, ch.Next)
			}
		}
	}
	if got := readAll(t, l, 0, 2000); !slices.Equal(got, want) {
		t.Fatal("what was read is not what was appended")
	}
}

// wantTimes is right as long as no index lies about times under a right checksum, which nothing but a scan could find.
func wantTimes(t testing.TB, l *disk.Log, want []rec) {
	t.Helper()
	for from := range want {
		if got, err := l.OffsetAt(int64(1000+from), true); err != nil || got != uint64(from) {
			t.Fatalf("time %d: offset %d, %v", 1000+from, got, err)
		}
	}
}

// TestC5IndexFlips flips every byte of an index.
func TestC5IndexFlips(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: 4 << 10, IndexInterval: 1 << 10})
	want := fill(t, e, 60, 0)
	right := load(t, e.fs, idx0)
	for i := range right {
		must(t, e.l.Close())
		b := slices.Clone(right)
		b[i] ^= 0x5a
		save(t, e.fs, idx0, b)
		e.openLog(t)
		wantReads(t, e.l, want)
		wantTimes(t, e.l, want)
		e.maintain(t)
		if !bytes.Equal(load(t, e.fs, idx0), right) {
			t.Fatalf("byte %d: the index was not built anew", i)
		}
	}
	e.close(t)
}

// TestC5IndexOfTwin: an index that agrees with the segment in every number, but is that of another log, is found out by the
// checksum of the first batch: its times would be wrong.
func TestC5IndexOfTwin(t *testing.T) {
	logs := []*env{newEnv(t, fstest.NewMem(), small), newEnv(t, fstest.NewMem(), small)}
	for i := range 60 {
		for which, ms := range []int64{int64(1000 + i), int64(1060 - i)} {
			logs[which].append(t, build(t, rec{ms, strings.Repeat("x", 500)}))
		}
	}
	a, b := logs[0], logs[1]
	must(t, b.l.Close())
	twin := load(t, a.fs, idx0)
	if own := load(t, b.fs, idx0); bytes.Equal(own, twin) || len(own) != len(twin) {
		t.Fatal("the indexes should differ in their times only")
	}
	save(t, b.fs, idx0, twin)
	b.openLog(t)
	for ms := int64(1000); ms <= 1060; ms++ {
		if off, err := b.l.OffsetAt(ms, true); err != nil || off != 0 {
			t.Fatalf("time %d: offset %d, %v", ms, off, err)
		}
	}
}

// TestC5IndexIntoARecord: an index that points at bytes of a record which look like the batch it means is found out by their
// checksum, where an extent begins and where one ends, also in bytes that were proved before.
func TestC5IndexIntoARecord(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: 8 << 10, IndexInterval: 512})
	var want []rec
	for i := range 12 {
		value := fmt.Sprint(i) + strings.Repeat("x", 900)
		if i == 5 { // and then this one has what looks like offset 6
			fake := build(t, rec{1, "fake"})
			batch.SetBase(fake, 6, 0)
			fake[len(fake)-1] ^= 1
			value += string(fake) + strings.Repeat("y", 100)
		}
		want = append(want, rec{int64(i), value})
		e.append(t, build(t, want[i]))
	}
	b := load(t, e.fs, seg0)
	at := bytes.Index(b, []byte(strings.Repeat("x", 900)+"\x00\x00\x00\x00\x00\x00\x00\x06")) + 900
	must(t, e.l.Close())
	x := load(t, e.fs, idx0)
	binary.BigEndian.PutUint32(x[24+6*16+4:], uint32(at))
	save(t, e.fs, idx0, reseal(x))
	e.openLog(t)
	var r batch.Reader
	for range 2 { // the second time it is known that the bytes are right
		for from := range uint64(6) + 1 {
			for _, w := range ways {
				for size := range 60 {
					ch, err := w.read(t, e.l, from, at-3000+100*size, nil)
					must(t, err)
					if got := records(t, &r, ch, from); !slices.Equal(got, want[from:ch.Next]) {
						t.Fatalf("%s: from %d to %d is not what was appended", w.name, from, ch.Next)
					}
				}
			}
		}
	}
	e.close(t)
}

// TestIndexIsUsed: with an index, a read in the middle of a sealed segment doesn't begin at its start.
func TestIndexIsUsed(t *testing.T) {
	var tr tracer
	e := newEnv(t, fstest.Trace(fstest.NewMem(), tr.line), small)
	fill(t, e, 300, 0)
	e.reopen(t)
	for _, from := range []uint64{50, 50} { // the first time the index is checked whole
		tr.take()
		_, err := e.l.ReadAt(make([]byte, 3000), from, nil)
		must(t, err)
		for _, line := range tr.take() {
			if strings.HasPrefix(line, "reader read "+seg0+" 0+") && !strings.HasSuffix(line, "+61") { // a header proves the index
				t.Fatalf("offset %d is read from the segment's start: %s", from, line)
			}
		}
	}
	e.close(t)
}

// TestB5IndexNeverHarmsLog: no failure on an index file's way stops a roll or an append (B5).
func TestB5IndexNeverHarmsLog(t *testing.T) {
	for _, kind := range []fstest.Kind{fstest.Create, fstest.Write, fstest.Close, fstest.Rename} {
		t.Run(string(kind), func(t *testing.T) {
			f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
				if op.Kind == kind && strings.HasSuffix(op.Name, ".idx.tmp") {
					return errBroken
				}
				return nil
			})
			e := newEnv(t, f, small)
			var want []rec
			told := 0
			for range 100 {
				for !fits(e.l, 600) && !e.l.Roll() {
					_, err := e.l.Sync()
					must(t, err)
					if _, err = e.l.Maintain(); err != nil {
						wantIs(t, err, errBroken)
						told++
					}
				}
				r := rec{int64(1000 + len(want)), strings.Repeat("x", 500)}
				_, _, err := e.l.Append(build(t, r))
				must(t, err)
				want = append(want, r)
			}
			if told < 2 {
				t.Fatalf("%d errors were told", told)
			}
			must(t, e.l.Err())
			wantReads(t, e.l, want)
			if err := e.l.Close(); err != nil { // it may have had a roll to finish
				wantIs(t, err, errBroken)
			}
			e.openLog(t)
			wantReads(t, e.l, want)
			must(t, e.l.Close())
		})
	}
}

// FuzzIndex: whatever an index says, reads are right. With seal set the checksum is made right, so that only the contents
// can give it away.
func FuzzIndex(f *testing.F) {
	o := disk.LogOptions{SegmentBytes: 8 << 10, IndexInterval: 512}
	base := newEnv(f, fstest.NewMem(), o)
	want := fill(f, base, 100, 0)
	right := load(f, base.fs, idx0)
	must(f, base.l.Close())
	f.Add(right, false)
	for _, c := range indexFaults {
		f.Add(c.spoil(slices.Clone(right), right), true)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := slices.Clone(right)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 4 {
			b = reseal(slices.Clone(b))
		}
		save(t, base.fs, idx0, b)
		l, _, err := base.s.OpenLog(disk.ByOpen, "t", 0, o)
		must(t, err)
		wantReads(t, l, want)
		_, err = l.OffsetAt(1050, true)
		must(t, err)
		must(t, l.Close())
	})
}
