package stages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
)

// I10, for Kafka's fetches: of one partition and of many, small and large, with records and without, and of one that has waited.
func TestI10KafkaFetchAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, and empties pools at random")
	}
	s := startKafka(t, func(c *Config) { c.Topic.Flush, c.Conn.ReadBytes = Forever, 256<<10 })
	text := dial(t, s)
	text.send("CREATE many partitions=300\n")
	text.want("OK")
	for topic, size := range map[string]int{"tiny": 100, "small": 8 << 10, "large": 600 << 10, "many/7": 100, "many/250": 100 << 10} {
		text.send("MSG %s %d\n%s\n", topic, size, strings.Repeat("x", size))
		text.want("OK first=0 next=1 ack=written synced=*")
	}
	var many, few []fromPartition
	for i := range int32(300) {
		many = append(many, fromPartition{"many", i, 0, 0})
	}
	few = append(many[5:8:8], fromPartition{"tiny", 0, 0, 0})
	for name, from := range map[string][]fromPartition{
		"end": {{"tiny", 0, 1, 0}}, "tiny": {{"tiny", 0, 0, 0}}, "small": {{"small", 0, 0, 0}}, "large": {{"large", 0, 0, 0}},
		"few": few, "many": many, "errors": {{"tiny", 0, 7, 0}, {"nobody", 0, 0, 0}},
	} {
		for _, version := range []int16{4, 11, 12, 16} {
			t.Run(fmt.Sprintf("%s %d", name, version), func(t *testing.T) {
				c := dialKafka(t, s)
				req := c.frame(fetchRequest(s, version, wants{}, from...))
				answer := make([]byte, 1<<20)
				run := func() { fixedFrame(t, c.nc, req, answer) }
				for range 100 { // buffers grow to their size
					run()
				}
				if n := testing.AllocsPerRun(300, run); n != 0 {
					t.Errorf("%.0f allocations", n)
				}
			})
		}
	}
	t.Run("session", func(t *testing.T) {
		c := dialKafka(t, s)
		first := c.ask(inSession(fetchRequest(s, 12, wants{}, many...), 0, 0)).(*kmsg.FetchResponse)
		req, answer, epoch := c.frame(inSession(fetchRequest(s, 12, wants{}, many[3], many[7]), first.SessionID, 0)), make([]byte, 1<<20), uint32(0)
		at := len(req) - bytes.Index(append([]byte(nil), req...), binary.BigEndian.AppendUint32(nil, uint32(first.SessionID)))
		run := func() {
			epoch++
			binary.BigEndian.PutUint32(req[len(req)-at+4:], epoch)
			if _, err := c.nc.Write(req); err != nil {
				t.Fatal(err)
			}
			if b := readFrame(t, c.nc, answer); b[13] != 0 || b[14] != 0 {
				t.Fatalf("%x", b)
			}
		}
		for range 100 {
			run()
		}
		if n := testing.AllocsPerRun(300, run); n != 0 {
			t.Errorf("%.0f allocations", n)
		}
	})
	t.Run("waits", func(t *testing.T) {
		c := dialKafka(t, s)
		req := c.frame(fetchRequest(s, 12, wants{wait: time.Hour, min: 1}, append(many[20:200:200], fromPartition{"follow", 0, 0, 0})...))
		at := bytes.Index(req, []byte("follow")) + len("follow") + 1 + 4 + 4 // one partition, its index, the leader's epoch
		text.send("CREATE follow\n")
		text.want("OK")
		append, ok, answer, next := exchange{"", []byte("MSG follow 10\n0123456789\n"), 1}, make([]byte, 4<<10), make([]byte, 64<<10), uint64(0)
		run := func() {
			for i := range 8 {
				req[at+i] = byte(next >> (8 * (7 - i)))
			}
			if _, err := c.nc.Write(req); err != nil {
				t.Fatal(err)
			}
			text.exchange(append, ok)
			readFrame(t, c.nc, answer)
			next++
		}
		for range 100 {
			run()
		}
		if n := testing.AllocsPerRun(300, run); n != 0 {
			t.Errorf("%.0f allocations", n)
		}
	})
}

// fixedFrame sends a request, and reads its answer, without allocating.
func fixedFrame(t *testing.T, nc net.Conn, req, answer []byte) {
	if _, err := nc.Write(req); err != nil {
		t.Fatal(err)
	}
	readFrame(t, nc, answer)
}

