package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"sluice/disk"
)

// readers is a bounded pool, and the only place of the read path that waits for a
// disk: its size is the number of cold reads at once, and no hot one stands behind
// them. In: from the responders, what could not be had from memory. Out: the same
// commands, their bytes checked, in memory, and their file pinned, or copied to where they
// are wanted, and no file pinned. Ends when its inbox is closed.
type readers struct {
	in      chan *command
	share   int64         // percent of its time that a worker reads while others append
	permits chan struct{} // sendfilesMax of them
	stats   *stats

	cold, sendfile, parked, parks, cut atomic.Int64 // as in SendStats; any goroutine
}

// sendfilesMax is how many sendfiles, or reads in their stead, run at once. Each is
// a thread of its own where it has to wait for the disk after all, because the bytes
// were evicted behind the check; Go dies of 10,000 threads (R10). Where there is no
// such wait, more of them than cores win nothing.
const sendfilesMax = 64

func newReaders(c ReadersConfig, s *stats) *readers {
	return &readers{in: make(chan *command, c.Queue), share: c.Share, permits: make(chan struct{}, sendfilesMax), stats: s}
}

// Run serves one read after the other; several goroutines run it.
func (r *readers) Run(ctx context.Context) error {
	background()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for cmd := range r.in {
		r.cold.Add(1)
		began, appends := time.Now(), r.stats.appends.Load()
		cmd.delivery.fault = r.serve(ctx, cmd)
		cmd.done()
		if pause := r.pause(time.Since(began), r.stats.appends.Load() != appends); pause > 0 {
			rest.Reset(pause)
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// pauseMost bounds a pause: behind a disk that was slow for a minute nobody shall rest for three.
const pauseMost = 100 * time.Millisecond

// pause is how long a worker leaves the cores and the disk to appends, behind a read that took so long.
func (r *readers) pause(took time.Duration, appends bool) time.Duration {
	if !appends {
		return 0
	}
	return min(min(took, pauseMost)*time.Duration(100-r.share)/time.Duration(r.share), pauseMost)
}

// serve does what may wait for the disk. The disk is spared what nobody is there to
// take: a client that is gone, or a stop that was cut short.
func (r *readers) serve(ctx context.Context, cmd *command) (err error) {
	d := cmd.delivery
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cmd.conn.broken.Load():
		return errGone
	}
	switch cmd.op {
	case opLocate:
		return cmd.part.log.Locate(&d.x, d.offset, d.limit, &d.cursor, true)
	case opPin:
		return d.x.Pin(d.at, true)
	case opRead:
		return d.read()
	case opResolve:
		d.first, err = cmd.part.log.FirstAt(cmd.read.from.Value, true)
	case opNewest:
		d.first, err = cmd.part.log.Newest()
	default:
		panic(fmt.Sprintf("BUG: readers got op %d", cmd.op))
	}
	return err
}

// read fills the space. Who asked for it holds no pin.
func (d *delivery) read() error {
	if err := d.x.Pin(d.x.Size, true); err != nil { // the file alone: what is read here need not be read twice
		return err
	}
	n, err := d.x.File().ReadAt(disk.ByReader, d.space, d.x.Pos+d.at)
	if errors.Is(err, io.EOF) {
		err = d.short(d.at + int64(n))
	}
	_ = d.x.Release() // as in unpin
	return err
}

// SendStats is how stored batches reach their readers.
type SendStats struct {
	Cold     int64 `json:"cold"`     // reads that had to ask the disk
	Sendfile int64 `json:"sendfile"` // bytes that went from file to socket
	Parked   int64 `json:"parked"`   // connections whose client takes nothing now; they hold nothing
	Parks    int64 `json:"parks"`    // how often that began
	Cut      int64 `json:"cut"`      // answers that could not be finished, and their connections with them
}

func (r *readers) snapshot() SendStats {
	return SendStats{Cold: r.cold.Load(), Sendfile: r.sendfile.Load(), Parked: r.parked.Load(), Parks: r.parks.Load(), Cut: r.cut.Load()}
}

func (s SendStats) text() string {
	return fmt.Sprintf("cold=%d sendfile=%d parked=%d parks=%d cut=%d", s.Cold, s.Sendfile, s.Parked, s.Parks, s.Cut)
}
