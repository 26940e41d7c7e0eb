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
	"sluice/wire/batch"
	"sluice/wire/text"
)

// flush.bytes and flush.messages: a sync without a tick once that much is unsynced,
// and not before.
func TestFlushByAmount(t *testing.T) {
	size := int64(len(storedBatch(t, batch.None, "value"))) // what rig.append writes
	for name, set := range map[string]func(*TopicConfig){
		"bytes":    func(c *TopicConfig) { c.FlushBytes = 3 * size },
		"messages": func(c *TopicConfig) { c.FlushMessages = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startStages(t, fstest.NewMem(), func(c *Config) { c.Topic.Flush = Forever; set(&c.Topic) })
				defer b.stop()
				for round := range uint64(3) {
					for range 2 {
						<-b.append(text.AckWritten)
						b.wantDurable(3 * round)
					}
					<-b.append(text.AckWritten)
					b.wantDurable(3*round + 3)
				}
			})
		})
	}
}

// sync=shutdown: no interval, size or number has it synced; a synced ack and FLUSH do,
// and so does the stop.
func TestSyncShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := fstest.NewMem()
		b := startStages(t, mem, func(c *Config) {
			c.Topic.Sync, c.Topic.Flush, c.Topic.FlushBytes, c.Topic.FlushMessages = SyncShutdown, 0, 1, 1
		})
		<-b.append(text.AckWritten)
		time.Sleep(1000 * time.Hour)
		b.tick()
		b.wantDurable(0)
		if cmd := <-b.append(text.AckSynced); cmd.reached != text.AckSynced || cmd.durable != 2 {
			t.Errorf("reached %s, durable %d", cmd.reached, cmd.durable)
		}
		<-b.append(text.AckWritten)
		b.wantDurable(2)
		flush := &command{op: opSync, verb: text.VerbFlush, part: b.part, reply: make(chan *command, 1)}
		b.flusher.in <- flush
		if <-flush.reply; flush.durable != 3 {
			t.Errorf("FLUSH reached %d", flush.durable)
		}
		<-b.append(text.AckWritten)
		b.wantDurable(3)
		b.stop()
		b.wantDurable(4)
		for _, name := range mem.Unsynced() {
			t.Errorf("%s is not synced after the stop", name)
		}
	})
}

// Whatever the settings say, a log does not hold more than disk.CheckpointBytes
// unsynced; and no written ack waits for the sync that sees to it.
func TestUnsyncedBytesAreBounded(t *testing.T) {
	g := newGate(flusherSync("t"))
	defer g.release()
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), g.pass), noTicks())
	c := dial(t, s)
	c.send("CREATE t sync=shutdown max.message.bytes=9MiB\n")
	c.want("OK")
	value := strings.Repeat("x", 8<<20-100)
	n := 0
	for stop := false; !stop; n++ {
		c.send("MSG t %d\n%s\n", len(value), value)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", n, n+1))
		select {
		case <-g.came:
			stop = true
		default:
			if n > 20 {
				t.Fatal("no sync came")
			}
		}
	}
	if n < disk.CheckpointBytes/(8<<20) {
		t.Errorf("a sync came after %d MiB", n*8)
	}
	c.send("MSG t 1\nx\n") // beside the sync
	c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", n, n+1))
	g.release()
	p := s.catalog.find([]byte("t"), 0)
	waitFor(t, func() bool { return p.log.Durable() >= uint64(n-1) })
}

// sync=dsync: the write itself is durable, so each ack says synced, no fdatasync
// follows, and a write that takes its time holds no log of another kind.
func TestSyncDsync(t *testing.T) {
	var held atomic.Bool
	g := newGate(func(op fstest.Op) bool { return held.Load() && op.Kind == fstest.WriteSync })
	defer g.release()
	var lock sync.Mutex
	var bad []fstest.Op
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if strings.Contains(op.Name, "/safe/") && (op.By == disk.ByFlusher && op.Kind == fstest.Sync || op.By == disk.ByWriter && op.Kind != fstest.WriteSync) {
			lock.Lock()
			bad = append(bad, op)
			lock.Unlock()
		}
		return g.pass(op)
	}), noTicks())
	c, other := dial(t, s), dial(t, s)
	c.send("CREATE safe sync=dsync partitions=2\nMSG safe 1\na\nMSG safe 1 ack=synced\nb\nMSG safe 1 ack=written\nc\nMSG safe/1 1\nd\nFLUSH safe\n")
	c.want("OK", "OK first=0 next=1 ack=synced synced=*", "OK first=1 next=2 ack=synced synced=*", "OK first=2 next=3 ack=synced synced=3",
		"OK first=0 next=1 ack=synced synced=1", "OK synced=3")
	held.Store(true)
	c.send("MSG safe 1\ne\n")
	<-g.came
	other.send("MSG plain 1\nx\nMSG plain 1 ack=synced\ny\nREAD safe 2\n")
	other.want("OK first=0 next=1 ack=written synced=*", "OK first=1 next=2 ack=synced synced=2",
		"REC offset=2 time=* key=-1 n=1", "c", "OK next=3 end=3 epoch=0")
	held.Store(false)
	g.release()
	c.want("OK first=3 next=4 ack=synced synced=4")
	lock.Lock()
	defer lock.Unlock()
	if len(bad) > 0 {
		t.Errorf("operations that a dsync log needs not: %+v", bad)
	}
}

// A dsync log rolls as others do, and every ack still says synced.
func TestSyncDsyncRolls(t *testing.T) {
	mem := fstest.NewMem()
	s := startServerOn(t, mem, noTicks())
	c := dial(t, s)
	c.send("CREATE t sync=dsync segment.bytes=16KiB\n")
	c.want("OK")
	value := strings.Repeat("x", 5000)
	for i := range 30 {
		c.send("MSG t 5000\n%s\n", value)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=synced synced=%d", i, i+1, i+1))
	}
	p := s.catalog.find([]byte("t"), 0)
	if n := p.log.Info().Segments; n < 8 {
		t.Errorf("%d segments", n)
	}
}
