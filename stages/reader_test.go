package stages

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"sluice/disk/fstest"
)

// Only what the client leaves out counts as late: a request that is whole may wait
// for the server as long as it takes.
func TestWholeRequestIsNotLate(t *testing.T) {
	conf := noTicks()
	conf.Memory.Append = 1 << 20
	s := startServerOn(t, fstest.NewMem(), conf)
	if got := halfClosed(t, s, "CREATE t\n"); string(got) != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	for _, c := range []struct{ first, second, third string }{ // until it waits for memory, and the rest
		{"MSG t 3", "\nabc\n", ""},
		{"MSG t 3\na", "bc\n", ""},
		{"MSG t 3\nabc", "\n", ""},
		{"MSG t 5", "000\n", strings.Repeat("x", 5000) + "\n"},
		{"BATCH t ", "5\n", "hello\n"},
	} {
		all := s.appendMemory.TryLease(1 << 20)
		client := pipe(t, s)
		for _, part := range []string{c.first, c.second} {
			if _, err := client.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, func() bool {
			late := true
			s.conns.each(func(x *conn) { late = x.lineSince.Load() != 0 || x.frameSince.Load() != 0 })
			return !late
		})
		all.Release()
		if c.third != "" {
			if _, err := client.Write([]byte(c.third)); err != nil {
				t.Fatal(err)
			}
		}
		answer := make([]byte, 2)
		if _, err := client.Read(answer); err != nil || string(answer) != "OK" && c.third != "hello\n" {
			t.Errorf("%q: got %q, %v", c.first, answer, err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	}
}

// A payload that fits the leased buffer needs it: the buffer does not go back
// between the line and the payload, when others may take it.
func TestBufferStaysForThePayload(t *testing.T) {
	conf := noTicks()
	conf.Memory.Receive, conf.Conn.ReadBytes = 64<<10, 64<<10
	s := startServerOn(t, fstest.NewMem(), conf)
	if got := halfClosed(t, s, "CREATE t\n"); string(got) != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	p := pipe(t, s)
	if _, err := p.Write([]byte(strings.Repeat("\n", 4096))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("\nMSG t 20000\n")); err != nil { // drains the buffer it has by now
		t.Fatal(err)
	}
	waitFor(t, func() bool { // it waits for the payload
		waits := false
		s.conns.each(func(x *conn) { waits = x.frameSince.Load() != 0 })
		return waits
	})
	if hog := s.receiveMemory.TryLease(64 << 10); hog != nil {
		defer hog.Release()
	}
	if _, err := p.Write([]byte(strings.Repeat("x", 20_000) + "\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 2)
	if _, err := p.Read(answer); err != nil || string(answer) != "OK" {
		t.Errorf("got %q, %v", answer, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// Lines up to the limit, and HTTP, which gets no answer however long its line is.
func TestLongLines(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	long := strings.Repeat("x", 5000)
	fill := func(line string, length int) string { // HELLO takes any name
		return line + strings.Repeat("x", length-len(line))
	}
	for _, c := range []struct{ send, want string }{
		{fill("HELLO client=", 4095) + "\nPING\n", "HELLO\r\nOK pong=1\r\n"},
		{fill("HELLO client=", 4094) + "\r\nPING\n", "HELLO\r\nOK pong=1\r\n"},
		{fill("HELLO client=", 4096) + "\nPING\n", "ERR BAD_COMMAND - *\r\n"},
		{fill("HELLO client=", 4095) + "\r\nPING\n", "ERR BAD_COMMAND - *\r\n"},
		{fill("HELLO client=", 60_000) + "\nPING\n", "ERR BAD_COMMAND - *\r\n"},
		{"GET /" + long + " HTTP/1.1\r\nPING\n", ""},
		{"Cookie: " + long + "\r\nPING\n", ""},
		{strings.Repeat("\r\n", 5000) + "PING\n", "OK pong=1\r\n"},
	} {
		client := dial(t, s)
		_, _ = io.WriteString(client.nc, c.send) // the server may close before it has all of it
		_ = client.nc.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(client.in) // HTTP is cut off
		answers := helloLine.ReplaceAllString(mask(got), "HELLO\r\n")
		if answers != c.want {
			t.Errorf("%.40q of %d bytes: got %q, want %q", c.send, len(c.send), answers, c.want)
		}
	}
}

var helloLine = regexp.MustCompile("OK server=.*\r\n")

// A large payload has its time for each part of it, and a client that sends a byte
// now and then does not keep the memory it was given for ever.
func TestTrickledPayloadIsLate(t *testing.T) {
	conf := noTicks()
	conf.Conn.FrameTimeout = Forever // the test looks at the beginning of the time, not at its end
	s := startServerOn(t, fstest.NewMem(), conf)
	p := pipe(t, s)
	write := func(send string) {
		t.Helper()
		if _, err := p.Write([]byte(send)); err != nil {
			t.Fatal(err)
		}
	}
	var c *conn
	s.conns.each(func(x *conn) { c = x })
	write(fmt.Sprintf("MSG t %d\n", 3*frameStep))
	write("x")
	for range 2 {
		c.frameSince.Store(1) // long ago
		write(strings.Repeat("x", 1000))
		write(strings.Repeat("x", 1000))
		if got := c.frameSince.Load(); got != 1 {
			t.Fatalf("a few bytes begin the time anew: %d", got)
		}
		write(strings.Repeat("x", frameStep))
		write("x")
		if got := c.frameSince.Load(); got == 1 {
			t.Fatal("a whole part of the payload did not begin the time anew")
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
