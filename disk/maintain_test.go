package disk_test

import (
	"errors"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// C10: a file that somebody has cut is never made long again: zeros in it would be taken for batches that were checked.
func TestC10CutBeforeItIsSealed(t *testing.T) {
	mem := fstest.NewMem()
	s, logs := newLogs(t, mem, disk.StoreOptions{}, 1, disk.LogOptions{SegmentBytes: 16 << 10})
	e := logs[0]
	for fits(e.l, 4<<10) {
		e.append(t, sized(t, "x", 3<<10))
	}
	e.maintain(t)
	if !e.l.Roll() {
		t.Fatal("no spare to roll to")
	}
	f, err := mem.Open(disk.ByTool, "topics/a/0/00000000000000000000.log")
	must(t, err)
	must(t, f.Truncate(disk.ByTool, 100))
	_, err = e.l.Sync()
	must(t, err)
	if _, err = e.l.Maintain(); !errors.Is(e.l.Err(), disk.ErrFailed) || !strings.Contains(err.Error(), "has 100 bytes") {
		t.Errorf("sealed: %v; the log: %v", err, e.l.Err())
	}
	if n, err := f.Size(); n != 100 || err != nil {
		t.Errorf("the file has %d bytes, %v", n, err)
	}
	must(t, errors.Join(f.Close(disk.ByTool), e.l.Close(), s.Close()))
}
