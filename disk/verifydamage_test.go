package disk_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// sick is a closed log on which a test causes damage. segs are its segments' files, and the places of their batches.
type sick struct {
	t    *testing.T
	fs   *fstest.Mem
	segs []string
	all  [][]place
	want []rec
}

const logDir = "topics/t/0/"

// newKilled is a log whose server was killed: with a mark at offset 380, unsynced batches behind it, and space ahead.
func newKilled(t *testing.T) *sick { return killed(t, 380, 400, false) }

// newRolling is a log whose server was killed between a roll and the naming of the new segment, with the mark in that.
func newRolling(t *testing.T) *sick { return killed(t, 360, 375, true) }

// killed makes a log with a mark, then more batches, unsynced.
func killed(t *testing.T, mark, end uint64, rolling bool) *sick {
	t.Helper()
	mem := fstest.NewMem()
	e := newEnv(t, mem, small)
	want := fill(t, e, 340, 0)
	for done := false; e.l.Next() < end; {
		if next := e.l.Next(); !done && next >= mark {
			_, err := e.l.Sync()
			must(t, err)
			must(t, e.l.Mark(disk.ByFlusher))
			done = true
		}
		x := rec{int64(1000 + e.l.Next()), fmt.Sprint(e.l.Next()) + strings.Repeat("y", 100)}
		if _, _, err := e.l.Append(build(t, x)); err != nil {
			t.Fatal(err)
		}
		want = append(want, x)
		if rolling && e.l.Next() == mark-10 {
			for !e.l.Roll() {
				_, err := e.l.Sync()
				must(t, err)
				e.maintain(t)
			}
		}
	}
	s := &sick{t: t, fs: mem.Kill(), want: want}
	s.look()
	return s
}

// look lists the segments, with the one that has no name yet.
func (s *sick) look() {
	s.t.Helper()
	s.segs = listNames(s.t, s.fs, "topics/t/0", ".log")
	if exists(s.t, s.fs, spare) && len(places(s.t, load(s.t, s.fs, spare))) > 0 {
		s.segs = append(s.segs, spare)
	}
	for _, name := range s.segs {
		s.all = append(s.all, places(s.t, load(s.t, s.fs, name)))
	}
}

func newSick(t *testing.T) *sick {
	t.Helper()
	s := &sick{t: t, fs: fstest.NewMem()}
	e := newEnv(t, s.fs, small)
	s.want = fill(t, e, 400, 0)
	e.close(t)
	s.look()
	return s
}

// edit changes a file's bytes.
func (s *sick) edit(name string, change func(b []byte) []byte) {
	s.t.Helper()
	save(s.t, s.fs, name, change(bytes.Clone(load(s.t, s.fs, name))))
}

// at changes one byte of a batch.
func (s *sick) at(seg, n, byteAt int, change func(byte) byte) {
	s.t.Helper()
	s.edit(s.segs[seg], func(b []byte) []byte {
		i := s.all[seg][n].pos + byteAt
		b[i] = change(b[i])
		return b
	})
}

func (s *sick) flip(seg, n, byteAt int) { s.at(seg, n, byteAt, func(b byte) byte { return b ^ 1 }) }

func (s *sick) last() int { return len(s.segs) - 1 }

func idxOf(segment string) string { return strings.TrimSuffix(segment, ".log") + ".idx" }

type damageRow struct {
	name  string
	spoil func(s *sick) (lost [][2]uint64)
	stays bool
	from  func(t *testing.T) *sick // nil: newSick
}

func (r *damageRow) sick(t *testing.T) *sick {
	t.Helper()
	if r.from != nil {
		return r.from(t)
	}
	return newSick(t)
}

