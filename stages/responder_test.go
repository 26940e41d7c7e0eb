package stages

import (
	"io"
	"net"
	"strings"
	"testing"

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
		r.base = r.own[:]
		r.out = r.base[:0]
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

// A client that takes its answer slowly, but takes it, is not stuck.
func TestSlowProgressIsNotStuck(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	near, far := net.Pipe()
	c := newConn(s, far)
	sent := make(chan error)
	go func() {
		c.responder.transmit(make([]byte, 1<<20))
		sent <- c.responder.err
	}()
	buf := make([]byte, 300<<10)
	if _, err := io.ReadFull(near, buf[:1]); err != nil {
		t.Fatal(err)
	}
	c.writeSince.Store(1) // it has taken long until here
	if _, err := io.ReadFull(near, buf); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return c.writeSince.Load() > 1 })
	if _, err := io.CopyN(io.Discard, near, 1<<20-1-300<<10); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
