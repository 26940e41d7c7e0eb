package stages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// fill appends records of 64 KiB to a log: as many as no socket holds.
func fill(t *testing.T, s *Server, topic string, n int) {
	t.Helper()
	c := dial(t, s)
	for range n {
		c.send("MSG %s %d\n%s\n", topic, 64<<10, strings.Repeat(topic, 64<<10)[:64<<10])
		c.want("OK first=* next=* ack=written synced=*")
	}
	if err := c.nc.Close(); err != nil {
		t.Fatal(err)
	}
}

// park has a client ask and read nothing until its responder is parked. It may still be
// woken, to park again soon, as long as bytes move from one kernel's buffer to the other.
func park(t *testing.T, s *Server, request string) *session {
	t.Helper()
	c := dialNarrow(t, s)
	c.send("%s\n", request)
	at := c.conn(s)
	waitFor(t, func() bool { return at.writeSince.Load() != 0 })
	return c
}

// Whatever ends a connection, or its topic, or the server, ends a send that is parked;
// and what does not end it lets it finish. Nothing is left of it.
func TestE3ParkedSendEnds(t *testing.T) {
	reads := func(t *testing.T, c *session) error {
		_, err := io.Copy(io.Discard, c.in)
		return err
	}
	for name, end := range map[string]func(t *testing.T, s *Server, c *session){
		"deadline": func(t *testing.T, s *Server, c *session) {
			now := time.Now()
			waitFor(t, func() bool { // bytes that one kernel still takes from the other are progress
				now = now.Add(2 * s.conf.Conn.WriteTimeout)
				s.conns.expire(now, s.conf.Conn)
				return s.stats.connections.Load() == 0
			})
		},
		"reset": func(t *testing.T, s *Server, c *session) { reset(t, c) },
		"close": func(t *testing.T, s *Server, c *session) { // with bytes that were not read: Ctrl-C
			if err := c.nc.Close(); err != nil {
				t.Error(err)
			}
		},
		"cut short": func(t *testing.T, s *Server, c *session) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Stop(ctx); err == nil {
				t.Error("a stop that was cut short says that it was clean")
			}
		},
		"half-close": func(t *testing.T, s *Server, c *session) {
			if err := errors.Join(c.nc.(*net.TCPConn).CloseWrite(), reads(t, c)); err != nil {
				t.Error(err)
			}
		},
		"drain": func(t *testing.T, s *Server, c *session) {
			s.requestStop()
			if err := reads(t, c); err != nil {
				t.Error(err)
			}
		},
		"drop": func(t *testing.T, s *Server, c *session) {
			other := dial(t, s)
			other.send("DROP t\n")
			other.want("OK")
			_ = other.nc.Close()
			_ = reads(t, c) // it ends; whether by an end or a reset is the kernel's choice
		},
	} {
		for _, request := range []string{"FETCH t 0 bytes=8MiB", "READ t 0", "TAIL t 0", "TAIL t 0 raw=1"} {
			t.Run(name+"/"+strings.Fields(request)[0]+strings.Repeat(" raw", strings.Count(request, "raw")), func(t *testing.T) {
				conf := noTicks()
				conf.Readers.Chunk = 8 << 20
				s := startServerOn(t, disk.OS(t.TempDir()), conf)
				fill(t, s, "t", 64)
				request = strings.ReplaceAll(request, "8MiB", fmt.Sprint(8<<20))
				c := park(t, s, request)
				holdsNothing(t, s)
				if strings.HasPrefix(request, "TAIL") && name == "half-close" || strings.HasPrefix(request, "FETCH") && name == "drop" {
					fill(t, s, "t", 1) // appends feel nothing of it
				}
				end(t, s, c)
				if name == "half-close" || name == "drain" || name == "drop" { // the client closes once it has seen the end
					_ = c.nc.Close()
				}
				waitFor(t, func() bool {
					return parked(s, 0)() && s.stats.subscribers.Load() == 0 && s.stats.connections.Load() == 0
				})
			})
		}
	}
}

// A follower that never reads holds no memory and no file, and the producers do not feel
// it. When it reads on, it gets what is there; from a topic that was dropped meanwhile,
// and made anew, never the other data.
func TestE3FollowersThatNeverRead(t *testing.T) {
	dir := t.TempDir()
	conf := noTicks()
	conf.Topic.SegmentBytes = 1 << 20
	s := startServerOn(t, disk.OS(dir), conf)
	fill(t, s, "old", 48)
	const each = 10
	var followers []*session
	for i := range 2 * each {
		followers = append(followers, park(t, s, []string{"TAIL old 0", "TAIL old 0 raw=1"}[i%2]))
	}
	waitFor(t, parked(s, 2*each))
	holdsNothing(t, s)
	fill(t, s, "old", 8)
	live := dial(t, s)
	live.send("FETCH old 47\n")
	live.data()
	drop := dial(t, s)
	drop.send("DROP old\n")
	drop.want("OK")
	noneOpen(t, filepath.Join(dir, "topics/old"))
	fill(t, s, "old", 1)
	drop.send("DROP old\nCREATE old\n")
	drop.want("OK", "OK")
	fill(t, s, "new", 48)
	for i, c := range followers {
		b, _ := io.ReadAll(c.in) // it ends; whether by an end or a reset is the kernel's choice
		if bytes.Contains(b, []byte("new")) || !bytes.Contains(b, []byte("oldold")) {
			t.Errorf("follower %d got %d bytes of something else", i, len(b))
		}
	}
	waitFor(t, parked(s, 0))
	if n := s.readers.cut.Load(); n == 0 {
		t.Error("none was cut off in the middle of a record: this shows nothing")
	}
}

