package disk_test

import (
	"fmt"
	"slices"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

func TestAppendRollReadReopen(t *testing.T) {
	for name, f := range map[string]disk.FS{"os": disk.OS(t.TempDir()), "mem": fstest.NewMem()} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, f, disk.LogOptions{SegmentBytes: 16 << 10, IndexInterval: 1 << 10})
			var want []rec
			for i := range 300 {
				r := rec{int64(i), fmt.Sprintf("%-*d", i, i)}
				want = append(want, r)
				e.append(t, build(t, r))
			}
			if got := readAll(t, e.l, 0, 1000); !slices.Equal(got, want) {
				t.Fatalf("got %d records, want %d", len(got), len(want))
			}
			e.reopen(t)
			if got := readAll(t, e.l, 0, 1000); !slices.Equal(got, want) {
				t.Fatalf("after reopening got %d records, want %d", len(got), len(want))
			}
			t.Log(files(t, f, "topics/t/0"), e.rec)
			e.close(t)
		})
	}
}
