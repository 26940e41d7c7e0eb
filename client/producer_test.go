package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/client"
)

// sends starts a producer over the scripts, one batch a record, sends the records without waiting, closes it, and
// returns what became of them.
func sends(t *testing.T, f *fake, o client.ProducerOptions, recs ...string) *outcomes {
	t.Helper()
	c := f.client(f.options())
	o.BatchBytes = 1 << 10 // a record of 1 KiB closes its batch
	p, err := c.Producer("t", o)
	must(t, err)
	got := new(outcomes)
	refused := map[string]error{}
	for _, v := range recs {
		err := p.Send(t.Context(), client.Record{Value: []byte(v), Key: make([]byte, 1<<10)}, got.of(v))
		if errors.Is(err, client.ErrStopped) { // what became of the one before was known already: then it is Send that tells
			refused[v] = err
		} else {
			must(t, err)
		}
	}
	must(t, p.Close(t.Context()))
	for _, v := range recs {
		if err := refused[v]; err != nil {
			got.of(v)(client.Result{}, err)
		}
	}
	must(t, c.Close())
	return got
}

func TestAppendsInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) { p.accept(log) })
		sends(t, f, client.ProducerOptions{}, "a", "b", "c", "d", "e", "f").want(t, "a:0", "b:1", "c:2", "d:3", "e:4", "f:5")
		log.want(t, "a", "b", "c", "d", "e", "f")
	})
}

func TestAppendTellsItsOwnOffset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) { p.accept(log) })
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{Ack: client.AckWritten})
		must(t, err)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 20 {
					v := fmt.Sprintf("%d.%d", i, j)
					r, err := p.Append(t.Context(), rec(v))
					if err != nil || r.Ack != client.AckWritten {
						t.Errorf("%s: %+v, %v", v, r, err)
						return
					}
					if log.at(r.Offset) != v {
						t.Errorf("%s is not at its offset %d: %s", v, r.Offset, log.at(r.Offset))
					}
				}
			})
		}
		wg.Wait()
		must(t, p.Close(t.Context()))
		must(t, c.Close())
		if len(log.list) != 1000 {
			t.Fatalf("%d records", len(log.list))
		}
	})
}

// What no answer proves to be without effect is never sent again, unless the caller asks for it.
func TestUnknownOutcomes(t *testing.T) {
	log := new(serverLog)
	rest := func(p *peer) { p.accept(log) }
	cutBehindRequest := func(p *peer) { log.take(p.batch()) }
	answerUnknown := func(p *peer) {
		p.batch()
		p.say("ERR UNKNOWN - the disk failed")
		p.accept(log)
	}
	garbage := func(p *peer) {
		log.take(p.batch())
		p.say("HTTP/1.1 200 OK")
	}
	wrongCount := func(p *peer) {
		log.take(p.batch())
		p.appended(0, 7)
	}
	silent := func(p *peer) {
		log.take(p.batch())
		p.line()
	}
	one := client.ProducerOptions{MaxInFlight: 1}
	resend := client.ProducerOptions{MaxInFlight: 1, OnUnknown: client.UnknownResend}
	for _, c := range []struct {
		name    string
		first   func(*peer)
		options client.ProducerOptions
		want    string
		log     string
	}{
		{"cut", cutBehindRequest, one, "a:unknown b:1", "a b"},
		{"UNKNOWN", answerUnknown, one, "a:unknown b:0", "b"},
		{"garbage", garbage, one, "a:unknown b:1", "a b"},
		{"an answer of another count", wrongCount, one, "a:unknown b:1", "a b"},
		{"no answer", silent, one, "a:unknown b:1", "a b"},
		{"cut, resend", cutBehindRequest, resend, "a:1 b:2", "a a b"},
		{"UNKNOWN, resend", answerUnknown, resend, "a:0 b:1", "a b"},
		{"cut, stop", cutBehindRequest, client.ProducerOptions{MaxInFlight: 1, StopOnError: true}, "a:unknown b:stopped", "a"},
		{"cut, both in flight", func(p *peer) { p.batch(); p.batch() }, client.ProducerOptions{}, "a:unknown b:unknown", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				*log = serverLog{}
				sends(t, startFake(t, c.first, rest), c.options, "a", "b").want(t, strings.Fields(c.want)...)
				log.want(t, strings.Fields(c.log)...)
			})
		})
	}
}

