package disk_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sluice/disk"
)

// formatOptions are those with which the golden directory of format 1 was written.
var formatOptions = disk.LogOptions{SegmentBytes: 4 << 10, IndexInterval: 512}

const formatRecords = 40

// TestGoldenFormat1 opens a directory as the first release left it: a sealed segment with its index, a rolled one that
// still awaits sealing, the spare in use behind it, and a torn end. It must open and read for ever.
func TestGoldenFormat1(t *testing.T) {
	const dir = "testdata/format1"
	root := t.TempDir()
	must(t, os.CopyFS(root, os.DirFS(dir)))
	s := openStore(t, disk.OS(root))
	topics, err := s.Topics(disk.ByOpen)
	must(t, err)
	if len(topics) != 1 || topics[0].Name != "t" || topics[0].Settings["segment.bytes"] != "4KiB" {
		t.Fatalf("topics %v", topics)
	}
	l, r, err := s.OpenLog(disk.ByOpen, "t", 0, formatOptions)
	must(t, err)
	want := formatContent()
	if got := readAll(t, l, 0, 1000); !slices.Equal(got, want) {
		t.Fatalf("%d records are there, want %d", len(got), len(want))
	}
	wantTimes(t, l, want)
	if r.Cut == 0 || !exists(t, disk.OS(root), r.CutFile) {
		t.Fatalf("the torn end was not found: %+v", r)
	}
	e := &env{fs: disk.OS(root), opt: formatOptions, s: s, l: l}
	first, _ := e.append(t, build(t, rec{5, "new"}))
	if first != uint64(len(want)) {
		t.Fatalf("appended at %d, want %d", first, len(want))
	}
	e.close(t)
}

func formatContent() []rec {
	var all []rec
	for i := range formatRecords {
		all = append(all, rec{int64(1000 + i), valueAt(i)[:min(300, len(valueAt(i)))]})
	}
	return all
}

// writeFormat makes the directory anew, for a new format.
func writeFormat(t *testing.T, dir string) {
	t.Helper()
	s := openStore(t, disk.OS(dir))
	must(t, s.CreateTopic(disk.ByController, "t", map[string]string{"segment.bytes": "4KiB"}))
	e := &env{fs: disk.OS(dir), opt: formatOptions, s: s}
	e.openLog(t)
	for i, r := range formatContent() {
		p := build(t, r)
		for !fits(e.l, len(p)) && !e.l.Roll() {
			_, err := e.l.Sync()
			must(t, err)
			_, err = e.l.Maintain()
			must(t, err)
		}
		_, _, err := e.l.Append(p)
		must(t, err)
		if i == 22 {
			_, err := e.l.Maintain() // the spare for the roll that stays unfinished
			must(t, err)
		}
	}
	name := filepath.Join(dir, "topics/t/0/next.seg")
	b, err := os.ReadFile(name)
	must(t, err)
	all := places(t, b)
	must(t, os.WriteFile(name, append(b[:all[len(all)-1].end], sized(t, "torn", 100)[:90]...), 0o644))
	must(t, os.Remove(filepath.Join(dir, "LOCK")))
}
