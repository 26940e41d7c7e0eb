package stages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/sched"
)

// fewFiles leaves the store so few descriptors that four logs can be awake.
func fewFiles(c *Config) {
	c.Descriptors = int64(max(descriptors(), descriptorsAtLeast) + sched.DescriptorSlack + 44)
	c.MaxConnections = 17
}

// TestD1I13ManyLogsFewDescriptors: producers and readers go through far more logs than can be awake at once, while topics
// come and go. No append is refused, each log has what was acknowledged, and no more descriptors are open than allowed,
// none at the end.
func TestD1I13ManyLogsFewDescriptors(t *testing.T) {
	for _, tick := range []bool{true, false} {
		t.Run(fmt.Sprint("ticks ", tick), func(t *testing.T) {
			h := fstest.CountHandles(fstest.NewMem())
			conf := Default()
			if !tick {
				conf = noTicks()
			}
			fewFiles(&conf)
			s := startServerOn(t, h, conf)
			c := dial(t, s)
			const logs, sessions = 30, 6
			for i := range logs {
				mode := []string{"", " sync=dsync", " flush.ms=0"}[i%3]
				c.send("CREATE t%d segment.bytes=16KiB%s\n", i, mode)
				c.want("OK")
			}
			seed := seedOf(t)
			var wg sync.WaitGroup
			var counts [sessions][logs]int
			for i := range sessions {
				wg.Go(func() { wander(dial(t, s), seed+uint64(i), counts[i][:]) })
			}
			wg.Go(func() {
				c := dial(t, s)
				for range 20 {
					c.send("CREATE u\nMSG u 1\nx\nREAD u 0\nDROP u\n")
					c.want("OK", "OK first=0 next=1 ack=written synced=*", "REC offset=0 time=* key=-1 n=1", "x", "OK next=1 end=1 epoch=0", "OK")
				}
			})
			wg.Wait()
			i := s.store.Files()
			if i.Sleeps == 0 || i.Evictions == 0 || i.Awake > 4 {
				t.Errorf("%+v", i)
			}
			for log := range logs {
				n := 0
				for i := range counts {
					n += counts[i][log]
				}
				c.send("FLUSH t%d\n", log)
				if c.want(fmt.Sprintf("OK synced=%d", n)); t.Failed() {
					return
				}
			}
			if err := s.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, name := range h.Unsynced() {
				if !strings.HasSuffix(name, ".idx.tmp") { // derived
					t.Errorf("%s was closed with unsynced bytes", name)
				}
			}
			if now, most := h.Taken(); now != 0 || most > i.Budget {
				t.Errorf("%d descriptors are still taken, %d were at most, of %d", now, most, i.Budget)
			}
		})
	}
}

// wander appends here and there, several requests at a time, and reads now and then what others have left.
func wander(c *session, seed uint64, counts []int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		var asked []string
		var send strings.Builder
		for range 1 + rng.IntN(8) {
			log := rng.IntN(len(counts))
			value := strings.Repeat("v", rng.IntN(3000))
			ack := []string{"written", "synced"}[rng.IntN(2)]
			fmt.Fprintf(&send, "MSG t%d %d ack=%s\n%s\n", log, len(value), ack, value)
			asked = append(asked, "OK first=* next=* ack=* synced=*")
			counts[log]++
		}
		c.send("%s", send.String())
		c.want(asked...)
		if log := rng.IntN(len(counts)); counts[log] > 0 {
			c.send("READ t%d %d limit=1\n", log, rng.IntN(counts[log]))
			if head := c.line(); !strings.HasPrefix(head, "REC ") {
				c.t.Errorf("read: %q", head)
				return
			}
			c.line()
			c.want("OK next=* end=* epoch=*")
		}
	}
}

// TestDropOfLogsThatWait: logs that are woken, woken for an append that a drop cuts off, or asleep, leave nothing.
func TestDropOfLogsThatWait(t *testing.T) {
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByRoller && op.Kind == fstest.Open && strings.Contains(op.Name, "/t1/")
	})
	h := fstest.CountHandles(fstest.Fail(fstest.NewMem(), g.pass))
	conf := noTicks()
	fewFiles(&conf)
	s := startServerOn(t, h, conf)
	t.Cleanup(g.release)
	c, d := dial(t, s), dial(t, s)
	for i := range 12 {
		c.send("CREATE t%d\n", i)
		c.want("OK")
	}
	var send strings.Builder
	for i := range 12 {
		if i != 1 {
			fmt.Fprintf(&send, "MSG t%d 1\nx\n", i)
		}
	}
	c.send("%s", send.String())
	for range 11 {
		c.want("OK first=0 next=1 ack=written synced=*")
	}
	c.send("MSG t1 1\nx\n")
	<-g.came
	p := s.catalog.find([]byte("t1"), 0)
	d.send("DROP t1\n")
	waitFor(t, func() bool { return p.dropped.Load() })
	g.release()
	d.want("OK")
	if line := c.line(); !strings.HasPrefix(line, "ERR NO_TOPIC") && !strings.HasPrefix(line, "OK first=0") {
		t.Fatalf("got %q", line)
	}
	for i := range 12 {
		if i != 1 {
			c.send("MSG t%d 1\nx\nDROP t%d\n", i, i)
			c.want("OK first=1 next=2 ack=written synced=*", "OK")
		}
	}
	if i := s.store.Files(); i.Awake != 0 || i.Cached != 0 || i.Open != 2 { // the LOCK, and its directory
		t.Fatalf("%+v", i)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestD1DropOfLogThatWasWoken: a log that waits for the only place among those awake has it once a drop has closed the log
// that held it, even if that one was woken between its writer's and the roller's letting go of it.
func TestD1DropOfLogThatWasWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := disk.OpenStore(fstest.NewMem(), disk.StoreOptions{Files: 17}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		work := make(chan *command)
		srv := &Server{log: zap.NewNop(), store: store, catalog: newCatalog(), stats: new(stats)}
		srv.roller = newRoller(3, srv.stats, srv.log)
		parts := map[string]*partition{}
		for _, name := range []string{"idle", "dropped", "waits"} { // the first one is awake
			if err := store.CreateTopic("controller", name, nil); err != nil {
				t.Fatal(err)
			}
			log, _, err := store.OpenLog("open", name, 0, disk.LogOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p := &partition{topic: &topic{name: name}, log: log, writer: &writer{in: work, spares: make(chan spare, 3)}, flusher: &flusher{in: work}}
			p.topic.parts = []*partition{p}
			p.maintain.cmd = command{op: opMaintain, part: p}
			srv.catalog.publish(func(m map[string]*topic) { m[name] = p.topic })
			parts[name] = p
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.roller.Run(t.Context()) }) // never returns an error
		wg.Go(func() {
			if e := newController(ControllerConfig{}, srv).drop(&adminRequest{topic: "dropped"}); e != nil {
				t.Error(e)
			}
		})
		asked := <-work // the writer
		a, b := parts["dropped"], parts["waits"]
		a.log.Roll() // an append waits
		a.log.Forgo()
		b.log.Roll()
		b.waitsForSpare.Store(true)
		a.maintain.send(srv.roller.in)
		b.maintain.send(srv.roller.in)
		asked.done()
		(<-work).done() // the flusher
		synctest.Wait()
		select {
		case woken := <-b.writer.spares:
			if woken.err != nil || woken.part != b {
				t.Errorf("%+v", woken)
			}
		default:
			t.Error("the drop is over, and the log that waits for the place still does")
		}
		close(srv.roller.in)
		wg.Wait()
		for _, name := range []string{"idle", "waits"} {
			if err := parts[name].log.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}
