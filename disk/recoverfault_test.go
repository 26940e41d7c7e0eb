package disk_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestA4FaultInRecovery stops recovery at each of its operations, for one error or for good, and recovers again: the end is
// the one of an undisturbed recovery (A4).
func TestA4FaultInRecovery(t *testing.T) {
	e, b, at, _ := tail(t)
	old, more := b[:at[2].pos], b[at[2].pos:]
	const first = "00000000000000000000.log"
	for name, im := range map[string]image{
		"new":                   {},
		"torn":                  {first: b[:len(b)-9] + zeros},
		"torn, cut once before": {first: b[:len(b)-9], fmt.Sprintf("00000000000000000000-%d.cut", at[len(at)-1].pos): "x"},
		"roll under way":        {first: old + zeros, "next.seg": more + zeros},
		"roll and torn":         {first: old + zeros, "next.seg": more[:len(more)-9] + zeros},
		"old torn":              {first: old[:len(old)-9], "next.seg": more},
		"spare unused":          {first: b, "next.seg": zeros},
		"spare at an empty one": {first: old, "00000000000000000003.log": "", "next.seg": more},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, want := opened(t, e, im)
			dropIndexes(want)
			dropFacts(want) // a creation that was cut short owes them to the first append
			for _, sticky := range []bool{false, true} {
				for k := 1; ; k++ {
					putImage(t, e.fs, im)
					ft := &fault{k: k, err: syscall.EIO, sticky: sticky}
					openClose(t, ft, e.fs)
					if !ft.after {
						break
					}
					e.openLog(t)
					must(t, e.l.Close())
					got := takeImage(t, e.fs)
					dropIndexes(got) // not owed
					dropFacts(got)
					wantImage(t, got, want)
				}
			}
		})
	}
}

func dropIndexes(im image) {
	for name := range im {
		if strings.HasSuffix(name, ".idx") {
			delete(im, name)
		}
	}
}

func dropFacts(im image) {
	for _, name := range []string{"marks", "epochs", "epochs.2"} {
		delete(im, name)
	}
}

// openClose opens a log on files that fail, as a process of its own.
func openClose(t *testing.T, ft *fault, f disk.FS) {
	t.Helper()
	s, err := disk.OpenStore(restarted{fstest.Fail(f, ft.decide)}, disk.StoreOptions{}, zap.NewNop())
	if err != nil {
		return
	}
	l, _, err := s.OpenLog(disk.ByOpen, "t", 0, disk.LogOptions{})
	if err != nil {
		if !ft.after {
			t.Fatal(err)
		}
		return
	}
	if err := l.Close(); err != nil && !ft.after {
		t.Fatal(err)
	}
}