// noneOpen checks that this process has no descriptor to what lies, or lay, in dir.
func noneOpen(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("descriptors are not looked at: %v", err)
		return
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("%s is still open", to)
		}
	}
}

// A segment that somebody cuts while it is sent ends the connection that was promised
// more of it; whoever asks again gets CORRUPT for what is missing, and everything else.
// Nobody reads a byte of something else, and nothing spins.
func TestC10SegmentCutUnderAReader(t *testing.T) {
	for _, segment := range []string{"sealed", "active"} {
		t.Run(segment, func(t *testing.T) {
			dir := t.TempDir()
			conf := noTicks()
			conf.Topic.SegmentBytes, conf.Readers.Chunk = 256<<20, 8<<20
			if segment == "sealed" {
				conf.Topic.SegmentBytes = 6 << 20
			}
			s := startServerOn(t, disk.OS(dir), conf)
			fill(t, s, "t", 160)
			if n := s.catalog.find([]byte("t"), 0).log.Info().Segments; n > 1 != (segment == "sealed") {
				t.Fatalf("%d segments", n)
			}
			if segment == "sealed" { // which sets its size, and would undo the cut with zeros
				waitFor(t, func() bool {
					_, err := os.Stat(filepath.Join(dir, "topics/t/0/00000000000000000000.idx"))
					return err == nil
				})
			}
			frame := park(t, s, fmt.Sprintf("FETCH t 0 bytes=%d", 8<<20))
			follower := park(t, s, "TAIL t 0 raw=1")
			if err := os.Truncate(filepath.Join(dir, "topics/t/0/00000000000000000000.log"), 1<<20); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*session{frame, follower} {
				b, _ := io.ReadAll(c.in) // it ends; whether by an end or a reset is the kernel's choice
				at := bytes.IndexByte(b, '\n') + 1
				for rest := b[at:]; len(rest) >= batch.HeaderSize; { // what came whole is right
					h, err := batch.ParseHeader(rest)
					if err != nil {
						t.Fatalf("%d bytes from the end of %d: %v", len(rest), len(b), err)
					}
					if len(rest) < h.Size {
						break
					}
					if _, err := batch.Verify(rest); err != nil {
						t.Fatal(err)
					}
					rest = rest[h.Size:]
				}
			}
			c := dial(t, s)
			c.send("FETCH t 0\n")
			if head, b := c.data(); len(b) == 0 || len(b) > 1<<20 {
				t.Errorf("in front of the cut: %s", head)
			}
			for range 3 {
				c.send("FETCH t 20\nREAD t 20\nTAIL t 20 raw=1\n")
				for range 3 {
					c.refused("ERR CORRUPT from=")
				}
			}
			c.send("FETCH t newest\n")
			c.data()
			fill(t, s, "other", 1)
			if n := s.readers.cold.Load(); n > 60 {
				t.Errorf("the pool was asked %d times", n)
			}
		})
	}
}

// B8: bytes that the disk refuses in the middle of a frame end that connection, since its
// length was promised, and nothing else; the refusal is no damage, so the same read is
// fine once the disk is.
func TestB8ReadFailsInTheMiddleOfAFrame(t *testing.T) {
	var bad atomic.Bool
	conf := noTicks()
	conf.Readers.Chunk = 8 << 20
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if bad.Load() && op.By == disk.ByReader && (op.Kind == fstest.Read || op.Kind == fstest.ReadCached) && strings.HasPrefix(op.Name, "topics/t/") {
			return syscall.EIO
		}
		return nil
	}), conf)
	fill(t, s, "t", 64)
	fill(t, s, "u", 1)
	for _, request := range []string{fmt.Sprintf("FETCH t 0 bytes=%d", 8<<20), "READ t 0", "TAIL t 0"} {
		c := park(t, s, request)
		bad.Store(true)
		before := s.readers.cut.Load()
		b, _ := io.ReadAll(c.in) // it ends; whether by an end or a reset is the kernel's choice
		if s.readers.cut.Load() != before+1 || len(b) > 64*(64<<10) {
			t.Errorf("%s: %d bytes came, %d cut off", request, len(b), s.readers.cut.Load()-before)
		}
		other := dial(t, s)
		other.send("READ t 0\nFETCH u 0\nMSG t 1\nx\n")
		other.refused("ERR LOG_FAILED - the log can't be read there now: ")
		other.data()
		other.want("OK first=* next=* ack=written synced=0")
		bad.Store(false)
		other.send("READ t 63 limit=1\n")
		other.want("REC offset=63 time=* key=-1 n=65536", strings.Repeat("t", 64<<10), "OK next=64 end=* epoch=0")
	}
}
