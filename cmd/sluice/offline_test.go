package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/disk"
	"sluice/sluicetest"
)

// damaged is a data directory of 40 records in topic t, of which one bit in the record at 17 is wrong. Each line is a
// batch of its own. live tells of the directory while the server is at work.
func damaged(t *testing.T, live func(dir string)) (dir, segment string) {
	t.Helper()
	dir = t.TempDir()
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true, Dir: dir})
	for i := range 40 {
		fine(t, fmt.Sprintf("line %d\n", i), "append", "t", "--ack", "synced", "--server", srv.Addr)
	}
	if live != nil {
		live(dir)
	}
	srv.Stop()
	segment = filepath.Join(dir, "topics", "t", "0", "00000000000000000000.log")
	b, err := os.ReadFile(segment)
	must(t, err)
	at := strings.Index(string(b), "line 17")
	b[at] ^= 1
	must(t, os.WriteFile(segment, b, 0o644))
	return dir, segment
}

// TestC2DamageIsNamedShownAndRepaired: verify names the damage and ends with status 1, dump goes on behind it, repair
// sets it aside, and then verify ends with 0 and the server serves all other records, takes new ones, and
// tells each reader of the gap.
func TestC2DamageIsNamedShownAndRepaired(t *testing.T) {
	t.Parallel()
	dir, segment := damaged(t, func(dir string) {
		out := fine(t, "", "verify", dir)
		if !strings.HasPrefix(out, "note    LOCK: a server has the directory open") || !strings.Contains(out, "40 records") {
			t.Errorf("beside the server: %s", out)
		}
		if status, _, errs := sluice(t, "", "repair", dir); status != exitFailure || !strings.Contains(errs, "in use by another process") {
			t.Errorf("repair beside the server: %d, %s", status, errs)
		}
		if out := fine(t, "", "dump", dir, "t", "--from", "38"); strings.Count(out, "value=") != 2 {
			t.Errorf("dump beside the server: %s", out)
		}
	})
	status, out, errs := sluice(t, "", "verify", dir)
	if status != exitFailure || !strings.HasPrefix(out, "damage  topics/t/0/00000000000000000000.log@") ||
		!strings.Contains(out, "offsets [17, 18)") || !strings.Contains(errs, "1 damage and 0 problems in "+dir) {
		t.Errorf("verify: %d\n%s%s", status, out, errs)
	}
	out = fine(t, "", "dump", dir, "t/0", "--from", "16", "--limit", "2")
	if lines := strings.Split(out, "\n"); len(lines) != 6 || !strings.Contains(lines[1], `16 `) || !strings.Contains(lines[2], "offsets [17, 18) DAMAGE: ") ||
		!strings.Contains(lines[4], `value="line 18"`) {
		t.Errorf("dump:\n%s", out)
	}
	if out := fine(t, "", "dump", "--file", segment, "--batches"); strings.Count(out, "codec=") != 39 || !strings.Contains(out, "DAMAGE") {
		t.Errorf("dump of a file:\n%s", out)
	}
	plan := fine(t, "", "repair", dir, "--dry-run")
	done := fine(t, "", "repair", dir)
	if !strings.HasPrefix(plan, "topics/t/0/gaps offsets [17, 18): declared a gap: ") ||
		strings.Replace(plan, "to repair", "repaired", 1) != done || !strings.Contains(done, "1 gap of 1 record declared") {
		t.Errorf("repair:\n%sand then\n%s", plan, done)
	}
	out = fine(t, "", "verify", dir)
	if strings.Count(out, "note ") != 2 || !strings.Contains(out, "a declared gap") || !strings.Contains(out, "39 records") {
		t.Errorf("verify after repair:\n%s", out)
	}
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true, Dir: dir})
	fine(t, "new\n", "append", "t", "--server", srv.Addr)
	if status, out, errs := sluice(t, "", "read", "t", "--server", srv.Addr); status != exitFailure || strings.Count(out, "\n") != 17 ||
		!strings.Contains(errs, "CORRUPT: ") || !strings.Contains(errs, "given up in a repair") {
		t.Errorf("a read that comes to the gap: %d\n%s%s", status, out, errs)
	}
	for from, want := range map[string]int{"18": 23, "-1": 1} {
		if got := fine(t, "", "read", "t", "--from", from, "--server", srv.Addr); strings.Count(got, "\n") != want {
			t.Errorf("read from %s:\n%s", from, got)
		}
	}
}