// A refusal without effect is tried again, as long as the order holds.
func TestRefusalsAreTriedAgain(t *testing.T) {
	log := new(serverLog)
	rest := func(p *peer) { p.accept(log) }
	refuse := func(code string, n int) func(*peer) {
		return func(p *peer) {
			for i := 0; i < n && p.batch() != nil; i++ {
				p.say("ERR %s - come back later", code)
			}
			p.accept(log)
		}
	}
	for _, c := range []struct {
		name    string
		scripts []func(*peer)
		options client.ProducerOptions
		want    string
		log     string
	}{
		{"REFUSED once", []func(*peer){refuse("REFUSED", 1)}, client.ProducerOptions{MaxInFlight: 1}, "a:0 b:1", "a b"},
		{"DISK_FULL for both in flight", []func(*peer){refuse("DISK_FULL", 2)}, client.ProducerOptions{}, "a:0 b:1", "a b"},
		{"TIMEOUT five times", []func(*peer){refuse("TIMEOUT", 5)}, client.ProducerOptions{MaxInFlight: 1}, "a:0 b:1", "a b"},
		{"room for the second: the first must not follow it", []func(*peer){func(p *peer) {
			p.batch()
			b := p.batch()
			p.say("ERR DISK_FULL - no room")
			p.appended(log.take(b), 1)
			p.accept(log)
		}},
			client.ProducerOptions{}, "a:DISK_FULL b:0", "b"},
		{"for ever", []func(*peer){refuse("OVERLOADED", 1<<20)}, client.ProducerOptions{}, "a:OVERLOADED b:OVERLOADED", ""},
		{"stopping, then another server", []func(*peer){func(p *peer) {
			p.batch()
			p.say("ERR SHUTTING_DOWN - good bye")
		}, rest}, client.ProducerOptions{MaxInFlight: 1}, "a:0 b:1", "a b"},
		{"stopping, with another request behind", []func(*peer){func(p *peer) {
			p.batch()
			p.batch()
			p.say("ERR SHUTTING_DOWN - good bye")
		}, rest}, client.ProducerOptions{}, "a:0 b:1", "a b"},
		{"no connection, for a while", []func(*peer){unreachable, unreachable, unreachable, rest}, client.ProducerOptions{}, "a:0 b:1", "a b"},
		{"OVERLOADED at accept", []func(*peer){func(p *peer) { p.say("ERR OVERLOADED - too many connections") }, rest},
			client.ProducerOptions{MaxInFlight: 1}, "a:0 b:1", "a b"},
		{"a request that never went out whole", []func(*peer){func(p *peer) {
			p.line()
			if _, err := io.ReadFull(p.br, make([]byte, 100)); err != nil {
				t.Error(err)
			}
		}, rest}, client.ProducerOptions{MaxInFlight: 1}, "a:0 b:1", "a b"},
		{"final: not tried again", []func(*peer){refuse("BAD_BATCH", 1)}, client.ProducerOptions{}, "a:BAD_BATCH b:0", "b"},
		{"final, stop", []func(*peer){refuse("LOG_FAILED", 1)},
			client.ProducerOptions{MaxInFlight: 1, StopOnError: true}, "a:LOG_FAILED b:stopped", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				*log = serverLog{}
				sends(t, startFake(t, c.scripts...), c.options, "a", "b").want(t, strings.Fields(c.want)...)
				log.want(t, strings.Fields(c.log)...)
			})
		})
	}
}

func TestNoRetryWithoutPermission(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startFake(t, func(p *peer) {
			p.batch()
			p.say("ERR DISK_FULL - no room")
			if p.batch() != nil {
				t.Error("sent again")
			}
		})
		o := f.options()
		o.Retry.For = -1
		c := f.client(o)
		p, err := c.Producer("t", client.ProducerOptions{})
		must(t, err)
		_, err = p.Append(t.Context(), rec("a"))
		var e *client.Error
		if !errors.As(err, &e) || e.Code != client.DiskFull || errors.Is(err, client.ErrUnknown) {
			t.Fatalf("%v", err)
		}
		must(t, p.Close(t.Context()))
		must(t, c.Close())
	})
}

func TestNoServerIsNoUnknownOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startFake(t, unreachable)
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{})
		must(t, err)
		began := time.Now()
		_, err = p.Append(t.Context(), rec("a"))
		if err == nil || errors.Is(err, client.ErrUnknown) || !strings.Contains(err.Error(), "gave up") {
			t.Fatalf("%v", err)
		}
		if spent := time.Since(began); spent > 10*time.Second || spent < 8*time.Second {
			t.Fatalf("gave up after %v, Retry.For is 10s", spent)
		}
		must(t, p.Close(t.Context()))
		must(t, c.Close())
	})
}

