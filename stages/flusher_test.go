package stages

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// rig is a few stages on a log in memory, without sockets, in virtual time.
type rig struct {
	t       *testing.T
	part    *partition
	writer  *writer
	flusher *flusher
	roller  *roller
	stop    func()
}

// startStages runs writer, flusher and roller for one log. It must be called in
// a synctest bubble.
func startStages(t *testing.T, fs disk.FS, change func(*Config)) *rig {
	t.Helper()
	conf := Default()
	change(&conf)
	store, err := disk.OpenStore(fs, disk.StoreOptions{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateTopic("controller", "t", nil); err != nil {
		t.Fatal(err)
	}
	log, _, err := store.OpenLog("open", "t", 0, disk.LogOptions{SegmentBytes: conf.Topic.SegmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	s := new(stats)
	roller := newRoller(1, s, zap.NewNop())
	b := &rig{
		t: t, roller: roller, flusher: newFlusher(conf.Flusher, roller.in, s),
		writer: newWriter(conf.Writer, 1, roller.in, newNotifier(1).in, &admission{room: newRoom(fs, conf.Disk, zap.NewNop())}, s),
	}
	b.part = &partition{topic: &topic{name: "t", conf: newTopicConf(conf.Topic)}, log: log, writer: b.writer, flusher: b.flusher}
	b.part.maintain.cmd = command{op: opMaintain, part: b.part}
	b.part.sync.cmd = command{op: opSync, part: b.part}
	g := sched.NewGroup(t.Context())
	g.Go("roller", roller.Run)
	flushing, writing := make(chan error, 1), make(chan error, 1)
	g.Go("flusher", func(ctx context.Context) error { flushing <- b.flusher.Run(ctx); return nil })
	g.Go("writer", func(ctx context.Context) error { writing <- b.writer.Run(ctx); return nil })
	b.flusher.in <- &command{op: opAdopt, part: b.part}
	b.stop = func() {
		close(b.writer.in)
		<-writing
		close(b.flusher.in)
		<-flushing
		close(roller.in)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	return b
}

// append sends one record to the writer; the answer comes back on the channel.
func (b *rig) append(ack text.Ack) chan *command {
	var builder batch.Builder
	builder.Reset(nil)
	builder.Add(0, nil, []byte("value"), nil)
	bytes, err := builder.Finish(batch.None)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := make(chan *command, 1)
	b.writer.in <- &command{op: opAppend, verb: text.VerbMsg, ack: ack, part: b.part, bytes: bytes, records: 1, msgs: 1, reply: answer}
	return answer
}

func (b *rig) wantDurable(want uint64) {
	b.t.Helper()
	synctest.Wait()
	if got := b.part.log.Durable(); got != want {
		b.t.Fatalf("durable is %d, want %d", got, want)
	}
}

// tick is what the clock sends every stages.flusher.tick.
func (b *rig) tick() {
	b.flusher.ticks.send(b.flusher.in)
	synctest.Wait()
}

func TestFlushInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startStages(t, fstest.NewMem(), func(c *Config) { c.Topic.Flush = time.Second })
		defer b.stop()
		<-b.append(text.AckWritten)
		b.wantDurable(0)
		time.Sleep(999 * time.Millisecond)
		b.tick()
		b.wantDurable(0)
		time.Sleep(time.Millisecond)
		b.tick()
		b.wantDurable(1)
		<-b.append(text.AckWritten)
		b.tick() // a busy log is synced every flush.ms, not at every tick
		b.wantDurable(1)
		time.Sleep(time.Second)
		b.tick()
		b.wantDurable(2)
	})
}

func TestFlushZeroSyncsAfterEachPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startStages(t, fstest.NewMem(), func(c *Config) { c.Topic.Flush = 0 })
		defer b.stop()
		if cmd := <-b.append(text.AckWritten); cmd.reached != text.AckWritten {
			t.Fatalf("reached %s", cmd.reached)
		}
		b.wantDurable(1) // without a tick
	})
}

func TestFlushForeverLeavesItToTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startStages(t, fstest.NewMem(), func(c *Config) { c.Topic.Flush = Forever })
		<-b.append(text.AckWritten)
		time.Sleep(1000 * time.Hour)
		b.tick()
		b.wantDurable(0)
		b.stop()
		b.wantDurable(1)
	})
}

func TestLingerGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int32
		fs := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if op.By == disk.ByWriter {
				writes.Add(1)
			}
			return nil
		})
		b := startStages(t, fs, func(c *Config) { c.Writer.Linger = 10 * time.Millisecond })
		defer b.stop()
		first := b.append(text.AckWritten)
		time.Sleep(9 * time.Millisecond)
		second := b.append(text.AckSynced)
		synctest.Wait()
		if len(first) != 0 || writes.Load() != 0 {
			t.Fatal("a writer that lingers wrote before its time")
		}
		time.Sleep(time.Millisecond)
		if cmd := <-first; cmd.first != 0 || cmd.end != 1 || cmd.reached != text.AckWritten {
			t.Errorf("first: [%d, %d) %s", cmd.first, cmd.end, cmd.reached)
		}
		if cmd := <-second; cmd.first != 1 || cmd.end != 2 || cmd.reached != text.AckSynced || cmd.durable != 2 {
			t.Errorf("second: [%d, %d) %s durable %d", cmd.first, cmd.end, cmd.reached, cmd.durable)
		}
		if n := writes.Load(); n != 1 {
			t.Errorf("%d writes for two commands that waited together", n)
		}
	})
}

// However long a sync takes, the clock puts one tick into the queue, not one for
// each interval: a full queue would stop the writers, and with them all logs.
func TestTicksDoNotFillTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(stats)
		busy := newFlusher(FlusherConfig{Queue: 100}, nil, st) // takes nothing
		conf := Default()
		conf.CrashLoop = 0
		s := &Server{conf: conf, conns: newConnections(st, 1, None), catalog: newCatalog(), scrubber: newScrubber(newCatalog(), 0, zap.NewNop()), flushers: []*flusher{busy}, admission: &admission{room: newRoom(fstest.NewMem(), DiskConfig{Check: time.Second}, zap.NewNop())}}
		s.startTicks(t.Context())
		time.Sleep(time.Hour)
		if n := len(busy.in); n != 1 {
			t.Errorf("%d ticks are queued", n)
		}
		s.stopTicks()
		if err := s.tickGroup.Wait(); err != nil {
			t.Error(err)
		}
	})
}