// damageRows are the kinds of damage. What verify says of each is in testdata/damage.txt. lost lists the offsets that no
// file holds any more; they are all that may be missing after repair. stays: repair cannot put it right.
var damageRows = []damageRow{
	{"C3 base offset flipped", headerBit(7), false, nil},
	{"C3 base offset's high bit", headerBit(0), false, nil},
	{"C3 length flipped", headerBit(11), false, nil},
	{"C3 length's high byte", headerBit(8), false, nil},
	{"C3 epoch flipped", headerBit(15), false, nil},
	{"C3 magic flipped", headerBit(16), false, nil},
	{"C2 checksum flipped", headerBit(17), false, nil},
	{"C2 attributes flipped", headerBit(22), false, nil},
	{"C2 last offset delta flipped", headerBit(26), false, nil},
	{"C2 base time flipped", headerBit(34), false, nil},
	{"C2 highest time flipped", headerBit(42), false, nil},
	{"C2 producer id flipped", headerBit(50), false, nil},
	{"C2 producer epoch flipped", headerBit(52), false, nil},
	{"C2 sequence flipped", headerBit(56), false, nil},
	{"C2 record count flipped", headerBit(60), false, nil},
	{"C2 record flipped", headerBit(64), false, nil},
	{"C2 first batch", func(s *sick) [][2]uint64 { s.flip(1, 0, 70); return lostBatches(s, 1, 0, 0) }, false, nil},
	{"C2 last batch of a sealed segment", func(s *sick) [][2]uint64 {
		n := len(s.all[1]) - 1
		s.flip(1, n, 70)
		return lostBatches(s, 1, n, n)
	}, false, nil},
	{"C2 two places in one segment", func(s *sick) [][2]uint64 {
		s.flip(1, 3, 70)
		s.flip(1, 9, 17)
		return append(lostBatches(s, 1, 3, 3), lostBatches(s, 1, 9, 9)...)
	}, false, nil},
	{"C2 last segment", func(s *sick) [][2]uint64 { s.flip(s.last(), 2, 70); return lostBatches(s, s.last(), 2, 2) }, false, nil},
	{"C2 a sector zeroed", zeroed(512), false, nil},
	{"C2 a page zeroed", zeroed(4096), false, nil},
	{"C2 the whole file zeroed", func(s *sick) [][2]uint64 {
		s.edit(s.segs[1], func(b []byte) []byte { clear(b); return b })
		return lostBatches(s, 1, 0, len(s.all[1])-1)
	}, false, nil},
	{"C4 a batch written over the next", func(s *sick) [][2]uint64 {
		n := pairIn(s, 1, func(a, b place) bool { return a.end-a.pos <= b.end-b.pos })
		s.edit(s.segs[1], func(b []byte) []byte { copy(b[s.all[1][n+1].pos:], b[s.all[1][n].pos:s.all[1][n].end]); return b })
		return lostBatches(s, 1, n+1, n+1)
	}, false, nil},
	{"C4 two batches swapped", func(s *sick) [][2]uint64 {
		a, b := s.all[1][4], s.all[1][5]
		s.edit(s.segs[1], func(all []byte) []byte {
			return slices.Concat(all[:a.pos], all[b.pos:b.end], all[a.pos:a.end], all[b.end:])
		})
		return lostBatches(s, 1, 4, 5)
	}, false, nil},
	{"C6 file cut inside a batch", func(s *sick) [][2]uint64 {
		s.edit(s.segs[1], func(b []byte) []byte { return b[:s.all[1][5].pos+20] })
		return lostBatches(s, 1, 5, len(s.all[1])-1)
	}, false, nil},
	{"C6 file cut between batches", func(s *sick) [][2]uint64 {
		s.edit(s.segs[1], func(b []byte) []byte { return b[:s.all[1][5].pos] })
		return lostBatches(s, 1, 5, len(s.all[1])-1)
	}, false, nil},
	{"C6 first segment missing", missing(0), false, nil},
	{"C6 middle segment missing", missing(1), false, nil},
	{"C6 two segments missing", func(s *sick) [][2]uint64 { return append(missing(1)(s), missing(2)(s)...) }, false, nil},
	{"C6 last segment missing", func(s *sick) [][2]uint64 { return missing(s.last())(s) }, false, nil},
	{"C6 last segment cut", func(s *sick) [][2]uint64 {
		n := s.last()
		s.edit(s.segs[n], func(b []byte) []byte { return b[:s.all[n][3].pos] })
		return lostBatches(s, n, 3, len(s.all[n])-1)
	}, false, nil},
	{"C3C6 only the first batch left, its base offset flipped", func(s *sick) [][2]uint64 {
		s.at(1, 0, 7, func(b byte) byte { return b ^ 0x20 })
		s.edit(s.segs[1], func(b []byte) []byte { return b[:s.all[1][0].end] })
		return lostBatches(s, 1, 0, len(s.all[1])-1)
	}, false, nil},
	{"C8 first segment empty", emptied(0), false, nil},
	{"C8 middle segment empty", emptied(1), false, nil},
	{"C8 last segment empty", func(s *sick) [][2]uint64 { return emptied(s.last())(s) }, false, nil},
	{"C7 a segment twice under two names", func(s *sick) [][2]uint64 {
		save(s.t, s.fs, fmt.Sprintf("%s%020d.log", logDir, s.all[1][4].first), load(s.t, s.fs, s.segs[1]))
		return nil
	}, false, nil},
	{"C7 overlap with equal batches", func(s *sick) [][2]uint64 {
		next := load(s.t, s.fs, s.segs[2])
		s.edit(s.segs[1], func(b []byte) []byte { return append(b, next[:s.all[2][3].end]...) })
		return nil
	}, false, nil},
	{"C7 overlap with other batches", func(s *sick) [][2]uint64 {
		p := build(s.t, rec{7, "other"})
		batch.SetBase(p, s.all[2][0].first, 0)
		s.edit(s.segs[1], func(b []byte) []byte { return append(b, p...) })
		return nil
	}, false, nil},
	{"C7 bytes behind a sealed segment", func(s *sick) [][2]uint64 {
		s.edit(s.segs[1], func(b []byte) []byte { return append(b, "something"...) })
		return nil
	}, false, nil},
	{"C7 zeros behind a sealed segment", func(s *sick) [][2]uint64 {
		s.edit(s.segs[1], func(b []byte) []byte { return append(b, make([]byte, 4096)...) })
		return nil
	}, false, nil},
	{"C7 a wrong name", func(s *sick) [][2]uint64 {
		must(s.t, s.fs.Rename("test", s.segs[1], fmt.Sprintf("%s%020d.log", logDir, s.all[1][0].first+1)))
		return nil
	}, false, nil},
	{"C7 leftovers and strangers", func(s *sick) [][2]uint64 {
		for _, name := range []string{"00000000000000000000.idx.tmp", "00000000000000000042.cut", "notes.txt", "7.log"} {
			save(s.t, s.fs, logDir+name, []byte("x"))
		}
		must(s.t, s.fs.MkdirAll("test", logDir+"00000000000000000009.log"))
		must(s.t, s.fs.MkdirAll("test", "topics/~dropped-1"))
		save(s.t, s.fs, "topics/file", nil)
		save(s.t, s.fs, "topics/t/file", nil)
		save(s.t, s.fs, "file", nil)
		return nil
	}, true, nil},
	{"C5 index missing", func(s *sick) [][2]uint64 { must(s.t, s.fs.Remove("test", idxOf(s.segs[1]))); return nil }, false, nil},
	{"C5 index without its segment", func(s *sick) [][2]uint64 {
		save(s.t, s.fs, logDir+"00000000000000000003.idx", load(s.t, s.fs, idxOf(s.segs[1])))
		return nil
	}, false, nil},
	{"C5 index of another segment", func(s *sick) [][2]uint64 {
		save(s.t, s.fs, idxOf(s.segs[1]), load(s.t, s.fs, idxOf(s.segs[2])))
		return nil
	}, false, nil},
	{"C5 index cut", func(s *sick) [][2]uint64 {
		s.edit(idxOf(s.segs[1]), func(b []byte) []byte { return b[:len(b)-7] })
		return nil
	}, false, nil},
	{"C5 index lies about an offset", lyingIndex(24 + 16 + 3), false, nil},
	{"C5 index lies about a position", lyingIndex(24 + 16 + 7), false, nil},
	{"C5 index lies about times", lyingIndex(24 + 16 + 15), false, nil},
	{"C9 one copy of node.json", func(s *sick) [][2]uint64 { s.edit("node.json", spoilt); return nil }, false, nil},
	{"C9 both copies of node.json", func(s *sick) [][2]uint64 {
		s.edit("node.json", spoilt)
		s.edit("node.json.2", spoilt)
		return nil
	}, true, nil},
	{"C9 one copy of topic.json missing", func(s *sick) [][2]uint64 { must(s.t, s.fs.Remove("test", "topics/t/topic.json.2")); return nil }, false, nil},
	{"C9 both copies of topic.json", func(s *sick) [][2]uint64 {
		s.edit("topics/t/topic.json", spoilt)
		s.edit("topics/t/topic.json.2", spoilt)
		return nil
	}, true, nil},
}

