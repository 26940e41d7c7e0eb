package disk_test

import (
	"fmt"
	"slices"
	"strings"

	"sluice/disk"
)

// tiny makes a segment of a few batches, so that a workload of a few dozen appends rolls.
var tiny = disk.LogOptions{SegmentBytes: 3 << 10, IndexInterval: 512}

// scenario is what a process does until it dies. It begins with a new directory, or with what the lives before it left.
type scenario struct {
	name string
	run  func(x *script)
}

// script is the process at work, and the means to end its life.
type script struct {
	*proc
	c *cutter
}

// kill ends the process; what it left is opened by the next.
func (x *script) kill() { x.next(x.mem.Kill(), x.w.branch(false)) }

// power cuts the power; what it left is opened by the next process.
func (x *script) power(keep float64) { x.next(x.mem.Crash(x.rng, keep), x.w.branch(true)) }

// start begins with an empty topic t.
func (x *script) start(o disk.LogOptions) {
	x.openStore()
	x.create("t", 1, o)
}

// size is about n bytes, off the sectors' borders.
func (x *script) size(n int) int { return n/2 + x.rng.IntN(n) }

var scenarios = []scenario{
	{"append only", func(x *script) {
		x.start(tiny)
		for range 8 {
			x.append("t", 0, x.size(500))
			x.maintain("t", 0)
		}
	}},
	{"append and sync", func(x *script) {
		x.start(disk.LogOptions{SegmentBytes: 1 << 20})
		for range 10 {
			x.append("t", 0, x.size(700))
			x.sync("t", 0)
			x.maintain("t", 0)
		}
	}},
	{"rolls", func(x *script) {
		x.start(tiny)
		for i := range 16 {
			x.append("t", 0, x.size(900))
			if i%3 == 2 {
				x.sync("t", 0)
			}
			x.maintain("t", 0)
		}
	}},
	{"several batches in an append", func(x *script) {
		x.start(disk.LogOptions{SegmentBytes: 8 << 10, IndexInterval: 1})
		for i := range 8 {
			x.append("t", 0, x.size(300), x.size(300), x.size(900))
			if i%2 == 1 {
				x.sync("t", 0)
			}
			x.maintain("t", 0)
		}
	}},
	{"roll before the predecessor is synced", func(x *script) {
		x.start(tiny)
		for range 3 {
			h := x.w["t"].logs[0]
			for base := h.l.Info().ActiveBase; h.l.Info().ActiveBase == base; {
				x.append("t", 0, x.size(600))
				if fits(h.l, 900) {
					x.maintain("t", 0)
				}
			}
			x.append("t", 0, x.size(600))
			x.sync("t", 0)
			x.maintain("t", 0)
		}
	}},
	{"one record larger than a segment", func(x *script) {
		x.start(disk.LogOptions{SegmentBytes: 1 << 10})
		for range 4 {
			x.append("t", 0, x.size(3000))
			x.maintain("t", 0)
			x.sync("t", 0)
			x.maintain("t", 0)
		}
	}},
	{"closed and opened", func(x *script) {
		x.start(tiny)
		for i := range 4 {
			x.append("t", 0, x.size(900))
			x.maintain("t", 0)
			if i%2 == 0 {
				x.reopen("t", 0)
			}
		}
		x.closeAll()
		x.openStore()
		x.topics()
		x.openAll()
		x.append("t", 0, x.size(900), x.size(900))
		x.maintain("t", 0)
		x.closeAll()
	}},
	{"opened after a kill", func(x *script) {
		x.start(tiny)
		for range 3 {
			for range 4 {
				x.append("t", 0, x.size(700))
				x.maintain("t", 0)
			}
			x.kill()
		}
		x.append("t", 0, x.size(700))
		x.sync("t", 0)
	}},
	{"opened after a power cut", func(x *script) {
		x.start(tiny)
		for range 3 {
			for i := range 5 {
				x.append("t", 0, x.size(700))
				x.maintain("t", 0)
				if i == 2 {
					x.sync("t", 0)
				}
			}
			x.power(.5)
		}
		x.append("t", 0, x.size(700))
		x.sync("t", 0)
	}},
	{"no space", func(x *script) {
		x.start(tiny)
		x.append("t", 0, x.size(900))
		x.maintain("t", 0)
		for round := range 3 {
			s, err := x.mem.Space("test")
			x.fine(err, "space")
			x.mem.SetSpace(s.Total - s.Free + int64(700+500*round))
			for range 5 {
				if h := x.w["t"].logs[0]; fits(h.l, 1000) || h.l.Roll() {
					x.append("t", 0, x.size(500))
				}
				x.maintain("t", 0)
			}
			x.mem.SetSpace(0)
			x.maintain("t", 0)
			x.append("t", 0, x.size(700))
			x.sync("t", 0)
			x.maintain("t", 0)
		}
	}},
	{"topics made and dropped", func(x *script) {
		x.start(tiny)
		x.append("t", 0, x.size(300))
		x.sync("t", 0)
		x.create("u", 1, tiny)
		x.append("u", 0, x.size(300))
		x.drop("t")
		x.create("t", 2, tiny)
		x.append("t", 1, x.size(300))
		x.drop("u")
		x.create("v", 1, tiny)
	}},
	{"indexes lost", func(x *script) {
		x.start(tiny)
		for range 12 {
			x.append("t", 0, x.size(900))
			x.sync("t", 0)
			x.maintain("t", 0)
		}
		for name := range x.listing() {
			if strings.HasSuffix(name, ".idx") {
				x.fine(x.mem.Remove("test", name), "remove an index")
			}
		}
		x.read(x.w["t"].logs[0].l)
		for range 6 {
			x.maintain("t", 0)
			x.append("t", 0, x.size(300))
		}
		x.sync("t", 0)
	}},
	{"several logs", func(x *script) {
		x.openStore()
		x.create("t", 2, tiny)
		x.create("u", 1, disk.LogOptions{SegmentBytes: 1 << 20})
		for i := range 12 {
			topic, partition := "t", i%3
			if partition == 2 {
				topic, partition = "u", 0
			}
			x.append(topic, partition, x.size(900))
			if x.rng.IntN(2) == 0 {
				x.sync(topic, partition)
			}
			x.maintain(topic, partition)
		}
		x.closeAll()
	}},
	{"logs that sleep and wake", func(x *script) {
		x.files = tight.Files // one awake at a time
		x.openStore()
		x.create("t", 2, tiny)
		for i := range 9 {
			partition := x.rng.IntN(2)
			x.append("t", partition, x.size(900))
			if i%4 == 0 {
				x.sync("t", partition)
			}
			if i%2 == 0 {
				x.maintain("t", partition)
			}
		}
		x.closeAll()
	}},
	{"producers with sequences", func(x *script) {
		x.start(tiny)
		for i := range 24 {
			x.appendAs("t", 0, 1+int64(i*i%3), x.size(900))
			if i%5 == 3 {
				x.append("t", 0, x.size(900))
			}
			if i%4 == 2 {
				x.sync("t", 0)
			}
			x.maintain("t", 0)
			switch i {
			case 14:
				x.kill()
			case 18:
				x.power(.5)
			case 20:
				x.reopen("t", 0)
			}
		}
		x.sync("t", 0)
		x.closeAll()
	}},
	{"synchronous writes", func(x *script) {
		x.start(disk.LogOptions{SegmentBytes: 3 << 10, IndexInterval: 512, Dsync: true})
		for i := range 12 {
			x.append("t", 0, x.size(300), x.size(300))
			x.maintain("t", 0)
			switch i {
			case 4:
				x.kill()
			case 8:
				x.power(.5)
			}
		}
		x.sync("t", 0)
		x.closeAll()
	}},
	{"as it comes", func(x *script) {
		x.start(tiny)
		for range 40 {
			switch x.rng.IntN(12) {
			case 0, 1, 2, 3, 4:
				sizes := []int{x.size(200), x.size(400), x.size(900)}
				x.append("t", 0, sizes[:1+x.rng.IntN(3)]...)
			case 5, 6:
				x.sync("t", 0)
			case 7, 8, 9:
				x.maintain("t", 0)
			case 10:
				x.reopen("t", 0)
			case 11:
				if x.rng.IntN(3) == 0 {
					x.kill()
				} else if x.rng.IntN(3) == 0 {
					x.power(x.rng.Float64())
				}
			}
		}
	}},
}

// names of the workloads that roll, for F1.
var rolling = []string{"rolls", "roll before the predecessor is synced", "one record larger than a segment", "as it comes"}

func only(names []string) []scenario {
	var found []scenario
	for _, w := range scenarios {
		if slices.Contains(names, w.name) {
			found = append(found, w)
		}
	}
	if len(found) != len(names) {
		panic(fmt.Sprintf("BUG: %d of the workloads %q", len(found), names))
	}
	return found
}
