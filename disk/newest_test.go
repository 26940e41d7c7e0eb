package disk_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// The record with the highest time is found wherever it is, in whatever state the log is, with its time; and so is that of the first
// record at or after any time.
func TestNewest(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	if got, err := e.l.Newest(); err != nil || got != (disk.Timed{Time: disk.NoTime}) {
		t.Errorf("an empty log: %v, %v", got, err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var all []rec
	check := func(state string) {
		t.Helper()
		want := disk.Timed{Time: -1}
		for i, r := range all {
			if r.ms > want.Time {
				want = disk.Timed{Offset: uint64(i), Time: r.ms}
			}
		}
		if got, err := e.l.Newest(); err != nil || got != want {
			t.Fatalf("%s, %d records: %v, %v; want %v", state, len(all), got, err, want)
		}
		if got, err := e.l.FirstAt(want.Time-1, true); err != nil || got.Time != all[got.Offset].ms || got.Time < want.Time-1 {
			t.Fatalf("%s: %v, %v before the newest", state, got, err)
		}
	}
	for i := range 400 {
		recs := []rec{{int64(rng.IntN(1000 + 5*i)), strings.Repeat("x", rng.IntN(300))}, {int64(i), "y"}}
		e.append(t, build(t, recs...))
		all = append(all, recs...)
		check("live")
	}
	for i := range 30 { // the newest is in a segment that is sealed long since
		e.append(t, build(t, rec{int64(i), strings.Repeat("x", 200)}))
		all = append(all, rec{int64(i), ""})
	}
	check("before the last")
	e.reopen(t)
	check("reopened")
	for _, name := range listNames(t, e.fs, "topics/t/0", ".idx") {
		must(t, e.fs.Remove("test", name))
	}
	e.kill(t)
	check("killed, without indexes")
	e.close(t)
}
