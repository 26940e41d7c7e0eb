package disk_test

import (
	"testing"

	"sluice/disk"
	"sluice/wire/batch"
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

// TestReadAllocatesNothing: in an unsealed segment, with a cursor and without.
func TestReadAllocatesNothing(t *testing.T) {
	countable(t)
	e := newEnv(t, disk.OS(t.TempDir()), disk.LogOptions{})
	fill(t, e, 1000, 0)
	buf := make([]byte, 4*batch.HeaderSize+8<<10)
	var c disk.Cursor
	from := uint64(0)
	for name, cursor := range map[string]*disk.Cursor{"cursor": &c, "no cursor": nil} {
		got := testing.AllocsPerRun(500, func() {
			ch, err := e.l.ReadAt(buf, from, cursor)
			if err != nil {
				t.Fatal(err)
			}
			if from = ch.Next; from == e.l.Next() {
				from = 0
			}
		})
		if got != 0 {
			t.Errorf("%s: a read allocates %v times", name, got)
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
