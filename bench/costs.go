package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// What each ack level and each setting of a topic costs, on one server, in turns: the table of docs/durability.md.

// A variant is a topic's settings, and the ack that is asked for.
type variant struct{ ack, settings string }

func (v variant) String() string {
	if v.settings == "" {
		return "ack=" + v.ack
	}
	return "ack=" + v.ack + " " + v.settings
}

var variants = []variant{
	{"written", ""},
	{"written", "sync=shutdown"},
	{"written", "flush.ms=100"},
	{"written", "flush.bytes=1MiB"},
	{"written", "flush.messages=1000"},
	{"written", "flush.ms=0"},
	{"written", "sync=dsync"},
	{"synced", ""},
	{"synced", "sync=dsync"},
}

const costTurn = 500 * time.Millisecond

// costs measures every variant under the same closed loop.
func (s suite) costs(conns int) func(context.Context, string) (tally, error) {
	name := fmt.Sprintf("cost %d", conns)
	return func(ctx context.Context, addr string) (tally, error) {
		tallies := make([]tally, len(variants))
		for i, v := range variants {
			tallies[i] = tally{name: name + ": " + v.String(), hist: newHist()}
			if _, err := ask(ctx, addr, strings.TrimSpace("CREATE "+topicName(i)+" "+v.settings)); err != nil {
				return tally{}, err
			}
		}
		for left := s.measure; left > 0; left -= costTurn {
			for i, v := range variants {
				l := s.load(conns, 1, messageTo(topicName(i), v.ack), rawRequest, sluiceAnswer)
				l.warm, l.measure = min(left, costTurn)/10, min(left, costTurn)
				got, err := l.run(ctx, addr)
				if err != nil {
					return tally{}, fmt.Errorf("%v: %w", v, err)
				}
				t := &tallies[i]
				t.hist.Merge(got.hist)
				t.ops, t.bytes, t.took = t.ops+got.ops, t.bytes+got.bytes, t.took+got.took
				// What a turn left unsynced must not fall into the next one's.
				if _, err := ask(ctx, addr, "FLUSH "+topicName(i)); err != nil {
					return tally{}, err
				}
			}
		}
		tallies[0].beside = tallies[1:]
		return tallies[0], nil
	}
}
