package disk_test

import (
	"fmt"
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
