package disk_test

import (
	"slices"
	"strings"
	"testing"

	"sluice/disk/fstest"
)

const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00"

// TestF1LeftoverSpare opens every state that a crash in a roll can leave (F1), and some that only damage can.
func TestF1LeftoverSpare(t *testing.T) {
	e, b, at, want := tail(t)
	mid := at[2]
	old, more := b[:mid.pos], b[mid.pos:]
	const first, second = "00000000000000000000.log", "00000000000000000003.log"
	for _, c := range []struct {
		name       string
		files      image
		end        uint64 // records that are there
		files2     image  // what must be there afterwards
		lost, next uint64
	}{
		{name: "spare empty", files: image{first: b, "next.seg": ""}, end: 12, files2: image{first: b}},
		{name: "spare allocated", files: image{first: b + zeros, "next.seg": zeros}, end: 12, files2: image{first: b}},
		{name: "spare only", files: image{"next.seg": zeros}, end: 0, files2: image{first: ""}},
		{name: "switched, old one not cut", files: image{first: old + zeros, "next.seg": more + zeros},
			end: 12, files2: image{first: old, second: more}},
		{name: "old one cut", files: image{first: old, "next.seg": more + zeros}, end: 12, files2: image{first: old, second: more}},
		{name: "renamed", files: image{first: old, second: more + zeros}, end: 12, files2: image{first: old, second: more}},
		{name: "renamed, another spare", files: image{first: old, second: more, "next.seg": zeros}, end: 12, files2: image{first: old, second: more}},
		{name: "torn in the spare's first batch", files: image{first: old, "next.seg": b[mid.pos:mid.end-9] + zeros},
			end: 3, files2: image{first: old, "00000000000000000003.cut": b[mid.pos:mid.end-9] + zeros}},
		{name: "torn in the spare's second batch", files: image{first: old, "next.seg": b[mid.pos : mid.end+99]},
			end: 7, files2: image{first: old, second: b[mid.pos:mid.end], "00000000000000000003-767.cut": b[mid.end : mid.end+99]}},
		{name: "old one torn, spare filled", files: image{first: old[:mid.pos-9], "next.seg": more},
			end: 1, files2: image{first: b[:at[0].end], "00000000000000000000-69.cut": old[at[0].end : mid.pos-9], "00000000000000000003.cut": more},
			lost: 1, next: 12},
		{name: "old one lost, spare filled", files: image{first: "", "next.seg": more},
			end: 0, files2: image{first: "", "00000000000000000003.cut": more}, lost: 0, next: 12},
		{name: "a hole before the spare", files: image{first: old, "next.seg": b[at[3].pos:]},
			end: 3, files2: image{first: old, "00000000000000000007.cut": b[at[3].pos:]}, lost: 3, next: 12},
		{name: "the spare repeats", files: image{first: b, "next.seg": more},
			end: 12, files2: image{first: b, "00000000000000000003.cut": more}},
		{name: "an empty file in the spare's way", files: image{first: old, second: "", "next.seg": more},
			end: 12, files2: image{first: old, second: more}},
		{name: "spare only, filled", files: image{"next.seg": b}, end: 12, files2: image{first: b}},
		{name: "set aside twice", files: image{first: old, "next.seg": b[at[3].pos:], "00000000000000000007.cut": "x"},
			end: 3, files2: image{first: old, "00000000000000000007.cut": "x", "00000000000000000007-1.cut": b[at[3].pos:]}, lost: 3, next: 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, got, after := opened(t, e, c.files)
			if !slices.Equal(got, want[:c.end]) {
				t.Fatalf("%d records are there, want %d", len(got), c.end)
			}
			dropIndexes(after)
			if len(c.files2) == 1 && c.end == 0 {
				after[first] = strings.TrimRight(after[first], "\x00") // a new segment's allocation
			}
			wantImage(t, after, c.files2)
			if r.LostFrom != c.lost || r.LostNext != c.next {
				t.Fatalf("loss [%d, %d), want [%d, %d)", r.LostFrom, r.LostNext, c.lost, c.next)
			}
		})
	}
}

// TestF1AckInSpareHolds: after a roll a Sync's promise holds although the segment still bears the spare's name. The old
// process is gone; what it had synced is there.
func TestF1AckInSpareHolds(t *testing.T) {
	mem := fstest.NewMem()
	e := rolled(t, mem)
	durable, err := e.l.Sync()
	must(t, err)
	if left := mem.Unsynced(); len(left) != 0 {
		t.Fatalf("a power cut could take %v", left)
	}
	im := takeImage(t, mem)
	fresh := newEnv(t, fstest.NewMem(), e.opt)
	must(t, fresh.l.Close())
	_, got, _ := opened(t, fresh, im)
	if uint64(len(got)) != durable {
		t.Fatalf("%d records are there, %d were durable", len(got), durable)
	}
}
