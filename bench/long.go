package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// The long steps: W9, the roll part of W6, what levels and settings cost, and what the choices behind a log's files cost. Those that compare sides do
// so in turns of one run, so a round of them is as good as three of others.
func (s suite) longSteps() []step {
	var out []step
	for _, l := range s.layouts() {
		st := &store{layout: l, dir: filepath.Join(s.dir, "kept", fmt.Sprintf("%d-%d", l.segments, l.topics))}
		for _, cold := range []bool{false, true} {
			out = append(out, step{l.name + " " + warmth(cold), "sluice", "written, the end unsynced", 1, 1, s.starts(st, cold)})
		}
	}
	for _, r := range s.rolls() {
		out = append(out, step{"W6 rolls " + r.ack, "sluice", r.ack, 1, 0, s.withSluice(r.run)})
	}
	out = append(out, s.followerSteps()...)
	out = append(out, step{"W6 replay", "sluice", written, 1, 0, s.withServer(func(ctx context.Context, p *proc) (tally, error) {
		return s.replay().run(ctx, s, p)
	})})
	out = append(out,
		step{"W10 idle", "sluice", written, 16, 1, s.withServer(s.idle, "--set", "max_connections=11000")},
		step{"W10 files", "sluice", written, 8, 1, func(ctx context.Context) (tally, time.Duration, error) { return s.spread().run(ctx, s) }})
	for _, conns := range []int{1, 16} {
		out = append(out, step{fmt.Sprintf("cost %d", conns), "sluice", "see its name", conns, 1, s.withSluice(s.costs(conns))})
	}
	for _, block := range []int{1 << 10, 64 << 10} {
		name := fmt.Sprintf("alloc %d KiB", block>>10)
		out = append(out, s.compared(name, synced, func(ctx context.Context) (tally, error) {
			return measureAllocations(ctx, s.dir, name, block, s.measure)
		}))
	}
	return append(out,
		s.compared("neighbour", "see its name", func(ctx context.Context) (tally, error) { return measureNeighbour(ctx, s.dir, s.measure) }),
		s.compared("mark", synced, func(ctx context.Context) (tally, error) { return measureMark(ctx, s.dir, s.measure) }))
}

func (s suite) compared(name, durability string, run func(context.Context) (tally, error)) step {
	return step{name, "raw", durability, 1, 1, func(ctx context.Context) (tally, time.Duration, error) {
		t, err := run(ctx)
		return t, 0, err
	}}
}

func (s suite) layouts() []layout {
	if s.small {
		return []layout{{name: "W9 20 segments", segments: 20, batches: 4}, {name: "W9 10 topics", topics: 10}}
	}
	return []layout{
		{name: "W9 1,000 segments", segments: 1000, batches: 100},
		{name: "W9 10,000 segments", segments: 10_000, batches: 10},
		{name: "W9 1,000 topics", topics: 1000},
	}
}

// rolls: 100 of them take about 13 s with `written` and 20 s with `synced`, and the turns without as long.
func (s suite) rolls() []rolls {
	r := []rolls{
		{ack: "written", rate: 30_000, segment: "4MiB", want: 100, phase: rollPhase},
		{ack: "synced", rate: 5_000, segment: "1MiB", want: 100, phase: rollPhase},
	}
	if s.small {
		for i := range r {
			r[i].segment, r[i].want, r[i].phase = "64KiB", 1, 100*time.Millisecond
		}
	}
	return r
}
