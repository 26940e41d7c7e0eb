package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A load is a closed loop: every connection keeps inFlight requests under way and sends the next one
// when an answer has come.
type load struct {
	conns, inFlight int
	request         []byte                    // one request, framing and payload
	payload         int                       // bytes of it that count as payload
	answer          func(*bufio.Reader) error // takes one answer; an answer that is an error ends the run
	warm, measure   time.Duration
}

// A window is the time in which completed requests are counted.
type window struct{ from, until time.Time }

func (l load) run(ctx context.Context, addr string) (tally, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns := make([]net.Conn, 0, l.conns)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // everything it was to carry has been answered, or the run has failed already
		}
	}()
	var d net.Dialer
	for range l.conns {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return tally{}, err
		}
		conns = append(conns, c)
	}
	w := window{from: time.Now().Add(l.warm)}
	w.until = w.from.Add(l.measure)

	tallies := make([]tally, l.conns)
	errs := make([]error, l.conns)
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) /* a closed one needs none */ })
			defer stop()
			if tallies[i], errs[i] = l.drive(c, w); errs[i] != nil {
				cancel() // one lost connection changes the load of all: the figure would mean nothing
			}
		})
	}
	wg.Wait()
	total := tally{hist: newHist(), took: l.measure}
	for _, t := range tallies {
		if t.hist != nil {
			total.ops += t.ops
			total.hist.Merge(t.hist)
		}
	}
	total.bytes = total.ops * int64(l.payload)
	return total, errors.Join(errs...)
}

// drive is one connection's loop. One goroutine writes and reads: a window of requests fits into the
// socket's buffers, and a second goroutine would add a wake-up to every latency.
func (l load) drive(c net.Conn, w window) (tally, error) {
	t := tally{hist: newHist()}
	many := bytes.Repeat(l.request, l.inFlight)
	sent := make([]time.Time, l.inFlight) // a ring: when request i was written
	br := bufio.NewReaderSize(c, 64<<10)
	var head, tail int // requests written, answers read
	for {
		now := time.Now()
		if free := l.inFlight - (head - tail); free > 0 && now.Before(w.until) {
			for range free {
				sent[head%l.inFlight] = now
				head++
			}
			if _, err := c.Write(many[:free*len(l.request)]); err != nil {
				return t, err
			}
		}
		if head == tail {
			return t, nil
		}
		for {
			if err := l.answer(br); err != nil {
				return t, fmt.Errorf("answer %d: %w", tail, err)
			}
			now := time.Now()
			if now.After(w.from) && now.Before(w.until) {
				record(t.hist, now.Sub(sent[tail%l.inFlight]))
				t.ops++
			}
			tail++
			if tail == head || br.Buffered() == 0 {
				break
			}
		}
	}
}
