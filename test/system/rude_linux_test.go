package system

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/process"
)

// held is what a server holds for its clients.
type held struct{ goroutines, descriptors, heap int }

func (s *server) held() (h held) {
	s.t.Helper()
	for range 2 { // two collections empty the pools
		s.get("/debug/pprof/heap?gc=1")
	}
	http := s.get("/debug/pprof/heap?debug=1")
	text := s.talk("STATS\n")
	h.goroutines, h.descriptors, h.heap = figure(s.t, text, "goroutines"), figure(s.t, text, "descriptors"), figure(s.t, http, "# HeapAlloc")
	for _, name := range []string{"receive", "append", "large", "read", "decode"} {
		if n := figure(s.t, text, "memory +name="+name+" used"); n != 0 {
			s.t.Errorf("%d bytes of %s are in use", n, name)
		}
	}
	if n := figure(s.t, text, "subscribers"); n != 0 {
		s.t.Errorf("%d subscribers are left", n)
	}
	return h
}

// nothingLeft waits until the server has let go of all its clients, and compares.
func (s *server) nothingLeft(before held) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s\n%s", s.talk("STATS\n"), s.get("/debug/pprof/goroutine?debug=1"))
		}
	}()
	until(s.t, "all connections are gone", func() bool { return s.stat("connections") == 1 }) // the one that asks
	until(s.t, "all goroutines are gone", func() bool { return s.stat("goroutines") <= before.goroutines })
	now := s.held()
	if now.descriptors > before.descriptors || now.heap > before.heap+4<<20 {
		s.t.Errorf("before %+v, now %+v", before, now)
	}
}

// subscriber begins to follow, and reads some of what comes.
func subscriber(t *testing.T, addr, request string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() }) // most are closed long before
	if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 100)); err != nil {
		t.Fatalf("after %.40q: %v", request, err)
	}
	return nc.(*net.TCPConn)
}

// E2, E3: subscribers that read some and then vanish in every rude way leave nothing behind: no goroutine, no
// descriptor, no memory; and appends go on all the time.
func TestE2E3RudeSubscribers(t *testing.T) {
	n := number(t, "SLUICE_RUDE", 400)
	s := serve(t, t.TempDir(), "--set", "stages.conn.write_timeout=2s", "--set", "stages.conn.frame_timeout=2s",
		"--set", "max_connections=12000", "--set", "max_subscribers=12000")
	s.ok(strings.Repeat(strings.Repeat("x", 1000)+"\n", 20_000), "append", "t") // 20 MB, more than sockets hold
	before := s.held()
	producer, in := s.dial()
	next := 20_000
	produce := func() {
		t.Helper()
		if got := exchange(t, producer, in, "MSG t 5\nhello\n"); !strings.HasPrefix(got, fmt.Sprintf("OK first=%d ", next)) {
			t.Fatalf("answered %q", got)
		}
		next++
	}
	requests := []string{
		"TAIL t oldest\n", "TAIL t oldest raw=1\n", "TAIL t -5\n", "TAIL t -5 raw=1\n", "READ t oldest\n",
		"FETCH t -1\nFETCH t newest wait=1h\n", "FETCH t -1\n" + strings.Repeat("FETCH t newest wait=1h\n", 100),
	}
	ways := []func(nc *net.TCPConn) error{
		(*net.TCPConn).Close,      // a reset, as something is unread
		(*net.TCPConn).CloseWrite, // and nothing is read
		func(nc *net.TCPConn) error { return errors.Join(nc.SetLinger(0), nc.Close()) },
		func(nc *net.TCPConn) error { _, err := io.WriteString(nc, "MSG t 1000\nhalf of it"); return err },
		func(*net.TCPConn) error { return nil }, // it stays, and does not read
	}
	var stay []*net.TCPConn
	for i := range n {
		nc, way := subscriber(t, s.Text, requests[i%len(requests)]), i/len(requests)%len(ways)
		if err := ways[way](nc); err != nil {
			t.Fatal(err)
		}
		if way >= 3 { // some of which have nothing wrong with them: they wait for the next record
			stay = append(stay, nc)
		}
		if i%50 == 0 {
			produce()
		}
	}
	until(t, "who reads nothing is closed, if there is more for it than its socket holds", func() bool {
		text := s.talk("STATS\n")
		return strings.Contains(text, "reason=write") && figure(t, text, "closed +reason=write count") >= n/len(requests)/len(ways)*3
	})
	produce()
	for _, nc := range append(stay, producer.(*net.TCPConn)) {
		_ = nc.SetLinger(0) // which the server may have made pointless
		_ = nc.Close()
	}
	s.nothingLeft(before)
}

