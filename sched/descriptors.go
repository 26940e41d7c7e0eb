package sched

import "fmt"

// Descriptors is how the files and sockets that a process may hold open at once are shared out. The parts add up to
// Total, so that whoever keeps to its own can never meet EMFILE because of another.
type Descriptors struct {
	Total       int // that the process may hold
	Fixed       int // open at the start, and slack for what is not counted by anybody
	Reserve     int // files that only appends, rolls and opening may use
	Connections int
	Files       int // all other files of the store
}

const (
	// DescriptorSlack is for what is open without being counted: three listening sockets, the lock, the netpoller's two,
	// HTTP's connections, those that are being refused, and a look at /proc.
	DescriptorSlack = 28

	descriptorReserve = 32   // two segments and two directories each of some ten logs that roll at once
	filesEnough       = 1024 // files that connections can't take away, where there is room for both
	filesLeast        = 16   // one log that rolls while another is read
)

// SplitDescriptors shares out total descriptors, of which open are in use already. Files get at least half of what is
// left or 1,024, whichever is less; then connections up to wanted; files have the rest. A small total has a smaller
// reserve. It fails when total is too small to serve at all.
func SplitDescriptors(total, open, wanted int) (Descriptors, error) {
	d := Descriptors{Total: total, Fixed: open + DescriptorSlack}
	left := total - d.Fixed
	d.Reserve = min(descriptorReserve, left/4)
	left -= d.Reserve
	least := min(filesEnough, left/2)
	if least < filesLeast {
		return Descriptors{}, fmt.Errorf("%d are allowed and %d are in use, which leaves too little for a server: it needs at least %d", total, open, d.Fixed+filesLeast*2*4/3)
	}
	d.Connections = min(wanted, left-least)
	d.Files = left - d.Connections
	return d, nil
}