func readFrame(t *testing.T, nc net.Conn, answer []byte) []byte {
	for n, all := 0, 4; n < all; {
		k, err := nc.Read(answer[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += k; n >= 4 {
			all = 4 + int(uint32(answer[0])<<24|uint32(answer[1])<<16|uint32(answer[2])<<8|uint32(answer[3]))
		}
		if n >= all {
			return answer[:all]
		}
	}
	return nil
}

// narrow makes the server's socket hold next to nothing, and the client's own little, as dialNarrow does.
func (c *kafkaSession) narrow(s *Server) *kafkaSession {
	c.t.Helper()
	if err := c.nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		c.t.Fatal(err)
	}
	c.ask(fetchRequest(s, 12, wants{})) // it is admitted
	if err := c.conn(s).nc.(*net.TCPConn).SetWriteBuffer(1); err != nil {
		c.t.Fatal(err)
	}
	return c
}

func (c *kafkaSession) conn(s *Server) *conn {
	return (&session{t: c.t, nc: c.nc}).conn(s)
}

// E3: a client that reads a little, waits, and reads on gets what a quick one gets, to the byte, of answers large and small, with records of
// many partitions between their pieces; and nothing is held for it while it takes nothing.
func TestE3KafkaFetchesOfASlowClient(t *testing.T) {
	for name, fs := range map[string]disk.FS{"sendfile": disk.OS(t.TempDir()), "copy": fstest.NewMem()} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seedOf(t), 0))
			conf := kafkaConf()
			conf.Topic.SegmentBytes = 1 << 20
			s := startServerOn(t, fs, conf)
			text := dial(t, s)
			const partitions = 90
			text.send("CREATE t partitions=%d\nCREATE %s\n", partitions, strings.Repeat("n", 249))
			text.want("OK", "OK")
			for i := range 60 {
				size := 1 + rng.IntN(20<<(rng.IntN(2)*3)<<7)
				text.send("MSG t/%d %d\n%s\n", rng.IntN(partitions), size, strings.Repeat(string(rune('a'+i%26)), size))
				text.want("OK first=* next=* ack=written synced=0")
			}
			var reqs []kmsg.Request
			for range 40 {
				var from []fromPartition
				for range rng.IntN(2 * partitions) {
					from = append(from, fromPartition{"t", rng.Int32N(partitions), rng.Int64N(2), rng.Int32N(1 << 20)})
				}
				from = append(from, fromPartition{strings.Repeat("n", 249), 0, 0, 0})
				reqs = append(reqs, fetchRequest(s, 4+int16(rng.IntN(13)), wants{max: 1 + rng.Int32N(1<<20)}, from...))
			}
			quick, slow := dialKafka(t, s), dialKafka(t, s).narrow(s)
			quick.correlation, quick.answered = slow.correlation, slow.answered
			quick.send(reqs...)
			var want bytes.Buffer
			for range reqs {
				head := make([]byte, 4)
				if _, err := io.ReadFull(quick.in, head); err != nil {
					t.Fatal(err)
				}
				want.Write(head)
				if _, err := io.CopyN(&want, quick.in, int64(uint32(head[0])<<24|uint32(head[1])<<16|uint32(head[2])<<8|uint32(head[3]))); err != nil {
					t.Fatal(err)
				}
			}
			before := s.readers.parks.Load()
			slow.send(reqs...)
			(&session{t: t, nc: slow.nc, in: slow.in}).trickle(rng, s, want.String())
			if n := s.readers.parks.Load() - before; n < 3 {
				t.Errorf("it parked %d times only: this shows nothing", n)
			}
		})
	}
}

