package stages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/text"
)

// Partitions are added under the requests that follow, keep what there is, and are there
// behind a restart; what can't be done changes nothing.
func TestAlterAddsPartitions(t *testing.T) {
	mem, conf := fstest.NewMem(), noTicks()
	conf.MaxPartitions = 6
	s := startServerOn(t, mem, conf)
	c := dial(t, s)
	c.send("CREATE u\nCREATE t ack=synced\nMSG t 1\na\nALTER t partitions=3\nMSG t/2 1\nb\nHEAD t\nHEAD t/1\nHEAD t/3\n")
	c.want("OK", "OK", "OK first=0 next=1 ack=synced synced=1", "OK", "OK first=0 next=1 ack=synced synced=1",
		"OK oldest=0 next=1 synced=1 epoch=0 segment=0 segments=1 bytes=* partitions=3",
		"OK oldest=0 next=0 synced=0 epoch=0 segment=0 segments=1 bytes=* partitions=3")
	c.refused("ERR NO_TOPIC")
	for _, bad := range []struct{ request, want string }{
		{"ALTER t partitions=2", "ERR BAD_SETTING name=partitions - the topic has 3"},
		{"ALTER t partitions=0", "ERR BAD_SETTING name=partitions - 0 is out of bounds"},
		{"ALTER t partitions=1025", "ERR BAD_SETTING name=partitions - 1025 is out of bounds"},
		{"ALTER t ack=written segment.bytes=16KiB", "ERR BAD_SETTING name=segment.bytes - not supported yet for a topic that exists"},
		{"ALTER t partitions=4 index.interval.bytes=1", "ERR BAD_SETTING name=index.interval.bytes - not supported yet for a topic that exists"},
		{"ALTER t sync=dsync", "ERR BAD_SETTING name=sync - dsync is not supported yet for a topic that exists"},
		{"ALTER t max.message.bytes=4KiB flush.ms=soon", "ERR BAD_SETTING name=flush.ms - "},
		{"ALTER t retention.ms=1", "ERR BAD_SETTING name=retention.ms - not supported yet"},
		{"ALTER t colour=red", "ERR BAD_SETTING name=colour - no topic has such a setting"},
		{"ALTER v partitions=2", "ERR NO_TOPIC"},
		{"ALTER t partitions=6", "ERR OVERLOADED - this server holds at most 6 partitions"},
	} {
		c.send("%s\n", bad.request)
		c.refused(bad.want)
	}
	if conf := *s.catalog.all()["t"].conf.Load(); conf.Ack != text.AckSynced || conf.MaxBatch != 1<<20 {
		t.Errorf("what was refused has changed something: %+v", conf)
	}
	c.send("ALTER t partitions=3\nTOPICS\n")
	c.want("OK")
	if _, b := c.data(); !matches("t partitions=3 records=2 bytes=*\nu partitions=1 records=0 bytes=*\n", string(b)) {
		t.Errorf("TOPICS: %s", b)
	}
	id := s.catalog.all()["t"].id
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := startServerOn(t, mem, conf)
	c = dial(t, again)
	c.send("READ t 0\nREAD t/2 0\nMSG t/1 1\nc\nHEAD t/2\n")
	c.want("REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=1 epoch=0", "REC offset=0 time=* key=-1 n=1", "b", "OK next=1 end=1 epoch=0",
		"OK first=0 next=1 ack=synced synced=1", "OK oldest=0 next=1 synced=1 epoch=0 segment=0 segments=1 bytes=* partitions=3")
	if now := again.catalog.all()["t"].id; now != id || id.IsZero() {
		t.Errorf("the id was %s, and is %s behind a restart", id, now)
	}
}

// Settings of a topic hold for what follows their ALTER, on every connection and in partitions old and new, and behind a
// restart; those that the topic never had of its own are the server's still.
func TestAlterSettings(t *testing.T) {
	mem, conf := fstest.NewMem(), noTicks()
	conf.Topic.Flush, conf.Topic.MaxBatch = Forever, 1<<10
	s := startServerOn(t, mem, conf)
	c, other := dial(t, s), dial(t, s)
	other.send("CREATE t\nMSG t 1\na\n")
	other.want("OK", "OK first=0 next=1 ack=written synced=*")
	c.send("ALTER t partitions=2 ack=synced max.message.bytes=4KiB\nMSG t 2000\n%s\n", strings.Repeat("b", 2000))
	c.want("OK", "OK first=1 next=2 ack=synced synced=2")
	other.send("MSG t 2000\n%s\nMSG t/1 2000\n%[1]s\n", strings.Repeat("c", 2000))
	other.want("OK first=2 next=3 ack=synced synced=3", "OK first=0 next=1 ack=synced synced=1")
	c.send("ALTER t ack=written flush.messages=2\nMSG t 1\nd\nMSG t 1\ne\n")
	c.want("OK", "OK first=3 next=4 ack=written synced=*", "OK first=4 next=5 ack=written synced=*")
	waitFor(t, func() bool { return s.catalog.find([]byte("t"), 0).log.Durable() == 5 })
	c.send("ALTER t sync=shutdown\nCREATE u\n")
	c.want("OK", "OK")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conf.Topic.Flush, conf.Topic.FlushBytes = 0, 4096
	s = startServerOn(t, mem, conf)
	want := conf.Topic
	want.Partitions, want.Ack, want.MaxBatch, want.FlushMessages, want.Sync = 2, text.AckWritten, 4<<10, 2, SyncShutdown
	if got := *s.catalog.all()["t"].conf.Load(); got != want {
		t.Errorf("behind a restart the settings are %+v, want %+v", got, want)
	}
	c = dial(t, s)
	c.send("MSG t/1 1\nf\n")
	c.want("OK first=1 next=2 ack=written synced=*") // waking it may have synced it
}

