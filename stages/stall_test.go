package stages

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// stall fills a log of small segments until an append waits for its spare: the
// gate holds the flusher's sync of the segment before. It returns the client,
// which has sent two appends of 5,000 bytes that have no answer, a FLUSH and a PING.
func stall(t *testing.T, s *Server, g *gate) (*session, *partition) {
	t.Helper()
	c := dial(t, s)
	c.send("CREATE t segment.bytes=16KiB\n")
	c.want("OK")
	p := s.catalog.find([]byte("t"), 0)
	value := strings.Repeat("x", 5000)
	for i := range 6 {
		c.send("MSG t 5000\n%s\n", value)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
	}
	<-g.came
	c.send("MSG t 5000\n%s\nMSG t 5000\n%s\nFLUSH t\nPING\n", value, value)
	waitFor(t, func() bool { // the PING is counted, so all before it have found the topic, which may be dropped from here on
		return s.stats.requests.Load() == 1+6+4 && p.waitsForSpare.Load() && !p.maintain.queued.Load()
	})
	return c, p
}

// I6, while an append waits for a spare that will never be.
func TestI6FailureEndsAStall(t *testing.T) {
	g := newGate(flusherSync("t"))
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if g.match(op) {
			_ = g.pass(op)
			return syscall.EIO
		}
		return nil
	}), noTicks())
	c, _ := stall(t, s, g)
	close(g.open)
	for range 3 {
		if got := c.line(); !strings.HasPrefix(got, "ERR LOG_FAILED - ") {
			t.Fatalf("got %q", got)
		}
	}
}

// B5: an index that can't be written takes no append with it.
func TestB5IndexFailureDoesNotEndAStall(t *testing.T) {
	g := newGate(flusherSync("t"))
	var failed atomic.Bool
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.By == disk.ByRoller && strings.Contains(op.Name, ".idx") {
			failed.Store(true)
			return syscall.ENOSPC
		}
		return g.pass(op)
	}), noTicks())
	c, _ := stall(t, s, g)
	close(g.open)
	c.want("OK first=6 next=7 ack=written synced=*", "OK first=7 next=8 ack=written synced=*", "OK synced=8", "OK pong=1")
	if !failed.Load() {
		t.Error("no index was written")
	}
}

// Refusals of messages that asked for no answer name their requests, each its own,
// also where they travelled together.
func TestRefusalsNameTheirRequests(t *testing.T) {
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.By == disk.ByWriter && op.Kind == fstest.Write && strings.Contains(op.Name, "/t/") {
			return syscall.ENOSPC
		}
		return nil
	}), noTicks())
	c := dial(t, s)
	none := "MSG t 1 ack=none\nx\n"
	c.send("%s", "CREATE t\n"+none+"\r\n"+none+"PING\n"+none+oneBatch(t, "t", batch.None, "x", "y")+none+"MSG t 1\nx\nPING\n")
	c.want("OK")
	for _, req := range []string{" req=2", " req=3", "PING", " req=5", "", " req=7", ""} {
		if req == "PING" {
			c.want("OK pong=1")
			continue
		}
		c.refused("ERR DISK_FULL" + req + " - ")
	}
	c.want("OK pong=1")
}

// A stop waits for a log that waits for its spare, and answers its appends; so does
// a DROP, which refuses them.
func TestStopAndDropDuringAStall(t *testing.T) {
	for _, c := range []struct{ name, verb, want string }{
		{"stop", "SHUTDOWN\n", "OK first=6 next=7 ack=written synced=*"},
		{"drop", "DROP t\n", "ERR NO_TOPIC - the topic was dropped"},
		{"drop, and the same name again", "DROP t\nMSG t 5000\n" + strings.Repeat("y", 5000) + "\n", "ERR NO_TOPIC - the topic was dropped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(flusherSync("t"))
			s := startServerOn(t, fstest.Fail(fstest.NewMem(), g.pass), noTicks())
			client, _ := stall(t, s, g)
			other := dial(t, s)
			other.send("%s", c.verb)
			if strings.HasPrefix(c.verb, "SHUTDOWN") {
				other.want("OK")
			} else { // refused by the writer, while the flusher is still at the sync
				client.want(c.want)
				waitFor(t, func() bool { return !s.catalog.has([]byte("t")) })
			}
			close(g.open)
			if strings.HasPrefix(c.verb, "SHUTDOWN") {
				client.want(c.want, "OK first=7 next=8 ack=written synced=*", "OK synced=8", "OK pong=1")
				client.ended()
				finished(t, s)
				return
			}
			client.want(c.want, c.want)
			other.want("OK")
			if strings.Contains(c.verb, "MSG") {
				other.want("OK first=0 next=1 ack=written synced=0")
			}
		})
	}
}
