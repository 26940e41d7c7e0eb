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
		{1 << 20, 8, 10_000, Descriptors{1 << 20, 36, 32, 10_000, 1<<20 - 36 - 32 - 10_000}},
		{20_000, 8, 10_000, Descriptors{20_000, 36, 32, 10_000, 9932}},
		{20_000, 8, 1 << 20, Descriptors{20_000, 36, 32, 20_000 - 68 - 1024, 1024}},
		{1024, 8, 10_000, Descriptors{1024, 36, 32, 478, 478}},
		{1024, 8, 10, Descriptors{1024, 36, 32, 10, 946}},
		{256, 8, 10_000, Descriptors{256, 36, 32, 94, 94}},
		{79, 8, 10_000, Descriptors{79, 36, 10, 17, 16}},
		{78, 8, 10_000, Descriptors{78, 36, 10, 16, 16}},
	} {
		if got, err := SplitDescriptors(c.total, c.open, c.wanted); got != c.want || err != nil {
			t.Errorf("%d, %d in use, %d wanted: %+v, %v; want %+v", c.total, c.open, c.wanted, got, err, c.want)
		}
	}
	for total := range 3000 {
		for _, wanted := range []int{1, 100, 10_000} {
			d, err := SplitDescriptors(total, 9, wanted)
			if err != nil {
				if d != (Descriptors{}) || total >= 79 || !strings.Contains(err.Error(), "at least 79") {
					t.Fatalf("%d: %+v, %v", total, d, err)
				}
				continue
			}
			if total < 79 || d.Fixed+d.Reserve+d.Connections+d.Files != total || d.Files < 16 || d.Connections < 1 || d.Reserve < 10 {
				t.Fatalf("%d, %d wanted: %+v", total, wanted, d)
			}
		}
	}
}