// E3: whatever ends a connection, or its topic, or the server, ends a fetch that is parked; nothing is left of it, and producers feel nothing
// of it.
func TestE3ParkedKafkaFetchEnds(t *testing.T) {
	for name, end := range map[string]func(s *Server, c *kafkaSession){
		"deadline": func(s *Server, c *kafkaSession) {
			now := time.Now()
			waitFor(t, func() bool { // bytes that one kernel still takes from the other are progress
				now = now.Add(2 * s.conf.Conn.WriteTimeout)
				s.conns.expire(now, s.conf.Conn)
				return s.stats.connections.Load() == 0
			})
		},
		"reset": func(_ *Server, c *kafkaSession) { reset(t, &session{t: t, nc: c.nc}) },
		"drop": func(s *Server, c *kafkaSession) {
			other := dial(t, s)
			other.send("DROP t\n")
			other.want("OK")
			_ = other.nc.Close()
			_, _ = io.Copy(io.Discard, c.in) // it ends; whether by an end or a reset is the kernel's choice
		},
		"drain": func(s *Server, c *kafkaSession) {
			s.requestStop()
			if n, err := io.Copy(io.Discard, c.in); err != nil || n < 64*(64<<10) {
				t.Errorf("%d bytes came, %v", n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServerOn(t, disk.OS(t.TempDir()), kafkaConf())
			for i := range 8 {
				fill(t, s, fmt.Sprintf("t%d", i), 8)
			}
			fill(t, s, "t", 64)
			c := dialKafka(t, s).narrow(s)
			var from []fromPartition
			for i := range 8 {
				from = append(from, fromPartition{fmt.Sprintf("t%d", i), 0, 0, 0})
			}
			c.send(fetchRequest(s, 12, wants{}, append(from, fromPartition{"t", 0, 0, 1 << 30})...))
			at := c.conn(s)
			waitFor(t, func() bool { return at.writeSince.Load() != 0 })
			holdsNothing(t, s)
			fill(t, s, "t", 1)
			end(s, c)
			_ = c.nc.Close()
			waitFor(t, func() bool { return parked(s, 0)() && s.stats.connections.Load() == 0 })
		})
	}
}

// I9: a fetch of more partitions than memory.fetch has room for ends its connection, and nobody else's; one that has room holds it while it
// waits. While others hold half of it, nobody gets a session, nor holds anything for a fetch that is answered.
func TestI9KafkaFetchMemory(t *testing.T) {
	conf := kafkaConf()
	conf.Memory.Fetch = 100 * partCost
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t partitions=120\n")
	text.want("OK")
	some := func(n int32) (from []fromPartition) {
		for i := range n {
			from = append(from, fromPartition{"t", i, 0, 0})
		}
		return from
	}
	waits := dialKafka(t, s)
	waits.send(fetchRequest(s, 12, wants{wait: time.Hour, min: 1}, some(60)...))
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	for _, n := range []int32{101, 60} {
		c := dialKafka(t, s)
		c.send(fetchRequest(s, 12, wants{}, some(n)...))
		if _, err := io.ReadAll(c.in); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
	}
	if n := s.stats.closed[closedOverloaded].Load(); n != 2 {
		t.Errorf("%d connections were closed for want of memory", n)
	}
	c := dialKafka(t, s)
	for _, n := range []int32{2, 30, 4, 30} {
		c.ask(fetchRequest(s, 12, wants{}, some(n)...))
	}
	if got := c.ask(inSession(fetchRequest(s, 12, wants{}, some(30)...), 0, 0)).(*kmsg.FetchResponse); got.SessionID != 0 {
		t.Errorf("there is room for session %d", got.SessionID)
	}
	if err := waits.nc.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 0 })
	used := func() int64 { n, _ := s.fetchMemory.Used(); return n }
	waitFor(t, func() bool { return used() == 0 })
	c.ask(fetchRequest(s, 12, wants{}, some(30)...))
	if used() != 30*partCost+1 {
		t.Errorf("%d bytes are held for a fetch of 30 partitions", used())
	}
	c.ask(fetchRequest(s, 12, wants{}, some(1)...))
	if used() != 0 {
		t.Errorf("%d bytes are held for a fetch of one partition", used())
	}
}

// Where as many requests wait as may, one more waits too, but is not told of news: an answer at once would only bring it back at once.
func TestKafkaFetchOfTooManySubscribers(t *testing.T) {
	conf := kafkaConf()
	conf.MaxSubscribers = 1
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	first, second := dialKafka(t, s), dialKafka(t, s)
	req := fetchRequest(s, 12, wants{wait: time.Hour, min: 1}, fromPartition{"t", 0, 0, 0})
	first.send(req)
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	second.ask(fetchRequest(s, 12, wants{wait: time.Millisecond, min: 1}, fromPartition{"t", 0, 0, 0}))
	second.send(req)
	waitFor(t, func() bool { return s.stats.requests.Load() == 1+3 })
	text.send("MSG t 1\nx\n")
	text.want("OK first=0 next=1 ack=written synced=0")
	if got := parts(s, first.receive(req)); len(got) != 1 || len(got[0].records) == 0 {
		t.Errorf("the first: %v", got)
	}
	if err := second.nc.(*net.TCPConn).CloseWrite(); err != nil { // by which a wait becomes a short one
		t.Fatal(err)
	}
	if got := parts(s, second.receive(req)); len(got) != 1 || len(got[0].records) == 0 {
		t.Errorf("the second: %v", got)
	}
}
