package disk_test

import (
	"fmt"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestI3LeaderEpochIsTheNextAppends: before a run appends anything, it tells the epoch that its first append will have, so
// that readers of what a power cut took hear of it at once; and it tells the same one as often as it is asked and killed.
func TestI3LeaderEpochIsTheNextAppends(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{})
	e.fs = restarted{e.fs}
	for i, c := range []struct {
		closed  bool // the run before
		appends bool
		epoch   int32
	}{{true, true, 0}, {false, false, 1}, {false, false, 1}, {true, false, 1}, {true, true, 1}, {true, true, 1}, {false, true, 2}, {true, false, 2}, {false, true, 2}} {
		if i > 0 && c.closed {
			must(t, e.l.Close())
		}
		if i > 0 {
			e.kill(t)
		}
		if got := e.l.LeaderEpoch(); got != c.epoch {
			t.Errorf("run %d: %d is told, want %d", i, got, c.epoch)
		}
		if !c.appends {
			continue
		}
		first, next := e.append(t, build(t, rec{1, fmt.Sprint(i)}))
		if got := e.l.LeaderEpoch(); got != c.epoch || e.l.Epoch() != c.epoch || e.l.EpochAt(first) != c.epoch || e.l.EpochAt(next) != c.epoch {
			t.Errorf("run %d: %d is told behind the append, which has %d", i, got, e.l.EpochAt(first))
		}
	}
	if got := []int32{e.l.EpochAt(0), e.l.EpochAt(1), e.l.EpochAt(2), e.l.EpochAt(3), e.l.EpochAt(4)}; fmt.Sprint(got) != "[0 1 1 2 2]" {
		t.Errorf("epochs %v", got)
	}
	e.close(t)
}