// TestOfflineJSON: each line is an object with the documented names.
func TestOfflineJSON(t *testing.T) {
	t.Parallel()
	dir, _ := damaged(t, nil)
	_, out, _ := sluice(t, "", "verify", dir, "--json")
	var f findingJSON
	lines := strings.Split(strings.TrimSpace(out), "\n")
	must(t, json.Unmarshal([]byte(lines[0]), &f))
	if len(lines) != 2 || f.Severity != "damage" || *f.From != 17 || *f.Next != 18 || *f.Partition != 0 || f.Topic != "t" || f.Do == "" {
		t.Errorf("verify: %s", out)
	}
	var sum struct{ Summary verifySummaryJSON }
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &sum))
	if s := sum.Summary; s.Logs != 1 || s.Records != 39 || s.Damages != 1 {
		t.Errorf("verify: %s", out)
	}
	kinds := map[string]int{}
	for line := range strings.Lines(fine(t, "", "dump", dir, "t", "--json")) {
		var d struct {
			Kind  string
			Value *string
		}
		must(t, json.Unmarshal([]byte(line), &d))
		if d.Value != nil {
			d.Kind = "record"
		}
		kinds[d.Kind]++
	}
	if fmt.Sprint(kinds) != "map[batch:39 damage:1 record:39]" {
		t.Errorf("dump: %v", kinds)
	}
	lines = strings.Split(strings.TrimSpace(fine(t, "", "repair", dir, "--json")), "\n")
	var step repairedJSON
	must(t, json.Unmarshal([]byte(lines[0]), &step))
	if step.File != "topics/t/0/gaps" || *step.From != 17 || !strings.HasPrefix(lines[len(lines)-1], `{"summary":{"dry_run":false,"logs":1,"changed":1,`) {
		t.Errorf("repair: %v", lines)
	}
}

// TestOfflineUsage: a wrong command line ends with status 2, a directory that is not there with 1.
func TestOfflineUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, c := range []struct {
		line   string
		status int
		text   string
	}{
		{"verify", exitUsage, "accepts 1 arg"},
		{"verify " + file, exitUsage, "is no directory"},
		{"verify " + file + "-not", exitFailure, "no such file"},
		{"verify " + filepath.Dir(file), exitFailure, "this is no data directory"},
		{"dump " + filepath.Dir(file), exitUsage, "a data directory and a topic, or --file"},
		{"dump --file x y", exitUsage, "leave \"y\" out"},
		{"dump " + filepath.Dir(file) + " t/x", exitUsage, "names no partition"},
		{"dump " + filepath.Dir(file) + " t", exitFailure, "this is no data directory"},
		{"repair " + filepath.Dir(file), exitFailure, "this is no data directory"},
	} {
		status, _, errs := sluice(t, "", strings.Fields(c.line)...)
		if status != c.status || !strings.Contains(errs, c.text) {
			t.Errorf("sluice %s: %d, %s", c.line, status, errs)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("a directory of somebody else was changed: %v, %v", left, err)
	}
}

func TestProgressBar(t *testing.T) {
	var p disk.Progress
	p.Total.Store(300 << 20)
	p.Done.Store(100 << 20)
	want := "verify [##########....................]  33%  100.0 MiB of 300.0 MiB, 50.0 MiB/s"
	if got := progressBar("verify", &p, 2*time.Second); got != want {
		t.Errorf("%q", got)
	}
}
