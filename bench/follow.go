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

// A pair is what W8 needs: one connection that appends and one that follows from the first record.
type pair struct{ publish, follow net.Conn }

func openPair(ctx context.Context, addr string, limit time.Duration) (pair, error) {
	var d net.Dialer
	a, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return pair{}, err
	}
	b, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		closeQuietly(a)
		return pair{}, err
	}
	p := pair{a, b}
	if err := errors.Join(a.SetDeadline(time.Now().Add(limit)), b.SetDeadline(time.Now().Add(limit))); err != nil {
		p.close()
		return pair{}, err
	}
	if _, err := fmt.Fprintf(b, "TAIL %s 0\n", topic); err != nil {
		p.close()
		return pair{}, err
	}
	return p, nil
}

func (p pair) close() {
	closeQuietly(p.publish)
	closeQuietly(p.follow)
}

// followOne appends a message, waits until the follower has it, and then for the answer: from the write to
// the delivery, one message at a time.
func followOne(ctx context.Context, addr string, warm, measure time.Duration) (tally, error) {
	p, err := openPair(ctx, addr, warm+measure+30*time.Second)
	if err != nil {
		return tally{}, err
	}
	defer p.close()
	request := message("written")
	answers, records := bufio.NewReader(p.publish), bufio.NewReaderSize(p.follow, 64<<10)
	t := tally{hist: newHist(), took: measure}
	w := window{from: time.Now().Add(warm)}
	w.until = w.from.Add(measure)
	for ctx.Err() == nil {
		sent := time.Now()
		if sent.After(w.until) {
			return t, nil
		}
		if _, err := p.publish.Write(request); err != nil {
			return t, err
		}
		if err := sluiceRecord(records); err != nil {
			return t, fmt.Errorf("the follower: %w", err)
		}
		if now := time.Now(); now.After(w.from) && now.Before(w.until) {
			record(t.hist, now.Sub(sent))
			t.ops++
			t.bytes += rawRequest
		}
		if err := sluiceAnswer(answers); err != nil {
			return t, err
		}
	}
	return t, context.Cause(ctx)
}

// followAt appends at a fixed rate, whatever the server does, and measures from the moment a message was
// due: a stall counts for every message that fell into it (no coordinated omission).
func followAt(ctx context.Context, addr string, warm, measure time.Duration, rate int) (tally, error) {
	p, err := openPair(ctx, addr, warm+measure+30*time.Second)
	if err != nil {
		return tally{}, err
	}
	defer p.close()
	interval := time.Second / time.Duration(rate)
	warmup, total := int(warm/interval), int((warm+measure)/interval)
	start := time.Now().Add(10 * time.Millisecond)
	due := func(i int) time.Time { return start.Add(time.Duration(i) * interval) }

	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() {
		if errs[0] = sendAt(ctx, p.publish, message("written"), total, due); errs[0] != nil {
			p.close()
		}
	})
	wg.Go(func() {
		answers := bufio.NewReader(p.publish)
		for range total {
			if errs[1] = sluiceAnswer(answers); errs[1] != nil {
				p.close() // the follower would wait for what never comes
				return
			}
		}
	})
	t := tally{hist: newHist(), took: measure}
	records := bufio.NewReaderSize(p.follow, 64<<10)
	for i := range total {
		if err = sluiceRecord(records); err != nil {
			err = fmt.Errorf("the follower, record %d of %d: %w", i, total, err)
			p.close()
			break
		}
		if i >= warmup {
			record(t.hist, time.Since(due(i)))
			t.ops++
			t.bytes += rawRequest
		}
	}
	wg.Wait()
	return t, errors.Join(err, errs[0], errs[1])
}
