package disk_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// crew is a log's writer, flusher, roller and readers, as the server has them.
type crew struct {
	t       *testing.T
	l       *disk.Log
	n       int
	flush   chan struct{} // one place: asked already is asked
	roll    chan struct{}
	spares  chan struct{}
	durable uint64      // flusher's
	over    atomic.Bool // something failed: readers stop waiting for the rest
}

func (c *crew) fail(format string, args ...any) {
	c.over.Store(true)
	c.t.Errorf(format, args...)
}

func ask(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func valueAt(i int) string { return fmt.Sprint(i, " ") + strings.Repeat("v", i*61%700) }

func (c *crew) write() {
	defer close(c.flush)
	for i := range c.n {
		p := build(c.t, rec{int64(i), valueAt(i)})
		for !fits(c.l, len(p)) && !c.l.Roll() {
			ask(c.flush)
			ask(c.roll)
			<-c.spares
		}
		if _, _, err := c.l.Append(p); err != nil {
			c.fail("%v", err)
			return
		}
		if c.l.MaintenanceDue() {
			ask(c.roll)
		}
		if i%5 == 0 {
			ask(c.flush)
		}
	}
}

func (c *crew) sync() {
	defer close(c.roll)
	for range c.flush {
		durable, err := c.l.Sync()
		if err != nil || durable < c.durable {
			c.fail("synced from %d to %d, %v", c.durable, durable, err)
		}
		c.durable = durable
		if c.l.MaintenanceDue() {
			ask(c.roll)
		}
		ask(c.spares) // the writer asks again
	}
}

func (c *crew) maintain() {
	for range c.roll {
		spare, err := c.l.Maintain()
		if err != nil {
			c.fail("%v", err)
		}
		if spare {
			ask(c.spares)
		}
	}
}

// read follows the log from an offset to the end, in chunks of that size, and looks at every value.
func (c *crew) read(w way, from uint64, size int) {
	var cur disk.Cursor
	var r batch.Reader
	for from < uint64(c.n) && !c.over.Load() {
		ch, err := w.read(c.t, c.l, from, size, &cur)
		if err != nil {
			c.fail("offset %d: %v", from, err)
			return
		}
		if len(ch.Bytes) == 0 {
			runtime.Gosched()
			continue
		}
		if ch.Next > c.l.Next() {
			c.fail("read up to %d, the end is %d", ch.Next, c.l.Next())
		}
		for _, x := range records(c.t, &r, ch, from) {
			if x.value != valueAt(int(from)) {
				c.fail("offset %d has %q", from, x.value)
			}
			from++
		}
	}
}

// jump reads single records at offsets all over the log, and asks for their times.
func (c *crew) jump() {
	var r batch.Reader
	for i := 0; c.l.Next() < uint64(c.n) && !c.over.Load(); i++ {
		next := c.l.Next()
		if next == 0 {
			runtime.Gosched()
			continue
		}
		from := uint64(i*7919) % next
		ch, err := c.l.ReadAt(make([]byte, 1000), from, nil)
		if err != nil {
			c.fail("%v", err)
			return
		}
		if got := records(c.t, &r, ch, from); got[0].value != valueAt(int(from)) {
			c.fail("offset %d has %q", from, got[0].value)
		}
		if off, err := c.l.OffsetAt(int64(from), true); err != nil || off != from {
			c.fail("time %d is at %d, %v", from, off, err)
		}
		_, _ = c.l.Info(), c.l.Err()
	}
}

// TestConcurrent runs all stages against each other; the race detector is the judge.
func TestConcurrent(t *testing.T) {
	for name, f := range map[string]disk.FS{"mem": fstest.NewMem(), "os": disk.OS(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, f, small)
			c := &crew{t: t, l: e.l, n: 1000, flush: make(chan struct{}, 1), roll: make(chan struct{}, 1), spares: make(chan struct{}, 1)}
			var wg sync.WaitGroup
			wg.Go(c.write)
			wg.Go(c.sync)
			wg.Go(c.maintain)
			for i, size := range []int{900, 4000, 100000, 0} {
				wg.Go(func() { c.read(ways[i%len(ways)], 0, size) })
			}
			wg.Go(c.jump)
			wg.Wait()
			if e.l.Next() != uint64(c.n) {
				t.Fatalf("the end is %d", e.l.Next())
			}
			e.reopen(t)
			c.l = e.l
			for _, w := range ways {
				c.read(w, 0, 900)
			}
			e.close(t)
		})
	}
}
