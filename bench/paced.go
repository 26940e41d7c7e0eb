package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A paced load is an open loop on one connection: it sends at a rate, whatever the server does.
type paced struct {
	addr    string
	request []byte
	payload int64 // bytes of it that count as payload
	answer  func(*bufio.Reader) error
	rate    int // requests a second
	d       time.Duration
	skip    int // of the first requests, which warm up
}

// run sends from the start on, and counts each request from the moment it was due: a stall counts for every one that
// fell into it.
func (p paced) run(ctx context.Context, start time.Time, t *tally) error {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	interval := time.Second / time.Duration(p.rate)
	total := int(p.d / interval)
	due := func(i int) time.Time { return start.Add(time.Duration(i) * interval) }
	var wg sync.WaitGroup
	var sendErr error
	wg.Go(func() {
		if sendErr = sendAt(ctx, c, p.request, total, due); sendErr != nil {
			closeQuietly(c) // else the reader below waits for answers that never come
		}
	})
	answers := bufio.NewReaderSize(c, 64<<10)
	for i := range total {
		if err = p.answer(answers); err != nil {
			err = fmt.Errorf("answer %d of %d: %w", i, total, err)
			closeQuietly(c) // ends the sender
			break
		}
		if i >= p.skip {
			record(t.hist, time.Since(due(i)))
			t.ops++
			t.bytes += p.payload
		}
	}
	t.took += p.d - time.Duration(p.skip)*interval
	wg.Wait()
	return errors.Join(err, sendErr)
}

func sendAt(ctx context.Context, c net.Conn, request []byte, total int, due func(int) time.Time) error {
	pace, err := newPacer()
	if err != nil {
		return err
	}
	defer pace.close()
	for i := range total {
		pace.until(due(i))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := c.Write(request); err != nil {
			return err
		}
	}
	return nil
}
