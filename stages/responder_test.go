package stages

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/disk"
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
		r := &newConn(s, far, speaksText).responder
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
	c := newConn(s, server, speaksText)
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

// A small frame whose head finds no room makes the answers before it leave first. Should
// the client take none of them just then, everything is let go, the file of the frame too.
func TestFrameBehindAnswersThatWait(t *testing.T) {
	s := startServerOn(t, disk.OS(t.TempDir()), noTicks())
	fill := dial(t, s)
	fill.send("MSG t 1000\n%1000d\n", 7)
	fill.want("OK first=0 next=1 ack=written synced=0")
	client, server := tcpPair(t)
	if err := errors.Join(client.SetReadBuffer(4<<10), server.SetWriteBuffer(1)); err != nil {
		t.Fatal(err)
	}
	c := newConn(s, server, speaksText)
	r := &c.responder
	r.init()
	junk, sent := make([]byte, 4<<10), 0
	for full := 0; full < 3; { // the client's kernel may still have taken some
		if err := r.sender.raw.Control(func(fd uintptr) {
			n, err := sendBytes(int(fd), junk, false)
			if sent, full = sent+max(n, 0), full+1; err == nil {
				full = 0
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	r.out = append(r.out, make([]byte, len(r.own)-answerMax)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.answer(t.Context(), &command{conn: c, verb: text.VerbFetch, part: s.catalog.find([]byte("t"), 0), read: readRequest{from: text.From{Kind: text.FromOldest}, bytes: -1, min: -1, epoch: -1}})
		r.flush()
	}()
	waitFor(t, func() bool {
		select {
		case <-done: // the kernel had taken still more
			return true
		default:
			return c.writeSince.Load() != 0
		}
	})
	if _, err := io.CopyN(io.Discard, client, int64(sent+len(r.own)-answerMax)); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 1000)
	if _, err := io.ReadFull(client, frame); err != nil || !strings.HasPrefix(string(frame), "DATA 1070 from=0 next=1 ") {
		t.Errorf("got %.80q, %v", frame, err)
	}
	<-done
	if r.err != nil || r.delivery.pinned {
		t.Error(r.err, r.delivery.pinned)
	}
}