// stateRows are damage of the small files, and what a kill leaves.
var stateRows = []damageRow{
	{"A1 a kill, and nothing else", func(s *sick) [][2]uint64 { return nil }, false, newKilled},
	{"C1 the last batch torn", func(s *sick) [][2]uint64 {
		n := len(s.all[s.last()]) - 1
		s.flip(s.last(), n, 70)
		return lostBatches(s, s.last(), n, n)
	}, false, newKilled},
	{"C1 a hole above the mark", func(s *sick) [][2]uint64 {
		n := len(s.all[s.last()]) - 1
		s.flip(s.last(), n-4, 70)
		return lostBatches(s, s.last(), n-4, n)
	}, true, newKilled},
	{"C2 damage below the mark, after a kill", func(s *sick) [][2]uint64 { s.flip(s.last(), 2, 70); return lostBatches(s, s.last(), 2, 2) }, false, newKilled},
	{"C1C2 damage below the mark, and a hole above it", func(s *sick) [][2]uint64 {
		n := len(s.all[s.last()]) - 1
		s.flip(s.last(), 2, 70)
		s.flip(s.last(), n-4, 70)
		return append(lostBatches(s, s.last(), 2, 2), lostBatches(s, s.last(), n-4, n)...)
	}, false, newKilled},
	{"F1 a roll cut short", func(s *sick) [][2]uint64 { return nil }, false, newRolling},
	{"F1 a roll cut short, damage before it", func(s *sick) [][2]uint64 { s.flip(s.last()-1, 3, 70); return lostBatches(s, s.last()-1, 3, 3) }, false, newRolling},
	{"F1 a roll cut short, damage behind it", func(s *sick) [][2]uint64 { s.flip(s.last(), 3, 70); return lostBatches(s, s.last(), 3, 3) }, false, newRolling},
	{"F1 a roll cut short, its first batch damaged", func(s *sick) [][2]uint64 { s.flip(s.last(), 0, 70); return lostBatches(s, s.last(), 0, 0) }, false, newRolling},
	{"C6 the new segment of a roll missing", func(s *sick) [][2]uint64 {
		must(s.t, s.fs.Remove("test", spare))
		return lostBatches(s, s.last(), 0, len(s.all[s.last()])-1)
	}, false, newRolling},
	{"F1 a spare that continues nothing", func(s *sick) [][2]uint64 {
		save(s.t, s.fs, spare, load(s.t, s.fs, s.segs[1]))
		return nil
	}, true, nil},
	{"F1 a spare that was not used", func(s *sick) [][2]uint64 { save(s.t, s.fs, spare, make([]byte, 4096)); return nil }, false, nil},
	{"C9 one slot of marks", func(s *sick) [][2]uint64 {
		s.edit(logDir+"marks", func(b []byte) []byte { b[30] ^= 1; return b })
		return nil
	}, false, nil},
	{"C9 both slots of marks", func(s *sick) [][2]uint64 {
		s.edit(logDir+"marks", func(b []byte) []byte { b[30] ^= 1; b[4096+30] ^= 1; return b })
		return nil
	}, false, nil},
	{"C9 marks cut", func(s *sick) [][2]uint64 { s.edit(logDir+"marks", func(b []byte) []byte { return b[:50] }); return nil }, false, nil},
	{"C9 marks missing", func(s *sick) [][2]uint64 { must(s.t, s.fs.Remove("test", logDir+"marks")); return nil }, false, nil},
	{"C9 one copy of epochs", func(s *sick) [][2]uint64 { s.edit(logDir+"epochs.2", spoilt); return nil }, false, nil},
	{"C9 both copies of epochs", func(s *sick) [][2]uint64 {
		s.edit(logDir+"epochs", spoilt)
		s.edit(logDir+"epochs.2", spoilt)
		return nil
	}, false, nil},
	{"C9 the declared gaps lost", func(s *sick) [][2]uint64 {
		lost := headerBit(70)(s)
		repair(s.t, s.fs, disk.RepairOptions{})
		s.edit(logDir+"gaps", spoilt)
		s.edit(logDir+"gaps.2", spoilt)
		return lost
	}, false, nil},
}

