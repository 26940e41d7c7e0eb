package disk_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// verify returns what Verify finds, a line each, and the summary.
func verify(t testing.TB, f disk.FS, o disk.VerifyOptions) ([]string, disk.Summary) {
	t.Helper()
	var lines []string
	sum, err := disk.Verify(f, o, func(f disk.Finding) { lines = append(lines, findingLine(f)) })
	must(t, err)
	return lines, sum
}

func findingLine(f disk.Finding) string {
	s := fmt.Sprintf("%s %s", f.Severity, f.File)
	if f.Pos >= 0 {
		s += fmt.Sprintf("@%d", f.Pos)
	}
	if f.Next > f.From {
		s += fmt.Sprintf(" [%d,%d)", f.From, f.Next)
	}
	s += ": " + f.What
	if f.Do != "" {
		s += " -> " + f.Do
	}
	return s
}

// TestVerifyOfAGoodDirectory: a directory in each of its usual states has nothing wrong in it.
func TestVerifyOfAGoodDirectory(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	for _, step := range []struct {
		name string
		do   func()
		live bool
	}{
		{"empty", func() {}, true},
		{"one segment", func() { fill(t, e, 20, 0) }, true},
		{"rolled", func() { fill(t, e, 300, 0) }, true},
		{"synced", func() { _, err := e.l.Sync(); must(t, err) }, true},
		{"sealed", func() { e.maintain(t) }, true},
		{"closed", func() { e.close(t) }, false},
	} {
		step.do()
		lines, sum := verify(t, e.fs, disk.VerifyOptions{Live: step.live})
		if step.live && len(lines) > 0 && strings.HasPrefix(lines[0], "note LOCK: a server has") {
			lines = lines[1:]
		}
		if len(lines) > 0 || sum.Records != e.l.Next() || sum.Logs != 1 {
			t.Errorf("%s: %+v\n%s", step.name, sum, strings.Join(lines, "\n"))
		}
	}
}

// TestC6VerifyMissesPartitions: a partition that has no directory is damage where another one has records, and else what
// an interrupted creation leaves; --topic looks at nothing else.
func TestC6VerifyMissesPartitions(t *testing.T) {
	f := fstest.NewMem()
	s := openStore(t, f)
	for _, topic := range []string{"a", "b"} {
		must(t, s.CreateTopic(disk.ByController, topic, map[string]string{"partitions": "2"}))
		l, _, err := s.OpenLog(disk.ByOpen, topic, 0, small)
		must(t, err)
		if topic == "a" {
			_, _, err = l.Append(build(t, rec{1, "x"}))
			must(t, err)
		}
		must(t, l.Close())
	}
	must(t, s.Close())
	want := map[string][]string{
		"a": {"damage topics/a/1: the directory of the partition is missing, with all of its records -> restore it from a copy; the next start of the server makes an empty log there"},
		"b": {"note topics/b/1: the partition has no directory: the topic's creation was interrupted -> the next start makes an empty log there"},
	}
	want[""] = append(want["a"][:1:1], want["b"]...)
	for topic, lines := range want {
		if got, _ := verify(t, f, disk.VerifyOptions{Topic: topic}); !slices.Equal(got, lines) {
			t.Errorf("topic %q:\n%s", topic, strings.Join(got, "\n"))
		}
	}
	if _, err := disk.Verify(f, disk.VerifyOptions{Topic: "c"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// TestH3VerifyAndRepairKnowTheirFormat: a newer format is not judged, and nothing of it is changed.
func TestH3VerifyAndRepairKnowTheirFormat(t *testing.T) {
	s := newSick(t)
	for _, name := range []string{"node.json", "node.json.2"} {
		value := `{"format":99,"node":"x","created":"2026-01-01T00:00:00Z"}`
		save(t, s.fs, name, fmt.Appendf(nil, `{"value":%s,"crc32c":"%08x"}`, value, crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli))))
	}
	s.flip(1, 4, 70)
	before := files(t, s.fs, "topics/t/0")
	_, err := disk.Verify(s.fs, disk.VerifyOptions{}, nil)
	for range 2 {
		if err == nil || !strings.Contains(err.Error(), "format 99") {
			t.Errorf("error %v", err)
		}
		_, err = disk.Repair(s.fs, disk.RepairOptions{}, nil)
	}
	if after := files(t, s.fs, "topics/t/0"); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
