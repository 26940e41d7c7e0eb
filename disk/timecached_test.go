package disk_test

import (
	"errors"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// I9: a time is looked up from memory only where that takes little of it: those who look there are not bounded in number.
func TestI9TimesOfLargeBatchesAreForThoseWhoWait(t *testing.T) {
	s, logs := newLogs(t, fstest.NewMem(), disk.StoreOptions{}, 1, disk.LogOptions{})
	e := logs[0]
	e.append(t, build(t, rec{1, "small"}))
	e.append(t, sized(t, "large", 8<<10))
	if at, err := e.l.OffsetAt(1, false); at != 0 || err != nil {
		t.Errorf("in a small batch: %d, %v", at, err)
	}
	if _, err := e.l.OffsetAt(2, false); !errors.Is(err, disk.ErrCold) {
		t.Errorf("in a large batch: %v", err)
	}
	if at, err := e.l.OffsetAt(2, true); at != 1 || err != nil {
		t.Errorf("with a wait: %d, %v", at, err)
	}
	must(t, errors.Join(e.l.Close(), s.Close()))
}
