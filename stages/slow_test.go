package stages

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk/fstest"
)

// B9, a sync that hangs: who waits for it waits, and all of them share the next one;
// appends with ack=written, reads and other logs go on, also while a DROP waits; STATS, /healthz
// and one line of the log tell of it.
func TestB9HeldSyncDegradesOneLog(t *testing.T) {
	const waiting = 20
	g := newGate(flusherSync("t"))
	defer g.release()
	syncs := 0 // of t; the flusher's goroutine, and the test once all is answered
	conf := noTicks()
	conf.Flusher.Slow = time.Second // no sync but the held one takes as long, however busy the machine is
	conf.Listen, conf.HTTP, conf.Disk.Reserve = "127.0.0.1:0", "", 0
	core, lines := observer.New(zap.WarnLevel)
	s, err := startOn(fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if g.match(op) {
			syncs++
		}
		return g.pass(op)
	}), conf, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.send("CREATE t\nMSG t 1\na\n")
	c.want("OK", "OK first=0 next=1 ack=written synced=0")
	var held []*session
	for range waiting {
		h := dial(t, s)
		h.send("MSG t 1 ack=synced\nb\n")
		held = append(held, h)
	}
	<-g.came
	p := s.catalog.find([]byte("t"), 0)
	waitFor(t, func() bool { return p.log.Next() == 1+waiting && p.slow.Load() })
	c.send("MSG t 1\nc\nREAD t 0 limit=1\nMSG u 1 ack=synced\nd\nCREATE v\n")
	c.want("OK first=21 next=22 ack=written synced=0", "REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=22 epoch=0",
		"OK first=0 next=1 ack=synced synced=1", "OK")
	dropper := dial(t, s)
	dropper.send("DROP v\n") // its flusher is the one that hangs, and the controller waits for it
	waitFor(t, func() bool { return !s.catalog.has([]byte("v")) })
	c.send("STATS\n")
	if _, b := c.data(); !strings.Contains(string(b), ` state=ok degraded="a sync has been under way for `) {
		t.Errorf("STATS does not tell:\n%s", b)
	}
	if status, body := s.health(); status != 200 || !strings.HasPrefix(body, "log t: a sync has been under way for ") {
		t.Errorf("/healthz says %d %q", status, body)
	}
	g.release()
	for _, h := range held {
		h.want("OK first=* next=* ack=synced synced=*")
	}
	dropper.want("OK")
	waitFor(t, func() bool { return !p.slow.Load() })
	if status, body := s.health(); status != 200 || body != "ok\n" {
		t.Errorf("afterwards /healthz says %d %q", status, body)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if syncs > 3 { // the held one, the one that all others share, and the last one of c
		t.Errorf("%d syncs for %d appends that waited together", syncs, waiting)
	}
	if n := lines.Len(); n != 2 {
		t.Errorf("%d lines about one sync, want its beginning and its end: %v", n, lines.All())
	}
}

// B9, with queues of one place and little memory: when a sync hangs for long, the stages
// before it fill to their bounds and the clients wait; reads of what is stored go on; and
// once the sync is over, each append is answered, in one place of its own.
func TestB9HeldSyncHoldsTheClients(t *testing.T) {
	const clients, each = 40, 4
	g := newGate(flusherSync("t"))
	defer g.release()
	conf := noTicks()
	conf.Writer.Queue, conf.Flusher.Queue, conf.Conn.InFlight, conf.Memory.Append = 1, 1, 2, 1<<20
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), g.pass), conf)
	c := dial(t, s)
	c.send("CREATE t\nMSG t 1\na\n")
	c.want("OK", "OK first=0 next=1 ack=written synced=0")
	value := strings.Repeat("b", 20<<10)
	var held []*session
	for range clients {
		h := dial(t, s)
		sent := make(chan struct{})
		go func() { // it may take until the sync is over; the answers below wait for it
			defer close(sent)
			h.send("%s", strings.Repeat(fmt.Sprintf("MSG t %d ack=synced\n%s\n", len(value), value), each))
		}()
		t.Cleanup(func() { <-sent })
		held = append(held, h)
	}
	<-g.came
	p := s.catalog.find([]byte("t"), 0)
	waitFor(t, func() bool { return len(p.writer.in) == cap(p.writer.in) && len(p.flusher.in) == cap(p.flusher.in) })
	for _, b := range s.budgets() {
		if used, bound := b.bytes.Used(); used > bound {
			t.Errorf("%s holds %d of %d bytes", b.name, used, bound)
		}
	}
	c.send("READ t 0 limit=1\nHEAD t\nSTATS\n")
	c.want("REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=* epoch=0")
	if got := c.line(); !strings.Contains(got, " synced=0 ") {
		t.Errorf("HEAD says %q", got)
	}
	c.data()
	g.release()
	seen := map[string]bool{}
	for _, h := range held {
		for range each {
			line := h.line()
			if !matches("OK first=* next=* ack=synced synced=*", line) || seen[strings.Fields(line)[1]] {
				t.Fatalf("got %q, seen before: %v", line, seen[strings.Fields(line)[1]])
			}
			seen[strings.Fields(line)[1]] = true
		}
	}
	if next := p.log.Next(); next != 1+clients*each {
		t.Errorf("%d records", next)
	}
}
