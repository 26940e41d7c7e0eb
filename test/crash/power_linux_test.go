package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
	"sluice/test/process"
)

// The power of a real file system is cut under load, again and again: what was acknowledged as synced is there after its
// journal was replayed, what was only written may be gone, and no offset is used twice within an epoch.
func TestA2A3PowerCuts(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	cuts, seed := number(t, "SLUICE_CUTS", 12), firstSeed(t)
	if testing.Short() {
		cuts = 2
	}
	t.Logf("seed %d", seed)
	v := newVolume(t, t.TempDir(), 256)
	r := newRound(t, seed)
	r.vary()
	r.data = filepath.Join(v.dir, "data")
	s := r.start()
	r.create(s.Text)
	for range cuts {
		l, err := witness.StartLoad(s.Text, r.rec, r.logs, 3, 1, r.rng.Uint64())
		must(t, err)
		r.cutUnder(v, s, l)
		r.sum.acked += int(l.Acked.Load())
		v.restore()
		s = r.start()
		r.scan(s)
	}
	r.stop(s)
	r.tidy()
	check(t, r.rec.Events())
	t.Logf("%d power cuts, %d records acknowledged, %d read back", cuts, r.sum.acked, r.sum.records)
}

// cutUnder cuts the power under load, then ends the process, which has lost its files.
func (r *round) cutUnder(v *volume, s *process.Server, l *witness.Load) {
	r.t.Helper()
	select {
	case <-l.On:
	case <-s.Ended():
		r.t.Fatalf("the server has ended by itself: %s", s.Log())
	case <-time.After(witness.Limit):
		r.t.Fatalf("nothing was acknowledged within %v: %v\n%s", witness.Limit, l.End(), s.Log())
	}
	select {
	case <-time.After(time.Duration(r.rng.IntN(300_000)) * time.Microsecond):
	case <-s.Ended():
	}
	freeze(r.t, s.Cmd.Process.Pid) // an fdatasync that a shutdown interrupts may return 0, and power cuts leave nobody to hear it
	v.cutPower()
	r.cut = true
	s.Kill()
	must(r.t, l.Join())
	r.rec.End(oracle.Power)
}

// freeze stops a process, and returns when none of its threads can do anything more in user space.
func freeze(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	until(t, "a process that stands still", func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		must(t, err)
		for _, name := range stats {
			b, err := os.ReadFile(name)
			if _, state, ok := strings.Cut(string(b), ") "); err == nil && (!ok || state[0] != 'T' && state[0] != 'D') {
				return false
			}
		}
		return true
	})
}