// Partitions are added under everything that may be under way on their topic.
func TestAlterUnderLoad(t *testing.T) {
	conf := Default()
	conf.Conn.InFlight, conf.Writer.Queue, conf.Flusher.Queue, conf.Readers.Queue = 4, 1, 1, 1
	s := startServerOn(t, fstest.NewMem(), conf)
	c := dial(t, s)
	c.send("CREATE t\n")
	c.want("OK")
	follower := dial(t, s)
	follower.send("TAIL t 0\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	const most = 40
	var wg sync.WaitGroup
	var sent [most]int // by partition; touched by one goroutine each
	stop := make(chan struct{})
	for w := range 4 {
		c := dial(t, s)
		wg.Go(func() {
			for p := w; ; p = (p + 4) % most {
				select {
				case <-stop:
					return
				default:
				}
				c.send("MSG t/%d 1\nx\n", p)
				line := c.line()
				switch {
				case line == fmt.Sprintf("OK first=%d next=%d ack=written synced=%s", sent[p], sent[p]+1, line[strings.LastIndexByte(line, '=')+1:]):
					sent[p]++
				case sent[p] > 0 || !strings.HasPrefix(line, "ERR NO_TOPIC"):
					t.Errorf("t/%d had %d records: %q", p, sent[p], line)
					return
				}
			}
		})
	}
	for n := 2; n <= most; n++ {
		c.send("ALTER t partitions=%d\nHEAD t\n", n)
		c.want("OK", fmt.Sprintf("OK oldest=0 next=* synced=* epoch=0 segment=0 segments=1 bytes=* partitions=%d", n))
	}
	close(stop)
	wg.Wait()
	for range sent[0] {
		follower.want("REC offset=* time=* key=-1 n=*")
		follower.line()
	}
}

// growing is a server with a topic of one partition and a record, and what says from when
// on which of its operations fail.
func growing(t *testing.T, mem *fstest.Mem, fail func(fstest.Op) error) *Server {
	t.Helper()
	conf := noTicks()
	conf.Listen, conf.HTTP, conf.Disk.Reserve = anyPort, "", 0
	s, err := startOn(fstest.Fail(mem, fail), conf, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.send("MSG t 1 ack=synced\na\n")
	c.want("OK first=0 next=1 ack=synced synced=1")
	return s
}

// Rows A1 to A3 and B6: whichever operation is the last one of a server that alters a topic,
// behind a kill and behind a power cut all of its settings are the old ones or all the new,
// and there is no damage; an ALTER that was answered OK holds.
func TestA1A2A3B6AlterStopsAnywhere(t *testing.T) {
	for _, settings := range []string{"partitions=2 ack=synced", "ack=synced"} {
		t.Run(settings, func(t *testing.T) { testAlterStopsAnywhere(t, settings) })
	}
}

func testAlterStopsAnywhere(t *testing.T, settings string) {
	rng := rand.New(rand.NewPCG(1, 1)) // the same each time
	counts := map[text.Ack]int{}
	grows := strings.HasPrefix(settings, "partitions=2")
	for k, over := int64(1), false; !over; k++ {
		mem := fstest.NewMem()
		var armed atomic.Bool
		var n atomic.Int64
		s := growing(t, mem, func(op fstest.Op) error {
			if armed.Load() && op.Changes() && n.Add(1) >= k {
				return syscall.EIO
			}
			return nil
		})
		armed.Store(true)
		c := dial(t, s)
		c.send("ALTER t %s\n", settings)
		line := c.line()
		if over = line == "OK"; !over && !strings.HasPrefix(line, "ERR LOG_FAILED") {
			t.Fatalf("operation %d failed: %q", k, line)
		}
		left := []*fstest.Mem{mem.Kill(), mem.Crash(rng, 0), mem.Crash(rng, .5)}
		_ = s.Stop(t.Context()) // on a disk that takes nothing any more
		for i, mem := range left {
			_, err := disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) {
				if f.Severity == disk.Damage {
					t.Errorf("stopped at %d, crash %d: %+v", k, i, f)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			s := startServerOn(t, mem, noTicks())
			topic := s.catalog.all()["t"]
			ack, parts := topic.conf.Load().Ack, len(topic.parts)
			counts[ack]++
			if over && ack != text.AckSynced {
				t.Errorf("crash %d: what was altered is as it was", i)
			}
			names, err := mem.List("test", "topics/t")
			logs := slices.DeleteFunc(names, func(e disk.Entry) bool { return !e.Dir })
			if err != nil || len(logs) != parts {
				t.Errorf("stopped at %d, crash %d: with %d partitions there are %v, %v", k, i, parts, logs, err)
			}
			if two := grows && ack == text.AckSynced; two != (parts == 2) {
				t.Errorf("stopped at %d, crash %d: there are %d partitions, and the ack is %v", k, i, parts, ack)
			}
			c := dial(t, s)
			c.send("READ t 0\nALTER t partitions=3 ack=written\nMSG t/1 1\nb\nMSG t/2 1\nb\n")
			c.want("REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=1 epoch=0", "OK", "OK first=0 next=1 ack=written synced=*", "OK first=0 next=1 ack=written synced=*")
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	if counts[text.AckWritten] == 0 || counts[text.AckSynced] == 0 || len(counts) != 2 {
		t.Errorf("settings that were found: %v", counts)
	}
}

// Rows B4 and B6: partitions that can't be added for want of room leave nothing behind, and
// the topic as it was; with room again they are added.
func TestB4B6AlterWithoutRoom(t *testing.T) {
	for _, full := range []string{"topics/t/2/marks", "topics/t/topic.json.tmp", "topics/t/topic.json.2.tmp"} {
		mem := fstest.NewMem()
		var armed atomic.Bool
		s := growing(t, mem, func(op fstest.Op) error {
			if armed.Load() && op.Kind == fstest.Create && op.Name == full {
				return syscall.ENOSPC
			}
			return nil
		})
		armed.Store(true)
		c := dial(t, s)
		c.send("ALTER t partitions=4\n")
		c.refused("ERR DISK_FULL")
		names, err := mem.List("test", "topics/t")
		if err != nil || len(names) != 3 { // partition 0, and two copies
			t.Errorf("%s: left are %v, %v", full, names, err)
		}
		c.send("HEAD t/0\nHEAD t/1\n")
		c.want("OK oldest=0 next=1 synced=1 epoch=0 segment=0 segments=1 bytes=* partitions=1")
		c.refused("ERR NO_TOPIC")
		armed.Store(false)
		c.send("ALTER t partitions=4\nMSG t/3 1 ack=synced\nb\n")
		c.want("OK", "OK first=0 next=1 ack=synced synced=1")
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A log that its topic does not count, but which holds records, is not taken for one that a crash left: it stays, and is
// there when partitions are added.
func TestUncountedLogWithRecordsStays(t *testing.T) {
	mem, conf := fstest.NewMem(), noTicks()
	s := startServerOn(t, mem, conf)
	c := dial(t, s)
	c.send("CREATE t partitions=2\nMSG t/1 1 ack=synced\na\n")
	c.want("OK", "OK first=0 next=1 ack=synced synced=1")
	if err := s.store.ChangeTopic("test", "t", map[string]string{"partitions": "1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = dial(t, startServerOn(t, mem, conf))
	c.send("READ t/1 0\nALTER t partitions=2\nREAD t/1 0\n")
	c.refused("ERR NO_TOPIC")
	c.want("OK", "REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=1 epoch=0")
}

// TestB6AlterUnsettled: behind an ALTER that failed, and could not be undone either, the next one that is answered OK holds behind
// a restart, also where it asks for what is served.
func TestB6AlterUnsettled(t *testing.T) {
	for _, again := range []string{"ack=written", "partitions=1", "partitions=2 ack=written"} {
		mem := fstest.NewMem()
		var armed, broken atomic.Bool
		s := growing(t, mem, func(op fstest.Op) error {
			if armed.Load() && (broken.Load() || op.Kind == fstest.SyncDir && op.Name == "topics/t") {
				broken.Store(true) // from there on
				return syscall.EIO
			}
			return nil
		})
		c := dial(t, s)
		c.send("ALTER t ack=written\n") // from now on it is the topic's own
		c.want("OK")
		armed.Store(true)
		c.send("ALTER t ack=synced\n")
		c.refused("ERR LOG_FAILED - could not alter topic t")
		armed.Store(false)
		c.send("ALTER t %s\nMSG t 1\nb\n", again)
		c.want("OK", "OK first=1 next=2 ack=written synced=*")
		parts := len(s.catalog.all()["t"].parts)
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		topic := startServerOn(t, mem, noTicks()).catalog.all()["t"]
		if ack := topic.conf.Load().Ack; ack != text.AckWritten || len(topic.parts) != parts {
			t.Errorf("%s: behind a restart the ack is %v, with %d partitions", again, ack, len(topic.parts))
		}
	}
}
