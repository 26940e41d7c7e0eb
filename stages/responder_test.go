package stages

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/disk/fstest"
	"sluice/wire/text"
)

// A client that pipelines without end makes no buffer grow without end, whatever
// it asks for: answers leave when the buffer is full, not only when nothing waits.
func TestAnswersLeaveWhenTheBufferIsFull(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	client := dial(t, s)
	client.send("CREATE t\n")
	client.want("OK")
	part := s.catalog.find([]byte("t"), 0)
	for name, request := range map[string]func() *command{
		"PING":  func() *command { return &command{verb: text.VerbPing} },
		"HELLO": func() *command { return &command{verb: text.VerbHello} },
		"HEAD":  func() *command { return &command{verb: text.VerbHead, part: part} },
		"READ": func() *command {
			return &command{verb: text.VerbRead, part: part, read: readRequest{from: text.From{Kind: text.FromNewest}, limit: -1, bytes: -1, epoch: -1}}
		},
		"error": func() *command {
			return &command{err: &text.Error{Code: text.CodeDenied, Text: strings.Repeat("x", 700)}}
		},
	} {
		near, far := net.Pipe()
		got := make(chan int64)
		go func() {
			n, _ := io.Copy(io.Discard, near) // it ends with the close below
			got <- n
		}()
		r := &newConn(s, far).responder
		r.init()
		for range 1000 {
			r.answer(t.Context(), request())
			if len(r.out) > 2*len(r.own) {
				t.Fatalf("%s: %d bytes of answers wait", name, len(r.out))
			}
		}
		r.flush()
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n < 10_000 {
			t.Errorf("%s: only %d bytes arrived", name, n)
		}
	}
}

// A client that takes its answer slowly, but takes it, is not stuck, even when its
// socket has so much for it that the responder is not woken for a long time.
func TestSlowProgressIsNotStuck(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	client, server := tcpPair(t)
	c := newConn(s, server)
	c.responder.init()
	sent := make(chan error, 1)
	go func() {
		c.responder.transmit(make([]byte, 64<<20), false)
		sent <- c.responder.err
	}()
	for range 10 {
		waitFor(t, func() bool { return c.writeSince.Load() != 0 })
		since := c.writeSince.Load()
		if _, err := io.CopyN(io.Discard, client, 1<<20); err != nil {
			t.Fatal(err)
		}
		// Either the responder was woken and waits anew, or the socket tells.
		waitFor(t, func() bool { return c.writeSince.Load() != since || !c.responder.sender.stuck(time.Now()) })
	}
	waitFor(t, func() bool { return c.writeSince.Load() != 0 && c.responder.sender.stuck(time.Now()) }) // all has come that can
	c.abort()
	if err := <-sent; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// tcpPair is a connection over loopback.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near.(*net.TCPConn), far.(*net.TCPConn)
}
