package stages

import (
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk/fstest"
)

// drip sends s, then b every millisecond, until the server has closed the connection.
func drip(c *session, s, b string) {
	c.send("%s", s)
	if b == "" {
		_, _ = io.Copy(io.Discard, c.in) // until its end, in whatever way
		return
	}
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for range t.C {
		if _, err := c.nc.Write([]byte(b)); err != nil {
			return
		}
	}
}

// E1: a client that sends a byte now and then is closed, whichever part of a request it is in, and blank lines
// are no requests; a client that waits for an answer is not idle.
func TestE1SlowClientsAreClosed(t *testing.T) {
	conf := noTicks()
	conf.Conn.HeaderTimeout, conf.Conn.FrameTimeout = 20*time.Millisecond, 20*time.Millisecond
	conf.Conn.IdleTimeout = 20 * time.Millisecond // which a tick sees at its second look
	s := startServerOn(t, fstest.NewMem(), conf)
	if got := halfClosed(t, s, "CREATE t\n"); string(got) != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	follower, fetcher := dial(t, s), dial(t, s)
	follower.send("TAIL t\n")
	fetcher.send("FETCH t 0 wait=1h\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 2 })
	var rude sync.WaitGroup
	for _, c := range []struct{ send, drip string }{
		{"PING\n", "x"},
		{"MSG t 3", "0"},
		{"MSG t 3000\n", "x"},
		{"MSG t 1000000\n", "x"},
		{"BATCH t 1000000\n", "x"},
		{"MSG a*b 1000000\n", "x"}, // skipped over
		{"MSG t 1\nx\r", ""},
		{"", "\n"},
		{"PING\n", ""},
		{"", ""},
	} {
		session := dial(t, s)
		rude.Go(func() { drip(session, c.send, c.drip) })
	}
	want := map[string]int64{"header": 2, "frame": 5, "idle": 3}
	waitFor(t, func() bool { // all that were dialled: at first they may not even be accepted
		closed := int64(0)
		for _, n := range s.snapshot().Closed {
			closed += n
		}
		return closed == 10 && s.stats.connections.Load() == 2
	})
	if got := s.snapshot().Closed; !maps.Equal(got, want) {
		t.Errorf("closed were %v, want %v", got, want)
	}
	rude.Wait()
	writer := pipe(t, s)
	if _, err := writer.Write([]byte("MSG t 1\nx\n")); err != nil {
		t.Fatal(err)
	}
	follower.want("REC offset=0 time=* key=-1 n=1", "x")
	if head, _ := fetcher.data(); !matches("DATA * from=0 next=1 end=1 synced=* epoch=0", head) {
		t.Errorf("got %q", head)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
}

// E1: connections from one address have a limit of their own, and each that ends makes room for another.
func TestE1ConnectionsPerAddress(t *testing.T) {
	s := startServer(t, func(c *Config) { c.MaxPerAddress = 2 })
	first, second := dial(t, s), dial(t, s)
	first.quiet()
	second.quiet()
	third := dial(t, s)
	third.want("ERR OVERLOADED - there are 2 connections from 127.0.0.1/32 already (max_connections_per_address)")
	third.ended()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if nc, err := d.Dial("tcp", s.Addr()); err != nil {
		t.Logf("skipped: no connection from a second address of this machine: %v", err)
	} else {
		other := &session{t: t, nc: nc}
		other.in = first.in
		other.in.Reset(nc)
		other.quiet()
		if err := nc.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.nc.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.stats.connections.Load() == 1 })
	dial(t, s).quiet()
}

func TestClientsAreToldApart(t *testing.T) {
	tcp := func(ip string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", ip)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		a    net.Addr
		want string
	}{
		{tcp("192.0.2.7:1"), "192.0.2.7/32"},
		{tcp("[::ffff:192.0.2.7]:1"), "192.0.2.7/32"},
		{tcp("[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2::/64"},
		{tcp("[fe80::1%lo]:1"), "fe80::/64"},
		{&net.UnixAddr{Name: "x"}, "none"},
	} {
		got := "none"
		if p, ok := client(c.a); ok {
			got = p.String()
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.a, got, c.want)
		}
	}
}

// E2: a client that dies while all its commands are under way is noticed, although nobody reads from it; of one that
// has only ended its stream, all the answers come soon, however many wait.
func TestE2VanishedBehindAFullPipeline(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Conn.InFlight, c.Conn.afterEOF = 2, time.Millisecond })
	c := dial(t, s)
	c.send("CREATE t\n")
	c.want("OK")
	gone, half := dial(t, s), dial(t, s)
	for _, c := range []*session{gone, half} {
		c.send("%s", strings.Repeat("FETCH t newest wait=1h\n", 50))
	}
	waitFor(t, func() bool {
		full := 0
		s.conns.each(func(x *conn) {
			if x.input.Load() == inputBusy && len(x.free) == 0 {
				full++
			}
		})
		return full == 2 && s.stats.subscribers.Load() == 2
	})
	if err := gone.nc.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := gone.nc.Close(); err != nil {
		t.Fatal(err)
	}
	if err := half.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if head, _ := half.data(); !matches("DATA 0 from=0 next=0 end=0 synced=0 epoch=0", head) {
			t.Fatalf("got %q", head)
		}
	}
	half.ended()
	waitFor(t, func() bool { return s.stats.connections.Load() == 1 && s.stats.subscribers.Load() == 0 })
	c.quiet()
}

