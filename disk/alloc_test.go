package disk_test

import (
	"errors"
	"testing"

	"sluice/disk"
)

// countable skips under the race detector, which allocates by itself.
func countable(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("skipped: allocations are not counted under the race detector")
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	countable(t)
	e := newEnv(t, disk.OS(t.TempDir()), disk.LogOptions{SegmentBytes: 64 << 20})
	p := sized(t, "x", 1000)
	got := testing.AllocsPerRun(2000, func() {
		if _, _, err := e.l.Append(p); err != nil {
			t.Fatal(err)
		}
		e.l.MaintenanceDue()
	})
	if got != 0 {
		t.Errorf("an append allocates %v times", got)
	}
	e.close(t)
}

// TestI10LocateAllocatesNothing: from memory, at the end of a log and in sealed segments, with a cursor and without.
func TestI10LocateAllocatesNothing(t *testing.T) {
	countable(t)
	e := newEnv(t, disk.OS(t.TempDir()), disk.LogOptions{SegmentBytes: 64 << 10})
	fill(t, e, 1000, 0)
	var x disk.Extent
	var c disk.Cursor
	for from := uint64(0); from < e.l.Next(); from = x.Next { // whoever waits brings all of it into memory, and opens the files
		must(t, e.l.Locate(&x, from, 4<<10, nil, true))
		must(t, x.Release())
	}
	if err := e.l.Locate(&x, 0, 4<<10, nil, false); errors.Is(err, disk.ErrCold) {
		t.Skip("skipped: this system does not tell what is in memory")
	}
	must(t, x.Release())
	from := uint64(0)
	next := func(n uint64) {
		if from = n; from == e.l.Next() {
			from = 0
		}
	}
	for name, do := range map[string]func() error{
		"Locate": func() error {
			err := errors.Join(e.l.Locate(&x, from, 4<<10, nil, false), x.Release(), x.Pin(1, false), x.Release())
			next(x.Next)
			return err
		},
		"Locate with a cursor": func() error {
			err := errors.Join(e.l.Locate(&x, from, 4<<10, &c, false), x.Release())
			next(x.Next)
			return err
		},
		"the end": func() error { return errors.Join(e.l.Locate(&x, e.l.Next(), 4<<10, &c, false), x.Release()) },
	} {
		got := testing.AllocsPerRun(2000, func() {
			if err := do(); err != nil {
				t.Fatal(name, err)
			}
		})
		if got != 0 {
			t.Errorf("%s allocates %v times", name, got)
		}
	}
	e.close(t)
}

func TestSyncAllocatesNothing(t *testing.T) {
	countable(t)
	e := newEnv(t, disk.OS(t.TempDir()), disk.LogOptions{SegmentBytes: 64 << 20})
	p := sized(t, "x", 100)
	got := testing.AllocsPerRun(20, func() {
		if _, _, err := e.l.Append(p); err != nil {
			t.Fatal(err)
		}
		if _, err := e.l.Sync(); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("append and sync allocate %v times", got)
	}
	e.close(t)
}
