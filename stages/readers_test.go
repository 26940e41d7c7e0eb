package stages

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/disk"
	"sluice/disk/fstest"
)

// However many clients ask for what is not in memory, no more reads wait for the disk than
// the pool has readers; and what is in memory is served at once, also to those in front
// of whom the disk hangs, one way and the other.
func TestD3ColdReadsAreBounded(t *testing.T) {
	const readers, clients = 2, 20
	var now, most atomic.Int64
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByReader && op.Kind == fstest.Read && strings.HasPrefix(op.Name, "topics/cold/")
	})
	mem := fstest.NewMem()
	conf := noTicks()
	conf.Readers.Count = readers
	s := startServerOn(t, fstest.Fail(mem, func(op fstest.Op) error {
		if g.match(op) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
		}
		return g.pass(op)
	}), conf)
	defer g.release()
	fill(t, s, "cold", 4)
	mem.SetCold(true)
	fill(t, s, "hot", 4) // after that, so it is in memory
	var waiting []*session
	for i := range clients {
		c := dial(t, s)
		c.send("%s\n", []string{"FETCH cold 0 bytes=1000", "READ cold 1 limit=1", "TAIL cold 2 raw=1 limit=1", "READ cold @1 limit=1"}[i%4])
		waiting = append(waiting, c)
	}
	for range readers {
		<-g.came
	}
	waitFor(t, func() bool { return len(s.readers.in) == clients-readers })
	hot := dial(t, s)
	for range 10 {
		hot.send("FETCH hot 0\nREAD hot 3\nMSG hot 1\nx\n")
		hot.data()
		for line := ""; !strings.HasPrefix(line, "OK next="); {
			line = hot.line()
		}
		hot.want("OK first=* next=* ack=written synced=0")
	}
	if n := now.Load(); n != readers {
		t.Errorf("%d reads are at the disk, want %d", n, readers)
	}
	if n := s.readers.cold.Load(); n != readers {
		t.Errorf("the pool has begun %d reads", n)
	}
	g.release()
	value := strings.Repeat("cold", 16<<10)
	for i, c := range waiting {
		switch i % 4 {
		case 0:
			c.data()
		case 2:
			c.data()
			c.want("OK next=* end=4 epoch=0")
		default:
			c.want(fmt.Sprintf("REC offset=%d time=* key=-1 n=65536", 1-i%4/3))
			if c.line() != value {
				t.Error("it got another record")
			}
			c.want("OK next=* end=4 epoch=0")
		}
	}
	if n := most.Load(); n != readers {
		t.Errorf("%d reads were at the disk at once, want %d", n, readers)
	}
}

// The pool spares the disk what nobody is there to take.
func TestColdReadOfAVanishedClient(t *testing.T) {
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByReader && op.Kind == fstest.Read && strings.HasPrefix(op.Name, "topics/slow/")
	})
	var reads atomic.Int64
	mem := fstest.NewMem()
	conf := noTicks()
	conf.Readers.Count = 1
	s := startServerOn(t, fstest.Fail(mem, func(op fstest.Op) error {
		if op.By == disk.ByReader && op.Kind == fstest.Read && strings.HasPrefix(op.Name, "topics/t/") {
			reads.Add(1)
		}
		return g.pass(op)
	}), conf)
	defer g.release()
	fill(t, s, "slow", 1)
	fill(t, s, "t", 1)
	mem.SetCold(true)
	slow, gone := dial(t, s), dial(t, s)
	slow.send("READ slow 0\n")
	<-g.came
	gone.send("READ t 0\n")
	waitFor(t, func() bool { return len(s.readers.in) == 1 })
	reset(t, gone)
	waitFor(t, func() bool {
		broken := false
		s.conns.each(func(c *conn) { broken = broken || c.broken.Load() })
		return broken
	})
	g.release()
	waitFor(t, func() bool { return s.stats.connections.Load() == 1 })
	slow.want("REC offset=0 time=* key=-1 n=65536")
	if n := reads.Load(); n != 0 {
		t.Errorf("the disk was asked %d times", n)
	}
}

// Cold reads leave most of the time to appends, and use all of it where there are none.
func TestReadersStandBack(t *testing.T) {
	for _, c := range []struct {
		share   int64
		appends bool
		want    time.Duration
	}{{25, true, 3 * time.Millisecond}, {50, true, time.Millisecond}, {100, true, 0}, {25, false, 0}} {
		r := readers{share: c.share}
		if got := r.pause(time.Millisecond, c.appends); got != c.want {
			t.Errorf("share %d, appends %t: %v", c.share, c.appends, got)
		}
		if got := r.pause(time.Hour, c.appends); got > 100*time.Millisecond {
			t.Errorf("share %d, appends %t, behind an hour: %v", c.share, c.appends, got)
		}
	}
}

// Behind a read that went on beside appends a worker rests, behind another it goes on at once.
func TestReadersRest(t *testing.T) {
	for _, c := range []struct {
		appends int64
		want    time.Duration
	}{{1, 30 * time.Millisecond}, {0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var st stats
			r := newReaders(ReadersConfig{Queue: 2, Share: 25}, &st)
			gone := new(conn) // nothing is read for it
			gone.broken.Store(true)
			reply := make(chan *command) // so that a read lasts until its answer is taken
			for range 2 {
				r.in <- &command{conn: gone, delivery: new(delivery), reply: reply}
			}
			close(r.in)
			var running sync.WaitGroup
			running.Go(func() {
				if err := r.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			time.Sleep(10 * time.Millisecond) // virtual
			st.appends.Add(c.appends)
			<-reply
			began := time.Now()
			<-reply
			if rest := time.Since(began); rest != c.want {
				t.Errorf("%d appends: rested for %v, want %v", c.appends, rest, c.want)
			}
			running.Wait()
		})
	}
}
