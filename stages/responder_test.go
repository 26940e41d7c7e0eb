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
