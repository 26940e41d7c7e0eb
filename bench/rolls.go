package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// The roll part of W6: an open loop at a fixed rate into two topics of one server, in turns. One has small segments and
// rolls all the time, the other never does. Everything else is the same, the moment included.

const (
	stillTopic = "still"
	rollPhase  = 2 * time.Second // how long it is one topic's turn
)

type rolls struct {
	ack     string
	rate    int // messages a second
	segment string
	want    int // rolls
	phase   time.Duration
}

func (r rolls) run(ctx context.Context, addr string) (tally, error) {
	if _, err := ask(ctx, addr, fmt.Sprintf("DROP %s", topic)); err != nil {
		return tally{}, err
	}
	for name, segment := range map[string]string{topic: r.segment, stillTopic: "4GiB"} {
		if _, err := ask(ctx, addr, fmt.Sprintf("CREATE %s segment.bytes=%s", name, segment)); err != nil {
			return tally{}, err
		}
	}
	step := "W6 rolls " + r.ack
	rolling, still := tally{name: step, hist: newHist()}, tally{name: step + ", none", hist: newHist()}
	for n := 0; ; n++ {
		for _, side := range []struct {
			topic string
			to    *tally
		}{{topic, &rolling}, {stillTopic, &still}} {
			t := side.to
			if n == 0 {
				t = &tally{hist: newHist()} // the first turn of each warms up
			}
			if err := r.turn(ctx, addr, side.topic, t); err != nil {
				return tally{}, err
			}
		}
		done, err := segments(ctx, addr, topic)
		if err != nil {
			return tally{}, err
		}
		rolling.note = fmt.Sprintf("%d rolls, segments of %s", done-1, r.segment)
		if done-1 >= r.want && n > 0 {
			break
		}
	}
	if n, err := segments(ctx, addr, stillTopic); err != nil || n != 1 {
		return tally{}, fmt.Errorf("the topic that should not roll has %d segments: %w", n, err)
	}
	rolling.beside = []tally{still}
	return rolling, nil
}

func segments(ctx context.Context, addr, topic string) (int, error) {
	head, err := ask(ctx, addr, "HEAD "+topic)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(head["segments"])
}

// turn sends at the rate, whatever the server does, and counts from the moment a message was due: a stall counts for
// every message that fell into it.
func (r rolls) turn(ctx context.Context, addr, topic string, t *tally) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	interval := time.Second / time.Duration(r.rate)
	total := int(r.phase / interval)
	start := time.Now().Add(10 * time.Millisecond)
	due := func(i int) time.Time { return start.Add(time.Duration(i) * interval) }
	var wg sync.WaitGroup
	var sendErr error
	wg.Go(func() {
		if sendErr = sendAt(ctx, c, messageTo(topic, r.ack), total, due); sendErr != nil {
			closeQuietly(c) // else the reader below waits for answers that never come
		}
	})
	answers := bufio.NewReaderSize(c, 64<<10)
	for i := range total {
		if err = sluiceAnswer(answers); err != nil {
			err = fmt.Errorf("answer %d of %d: %w", i, total, err)
			closeQuietly(c) // ends the sender
			break
		}
		record(t.hist, time.Since(due(i)))
		t.ops++
		t.bytes += rawRequest
	}
	t.took += r.phase
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
