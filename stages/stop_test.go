package stages

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A stop under load answers every append that it accepted, and the next start
// finds all of them.
func TestStopAnswersWhatItAccepted(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(c *Config) { c.Data = dir; c.Topic.SegmentBytes = 64 << 10 })
	dial(t, s).send("CREATE t\n")
	var answered sync.Map // offset -> value
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		c := dial(t, s)
		wg.Go(func() {
			for n := 0; ; n++ {
				value := fmt.Sprintf("%d-%d", i, n)
				if _, err := fmt.Fprintf(c.nc, "MSG t %d\n%s\n", len(value), value); err != nil {
					return
				}
				line, err := c.in.ReadString('\n')
				if err != nil || strings.HasPrefix(line, "ERR SHUTTING_DOWN") {
					return
				}
				var offset uint64
				if _, err := fmt.Sscanf(line, "OK first=%d ", &offset); err != nil {
					t.Errorf("got %q", line)
					return
				}
				answered.Store(offset, value)
				if n == 50 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	again := startServer(t, func(c *Config) { c.Data = dir })
	c := dial(t, again)
	c.send("READ t 0\n")
	n := 0
	for offset := uint64(0); ; offset++ {
		line := c.line()
		if strings.HasPrefix(line, "OK next=") {
			break
		}
		value := c.line()
		if want, ok := answered.LoadAndDelete(offset); ok && want != value {
			t.Fatalf("offset %d holds %q, acknowledged was %q", offset, value, want)
		}
		n++
	}
	answered.Range(func(offset, value any) bool {
		t.Errorf("acknowledged and gone: %v at %v", value, offset)
		return true
	})
	t.Logf("%d records", n)
}

func TestStopEndsWhoWaits(t *testing.T) {
	s := startServer(t, nil)
	idle, tail, fetch, half := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	idle.send("CREATE t\n")
	idle.want("OK")
	tail.send("TAIL t\n")
	fetch.send("FETCH t newest wait=10h\n")
	half.send("PING\nMSG t 100\nhalf of")
	half.want("OK pong=1")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 2 })
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	idle.ended()
	tail.want("ERR SHUTTING_DOWN - the server is stopping")
	tail.ended()
	if head, _ := fetch.data(); !matches("DATA 0 from=0 next=0 end=0 synced=0 epoch=0", head) {
		t.Errorf("got %q", head)
	}
	fetch.ended()
	rest, err := io.ReadAll(half.in)
	if err != nil || len(rest) > 0 && !bytes.HasPrefix(rest, []byte("ERR SHUTTING_DOWN")) {
		t.Errorf("half a request got %q, %v", rest, err)
	}
}

// A client that takes no answers must not hold the stop for longer than the grace.
func TestStopIsCutShort(t *testing.T) {
	conf := Default()
	conf.Data, conf.Listen, conf.HTTP, conf.Kafka, conf.Grace = t.TempDir(), "127.0.0.1:0", "", "", 100*time.Millisecond
	s, err := Start(conf, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	stuck := dial(t, s)
	stuckOn(t, s, stuck)
	if err := s.Stop(context.Background()); err == nil {
		t.Error("the stop says it was clean, but an answer never left")
	}
}

// stuckOn makes the client's responder wait for its socket.
func stuckOn(t *testing.T, s *Server, c *session) {
	t.Helper()
	if err := c.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil { // the kernel's own bound may be larger than the answers
		t.Fatal(err)
	}
	value := strings.Repeat("x", 1<<19)
	for range 16 {
		c.send("MSG t %d\n%s\n", len(value), value)
		c.want("OK * * ack=written *")
	}
	c.send("READ t 0\n")
	c.send("READ t 0\n")
	waitFor(t, func() bool {
		stuck := false
		s.conns.each(func(x *conn) {
			stuck = stuck || x.writeSince.Load() != 0 && time.Now().UnixNano()-x.writeSince.Load() > int64(20*time.Millisecond)
		})
		return stuck
	})
}

// longAgo makes what has begun, begin long ago. A short timeout instead would also meet
// what is merely slow, on a machine that has much else to do.
func longAgo(since *atomic.Int64) {
	if begun := since.Load(); begun != 0 {
		since.CompareAndSwap(begun, 1)
	}
}

// conn is the server's side of a session that was answered.
func (c *session) conn(s *Server) (found *conn) {
	c.t.Helper()
	s.conns.each(func(x *conn) {
		if x.nc.RemoteAddr().String() == c.nc.LocalAddr().String() {
			found = x
		}
	})
	if found == nil {
		c.t.Fatal("the server does not have the connection")
	}
	return found
}

// A slow client is closed, and nobody else notices.
func TestSlowClientIsClosed(t *testing.T) {
	s := startServer(t, nil)
	stuck, other := dial(t, s), dial(t, s)
	stuckOn(t, s, stuck)
	other.send("MSG t 1\nx\n")
	other.want("OK * * ack=written *")
	c := stuck.conn(s)
	waitFor(t, func() bool {
		longAgo(&c.writeSince)
		return s.stats.connections.Load() == 1
	})
	other.quiet()
}

func TestTooManyConnections(t *testing.T) {
	s := startServer(t, func(c *Config) { c.MaxConnections = 1 })
	first := dial(t, s)
	first.quiet()
	second := dial(t, s)
	second.want("ERR OVERLOADED - there are 1 connections already (max_connections, or as many as the limit of open files allows)")
	second.ended()
	if err := first.nc.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	dial(t, s).quiet()
}

func TestTooManySubscribers(t *testing.T) {
	s := startServer(t, func(c *Config) { c.MaxSubscribers = 1 })
	first, second := dial(t, s), dial(t, s)
	first.send("CREATE t\nTAIL t\n")
	first.want("OK")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	second.send("TAIL t\n")
	second.want("ERR OVERLOADED - max_subscribers (1) requests wait for records already")
	second.quiet()
	if err := first.nc.(*net.TCPConn).CloseWrite(); err != nil { // the subscriber leaves
		t.Fatal(err)
	}
	first.want("OK next=0 end=0 epoch=0")
	first.ended()
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 0 })
}

func TestShutdownVerb(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	c.send("MSG t 1\nx\nSHUTDOWN\n")
	c.want("OK first=0 next=1 ack=written synced=*", "OK")
	<-s.Done()
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}
