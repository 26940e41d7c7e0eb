package disk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
)

// repair returns what Repair does, a line each.
func repair(t testing.TB, f disk.FS, o disk.RepairOptions) []string {
	t.Helper()
	var lines []string
	_, err := disk.Repair(f, o, func(r disk.Repaired) { lines = append(lines, repairedLine(r)) })
	must(t, err)
	return lines
}

func repairedLine(r disk.Repaired) string {
	s := r.File
	if r.Next > r.From {
		s += fmt.Sprintf(" [%d,%d)", r.From, r.Next)
	}
	return s + ": " + r.What
}

// TestC1C2C3C4C5C6C7C8C9F1RepairServesTheRest: after repair of each kind of damage, verify finds only what was kept and
// declared, the log takes appends, and every record that was not damaged is read as it was.
func TestC1C2C3C4C5C6C7C8C9F1RepairServesTheRest(t *testing.T) {
	var text strings.Builder
	for _, row := range slices.Concat(damageRows, stateRows) {
		s := row.sick(t)
		lost := row.spoil(s)
		if strings.Contains(row.name, "both copies of node.json") {
			if _, err := disk.Repair(s.fs, disk.RepairOptions{}, func(disk.Repaired) {}); err == nil || !strings.Contains(err.Error(), "identity") {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		before := strings.Join(files(t, s.fs, "topics/t/0"), "\n")
		planned := repair(t, s.fs, disk.RepairOptions{DryRun: true})
		if after := strings.Join(files(t, s.fs, "topics/t/0"), "\n"); before != after {
			t.Errorf("%s: a dry run changed the files:\n%s\nto\n%s", row.name, before, after)
		}
		done := repair(t, s.fs, disk.RepairOptions{})
		if !slices.Equal(planned, done) {
			t.Errorf("%s: a dry run says\n%s\nand then was done\n%s", row.name, strings.Join(planned, "\n"), strings.Join(done, "\n"))
		}
		fmt.Fprintf(&text, "# %s\n%s\n\n", row.name, strings.Join(done, "\n"))
		s.wantWell(row.name, lost, row.stays)
	}
	golden(t, "repair.txt", text.String())
}

// wantWell wants of a repaired directory all that a server needs.
func (s *sick) wantWell(name string, lost [][2]uint64, stays bool) {
	t := s.t
	t.Helper()
	lines, sum := verify(t, s.fs, disk.VerifyOptions{})
	if sum.Damages+sum.Problems > 0 && !stays {
		t.Errorf("%s: verify after repair:\n%s", name, strings.Join(lines, "\n"))
	}
	if again := repair(t, s.fs, disk.RepairOptions{}); len(again) > 0 {
		t.Errorf("%s: a second repair finds work:\n%s", name, strings.Join(again, "\n"))
	}
	if strings.Contains(name, "both copies of topic.json") {
		return // nothing opens the topic any more
	}
	e := &env{fs: s.fs, opt: small, s: openStore(t, s.fs)}
	e.openLog(t)
	if err := e.l.Err(); err != nil {
		t.Errorf("%s: the log takes no appends: %v", name, err)
		return
	}
	s.wantRecords(name, e, lost)
	first, next := e.append(t, build(t, rec{5, "new"}))
	if got := readAll(t, e.l, first, 1000); len(got) != 1 || got[0].value != "new" || first < s.end(lost) || next != first+1 {
		t.Errorf("%s: appended at %d: %v", name, first, got)
	}
	e.close(t)
}

// end is the offset behind the last record that is not lost.
func (s *sick) end(lost [][2]uint64) uint64 {
	end := uint64(len(s.want))
	for slices.ContainsFunc(lost, func(r [2]uint64) bool { return r[0] < end && end <= r[1] }) {
		end--
	}
	return end
}

func (s *sick) wantRecords(name string, e *env, lost [][2]uint64) {
	s.t.Helper()
	got, _ := readAround(s.t, e.l, 2000)
	for i, x := range s.want {
		off := uint64(i)
		gone := slices.ContainsFunc(lost, func(r [2]uint64) bool { return off >= r[0] && off < r[1] })
		if y, ok := got[off]; gone == ok || ok && x != y {
			s.t.Errorf("%s: offset %d: there %v, lost %v", name, off, ok, lost)
			return
		}
	}
}
