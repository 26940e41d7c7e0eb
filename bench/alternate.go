package main

import (
	"context"
	"errors"
	"time"
)

// A side is one of several ways that are compared within one run.
type side struct {
	name string
	pace time.Duration                 // from the start of one op to that of the next; 0: at once
	op   func() (time.Duration, error) // does it once and tells how long the part took that is compared
	// beside runs while this side is measured: start, and what stops and joins it. nil: nothing does.
	beside func() (stop func() error)
	bytes  int64 // payload of one op
	note   string
}

// slice is how long a side is measured before it is the next one's turn: a disk that is slow for a second is slow for
// all of them.
const slice = 100 * time.Millisecond

// alternate measures every side for d in all, in turns. The first side is the step's own row, the others stand beside it.
func alternate(ctx context.Context, d time.Duration, sides []side) (tally, error) {
	tallies := make([]tally, len(sides))
	for i, s := range sides {
		tallies[i] = tally{name: s.name, note: s.note, hist: newHist()}
	}
	for left := d; left > 0; left -= slice {
		for i, s := range sides {
			if err := s.turn(ctx, &tallies[i], min(left, slice)); err != nil {
				return tally{}, err
			}
		}
	}
	first := tallies[0]
	first.beside = tallies[1:]
	return first, nil
}

func (s side) turn(ctx context.Context, t *tally, d time.Duration) (err error) {
	if s.beside != nil {
		stop := s.beside()
		defer func() { err = errors.Join(err, stop()) }()
	}
	pace, err := newPacer()
	if err != nil {
		return err
	}
	defer pace.close()
	start := time.Now()
	for n := time.Duration(0); time.Since(start) < d; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pace.until(start.Add(n * s.pace))
		took, err := s.op()
		if err != nil {
			return err
		}
		record(t.hist, took)
		t.ops++
		t.bytes += s.bytes
	}
	t.took += time.Since(start)
	return nil
}