func TestLinger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		var arrived []time.Duration
		f := startFake(t, func(p *peer) {
			for n := 0; ; {
				v := p.batch()
				if v == nil {
					return
				}
				arrived = append(arrived, time.Since(began))
				p.appended(n, len(v))
				n += len(v)
			}
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{Linger: 50 * time.Millisecond})
		must(t, err)
		for range 3 { // one batch, 50 ms after its first record
			must(t, p.Send(t.Context(), rec("x"), nil))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		must(t, p.Send(t.Context(), rec("y"), nil))
		must(t, p.Flush(t.Context())) // does not linger
		must(t, p.Close(t.Context()))
		must(t, c.Close())
		if fmt.Sprint(arrived) != "[50ms 1.03s]" {
			t.Fatalf("batches arrived at %v", arrived)
		}
	})
}

func TestInFlightAndMemoryAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var requests atomic.Int32
		hold := make(chan struct{})
		f := startFake(t, func(p *peer) {
			for range 3 {
				p.batch()
				requests.Add(1)
			}
			<-hold
			if p.batch() != nil {
				t.Error("a request above MaxInFlight")
			}
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{
			MaxInFlight: 3, BatchBytes: 4 << 10, MaxBatchBytes: 4 << 10, MaxBuffered: 24 << 10,
		})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sent := 0
		for err = nil; err == nil; sent++ {
			err = p.Send(ctx, client.Record{Value: make([]byte, 1<<10)}, nil)
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnknown) {
			t.Fatalf("%v", err)
		}
		if requests.Load() != 3 || sent < 15 || sent > 24 { // six buffers of 4 KiB
			t.Fatalf("%d requests in flight, %d records accepted", requests.Load(), sent)
		}
		close(hold)
		gaveUp, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.Close(gaveUp); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUnknown) {
			t.Fatalf("Close: %v", err)
		}
		must(t, c.Close())
	})
}

func TestCloseGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startFake(t, func(p *peer) {
			p.batch()
			p.line() // the rest is never read, nothing is ever answered
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{MaxInFlight: 1, BatchBytes: 1 << 10})
		must(t, err)
		got := new(outcomes)
		for _, v := range []string{"a", "b", "c"} {
			must(t, p.Send(t.Context(), client.Record{Value: []byte(v), Key: make([]byte, 1<<10)}, got.of(v)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		got.want(t, "a:unknown", "b:closed", "c:closed")
		if err := p.Send(t.Context(), rec("d"), nil); !errors.Is(err, client.ErrClosed) {
			t.Fatalf("%v", err)
		}
		if err := p.Close(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Fatalf("%v", err)
		}
		must(t, c.Close())
	})
}

func TestAppendThatGivesUpIsUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startFake(t, func(p *peer) {
			n := len(p.batch())
			time.Sleep(5 * time.Second)
			p.appended(0, n)
			p.line()
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Append(ctx, rec("a"))
		if !errors.Is(err, client.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		if _, err := p.Append(ctx, rec("b")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnknown) {
			t.Fatalf("a record that was never taken: %v", err)
		}
		must(t, p.Close(t.Context())) // waits for the answer: nothing is owed
		must(t, c.Close())
	})
}

// Failures that no callback tells are told by Flush, once.
func TestFlushTellsFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startFake(t, func(p *peer) {
			p.batch()
			p.say("ERR BAD_BATCH - no")
			p.line()
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{Linger: time.Millisecond})
		must(t, err)
		for range 3 {
			must(t, p.Send(t.Context(), rec("a"), nil))
		}
		var e *client.Error
		if err := p.Flush(t.Context()); !errors.As(err, &e) || !strings.Contains(err.Error(), "3 records failed") {
			t.Fatalf("%v", err)
		}
		must(t, p.Flush(t.Context()))
		must(t, p.Close(t.Context()))
		must(t, c.Close())
	})
}

func TestAckNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) {
			log.take(p.batch())
			p.batch()
			p.say("ERR DISK_FULL req=3 - no room")
			if line := p.line(); line != "PING" {
				t.Errorf("%q instead of a PING", line)
			}
			p.say("OK pong=1")
			p.batch()
		}, func(p *peer) { p.line() })
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{Ack: client.AckNone})
		must(t, err)
		r, err := p.Append(t.Context(), rec("a"))
		if err != nil || r != (client.Result{Ack: client.AckNone}) {
			t.Fatalf("%+v, %v", r, err)
		}
		_, err = p.Append(t.Context(), rec("b"))
		must(t, err)
		var e *client.Error
		if err := p.Flush(t.Context()); !errors.As(err, &e) || e.Code != client.DiskFull {
			t.Fatalf("%v", err)
		}
		_, err = p.Append(t.Context(), rec("c")) // read by a server that then dies
		must(t, err)
		synctest.Wait()
		if err := p.Close(t.Context()); !errors.Is(err, client.ErrUnknown) {
			t.Fatalf("%v", err)
		}
		must(t, c.Close())
		log.want(t, "a")
	})
}

func TestRecordTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) { p.accept(log) })
		c := f.client(f.options())
		for _, codec := range []client.Codec{client.None, client.LZ4} {
			p, err := c.Producer("t", client.ProducerOptions{MaxBatchBytes: 8 << 10, BatchBytes: 1 << 10, Codec: codec})
			must(t, err)
			_, err = p.Append(t.Context(), client.Record{Value: make([]byte, 8<<10)})
			if !errors.Is(err, client.ErrTooLarge) || errors.Is(err, client.ErrUnknown) {
				t.Fatalf("%v", err)
			}
			_, err = p.Append(t.Context(), client.Record{Value: make([]byte, 7<<10)}) // above BatchBytes: a batch of its own
			must(t, err)
			must(t, p.Close(t.Context()))
		}
		must(t, c.Close())
	})
}

// A steady sender allocates nothing: the bulk path of the command line lives from it.
func TestSendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates")
	}
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) { p.accept(log) })
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{Linger: time.Hour, BatchBytes: 1 << 20})
		must(t, err)
		value := make([]byte, 35)
		ctx := t.Context()
		must(t, p.Send(ctx, client.Record{Value: value}, nil))
		synctest.Wait()
		n := testing.AllocsPerRun(1000, func() {
			if err := p.Send(ctx, client.Record{Value: value}, nil); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations per record", n)
		}
		must(t, p.Close(ctx))
		must(t, c.Close())
	})
}

// A refusal may come while the request is still being written: its bytes must not be used for others before that ends.
func TestRefusalBeforeTheEndOfTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) {
			line := strings.Split(p.line(), " ")
			n, err := strconv.Atoi(line[2])
			if err != nil {
				t.Error(err)
			}
			payload := make([]byte, n+1)
			if _, err := io.ReadFull(p.br, payload[:100]); err != nil {
				t.Error(err)
			}
			p.say("ERR NO_TOPIC - no topic t")
			time.Sleep(time.Second) // the client has the answer, and more records to send
			if _, err := io.ReadFull(p.br, payload[100:]); err != nil {
				t.Error(err)
			}
			if got := values(t, payload[:n]); len(got) != 1 || got[0] != strings.Repeat("a", 2000) {
				t.Errorf("the request was overwritten: %.20q...", got)
			}
			p.accept(log)
		})
		c := f.client(f.options())
		p, err := c.Producer("t", client.ProducerOptions{MaxInFlight: 1, BatchBytes: 1 << 10})
		must(t, err)
		var e *client.Error
		if _, err := p.Append(t.Context(), rec(strings.Repeat("a", 2000))); !errors.As(err, &e) || e.Code != client.NoTopic {
			t.Fatal(err)
		}
		for _, v := range []string{"b", "c"} {
			must(t, p.Send(t.Context(), rec(strings.Repeat(v, 900)), nil))
		}
		must(t, p.Close(t.Context()))
		must(t, c.Close())
		log.want(t, strings.Repeat("b", 900), strings.Repeat("c", 900))
	})
}

// After a refusal requests go out one at a time, until one is accepted.
func TestOneAtATimeAfterARefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(serverLog)
		f := startFake(t, func(p *peer) {
			p.batch()
			p.batch()
			p.say("ERR DISK_FULL - no room")
			p.say("ERR DISK_FULL - no room")
			a := p.batch()
			must(t, p.nc.SetReadDeadline(time.Now().Add(time.Second)))
			if line := p.line(); line != "" {
				t.Errorf("%q was sent before the answer", line)
			}
			must(t, p.nc.SetReadDeadline(time.Time{}))
			p.appended(log.take(a), len(a))
			p.accept(log)
		})
		sends(t, f, client.ProducerOptions{}, "a", "b").want(t, "a:0", "b:1")
		log.want(t, "a", "b")
	})
}