// The kernel's probes end within the patience that is configured.
func TestProbesFitThePatience(t *testing.T) {
	for _, patience := range []time.Duration{4 * time.Second, 5 * time.Second, 10 * time.Second, 45 * time.Second, time.Hour} {
		p := probes(patience)
		if all := p.Idle + time.Duration(p.Count)*p.Interval; !p.Enable || all > patience || all < patience/2 || p.Interval < time.Second {
			t.Errorf("%v: %+v, which is %v", patience, p, all)
		}
	}
}

// emptyHanded is a listening socket for which there is no descriptor.
type emptyHanded struct {
	tries  int
	closed chan struct{}
}

func (l *emptyHanded) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	l.tries++
	return nil, syscall.EMFILE
}

func (l *emptyHanded) Close() error   { close(l.closed); return nil }
func (l *emptyHanded) Addr() net.Addr { return nil }

// D1: without a descriptor for it, the next connection is tried again with pauses, not at once, and told once a minute.
func TestD1AcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged, lines := observer.New(zap.WarnLevel)
		l := &emptyHanded{closed: make(chan struct{})}
		a := newAcceptor(&Server{log: zap.New(logged), drain: make(chan struct{})}, l, speaksText)
		ended := make(chan error)
		go func() { ended <- a.Run(t.Context()) }()
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if l.tries < 290 || l.tries > 320 {
			t.Errorf("%d tries in five minutes, want about one a second", l.tries)
		}
		if n := lines.Len(); n < 5 || n > 6 {
			t.Errorf("told %d times in five minutes", n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// E1: a client in the middle of a request is not idle, and one whose stream has ended owes nothing.
func TestE1WhoOwesWhat(t *testing.T) {
	conf := noTicks()
	conf.Conn.IdleTimeout = Forever
	s := startServerOn(t, fstest.NewMem(), conf)
	slow := dial(t, s)
	slow.send("MSG t 100000\n%s", strings.Repeat("x", 50000))
	only := func(f func(c *conn) bool) bool {
		all, n := true, 0
		s.conns.each(func(c *conn) { all, n = all && f(c), n+1 })
		return all && n == 1
	}
	waitFor(t, func() bool { return only(func(c *conn) bool { return c.frameSince.Load() != 0 }) })
	conf.Conn.IdleTimeout, conf.Conn.FrameTimeout = time.Millisecond, Forever
	for i := range 3 {
		s.conns.expire(time.Now().Add(time.Duration(i)*time.Hour), conf.Conn)
	}
	slow.send("%s\n", strings.Repeat("x", 50000))
	slow.want("OK first=0 next=1 ack=written synced=*")
	slow.send("TAIL t\nQUI")
	slow.want("OK next=1 end=1 epoch=0")
	waitFor(t, func() bool { return only(func(c *conn) bool { return c.lineSince.Load() != 0 }) })
	slow.send("T")
	var was *conn
	s.conns.each(func(c *conn) { was = c })
	if err := slow.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	slow.ended()
	waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	if was.lineSince.Load() != 0 {
		t.Error("half a line is still waited for behind the end of the stream")
	}
}
