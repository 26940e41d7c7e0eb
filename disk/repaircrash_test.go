package disk_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestA4RepairIsCarriedOn: a repair that is cut off at any operation, by a kill or by a power cut that keeps any part of
// what was not synced, and done again, leads to the segments and gaps of one that was not; with a start of the server in
// between, it loses no record more.
func TestA4RepairIsCarriedOn(t *testing.T) {
	n := seed()
	rng := rand.New(rand.NewPCG(n, 0))
	rows := slices.Concat(damageRows, stateRows)
	if testing.Short() {
		rows = rows[:12]
	}
	for i := range rows {
		row := &rows[i]
		if row.stays || i > 0 && strings.HasSuffix(row.name, "flipped") { // repaired by the same operations as the first
			continue
		}
		s := row.sick(t)
		lost := row.spoil(s)
		s.fs = s.fs.Crash(rng, 1) // the damage is on the device
		whole := &sick{t: t, fs: s.fs.Kill(), want: s.want}
		repair(t, whole.fs, disk.RepairOptions{})
		want := whole.remains()
		for k, done := 0, false; !done; k++ {
			keep := []float64{0, rng.Float64(), 1}[rng.IntN(3)]
			name := fmt.Sprintf("%s, stopped at %d, keeping %.2f (SLUICE_SEED=%d)", row.name, k, keep, n)
			cut := s.fs.Kill()
			dying := fstest.Stop(cut, k, fstest.Last(rng.IntN(3)))
			_, err := disk.Repair(dying, disk.RepairOptions{}, func(disk.Repaired) {})
			if done = !dying.Stopped(); done {
				must(t, err)
				break
			}
			if err == nil {
				t.Fatalf("%s: no error", name)
			}
			after := &sick{t: t, fs: cut.Crash(rng, keep), want: s.want}
			started := rng.IntN(3) == 0
			if started { // a server that is started in between
				after.start()
			}
			repair(t, after.fs, disk.RepairOptions{})
			if got := after.remains(); got != want && !started {
				t.Fatalf("%s:\n%s\nwant\n%s", name, got, want)
			}
			after.wantWell(name, lost, false)
			if t.Failed() {
				return
			}
		}
	}
}

// TestR3RepairMarksWhatIsSynced: the file that the new mark is in is synced before the mark is written.
func TestR3RepairMarksWhatIsSynced(t *testing.T) {
	s := newSick(t)
	s.edit(logDir+"marks", func(b []byte) []byte { return b[:50] })
	var tr tracer
	repair(t, fstest.Trace(s.fs, tr.line), disk.RepairOptions{})
	lines := tr.take()
	synced := slices.Index(lines, "tool sync "+s.segs[s.last()])
	marked := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "tool write "+logDir+"marks ") })
	if synced < 0 || marked < synced {
		t.Errorf("synced in line %d, marked in line %d:\n%s", synced, marked, strings.Join(lines, "\n"))
	}
}

// start opens and closes the log as a server does.
func (s *sick) start() {
	s.t.Helper()
	e := &env{fs: s.fs, opt: small, s: openStore(s.t, s.fs)}
	e.openLog(s.t)
	must(s.t, e.l.Close())
	must(s.t, e.s.Close())
}

// remains are the segments, with their content, and the gaps.
func (s *sick) remains() string {
	s.t.Helper()
	var text strings.Builder
	for _, name := range listNames(s.t, s.fs, "topics/t/0", ".log") {
		b := load(s.t, s.fs, name)
		for _, p := range places(s.t, b) {
			fmt.Fprintf(&text, "%s %d [%d,%d)\n", name, p.pos, p.first, p.next)
		}
		fmt.Fprintf(&text, "%s has %d bytes\n", name, len(b))
	}
	if exists(s.t, s.fs, logDir+"gaps") {
		text.Write(load(s.t, s.fs, logDir+"gaps"))
	}
	return text.String()
}
