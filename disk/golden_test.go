package disk_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// formatOptions are those with which the golden directories were written.
var formatOptions = disk.LogOptions{SegmentBytes: 4 << 10, IndexInterval: 512}

const (
	formatRecords = 40
	formatEpoch   = 10 // first offset of the second epoch, in format 2
)

// TestH3GoldenFormat1 opens a directory as the first release left it: a sealed segment with its index, a rolled one that
// still awaits sealing, the spare in use behind it, and a torn end; no marks, no epoch table, its batches of epoch 3. It
// must open and read for ever, and becomes one of the newest format.
func TestH3GoldenFormat1(t *testing.T) {
	e, r := openFormat(t, "testdata/format1")
	if !r.Migrated || r.Clean || r.Mark != 0 || e.l.Epoch() != 3 {
		t.Fatalf("%+v, epoch %d", r, e.l.Epoch())
	}
	wantFormat(t, e, 4)
}

// TestH3GoldenFormat2 opens a directory as the second release left it: as the first, and marks, of which the newest is in
// the spare, and an epoch table with two epochs.
func TestH3GoldenFormat2(t *testing.T) {
	const dir = "testdata/format2"
	if *update {
		must(t, os.RemoveAll(dir))
		writeFormat(t, dir)
	}
	e, r := openFormat(t, dir)
	if r.Migrated || r.Clean || r.Mark != formatRecords-1 || e.l.Epoch() != 1 {
		t.Fatalf("%+v, epoch %d", r, e.l.Epoch())
	}
	if have, end := e.l.EpochEnd(0); have != 0 || end != formatEpoch {
		t.Fatalf("epoch %d ends at %d", have, end)
	}
	wantFormat(t, e, 2)
}

// openFormat opens a copy of a golden directory and reads it.
func openFormat(t *testing.T, dir string) (*env, disk.Recovery) {
	t.Helper()
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
	must(t, l.Err())
	want := formatContent()
	if got := readAll(t, l, 0, 1000); !slices.Equal(got, want) {
		t.Fatalf("%d records are there, want %d", len(got), len(want))
	}
	wantTimes(t, l, want)
	if r.Cut == 0 || !exists(t, disk.OS(root), r.CutFile) {
		t.Fatalf("the torn end was not found: %+v", r)
	}
	return &env{fs: disk.OS(root), opt: formatOptions, s: s, l: l}, r
}

// wantFormat goes on with an opened golden directory, closes it, and wants it in the newest format then.
func wantFormat(t *testing.T, e *env, epoch int32) {
	t.Helper()
	first, _ := e.append(t, build(t, rec{5, "new"}))
	if first != formatRecords || e.l.Epoch() != epoch {
		t.Fatalf("appended at %d, want %d; epoch %d, want %d", first, formatRecords, e.l.Epoch(), epoch)
	}
	e.close(t)
	for _, name := range []string{"node.json", "node.json.2"} {
		if !strings.Contains(string(load(t, e.fs, name)), `"format":2,`) {
			t.Errorf("%s: %s", name, load(t, e.fs, name))
		}
	}
	e.s = openStore(t, e.fs)
	e.openLog(t)
	if !e.rec.Clean || e.rec.Migrated || e.rec.Scanned != 0 {
		t.Errorf("the second opening says %+v", e.rec)
	}
	e.close(t)
}

// TestH3NewerIsLeftAlone: a directory of a newer format is refused before any write, all its files byte for byte equal.
func TestH3NewerIsLeftAlone(t *testing.T) {
	for _, copies := range [][]string{{"node.json", "node.json.2"}, {"node.json"}, {"node.json.2"}} {
		root := t.TempDir()
		must(t, os.CopyFS(root, os.DirFS("testdata/format2")))
		for _, name := range copies {
			b := load(t, disk.OS(root), name)
			inner := strings.Replace(strings.TrimPrefix(string(b[:bytes.LastIndex(b, []byte(`,"crc32c"`))]), `{"value":`), `"format":2`, `"format":3`, 1)
			save(t, disk.OS(root), name, fmt.Appendf(nil, `{"value":%s,"crc32c":"%08x"}`, inner, crc32.Checksum([]byte(inner), crc32.MakeTable(crc32.Castagnoli))))
		}
		before := tree(t, root)
		if _, err := disk.OpenStore(disk.OS(root), disk.StoreOptions{}, nop); err == nil || !strings.Contains(err.Error(), "format 3") {
			t.Fatalf("%v: %v", copies, err)
		}
		if after := tree(t, root); !maps.Equal(after, before) {
			t.Fatalf("%v: files were changed", copies)
		}
	}
}

// tree is every file below root.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[name] = string(b)
		return err
	}))
	return all
}

// TestH3CrashInMigration stops the migration of a directory of format 1 at each of its operations; the next start
// finishes it, with the same identity and every record.
func TestH3CrashInMigration(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		for k := 1; ; k++ {
			mem := fstest.NewMem()
			copyTo(t, mem, "testdata/format1")
			ft := &fault{k: k, err: syscall.EIO, sticky: sticky}
			if s, err := disk.OpenStore(fstest.Fail(mem, ft.decide), disk.StoreOptions{}, nop); err == nil {
				must(t, s.Close())
			}
			if !ft.after {
				break
			}
			e := &env{fs: restarted{mem}, opt: formatOptions}
			e.s = openStore(t, e.fs)
			e.openLog(t)
			if got := readAll(t, e.l, 0, 1000); !slices.Equal(got, formatContent()) || e.s.NodeID() != "2243e5aa6503644fa8d1b97c1888b247" {
				t.Fatalf("stopped at %d: %d records, node %s", k, len(got), e.s.NodeID())
			}
			if a, b := load(t, mem, "node.json"), load(t, mem, "node.json.2"); !bytes.Equal(a, b) || !strings.Contains(string(a), `"format":2`) {
				t.Fatalf("stopped at %d: %s %s", k, a, b)
			}
			e.close(t)
		}
	}
}

// copyTo copies a directory of the system into a file system in memory.
func copyTo(t *testing.T, mem *fstest.Mem, dir string) {
	t.Helper()
	for name, text := range tree(t, dir) {
		name, err := filepath.Rel(dir, name)
		must(t, err)
		must(t, mem.MkdirAll("test", filepath.ToSlash(filepath.Dir(name))))
		save(t, mem, filepath.ToSlash(name), []byte(text))
	}
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
	f := restarted{disk.OS(dir)} // two processes, of which the first is killed
	s := openStore(t, f)
	must(t, s.CreateTopic(disk.ByController, "t", map[string]string{"segment.bytes": "4KiB"}))
	e := &env{fs: f, opt: formatOptions, s: s}
	e.openLog(t)
	for i, r := range formatContent() {
		if i == formatEpoch {
			syncAndMark(t, e)
			e.kill(t)
		}
		if i == formatRecords-1 {
			syncAndMark(t, e)
		}
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
}