func spoilt(b []byte) []byte { b[len(b)/2] ^= 1; return b }

func lostBatches(s *sick, seg, from, to int) [][2]uint64 {
	return [][2]uint64{{s.all[seg][from].first, s.all[seg][to].next}}
}

func pairIn(s *sick, seg int, fits func(a, b place) bool) int {
	for n := 3; n+1 < len(s.all[seg]); n++ {
		if fits(s.all[seg][n], s.all[seg][n+1]) {
			return n
		}
	}
	panic("BUG: no such pair")
}

// headerBit flips the lowest bit of a byte of one batch in a sealed segment.
func headerBit(at int) func(s *sick) [][2]uint64 {
	return func(s *sick) [][2]uint64 { s.flip(1, 4, at); return lostBatches(s, 1, 4, 4) }
}

// zeroed zeros the n aligned bytes in the middle of a sealed segment.
func zeroed(n int) func(s *sick) [][2]uint64 {
	return func(s *sick) [][2]uint64 {
		from := 8192
		s.edit(s.segs[1], func(b []byte) []byte { clear(b[from : from+n]); return b })
		first := slices.IndexFunc(s.all[1], func(p place) bool { return p.end > from })
		last := slices.IndexFunc(s.all[1], func(p place) bool { return p.end >= from+n })
		return lostBatches(s, 1, first, last)
	}
}

