package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// A step is one limit or one workload on one system.
type step struct {
	name, system    string
	durability      string
	conns, inFlight int // inFlight 0: an open loop, at a fixed rate
	run             func(context.Context) (tally, time.Duration, error)
}

// A suite knows what the steps need.
type suite struct {
	sluice, redis string // binaries; redis may be ""
	kafka         jvm
	librdkafka    string // rdkafka_performance, or ""
	dir           string // on a real disk; each step but W9, whose directories are dear, leaves it empty
	warm, measure time.Duration
	small         bool // long steps only show that they work
}

const (
	nothing     = "none"
	pageCache   = "page cache"
	written     = "written, flush.ms=1000"
	synced      = "synced"
	everySecond = "appendonly, appendfsync everysec"
	always      = "appendonly, appendfsync always"
)

// steps: W1 is one message in flight on one connection, W2 on sixteen; W3 is pipelined single messages, W3b
// client batches of 64 KiB; W4 and W5 are W1 and W2 with every answer behind a sync; W8 is from the append to
// the delivery at a following reader. They are in the order of a round: a limit right before the workloads that are compared with it.
func (s suite) steps() []step {
	all := slices.Concat([]step{
		s.raw("round trip", "echo", nothing, 1),
		s.appends("W1", written, 1, 1), s.xadds("W1", everySecond, 1, 1),
	}, s.deliverySteps(), []step{
		{"W7", "sluice", pageCache, 1, 1, s.withServer(s.catchUp)},
		s.raw("pipeline 1", "pipeline", pageCache, 1),
		s.raw("pipeline 16", "pipeline", pageCache, 16),
		s.appends("W2", written, 16, 1), s.xadds("W2", everySecond, 16, 1),
		s.appends("W3 1x100", written, 1, 100), s.xadds("W3 1x100", everySecond, 1, 100),
		s.appends("W3 1x500", written, 1, 500), s.xadds("W3 1x500", everySecond, 1, 500),
		s.appends("W3 16x16", written, 16, 16), s.xadds("W3 16x16", everySecond, 16, 16),
		s.files("append 64 KiB", pageCache, func(ctx context.Context, name string) (tally, error) {
			return measureAppend(ctx, name, s.measure)
		}),
		s.batches("W3b", written, 16, 4),
		s.files("sync growing", synced, func(ctx context.Context, name string) (tally, error) {
			return measureSync(ctx, name, s.measure, false)
		}),
		s.files("sync allocated", synced, func(ctx context.Context, name string) (tally, error) {
			return measureSync(ctx, name, s.measure, true)
		}),
		s.appends("W4", synced, 1, 1), s.xadds("W4", always, 1, 1),
		s.appends("W5", synced, 16, 1), s.xadds("W5", always, 16, 1),
	})
	var out []step
	for _, st := range all {
		if st.system != "redis" || s.redis != "" {
			out = append(out, st)
		}
	}
	return out
}

func (s suite) load(conns, inFlight int, request []byte, payload int, answer func(*bufio.Reader) error) load {
	return load{conns: conns, inFlight: inFlight, request: request, payload: payload, answer: answer, warm: s.warm, measure: s.measure}
}

// raw is a limit with a server of ours that does nothing.
func (s suite) raw(name, kind, durability string, conns int) step {
	l := s.load(conns, 1, noise(rawRequest), rawRequest, rawAnswered)
	return step{name, "raw", durability, conns, 1, func(ctx context.Context) (tally, time.Duration, error) {
		p, err := startRaw(ctx, kind, filepath.Join(s.dir, "raw"))
		if err != nil {
			return tally{}, 0, err
		}
		return finish(p, func() (tally, error) { return l.run(ctx, p.addr) })
	}}
}

// rawAnswered takes a raw server's answer.
func rawAnswered(br *bufio.Reader) error {
	_, err := br.Discard(rawAnswer)
	return err
}

// files is a limit that needs no server.
func (s suite) files(name, durability string, run func(context.Context, string) (tally, error)) step {
	return step{name, "raw", durability, 1, 1, func(ctx context.Context) (tally, time.Duration, error) {
		t, err := run(ctx, filepath.Join(s.dir, "raw"))
		return t, 0, err
	}}
}

func (s suite) appends(name, durability string, conns, inFlight int) step {
	ack := "written"
	if durability == synced {
		ack = "synced"
	}
	l := s.load(conns, inFlight, message(ack), rawRequest, sluiceAnswer)
	return step{name, "sluice", durability, conns, inFlight, s.withSluice(l.run)}
}

func (s suite) batches(name, durability string, conns, inFlight int) step {
	return step{name, "sluice", durability, conns, inFlight, s.withSluice(func(ctx context.Context, addr string) (tally, error) {
		request, payload, err := records64k("written")
		if err != nil {
			return tally{}, err
		}
		return s.load(conns, inFlight, request, payload, sluiceAnswer).run(ctx, addr)
	})}
}

func (s suite) xadds(name, durability string, conns, inFlight int) step {
	fsync := "everysec"
	if durability == always {
		fsync = "always"
	}
	l := s.load(conns, inFlight, xadd(), rawRequest, redisAnswer)
	return step{name, "redis", durability, conns, inFlight, func(ctx context.Context) (tally, time.Duration, error) {
		p, err := startRedis(ctx, s.redis, s.dir, fsync)
		if err != nil {
			return tally{}, 0, err
		}
		return finish(p, func() (tally, error) { return l.run(ctx, p.addr) })
	}}
}

// withSluice gives a workload a server that has just started, on an empty folder: no step inherits the
// dirty pages, the memory or the luck of the one before.
func (s suite) withSluice(run func(context.Context, string) (tally, error)) func(context.Context) (tally, time.Duration, error) {
	return s.withServer(func(ctx context.Context, p *proc) (tally, error) {
		if _, err := ask(ctx, p.addr, "CREATE "+topic); err != nil {
			return tally{}, fmt.Errorf("create the topic: %w", err)
		}
		return run(ctx, p.addr)
	})
}

// withServer is withSluice without a topic, for workloads that look at the process too. args are the server's.
func (s suite) withServer(run func(context.Context, *proc) (tally, error), args ...string) func(context.Context) (tally, time.Duration, error) {
	return func(ctx context.Context) (tally, time.Duration, error) {
		p, err := startSluice(ctx, s.sluice, filepath.Join(s.dir, "sluice"), args...)
		if err != nil {
			return tally{}, 0, err
		}
		return finish(p, func() (tally, error) { return run(ctx, p) })
	}
}

// finish runs a load against a server and stops the server, whatever came of it.
func finish(p *proc, run func() (tally, error)) (tally, time.Duration, error) {
	t, err := run()
	cpu, stopErr := p.stop()
	if stopErr != nil {
		stopErr = fmt.Errorf("stop: %w", stopErr)
	}
	if err == nil && t.ops == 0 {
		err = errors.New("nothing was answered in time")
	}
	return t, cpu, errors.Join(err, stopErr)
}
