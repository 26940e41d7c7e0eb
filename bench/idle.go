package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// W10, its connections: ten thousand that are idle cost memory, and nothing to those that work. Two servers stand side
// by side, one with the idle connections and one without, and are loaded in turns.

const (
	idleTurn   = 500 * time.Millisecond
	perIdle    = "KiB of memory for an idle connection"
	emptyMiB   = "MiB of memory when it was empty"
	aboveEmpty = "MiB of memory above empty, at most"
	mostFiles  = "descriptors open at once, at most"
	idleNote   = "connections that have sent one PING and then nothing; memory is the resident set's growth"
)

func (s suite) idle(ctx context.Context, busy *proc) (tally, error) {
	n := 10_000
	if s.small {
		n = 100
	}
	empty, err := serve(ctx, s.sluice, filepath.Join(s.dir, "empty"))
	if err != nil {
		return tally{}, err
	}
	empty.dir = filepath.Join(s.dir, "empty")
	t, err := s.besideIdle(ctx, n, busy, empty)
	_, stopErr := empty.stop()
	return t, errors.Join(err, stopErr)
}

func (s suite) besideIdle(ctx context.Context, n int, busy, empty *proc) (tally, error) {
	before, _, err := residentOf(busy.cmd.Process.Pid)
	if err != nil {
		return tally{}, err
	}
	g, err := crowd{Kind: "idle", Addr: busy.addr, Conns: n}.gather(ctx)
	if err != nil {
		return tally{}, err
	}
	defer g.p.kill() // it waits for its order to begin
	after, _, err := residentOf(busy.cmd.Process.Pid)
	if err != nil {
		return tally{}, err
	}
	var rows []tally
	for _, w := range []struct {
		name  string
		conns int
	}{{"W2", 16}, {"W1", 1}} {
		idle := tally{name: fmt.Sprintf("W10 idle, %s", w.name), conns: w.conns, hist: newHist(), note: fmt.Sprintf("%d %s", n, idleNote)}
		if after > 0 && len(rows) == 0 {
			idle.figures = map[string]float64{perIdle: float64(after-before) / 1024 / float64(n)}
		}
		none := tally{name: fmt.Sprintf("W10 idle, %s, none", w.name), conns: w.conns, hist: newHist()}
		for left := s.measure; left > 0; left -= idleTurn {
			for _, side := range []struct {
				addr string
				to   *tally
			}{{busy.addr, &idle}, {empty.addr, &none}} {
				l := s.load(w.conns, 1, message("written"), rawRequest, sluiceAnswer)
				l.warm, l.measure = min(left, idleTurn)/5, min(left, idleTurn)
				got, err := l.run(ctx, side.addr)
				if err != nil {
					return tally{}, err
				}
				side.to.hist.Merge(got.hist)
				side.to.ops, side.to.bytes, side.to.took = side.to.ops+got.ops, side.to.bytes+got.bytes, side.to.took+got.took
			}
		}
		rows = append(rows, idle, none)
	}
	first := rows[0]
	first.beside = rows[1:]
	return first, nil
}
