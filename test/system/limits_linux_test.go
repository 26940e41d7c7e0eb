package system

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/process"
)

// These tests take away what a server needs: descriptors, memory, clients that behave.

// number is what an environment variable says, or its default.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// stat is a figure of STATS: the first number behind name, which is a word of a line and what stands before it.
func (s *server) stat(name string) int {
	s.t.Helper()
	return figure(s.t, s.talk("STATS\n"), name)
}

func figure(t *testing.T, text, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `[ =]+(\d+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is no %s in\n%s", name, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// until asks again and again. What it waits for has no event that a test could see from outside; the limit only ends a
// test that has failed.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for this: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// descriptors counts what a process holds open; sockets, those of them.
func (s *server) descriptors() (all, sockets int) {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.Cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if link, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			sockets++
		}
	}
	return len(entries), sockets
}

// serveWithin is serve under a limit of open files.
func serveWithin(t *testing.T, files int, args ...string) (*server, error) {
	t.Helper()
	bin, data := process.Binary(t), t.TempDir()
	cmd := exec.Command("sh", append([]string{
		"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), bin,
		"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", "", "--data", data,
	}, args...)...)
	p, err := process.StartCommand(cmd)
	if err != nil {
		return nil, err
	}
	t.Cleanup(p.Kill)
	return &server{p, t, bin, data}, nil
}

// D1: under every limit of open files a server either says in one sentence that it is too low, or serves as many
// connections as it says, with appends that roll and reads of what was rolled, and never opens more than its limit.
func TestD1EveryLimitOfDescriptors(t *testing.T) {
	_, err := serveWithin(t, 40)
	if err == nil || !strings.Contains(err.Error(), "it needs at least ") {
		t.Fatalf("with 40 files: %v", err)
	}
	least := figure(t, strings.ReplaceAll(err.Error(), ": it needs at least ", "\nleast "), "least")
	if _, err := serveWithin(t, least-1); err == nil || !strings.Contains(err.Error(), fmt.Sprint("it needs at least ", least)) {
		t.Errorf("with one less than it says it needs: %v", err)
	}
	steps := []int{0, 1, 2, 5, 21, 55}
	if all := number(t, "SLUICE_DESCRIPTORS", 0); all > 0 {
		steps = steps[:0]
		for k := range all {
			steps = append(steps, k)
		}
	}
	for _, k := range steps {
		t.Run(fmt.Sprintf("%d", least+k), func(t *testing.T) {
			s, err := serveWithin(t, least+k, "--set", "topic.segment.bytes=16KiB")
			if err != nil {
				t.Fatal(err)
			}
			s.allConnections(least + k)
		})
	}
}

// A client is a connection.
type client struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (s *server) client() *client {
	s.t.Helper()
	nc, in := s.dial()
	return &client{nc, s.t, in}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatalf("after %.60q: %v", line, err)
	}
	return line
}

func (c *client) ask(request string) string {
	c.t.Helper()
	return exchange(c.t, c.Conn, c.in, request)
}

// memory is a figure of /proc/PID/status, in KiB.
func (s *server) memory(name string) int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return figure(s.t, strings.ReplaceAll(string(b), ":\t", " "), name)
}

// allConnections uses all the connections that there are, and appends and reads on some of them.
func (s *server) allConnections(limit int) {
	s.t.Helper()
	within := func() {
		s.t.Helper()
		if n, _ := s.descriptors(); n > limit {
			s.t.Fatalf("%d descriptors are open, %d are allowed", n, limit)
		}
	}
	most := s.stat("limits .*connections")
	var open []*client
	for range most {
		r := s.client()
		if got := r.ask("PING\n"); got != "OK pong=1\r\n" {
			s.t.Fatalf("connection %d of %d was answered %q", len(open)+1, most, got)
		}
		open = append(open, r)
	}
	within()
	for range 3 {
		if got := s.talk("PING\n"); !strings.HasPrefix(got, "ERR OVERLOADED ") {
			s.t.Fatalf("a connection too many was answered %q", got)
		}
	}
	value := strings.Repeat("v", 4000)
	const topics, records = 5, 25
	for i := range topics * records {
		r := open[i%len(open)]
		request := fmt.Sprintf("MSG t%d %d ack=synced\n%s\n", i%topics, len(value), value)
		if got := r.ask(request); !strings.HasPrefix(got, "OK first=") {
			s.t.Fatalf("append %d was answered %q", i, got)
		}
		within()
	}
	for topic := range topics {
		r := open[topic%len(open)]
		for i, got := 0, r.ask(fmt.Sprintf("READ t%d 0\n", topic)); i <= records; i++ {
			want := fmt.Sprintf("REC offset=%d ", i)
			if i == records {
				want = fmt.Sprintf("OK next=%d ", records)
			}
			if !strings.HasPrefix(got, want) {
				s.t.Fatalf("t%d: read %q, want %q", topic, got, want)
			}
			if i < records {
				if value := r.line(); len(value) != len("\r\n")+4000 {
					s.t.Fatalf("t%d: record %d has %d bytes", topic, i, len(value))
				}
				got = r.line()
			}
			within()
		}
	}
	if got := s.get("/healthz"); got != "ok\n" {
		s.t.Errorf("/healthz says %q", got)
	}
	for _, r := range open {
		_ = r.Conn.Close() // that is all the test wants of it
	}
	until(s.t, "a place for a new connection", func() bool { return strings.HasPrefix(s.talk("PING\n"), "OK") })
	if err := s.Stop(); err != nil {
		s.t.Error(err)
	}
}

// D1: where somebody else uses the descriptors up, new connections wait, and those that are open are served; once there
// are some again, the one that waited is served too.
func TestD1ConnectionsWaitForADescriptor(t *testing.T) {
	s := serve(t, t.TempDir())
	nc, in := s.dial()
	if got := exchange(t, nc, in, "MSG t 1\nx\n"); !strings.HasPrefix(got, "OK first=0 ") {
		t.Fatalf("answered %q", got)
	}
	pid := s.Cmd.Process.Pid
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Skipf("skipped: this machine does not let a process limit its child: %v", err)
	}
	all, _ := s.descriptors()
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(all) - 2, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	late, lateIn := s.dial() // the kernel takes it, into the backlog
	until(t, "the log tells that connections wait", func() bool { return strings.Contains(s.Log(), "connections can't be accepted now") })
	for i := range 100 {
		if got := exchange(t, nc, in, "MSG t 1 ack=synced\nx\n"); !strings.HasPrefix(got, fmt.Sprintf("OK first=%d ", i+1)) {
			t.Fatalf("append %d was answered %q", i, got)
		}
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, late, lateIn, "HEAD t\n"); !strings.HasPrefix(got, "OK oldest=0 next=101 ") {
		t.Errorf("answered %q", got)
	}
	if n := strings.Count(s.Log(), "connections can't be accepted now"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// D2: clients that send many times more than the budgets hold, in sizes that change, wait for their turn; each is
// answered, and the process never has more than its budgets and 15 in a hundred.
func TestD2MoreRequestsThanMemory(t *testing.T) {
	s := serve(t, t.TempDir(), "--set", "memory.receive=1MiB", "--set", "memory.append=1MiB", "--set", "memory.large=128MiB",
		"--set", "max_connections=1000", "--set", "stages.conn.frame_timeout=1h", "--set", "topic.max.message.bytes=8MiB", "--set", "topic.segment.bytes=64MiB")
	const budgets = (1 + 1 + 128 + 128 + 64) << 10 // KiB: these, and memory.read and memory.decode
	for _, round := range []struct{ clients, size int }{{60, 200 << 10}, {96, 1 << 20}, {48, 2 << 20}, {24, 4 << 20}} {
		payload := bytes.Repeat([]byte("p"), round.size)
		enough := make(chan struct{})
		var all sync.WaitGroup
		for range round.clients {
			nc, in := s.dial()
			all.Go(func() {
				if _, err := fmt.Fprintf(nc, "MSG t %d\n", len(payload)); err != nil {
					t.Error(err)
					return
				}
				if _, err := nc.Write(payload); err != nil { // and no end of line: the server holds it, or leaves it in the socket
					t.Error(err)
					return
				}
				<-enough
				if _, err := nc.Write([]byte("\n")); err != nil {
					t.Error(err)
					return
				}
				if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
					t.Errorf("answered %q, %v", line, err)
				}
				_ = nc.Close() // it was answered
			})
		}
		budget := "large"
		if round.size <= 256<<10-100 {
			budget = "append"
		}
		until(t, "what half-sent requests may hold of the budget is used up", func() bool {
			text := s.talk("STATS\n")
			used := figure(t, text, "memory +name="+budget+" used")
			return used > figure(t, text, "memory +name="+budget+" used=[0-9]+ bound")*7/16
		})
		close(enough)
		all.Wait()
	}
	if peak := s.memory("VmHWM"); peak > budgets*115/100 {
		t.Errorf("at its peak the process had %d KiB, of budgets of %d KiB", peak, budgets)
	} else {
		t.Logf("at its peak the process had %d MiB, of budgets of %d MiB", peak>>10, budgets>>10)
	}
	for _, name := range []string{"receive", "append", "large", "read", "decode"} {
		if n := s.stat("memory +name=" + name + " used"); n != 0 {
			t.Errorf("%d bytes of %s are still in use", n, name)
		}
	}
}

// D4: an idle connection that has been used costs at most 20 KiB of the server's memory, its two stacks included, and
// two goroutines; those that are idle are served at once when they ask again.
func TestD4IdleConnectionsCostLittle(t *testing.T) {
	n := number(t, "SLUICE_IDLE", 2000)
	s := serve(t, t.TempDir(), "--set", "max_connections=20000")
	look := func() (rss, goroutines int) {
		for range 2 { // two collections empty the pools
			s.get("/debug/pprof/heap?gc=1")
		}
		return s.memory("VmRSS") << 10, s.stat("goroutines")
	}
	s.talk("MSG t 5\nhello\n")
	rss, goroutines := look()
	conns := make([]net.Conn, n)
	buf := make([]byte, 200)
	for i := range conns {
		nc, err := net.Dial("tcp", s.Text)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns[i] = nc
		if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write([]byte("MSG t 5\nhello\nPING\n")); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 2; {
			k, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += bytes.Count(buf[:k], []byte("\n"))
		}
	}
	rssNow, goroutinesNow := look()
	each := (rssNow - rss) / n
	t.Logf("%d idle connections: %d bytes each", n, each)
	if each > 20<<10 {
		t.Errorf("%d bytes for each of %d idle connections", each, n)
	}
	if extra := goroutinesNow - goroutines - 2*n; extra > 4 || extra < -4 {
		t.Errorf("%d goroutines beyond two for each connection", extra)
	}
	if got := conns[n/2]; got != nil {
		if _, err := got.Write([]byte("HEAD t\n")); err != nil {
			t.Fatal(err)
		}
		k, err := got.Read(buf)
		if err != nil || !bytes.HasPrefix(buf[:k], fmt.Appendf(nil, "OK oldest=0 next=%d ", n+1)) {
			t.Errorf("answered %q, %v", buf[:k], err)
		}
	}
}
