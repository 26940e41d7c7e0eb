package main

import (
	"context"
	"fmt"
	"strconv"
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

func (r rolls) turn(ctx context.Context, addr, topic string, t *tally) error {
	p := paced{addr: addr, request: messageTo(topic, r.ack), payload: rawRequest, answer: sluiceAnswer, rate: r.rate, d: r.phase}
	return p.run(ctx, time.Now().Add(10*time.Millisecond), t)
}
