package stages

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// gate holds operations that match until it is opened, and tells when one came.
type gate struct {
	match func(fstest.Op) bool
	came  chan struct{}
	open  chan struct{}
	once  sync.Once
}

func newGate(match func(fstest.Op) bool) *gate {
	return &gate{match: match, came: make(chan struct{}, 100), open: make(chan struct{})}
}

// release opens the gate, unless it is open: a test that fails must not leave it shut.
func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) pass(op fstest.Op) error {
	if g.match(op) {
		g.came <- struct{}{}
		<-g.open
	}
	return nil
}

func flusherSync(topic string) func(fstest.Op) bool {
	return func(op fstest.Op) bool {
		return op.By == disk.ByFlusher && op.Kind == fstest.Sync && strings.Contains(op.Name, "/"+topic+"/")
	}
}

// noTicks is a configuration in which nothing is synced unless asked for.
func noTicks() Config {
	c := Default()
	c.Flusher.Tick = 0
	return c
}

// I2, and group commit: all that came while one sync was under way share the next.
func TestI2AckAfterSync(t *testing.T) {
	g := newGate(flusherSync("t"))
	var lock sync.Mutex
	var syncs int
	fs := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if g.match(op) {
			lock.Lock()
			syncs++
			lock.Unlock()
		}
		return g.pass(op)
	})
	s := startServerOn(t, fs, noTicks())
	first, plain := dial(t, s), dial(t, s)
	first.send("MSG t 1 ack=synced\na\n")
	<-g.came // the sync is under way, and there is no answer
	var rest []*session
	for range 16 {
		c := dial(t, s)
		c.send("MSG t 1 ack=synced\nb\n")
		rest = append(rest, c)
	}
	waitFor(t, func() bool { return s.stats.appends.Load() == 17 })
	plain.send("MSG t 1\nc\n") // written waits for no sync
	plain.want("OK first=17 next=18 ack=written synced=0")
	waitFor(t, func() bool { return len(s.catalog.find([]byte("t"), 0).flusher.in) > 0 })
	close(g.open)
	first.want("OK first=0 next=1 ack=synced synced=*")
	for _, c := range rest {
		c.want("OK first=* next=* ack=synced synced=18")
	}
	if lock.Lock(); syncs != 2 {
		t.Errorf("%d syncs for 17 synced appends, want 2", syncs)
	}
	lock.Unlock()
}

// A sync that hangs holds those who wait for it, and nobody else.
func TestSlowSyncHurtsNobodyElse(t *testing.T) {
	g := newGate(flusherSync("slow"))
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), g.pass), noTicks())
	c, other := dial(t, s), dial(t, s)
	other.send("CREATE slow\nCREATE quick\n") // logs go to the flushers in turn
	other.want("OK", "OK")
	c.send("MSG slow 1 ack=synced\na\n")
	<-g.came
	other.send("MSG quick 1 ack=synced\na\nMSG slow 1\nb\nREAD slow 1\n")
	other.want("OK first=0 next=1 ack=synced synced=1", "OK first=1 next=2 ack=written synced=0",
		"REC offset=1 time=* key=-1 n=1", "b", "OK next=2 end=2 epoch=0")
	close(g.open)
	c.want("OK first=0 next=1 ack=synced synced=*")
}

// A roller that is held up stalls the logs that need a spare, and nobody else.
func TestMissingSpareHurtsNobodyElse(t *testing.T) {
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByRoller && op.Kind == fstest.Create && strings.Contains(op.Name, "/full/")
	})
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), g.pass), noTicks())
	c, other := dial(t, s), dial(t, s)
	c.send("CREATE full segment.bytes=16KiB\n")
	c.want("OK")
	value := strings.Repeat("x", 5000)
	for i := range 3 { // as many fit into a segment
		c.send("MSG full %d\n%s\n", len(value), value)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
	}
	for range 3 {
		c.send("MSG full %d\n%s\n", len(value), value)
	}
	<-g.came
	other.send("MSG other 1 ack=synced\nx\nREAD full newest\n")
	other.want("OK first=0 next=1 ack=synced synced=1", "OK next=3 end=3 epoch=0")
	close(g.open)
	c.want("OK first=3 next=4 ack=written synced=*", "OK first=4 next=5 ack=written synced=*", "OK first=5 next=6 ack=written synced=*")
}

// B4: no room is an answer, not an end: nothing of the refused append is there, and
// the log goes on when there is room.
func TestB4FullDiskIsAnAnswer(t *testing.T) {
	conf := noTicks()
	conf.Disk.Check = 10 * time.Millisecond
	for _, c := range []struct {
		name string
		full func(fstest.Op) bool
	}{
		{"at the write", func(op fstest.Op) bool { return op.Kind == fstest.Write && op.By == disk.ByWriter }},
		{"at the spare", func(op fstest.Op) bool { return op.Kind == fstest.Create && op.By == disk.ByRoller }},
		{"at the allocation", func(op fstest.Op) bool { return op.Kind == fstest.Allocate && op.By == disk.ByRoller }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lock sync.Mutex
			full := false
			s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
				lock.Lock()
				defer lock.Unlock()
				if full && c.full(op) {
					return syscall.ENOSPC
				}
				return nil
			}), conf)
			set := func(v bool) {
				lock.Lock()
				defer lock.Unlock()
				full = v
			}
			client := dial(t, s)
			client.send("CREATE t segment.bytes=16KiB\n")
			client.want("OK")
			set(true)
			value := strings.Repeat("x", 5000)
			stored, refused := 0, false
			for range 10 {
				client.send("MSG t %d ack=synced\n%s\n", len(value), value)
				got := client.line()
				if refused = strings.HasPrefix(got, "ERR DISK_FULL - "); refused {
					break
				}
				if !strings.HasPrefix(got, "OK ") {
					t.Fatalf("got %q", got)
				}
				stored++
			}
			if !refused {
				t.Fatal("a full disk refused nothing")
			}
			set(false)
			waitFor(t, func() bool { return s.admission.room.refusal() == nil })
			client.send("MSG t 1 ack=synced\nx\nREAD t 0 limit=0\n")
			client.want(fmt.Sprintf("OK first=%d next=%d ack=synced synced=%d", stored, stored+1, stored+1), fmt.Sprintf("OK next=0 end=%d epoch=0", stored+1))
		})
	}
}

