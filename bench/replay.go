package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The reading part of W6: a producer at a fixed rate, with and without ten consumers that replay what is not cached, in
// turns. The same is done to the bare pipeline, beside which another process sends the same files: what a machine
// of few cores does to any producer while its disk, its loopback and ten consumers are busy is no fault of the server. Nor
// is what it does to one whose server only echoes, beside our replay: that is the limit. What else the machine does in a
// turn is chance, so the median turn is what compares.

const (
	oldTopic     = "old"
	replayers    = 10
	replayPhase  = 2 * time.Second
	replaySettle = 200 * time.Millisecond // between the begin of the replay and that of the measured turn
	fromDisk     = "share of the replayed bytes that came from the disk"
	replayed     = "MB/s replayed"
	medianTurn   = "p99.9 of the median turn, us"
	reporting    = "/sys/module/page_reporting" // there where the kernel hands free memory back to a hypervisor
	handBack     = 11 * time.Second             // it does so in steps of 2 s and 1.4 GiB
	withheld     = "ms of processors' time that the hypervisor withheld"
)

type replay struct {
	rate, turns int
	size        int64 // of what is replayed: more than ten consumers read in one turn
	phase       time.Duration
}

func (s suite) replay() replay {
	if s.small {
		return replay{rate: 500, turns: 1, size: 3 << 20, phase: 100 * time.Millisecond}
	}
	return replay{rate: 5000, turns: 6, size: 6 << 30, phase: replayPhase}
}

// A replaySide is a producer's load, alone or beside a replay.
type replaySide struct {
	tally
	load  paced
	crowd *crowd // nil: alone
	pid   int    // who reads from the disk
	disk  int64
	share share // all turns'
}

func (r replay) run(ctx context.Context, s suite, p *proc) (tally, error) {
	old := filepath.Join(p.dir, "topics", oldTopic, "0")
	next, err := s.fill(ctx, p.addr, oldTopic, r.size, 62)
	if err != nil {
		return tally{}, err
	}
	if _, err := ask(ctx, p.addr, "CREATE "+topic); err != nil {
		return tally{}, err
	}
	sender, err := startRaw(ctx, "files", old)
	if err != nil {
		return tally{}, err
	}
	defer sender.kill()
	bare, err := startRaw(ctx, "pipeline", filepath.Join(s.dir, "raw"))
	if err != nil {
		return tally{}, err
	}
	echo, err := startRaw(ctx, "echo", "")
	if err != nil {
		return tally{}, errors.Join(err, orNil(bare.stop()))
	}
	defer echo.kill()
	sides := r.sides(p, sender, bare, echo, next)
	if err := r.forget(ctx, old); err != nil {
		return tally{}, errors.Join(err, orNil(bare.stop()))
	}
	for turn := range r.turns {
		for _, side := range sides {
			err := side.turn(ctx, turn == 0 && r.turns > 1)
			if err == nil && side.crowd != nil {
				err = r.forget(ctx, old)
			}
			if err != nil {
				return tally{}, errors.Join(fmt.Errorf("%s: %w", side.name, err), orNil(bare.stop()))
			}
		}
	}
	if _, err := bare.stop(); err != nil {
		return tally{}, err
	}
	var rows []tally
	for _, side := range sides {
		side.figures = map[string]float64{medianTurn: side.medianP999(), withheld: float64(side.lost.Milliseconds())}
		if side.crowd != nil && side.share.All > 0 {
			side.figures[replayed] = float64(side.share.Bytes) / 1e6 / side.share.Took.Seconds()
			side.figures[fromDisk] = float64(side.disk) / float64(side.share.All)
		}
		rows = append(rows, side.tally)
	}
	first := rows[0]
	first.beside = rows[1:]
	return first, nil
}

func orNil(_ time.Duration, err error) error { return err }

func (r replay) sides(p, sender, bare, echo *proc, next uint64) []*replaySide {
	ours := paced{addr: p.addr, request: message("written"), payload: rawRequest, answer: sluiceAnswer, rate: r.rate, d: r.phase}
	theirs := paced{addr: bare.addr, request: noise(rawRequest), payload: rawRequest, answer: rawAnswered, rate: r.rate, d: r.phase}
	echoes := theirs
	echoes.addr = echo.addr
	read := crowd{Kind: "fetch", Addr: p.addr, Topic: oldTopic, Conns: replayers, Step: next / replayers, Bytes: fetchBytes, Drain: true, Warm: replaySettle}
	stream := crowd{Kind: "stream", Addr: sender.addr, Conns: replayers, Drain: true, Warm: replaySettle}
	side := func(name, system string, load paced, c *crowd, reader *proc) *replaySide {
		level := written
		if system == "raw" {
			level = pageCache
		}
		return &replaySide{tally: tally{name: name, system: system, level: level, hist: newHist()}, load: load, crowd: c, pid: reader.cmd.Process.Pid}
	}
	return []*replaySide{
		side("W6 replay", "sluice", ours, &read, p),
		side("W6 replay, none", "sluice", ours, nil, p),
		side("W6 replay", "raw", theirs, &stream, sender),
		side("W6 replay, none", "raw", theirs, nil, sender),
		side("W6 replay, echo", "raw", echoes, &read, p),
	}
}

// forget drops what was replayed from the page cache, and waits until a hypervisor has that memory: taking it, it stops
// all processors for hundreds of milliseconds, and beside which turn that fell was chance.
func (r replay) forget(ctx context.Context, old string) error {
	if err := forgetFolder(old); err != nil {
		return err
	}
	if _, err := os.Stat(reporting); err != nil || r.turns == 1 {
		return nil
	}
	select {
	case <-time.After(handBack):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// turn begins the replay and measures the producer. The first turn warms up.
func (r *replaySide) turn(ctx context.Context, warm bool) (err error) {
	to, stolen := &tally{hist: newHist()}, stolenTime()
	defer func() {
		if err == nil && !warm {
			to.lost = stolenTime() - stolen
			r.addTurn(to)
		}
	}()
	if r.crowd == nil {
		return r.load.run(ctx, time.Now().Add(replaySettle), to)
	}
	g, err := r.crowd.gather(ctx)
	if err != nil {
		return err
	}
	before, err := diskReadsOf(r.pid)
	if err == nil {
		err = g.begin(time.Now())
	}
	if err == nil {
		err = r.load.run(ctx, time.Now().Add(replaySettle), to)
	}
	after, diskErr := diskReadsOf(r.pid)
	got, _, endErr := g.end()
	r.disk += after - before
	r.share.All, r.share.Bytes, r.share.Took = r.share.All+got.All, r.share.Bytes+got.Bytes, r.share.Took+got.Took
	return errors.Join(err, diskErr, endErr)
}

// medianP999 is that of the median turn, in microseconds.
func (t *tally) medianP999() float64 {
	turns := slices.SortedFunc(slices.Values(t.turns), func(a, b turn) int { return cmp.Compare(a.P999, b.P999) })
	return float64(turns[len(turns)/2].P999) / 1e3
}