// Clients that read slowly are there: one that reads little at a time all the time, through a window that is never open for
// a whole packet, and one that reads nothing of what its socket and the server's hold. Neither is closed, however long it
// takes.
func TestSlowReadersAreNotGone(t *testing.T) {
	t.Parallel() // it waits, as the one below does, and that in no time of its own
	s := serve(t, t.TempDir(), "--set", "stages.conn.peer_timeout=4s", "--set", "stages.conn.write_timeout=4s")
	s.ok(strings.Repeat(strings.Repeat("x", 1000)+"\n", 3000), "append", "t")
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2<<10) }) // else it is larger
	}}
	var slow [2]net.Conn
	for i, request := range []string{"FETCH t 0\n", "FETCH t 0 bytes=60000\n"} {
		nc, err := small.Dial("tcp", s.Text)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() }) // nothing more is wanted of it
		if _, err := io.WriteString(nc, request); err != nil {
			t.Fatal(err)
		}
		slow[i] = nc
	}
	b := make([]byte, 600)
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for range 160 { // twice the patience
		<-pace.C
		if _, err := io.ReadFull(slow[0], b); err != nil {
			t.Fatalf("who reads slowly: %v", err)
		}
	}
	if _, err := io.ReadFull(slow[1], make([]byte, 60_000)); err != nil {
		t.Fatalf("who began late: %v", err)
	}
	if text := s.talk("STATS\n"); strings.Contains(text, "closed reason=") {
		t.Fatalf("some were closed: %s", text)
	}
}

// inNetwork tells whether this is a process with a network of its own.
func inNetwork(t *testing.T) bool {
	t.Helper()
	if !process.Apart(t, syscall.CLONE_NEWNET, "a network") {
		return false
	}
	loopback(t, true)
	return true
}

// loopback switches the network on or off. While it is off, every packet is lost, and nobody is told.
func loopback(t *testing.T, on bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	if on {
		req.SetUint16(unix.IFF_UP)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Skipf("skipped: this machine does not let a network be switched: %v", err)
	}
}

// E2: clients whose network is gone without a word are found within the patience that is set, whatever they were
// doing: idle, following, with answers on their way, in the middle of a request, or with more requests than are read.
func TestE2HalfOpenConnections(t *testing.T) {
	t.Parallel()
	if !inNetwork(t) {
		return
	}
	s := serve(t, t.TempDir(), "--set", "stages.conn.peer_timeout=4s", "--set", "stages.conn.write_timeout=4s")
	s.ok(strings.Repeat(strings.Repeat("x", 1000)+"\n", 20_000), "append", "t")
	before := s.held()
	_, listening := s.descriptors()
	for range 10 {
		for _, request := range []string{
			"PING\nFETCH t -1\n", "TAIL t -5\n", "TAIL t oldest\n", "TAIL t oldest raw=1\n", "READ t oldest\n", "FETCH t -1\nPIN",
			"FETCH t -1\nMSG t 10000\nhalf", "FETCH t -1\n" + strings.Repeat("FETCH t newest wait=1h\n", 100),
		} {
			subscriber(t, s.Text, request)
		}
	}
	if n := s.stat("connections"); n != 81 {
		t.Fatalf("%d connections", n)
	}
	loopback(t, false)
	began := time.Now()
	until(t, "no connection is left", func() bool { _, sockets := s.descriptors(); return sockets <= listening })
	t.Logf("the last one was gone after %v", time.Since(began).Round(100*time.Millisecond))
	loopback(t, true)
	s.nothingLeft(before)
}
