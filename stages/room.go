package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/wire/text"
)

// room knows whether the disk has room for appends. Full is a state: it is entered
// below disk.low, or when an append met a full disk, and left above disk.high, so
// that neither refusals nor appends come and go with every few bytes. While it
// lasts, appends are refused before they are tried, and the reserve is given up, so
// that what frees space can finish: DROP needs a little room itself. Space that is
// allocated ahead counts as used, since the file system counts it so.
//
// In: the clock, and nudges of the writers. Out: the refusal that they look at.
// Ends with the ticks.
type room struct {
	fs    disk.FS
	conf  DiskConfig
	log   *zap.Logger
	nudge chan struct{} // one place: an append met a full disk
	full  atomic.Pointer[text.Error]

	run struct { // touched by check only: the start, then the Run goroutine
		reserved bool // the reserve has its blocks
		tried    bool // a failure to make it was told
		blind    bool // the room can't be asked for
	}
	last struct { // as the last check saw it, for STATS
		sync.Mutex
		DiskStats
	}
}

// DiskStats is the room on the data directory's file system. Sizes are in bytes.
type DiskStats struct {
	State    string `json:"state"` // ok or full
	Free     int64  `json:"free"`
	Total    int64  `json:"total"`
	Low      int64  `json:"low"`
	High     int64  `json:"high"`
	Reserved int64  `json:"reserved"` // held back for the time of a full disk
	Reason   string `json:"reason,omitempty"`
}

func (d DiskStats) text() string {
	s := fmt.Sprintf("state=%s free=%d total=%d low=%d high=%d reserved=%d", d.State, d.Free, d.Total, d.Low, d.High, d.Reserved)
	if d.Reason != "" {
		s += fmt.Sprintf(" reason=%q", d.Reason)
	}
	return s
}

// byRoom does nothing but ask for the room, and keep the reserve.
const byRoom disk.By = "room"

const reserveFile = "reserve" // in the data directory

func newRoom(f disk.FS, c DiskConfig, log *zap.Logger) *room {
	r := &room{fs: f, conf: c, log: log, nudge: make(chan struct{}, 1)}
	r.last.State = "ok"
	return r
}

// refusal is the answer to an append while the disk is full, else nil. Any goroutine.
func (r *room) refusal() *text.Error { return r.full.Load() }

// met says that an append found no room. Appends are refused from now on; the next
// check decides how long. Any goroutine.
func (r *room) met() {
	if r.full.CompareAndSwap(nil, diskFull("the file system, or a quota, had no room for the last append")) {
		select {
		case r.nudge <- struct{}{}:
		default:
		}
	}
}

func diskFull(why string) *text.Error {
	return &text.Error{Code: text.CodeDiskFull, Skip: -1, Text: fmt.Sprintf("nothing was appended: %s; make room on the disk of the data directory, or DROP topics, and appends go on by themselves", why)}
}

// Run looks at the room every disk.check, and when an append met a full disk.
func (r *room) Run(ctx context.Context) error {
	t := time.NewTicker(r.conf.Check)
	defer t.Stop()
	for {
		select {
		case <-r.nudge:
			// Not a check: one that still sees room, as under a quota, would have the next append try at once.
			if e := r.full.Load(); e != nil {
				r.giveUp()
				r.log.Warn("the disk is full: appends are refused until there is room", zap.String("reason", e.Text))
			}
		case <-t.C:
			r.check()
		case <-ctx.Done():
			return nil
		}
	}
}

// check looks at the room once, and changes the state where that is due.
func (r *room) check() {
	s, err := r.fs.Space(byRoom)
	if err != nil {
		if !r.run.blind {
			r.log.Warn("the room on the disk can't be asked for; a full disk will be noticed by an append only", zap.Error(err))
		}
		r.run.blind = true
		r.full.Store(nil)
		return
	}
	r.run.blind = false
	low, high, reserve := r.conf.marks(s.Total)
	missing := reserve
	if r.run.reserved {
		missing = 0
	}
	switch wasFull := r.full.Load() != nil; {
	case wasFull && s.Free >= high+missing:
		r.full.Store(nil)
		r.log.Info("there is room on the disk again: appends are taken", zap.Int64("free bytes", s.Free))
	case wasFull || s.Free < low:
		r.full.Store(diskFull(fmt.Sprintf("%s are free, and %s are needed", mib(s.Free), mib(high+reserve))))
		if !wasFull {
			r.log.Warn("the disk is full: appends are refused until there is room",
				zap.Int64("free bytes", s.Free), zap.Int64("needed", high+reserve), zap.Int64("low mark", low))
		}
		r.giveUp()
	}
	if r.full.Load() == nil && !r.run.reserved && s.Free >= low+reserve {
		r.reserve(reserve)
	}
	r.note(s, low, high, reserve)
}

// marks are the levels for a file system of that size. Low is what a fast writer
// fills between two checks, on a small disk a twentieth of it; who is faster meets
// ENOSPC, which is the same state. High is twice that, so that the state holds.
func (c DiskConfig) marks(total int64) (low, high, reserve int64) {
	if low = c.Low; low == Auto {
		low = min(64<<20, total/20)
	}
	if high = c.High; high == Auto {
		high = 2 * low
	}
	if reserve = c.Reserve; reserve == Auto {
		reserve = min(8<<20, total/100)
	}
	return low, max(low, high), reserve
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// giveUp removes the reserve.
func (r *room) giveUp() {
	err := r.fs.Remove(byRoom, reserveFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("the reserve can't be given up", zap.Error(err))
		return
	}
	r.run.reserved = false
}

// reserve makes the reserve file, or takes the one that is there. It is no harm if
// that fails: the state is the same without.
func (r *room) reserve(size int64) {
	err := r.makeReserve(size)
	r.run.reserved = err == nil
	if err != nil && !r.run.tried {
		r.log.Warn("no reserve can be kept for a full disk", zap.Error(err))
	}
	r.run.tried = err != nil
}

func (r *room) makeReserve(size int64) error {
	f, err := r.fs.Open(byRoom, reserveFile)
	if err == nil {
		have, err := f.Size()
		if err = errors.Join(err, f.Close(byRoom)); err == nil && have == size {
			return nil // allocated by an earlier run
		}
		if err = errors.Join(err, r.fs.Remove(byRoom, reserveFile)); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if size == 0 {
		return nil
	}
	if f, err = r.fs.Create(byRoom, reserveFile); err != nil {
		return err
	}
	if err = errors.Join(f.Allocate(byRoom, size), f.Close(byRoom)); err != nil {
		return errors.Join(err, r.fs.Remove(byRoom, reserveFile))
	}
	return nil
}

func (r *room) note(s disk.Space, low, high, reserve int64) {
	if !r.run.reserved {
		reserve = 0
	}
	r.last.Lock()
	defer r.last.Unlock()
	r.last.DiskStats = DiskStats{Free: s.Free, Total: s.Total, Low: low, High: high, Reserved: reserve}
}

// stats is the state for STATS. Any goroutine.
func (r *room) stats() DiskStats {
	r.last.Lock()
	defer r.last.Unlock()
	out := r.last.DiskStats
	out.State = "ok"
	if e := r.full.Load(); e != nil {
		out.State, out.Reason = "full", e.Text
	}
	return out
}