func missing(seg int) func(s *sick) [][2]uint64 {
	return func(s *sick) [][2]uint64 {
		must(s.t, s.fs.Remove("test", s.segs[seg]))
		if seg < s.last() {
			must(s.t, s.fs.Remove("test", idxOf(s.segs[seg])))
		}
		return lostBatches(s, seg, 0, len(s.all[seg])-1)
	}
}

func emptied(seg int) func(s *sick) [][2]uint64 {
	return func(s *sick) [][2]uint64 {
		save(s.t, s.fs, s.segs[seg], nil)
		return lostBatches(s, seg, 0, len(s.all[seg])-1)
	}
}

// lyingIndex changes a byte of an index and makes its checksum right.
func lyingIndex(at int) func(s *sick) [][2]uint64 {
	return func(s *sick) [][2]uint64 {
		s.edit(idxOf(s.segs[1]), func(b []byte) []byte { b[at] ^= 1; return reseal(b) })
		return nil
	}
}

// TestC1C2C3C4C5C6C7C8C9F1VerifyNamesDamage: verify says of each kind of damage which file, which bytes and which offsets it
// is in, and nothing else.
func TestC1C2C3C4C5C6C7C8C9F1VerifyNamesDamage(t *testing.T) {
	var text strings.Builder
	for _, row := range slices.Concat(damageRows, stateRows) {
		s := row.sick(t)
		row.spoil(s)
		lines, sum := verify(t, s.fs, disk.VerifyOptions{})
		fmt.Fprintf(&text, "# %s\n", row.name)
		for _, line := range lines {
			fmt.Fprintln(&text, line)
		}
		fmt.Fprintf(&text, "%d batches, %d damages, %d problems, %d notes\n\n", sum.Batches, sum.Damages, sum.Problems, sum.Notes)
	}
	golden(t, "damage.txt", text.String())
}
