package sched

import (
	"strings"
	"testing"
)

// I13: whatever the limit, the parts add up to it, and each has what it cannot do without.
func TestI13SplitDescriptors(t *testing.T) {
	for _, c := range []struct {
		total, open, wanted int
		want                Descriptors
	}{
		{1 << 20, 8, 10_000, Descriptors{1 << 20, 32, 32, 10_000, 1<<20 - 32 - 32 - 10_000}},
		{20_000, 8, 10_000, Descriptors{20_000, 32, 32, 10_000, 9936}},
		{20_000, 8, 1 << 20, Descriptors{20_000, 32, 32, 20_000 - 64 - 1024, 1024}},
		{1024, 8, 10_000, Descriptors{1024, 32, 32, 480, 480}},
		{1024, 8, 10, Descriptors{1024, 32, 32, 10, 950}},
		{256, 8, 10_000, Descriptors{256, 32, 32, 96, 96}},
		{75, 8, 10_000, Descriptors{75, 32, 10, 17, 16}},
		{74, 8, 10_000, Descriptors{74, 32, 10, 16, 16}},
	} {
		if got, err := SplitDescriptors(c.total, c.open, c.wanted); got != c.want || err != nil {
			t.Errorf("%d, %d in use, %d wanted: %+v, %v; want %+v", c.total, c.open, c.wanted, got, err, c.want)
		}
	}
	for total := range 3000 {
		for _, wanted := range []int{1, 100, 10_000} {
			d, err := SplitDescriptors(total, 9, wanted)
			if err != nil {
				if d != (Descriptors{}) || total >= 75 || !strings.Contains(err.Error(), "at least 75") {
					t.Fatalf("%d: %+v, %v", total, d, err)
				}
				continue
			}
			if total < 75 || d.Fixed+d.Reserve+d.Connections+d.Files != total || d.Files < 16 || d.Connections < 1 || d.Reserve < 10 {
				t.Fatalf("%d, %d wanted: %+v", total, wanted, d)
			}
		}
	}
}
