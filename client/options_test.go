package client_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/client"
)

// Wrong options are named, all of them at once.
func TestOptionsNameEachFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := client.Dial(t.Context(), client.Options{
			Addr: "nowhere", Name: strings.Repeat("x", 600), DialTimeout: -1, AnswerTimeout: -1, Retry: client.Retry{Min: -1, Max: -2},
		})
		names(t, err, "Addr", "Name", "DialTimeout", "AnswerTimeout", "Retry.Min", "Retry.Max")

		f := startFake(t, idle)
		c := f.client(f.options())
		_, err = c.Producer("t", client.ProducerOptions{
			Ack: 77, Codec: 4, Linger: -1, BatchBytes: 1, MaxBatchBytes: 9 << 20, MaxBuffered: 1, MaxInFlight: -1, OnUnknown: 9,
		})
		names(t, err, "Ack", "Codec", "Linger", "BatchBytes", "MaxBatchBytes", "MaxBuffered", "MaxInFlight", "OnUnknown")
		_, err = c.Consumer("t", client.ConsumerOptions{
			From: client.Offset(1 << 63), Limit: -1, FetchBytes: -1, Prefetch: -1, Wait: -1, MaxDecoded: -1,
		})
		names(t, err, "From", "Limit", "FetchBytes", "Prefetch", "Wait", "MaxDecoded")
		must(t, c.Close())
	})
}

func names(t *testing.T, err error, options ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("wrong options were taken")
	}
	for _, o := range options {
		if !strings.Contains(err.Error(), o+" ") {
			t.Errorf("%q does not name %s", err, o)
		}
	}
}

func TestDialRespectsItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		silent := func(context.Context, string, string) (net.Conn, error) {
			_, theirs := net.Pipe() // nobody reads or answers
			return theirs, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := client.Dial(ctx, client.Options{Dial: silent})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		_, err = client.Dial(t.Context(), client.Options{Dial: silent})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v, DialTimeout is 5s", err, time.Since(began))
		}
	})
}

// Whatever answers that is no sluice is told apart at once.
func TestDialKnowsWhomItTalksTo(t *testing.T) {
	for greeting, want := range map[string]string{
		"HTTP/1.1 400 Bad Request": "not the sluice protocol",
		"OK server=other version=1 protocol=1 node=n role=master max_line=1 max_batch=8388608":  "speaks protocol 1",
		"OK server=sluice version=9 protocol=2 node=n role=master max_line=1 max_batch=8388608": "speaks protocol 1",
		"OK server=sluice version=9 protocol=1 node=n role=master max_line=4096 max_batch=3":    "max_batch=3",
		"OK server=sluice": "no version=",
		"ERR OVERLOADED - 10000 connections are open": "OVERLOADED",
		"DATA 0": "OK was due",
	} {
		bubble(t, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					p := &peer{t: t, nc: ours}
					if _, err := ours.Read(make([]byte, 100)); err != nil {
						t.Error(err)
					}
					p.say("%s", greeting)
					must(t, ours.Close())
				}()
				return theirs, nil
			}
			if _, err := client.Dial(t.Context(), client.Options{Dial: dial}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", greeting, err, want)
			}
		})
	}
}

// A request that changes something and is lost on the way has an unknown outcome; one that does not is asked again.
func TestLostAdminRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		expect := func(p *peer, line, answer string) {
			if got := p.line(); got != line {
				t.Errorf("got %q, want %q", got, line)
			}
			if answer != "" {
				p.say("%s", answer)
			}
		}
		f := startFake(t, func(p *peer) {
			expect(p, "FLUSH t", "")
		}, func(p *peer) {
			expect(p, "FLUSH t", "OK synced=7")
			expect(p, "PING", "OK pong=1") // is the connection still there? Else the next would be unknown for nothing
			expect(p, "DROP t", "")
		}, func(p *peer) {
			expect(p, "HEAD t", "ERR NO_TOPIC - no topic t")
		}, func(p *peer) { // the one before had died unseen
			expect(p, "CREATE t ack=synced flush.ms=1", "OK")
			p.drain()
		})
		c, err := client.Dial(t.Context(), f.options())
		must(t, err)
		if n, err := c.Flush(t.Context(), "t"); n != 7 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := c.Drop(t.Context(), "t"); !errors.Is(err, client.ErrUnknown) {
			t.Fatalf("%v", err)
		}
		var e *client.Error
		if _, err := c.Head(t.Context(), "t"); !errors.As(err, &e) || e.Code != client.NoTopic {
			t.Fatalf("%v", err)
		}
		synctest.Wait()
		must(t, c.Create(t.Context(), "t", map[string]string{"flush.ms": "1", "ack": "synced"}))
		must(t, c.Close())
	})
}

func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	s := client.FileStore{Path: filepath.Join(dir, "position"), Topic: "t/3"}
	if _, ok, err := s.Load(t.Context()); ok || err != nil {
		t.Fatalf("a file that is not there: %v, %v", ok, err)
	}
	for _, p := range []client.Position{{Next: 0, Epoch: -1}, {Next: 7, Epoch: 3}, {Next: 1<<63 - 1, Epoch: 0}} {
		must(t, s.Save(t.Context(), p))
		got, ok, err := s.Load(t.Context())
		if got != p || !ok || err != nil {
			t.Errorf("got %+v %v %v, want %+v", got, ok, err, p)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	must(t, os.WriteFile(s.Path+".new", []byte("half a posi"), 0o600)) // a crash left it
	must(t, s.Save(t.Context(), client.Position{Next: 8}))
	for name, content := range map[string]string{
		"another topic": `{"topic":"u","next":1,"epoch":0}`,
		"not JSON":      `next=1`,
		"empty":         ``,
		"too large":     `{"topic":"t/3"}` + strings.Repeat(" ", 5000),
		"no offset":     `{"topic":"t/3","next":18446744073709551615,"epoch":0}`,
		"no epoch":      `{"topic":"t/3","next":1,"epoch":-2}`,
	} {
		must(t, os.WriteFile(s.Path, []byte(content), 0o600))
		if _, _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), s.Path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (client.FileStore{Path: filepath.Join(dir, "no", "such"), Topic: "t"}).Save(t.Context(), client.Position{}); err == nil {
		t.Error("saved into a folder that is not there")
	}
}
