package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Many followers of one log: what one append costs when a thousand wait for it. The limit is a server that does nothing
// but hand on what it gets, from memory.

// A following is one such load.
type following struct {
	name          string
	n, rate, size int // followers; messages a second, of so many bytes
}

// followings: 1,000 followers that get 1,000 messages of 1 KiB each second are 8 Gbit/s, where the loopback of a small
// machine ends; so there is one that stays below that by its size, and one by its rate.
func (s suite) followings() []following {
	all := []following{
		{"W8 1,000 followers", 1000, 1000, 128},
		{"W8 1,000 followers, 1 KiB", 1000, 1000, 1024},
		{"W8 1,000 followers, 1 KiB, 100/s", 1000, 100, 1024},
	}
	if s.small {
		return []following{{all[0].name, 20, 100, 128}}
	}
	return all
}

const followersWarm = 4 // one in so many of the messages warms up

// run has all follow while one connection appends, and makes two rows: from the moment a message was due to each
// delivery, and to its answer.
func (f following) run(ctx context.Context, s suite, system string, p *proc) (tally, error) {
	interval := time.Second / time.Duration(f.rate)
	total := int((s.warm + s.measure) / interval)
	load := paced{addr: p.addr, request: messageOf(topic, "written", f.size), payload: int64(f.size), answer: sluiceAnswer,
		rate: f.rate, d: time.Duration(total) * interval, skip: total / followersWarm}
	c := crowd{Kind: "follow", Addr: p.addr, Topic: topic, Conns: f.n, Rate: f.rate, Skip: uint64(load.skip), Until: uint64(total)}
	g, err := c.gather(ctx)
	if err != nil {
		return tally{}, err
	}
	acks := tally{name: f.name + ", ack", system: system, hist: newHist()}
	before, err := cpuOf(p.cmd.Process.Pid)
	start := time.Now().Add(50 * time.Millisecond)
	if err == nil {
		err = g.begin(start)
	}
	if err == nil {
		err = load.run(ctx, start, &acks)
	}
	if err != nil {
		g.p.kill()
		return tally{}, err
	}
	got, hist, err := g.done(ctx, time.Minute)
	if err != nil {
		return tally{}, err
	}
	if want := int64(f.n * (total - load.skip)); got.Ops != want {
		return tally{}, fmt.Errorf("%d deliveries, and should be %d", got.Ops, want)
	}
	after, err := cpuOf(p.cmd.Process.Pid)
	t := tally{conns: f.n, hist: hist, ops: got.Ops, bytes: got.Ops * int64(f.size), took: acks.took, cpu: after - before}
	t.beside = []tally{acks}
	return t, err
}

// followerSteps are each limit and its step.
func (s suite) followerSteps() (out []step) {
	for _, f := range s.followings() {
		out = append(out, step{f.name, "raw", nothing, 1, 0, func(ctx context.Context) (tally, time.Duration, error) {
			p, err := startRaw(ctx, "fan", strconv.Itoa(f.size))
			if err != nil {
				return tally{}, 0, err
			}
			return finish(p, func() (tally, error) { return f.run(ctx, s, "raw", p) })
		}}, step{f.name, "sluice", written, 1, 0, s.withServer(func(ctx context.Context, p *proc) (tally, error) {
			if _, err := ask(ctx, p.addr, "CREATE "+topic); err != nil {
				return tally{}, err
			}
			return f.run(ctx, s, "sluice", p)
		})})
	}
	return out
}