// A request that straddles two segments, of which the second can't be had, has
// an unknown outcome: its front is there.
func TestStraddlingBatchIsUnknown(t *testing.T) {
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Kind == fstest.Create && op.By == disk.ByRoller {
			return syscall.ENOSPC
		}
		return nil
	}), noTicks())
	c := dial(t, s)
	var builder batch.Builder
	var b []byte
	for range 5 {
		builder.Reset(b)
		builder.Add(0, nil, make([]byte, 5000), nil)
		var err error
		if b, err = builder.Finish(batch.None); err != nil {
			t.Fatal(err)
		}
	}
	c.send("CREATE t segment.bytes=16KiB\nMSG t 1\nx\nBATCH t %d\n%s\n", len(b), b)
	c.want("OK", "OK first=0 next=1 ack=written synced=*")
	if got := c.line(); !strings.HasPrefix(got, "ERR UNKNOWN - a part of the request was written") {
		t.Fatalf("got %q", got)
	}
	c.send("HEAD t\n")
	c.want("OK oldest=0 next=4 synced=* epoch=0 segment=0 segments=1 bytes=* partitions=1")
}

// I8, through many rolls under load: the writer does nothing but write, and each
// roll's other operations come from flusher and roller, in their order.
func TestI8RollsUnderLoad(t *testing.T) {
	var lock sync.Mutex
	var lines []string
	s := startServerOn(t, fstest.Trace(fstest.NewMem(), func(line string) {
		lock.Lock()
		defer lock.Unlock()
		lines = append(lines, line)
	}), Default())
	c := dial(t, s)
	c.send("CREATE t segment.bytes=16KiB\n")
	c.want("OK")
	var wg sync.WaitGroup
	value := strings.Repeat("x", 1500)
	for _, ack := range []string{"written", "written", "synced", "synced"} {
		client := dial(t, s)
		wg.Go(func() {
			for range 250 {
				client.send("MSG t %d ack=%s\n%s\n", len(value), ack, value)
				client.want("OK first=* next=* ack=" + ack + " synced=*")
			}
		})
	}
	wg.Wait()
	lock.Lock()
	defer lock.Unlock()
	checkRolls(t, lines)
}

// checkRolls walks through the operations and keeps, for the one roll that may
// be under way, how far it has come.
func checkRolls(t *testing.T, lines []string) {
	rolls, at, synced := 0, 0, map[string]bool{}
	for _, line := range lines {
		by, rest, _ := strings.Cut(line, " ")
		kind, name, _ := strings.Cut(rest, " ")
		switch {
		case by == string(disk.ByWriter) && kind != "write":
			t.Fatalf("the append path did more than write: %s", line)
		case by == string(disk.ByWriter):
			delete(synced, strings.Fields(name)[0])
		case by == string(disk.ByFlusher) && kind == "write" && strings.HasSuffix(strings.Fields(name)[0], "/marks"):
		case by == string(disk.ByFlusher) && kind != "sync":
			t.Fatalf("the flusher did more than sync: %s", line)
		case by == string(disk.ByFlusher):
			synced[name] = true
		case by == string(disk.ByRoller) && kind == "truncate":
			if !synced[strings.Fields(name)[0]] {
				t.Fatalf("cut to size before its own sync: %s", line)
			}
			at = 1
		case by == string(disk.ByRoller) && kind == "rename" && strings.Contains(name, "next.seg"):
			if at == 0 {
				t.Fatalf("named before the segment before it was sealed: %s", line)
			}
			old, named, _ := strings.Cut(name, " -> ")
			synced[named] = synced[old]
			at = 2
		case by == string(disk.ByRoller) && kind == "syncdir" && at == 2:
			at = 0
			rolls++
		case by == string(disk.ByRoller) && kind == "create" && strings.HasSuffix(name, "next.seg"):
			if at != 0 {
				t.Fatalf("a spare was made in the middle of a roll: %s", line)
			}
		}
	}
	if rolls < 50 {
		t.Fatalf("only %d whole rolls in the trace", rolls)
	}
	t.Logf("%d rolls, %d operations", rolls, len(lines))
}

// A FLUSH that has found its topic just before a DROP is answered, not carried
// out on closed files.
func TestFlushOfADroppedTopic(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	c.send("CREATE t\n")
	c.want("OK")
	p := s.catalog.find([]byte("t"), 0)
	c.send("DROP t\n")
	c.want("OK")
	late := &command{op: opSync, verb: text.VerbFlush, part: p, reply: make(chan *command, 1)}
	p.flusher.in <- late
	if got := <-late.reply; got.err == nil || got.err.Code != text.CodeNoTopic {
		t.Errorf("got %v", got.err)
	}
}
