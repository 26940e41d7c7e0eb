package stages

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/sched"
)

// taken leaves no place for half-received requests until the test gives it back.
func taken(t *testing.T, s *Server) (giveBack func()) {
	t.Helper()
	var rest [2]int64
	all := [2]*sched.Bytes{s.appendMemory.arriving, s.largeMemory.arriving}
	for i, b := range all {
		used, total := b.Used()
		if rest[i] = total - used; !b.TryReserve(rest[i]) {
			t.Fatal("more of them come")
		}
	}
	return func() {
		for i, b := range all {
			b.Free(rest[i])
		}
	}
}

// waiting waits until the only connection waits for the rest of a request.
func waiting(t *testing.T, s *Server) {
	t.Helper()
	waitFor(t, func() bool {
		waits := false
		s.conns.each(func(c *conn) { waits = c.frameSince.Load() != 0 && c.input.Load() != inputBusy })
		return waits
	})
}

// D2, E1: where half-received requests find no place, the rest of one costs no memory until it is there, however it comes apart; then it is
// carried out, and so is what follows on its connection.
func TestD2E1TheRestStaysInTheSocket(t *testing.T) {
	for _, c := range []struct {
		name       string
		head, tail string
		size       int
	}{
		{"fits a buffer, not the connection's own", "MSG t 6000\n", "\n", 6000},
		{"a message", "MSG t 200000\n", "\n", 200_000},
		{"with a carriage return", "MSG t 200000\n", "\r\n", 200_000},
		{"a large one", "MSG t 1000000\n", "\n", 1_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServerOn(t, fstest.NewMem(), noTicks())
			if got := halfClosed(t, s, "CREATE t\n"); string(got) != "OK\r\n" {
				t.Fatalf("got %q", got)
			}
			waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
			defer taken(t, s)()
			client := dial(t, s)
			client.send("%s", c.head)
			for left := c.size; left > 0; left -= 100_000 {
				client.send("%s", strings.Repeat("x", min(left, 100_000)/2))
				waiting(t, s)
				for _, m := range []*frameMemory{s.appendMemory, s.largeMemory} {
					if used, _ := m.Used(); used != 0 {
						t.Fatalf("%d bytes are lent for a request that is not here", used)
					}
				}
				client.send("%s", strings.Repeat("x", (min(left, 100_000)+1)/2))
			}
			client.send("%sMSG t 3\nabc\n", c.tail)
			client.want("OK first=0 next=1 ack=written synced=*", "OK first=1 next=2 ack=written synced=*")
			client.send("MSG t 50000\n%s\nPI", strings.Repeat("y", 50_000))
			client.want("OK first=2 next=3 ack=written synced=*")
			client.send("NG\n") // few bytes wake it again
			client.want("OK pong=1")
		})
	}
}

// Of a client that goes in the middle of what lies in its socket nothing is left, and nothing of it is appended.
func TestD2E2GoneWithTheRestInTheSocket(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	if got := halfClosed(t, s, "CREATE t\n"); string(got) != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	for _, leave := range []func(*net.TCPConn) error{(*net.TCPConn).CloseWrite, (*net.TCPConn).Close, func(nc *net.TCPConn) error {
		_ = nc.SetLinger(0) // if it can't be set, it is a close
		return nc.Close()
	}} {
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		giveBack := taken(t, s)
		client := dial(t, s)
		client.send("MSG t 200000\n%s", strings.Repeat("x", 100_000))
		waiting(t, s)
		if err := leave(client.nc.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		giveBack()
	}
	if next := s.catalog.find([]byte("t"), 0).log.Next(); next != 0 {
		t.Errorf("%d records were appended", next)
	}
}

// D2, E1: who holds memory that others wait for, and has not sent a part of its request within a share of its time, is told and closed; not
// before that, and not while nobody waits.
func TestD2E1WhoIsInTheWay(t *testing.T) {
	conf := noTicks()
	conf.Memory.Append, conf.Conn.FrameTimeout = 1<<20, frameSteps*time.Hour
	s := startServerOn(t, fstest.NewMem(), conf)
	slow, other := dial(t, s), dial(t, s)
	slow.send("CREATE t\nMSG t 200000\nx")
	slow.want("OK")
	waitFor(t, func() bool { // has its memory, too, and waits for the rest
		held := false
		s.conns.each(func(c *conn) { held = held || c.keeps.Load() != nil && c.frameSince.Load() != 0 })
		return held
	})
	look := func(after time.Duration) { s.conns.expire(time.Now().Add(after), conf.Conn) }
	look(2 * time.Hour)
	free := int64(1<<20 - 256<<10)
	if !s.appendMemory.TryReserve(free) {
		t.Fatal("more than that is lent")
	}
	other.send("MSG t 1\ny\n")
	waitFor(t, s.appendMemory.Wanted)
	look(time.Minute)
	if n := s.stats.closed[closedOverloaded].Load(); n != 0 {
		t.Fatalf("%d were closed who sent something within their time, or when nobody waited", n)
	}
	look(2 * time.Hour)
	slow.refused("ERR OVERLOADED - ")
	slow.ended()
	other.want("OK first=0 next=1 ack=written synced=*")
	s.appendMemory.Free(free)
	if n := s.stats.closed[closedOverloaded].Load(); n != 1 {
		t.Errorf("%d were closed", n)
	}
}

// D2, E1: a request that was whole just before its client was taken for one who is in the way has its own answer, if any, and no other: a client
// that asks for none would send again what is appended.
func TestD2E1WholeJustBefore(t *testing.T) {
	for _, next := range []string{"", "M"} {
		s := startServerOn(t, fstest.NewMem(), noTicks())
		c := dial(t, s)
		c.send("CREATE t\nMSG t 1 ack=none\nx\n%s", next)
		c.want("OK")
		waitFor(t, func() bool {
			ready := false
			s.conns.each(func(c *conn) {
				ready = s.catalog.find([]byte("t"), 0).log.Next() == 1 && c.input.Load() != inputBusy && (c.lineSince.Load() != 0) == (next != "")
			})
			return ready
		})
		s.conns.each((*conn).evict)
		if line := c.line(); !strings.HasPrefix(line, "ERR OVERLOADED - ") {
			t.Errorf("behind %q it was answered %q", next, line)
		}
		c.ended()
	}
}

// D2, E3: a client whose decoded requests wait behind answers that it does not take is closed when others wait for memory.requests; and those
// wait in places of half-received requests, so that they leave half of the memory to who needs none.
func TestD2E3WhoPinsDecodedRequests(t *testing.T) {
	conf := kafkaConf()
	conf.Conn.FrameTimeout, conf.Conn.WriteTimeout, conf.Conn.ReadBytes = frameSteps*time.Hour, 1000*time.Hour, 4<<10
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t\nMSG t 900000\n%s\n", bytes.Repeat([]byte("x"), 900_000))
	text.want("OK", "OK first=0 next=1 ack=written synced=*")
	times := kmsg.NewPtrListOffsetsRequest()
	times.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t"}}
	for range 3000 {
		times.Topics[0].Partitions = append(times.Topics[0].Partitions, kmsg.ListOffsetsRequestTopicPartition{CurrentLeaderEpoch: -1, Timestamp: latestOffset})
	}
	times.Version = 1
	slow := dialKafka(t, s)
	for range 40 { // more than its socket holds
		slow.send(fetchRequest(s, 12, wants{}, fromPartition{"t", 0, 0, 0}))
	}
	slow.send(times)
	used := func() int64 { n, _ := s.requestMemory.Used(); return n }
	var stuck *conn
	waitFor(t, func() bool {
		s.conns.each(func(c *conn) {
			if c.kafka != nil && c.writeSince.Load() != 0 {
				stuck = c
			}
		})
		return stuck != nil && used() > 0
	})
	rest := conf.Memory.Requests - used()
	if !s.requestMemory.TryReserve(rest) {
		t.Fatal("it is used up already")
	}
	other := dialKafka(t, s)
	other.send(times)
	waitFor(t, s.requestMemory.Wanted)
	if n, _ := s.appendMemory.arriving.Used(); n == 0 {
		t.Error("who waits for memory.requests has no place among the half-received requests")
	}
	third, giveBack := dialKafka(t, s), taken(t, s)
	third.send(times)
	third.ended() // it would wait with the memory that its frame lies in
	giveBack()
	began := time.Now()
	for _, after := range []time.Duration{0, time.Minute} {
		s.conns.expire(began.Add(after), conf.Conn)
	}
	if n := s.stats.closed[closedOverloaded].Load(); n != 1 {
		t.Fatalf("%d were closed before their time was over, or for want of a place", n)
	}
	s.conns.expire(began.Add(2*time.Hour), conf.Conn)
	other.receive(times)
	s.requestMemory.Free(rest)
	waitFor(t, s.nobodyArrives)
	if n := s.stats.closed[closedOverloaded].Load(); n != 2 {
		t.Errorf("%d were closed", n)
	}
}
