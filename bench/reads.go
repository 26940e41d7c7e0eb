package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"sluice/wire/batch"
)

// W7: consumers that are far behind read what is in the page cache, in turns with a server that does nothing but
// sendfile from the very same files.

const (
	readTurn     = 500 * time.Millisecond
	fetchBytes   = 1 << 20
	singlesTopic = "singles" // its batches hold one record each, as those of a producer that waits for every answer

	cpuPerGB = "server CPU seconds per GB"
)

// readSide is one row of W7.
type readSide struct {
	tally
	crowd crowd
	pid   int
	all   int64 // bytes that the CPU time went into
}

func (s suite) catchUp(ctx context.Context, p *proc) (t tally, err error) {
	size := int64(600 << 20) // two sealed segments and a part
	if s.small {
		size = 3 << 20
	}
	next, err := s.fill(ctx, p.addr, topic, size, 62)
	if err != nil {
		return t, err
	}
	if _, err := s.fill(ctx, p.addr, singlesTopic, size/2, 1); err != nil {
		return t, err
	}
	raw, err := startRaw(ctx, "files", filepath.Join(p.dir, "topics", topic, "0"))
	if err != nil {
		return t, err
	}
	defer raw.kill()
	sides := readSides(p, raw, next)
	for left := s.measure; left > 0; left -= readTurn {
		for _, r := range sides {
			if err := r.turn(ctx, min(left, readTurn)); err != nil {
				return t, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	for _, r := range sides {
		if r.cpu > 0 {
			r.figures = map[string]float64{cpuPerGB: r.cpu.Seconds() / (float64(r.all) / 1e9)}
		}
		t.beside = append(t.beside, r.tally)
	}
	first := t.beside[0]
	first.beside = t.beside[1:]
	return first, nil
}

// readSides are the rows. A consumer that copies what it gets is slower than sendfile, and hides what the server costs;
// one that drains its socket hides nothing, as one on another machine.
func readSides(p, raw *proc, next uint64) (sides []*readSide) {
	for _, n := range []int{1, 8} {
		add := func(name, system string, p *proc, c crowd) {
			c.Addr, c.Conns, c.Bytes, c.Warm = p.addr, n, fetchBytes, readTurn/10
			t := tally{name: fmt.Sprintf(name, n), system: system, conns: n, hist: newHist()}
			sides = append(sides, &readSide{tally: t, crowd: c, pid: p.cmd.Process.Pid})
		}
		fetch := crowd{Kind: "fetch", Topic: topic, Step: next / uint64(n)}
		tail := crowd{Kind: "tail", Topic: topic, Step: fetch.Step}
		add("sendfile %d", "raw", raw, crowd{Kind: "stream"})
		add("W7 %d", "sluice", p, fetch)
		add("W7 %d tail", "sluice", p, tail)
		if n == 1 {
			add("W7 %d singles", "sluice", p, crowd{Kind: "fetch", Topic: singlesTopic})
		}
		fetch.Drain, tail.Drain = true, true
		add("sendfile %d drained", "raw", raw, crowd{Kind: "stream", Drain: true})
		add("sendfile %d drained, asked", "raw", raw, crowd{Kind: "ask", Drain: true})
		add("W7 %d drained", "sluice", p, fetch)
		add("W7 %d drained, tail", "sluice", p, tail)
	}
	return sides
}

// turn has a new crowd read for a while.
func (r *readSide) turn(ctx context.Context, d time.Duration) error {
	g, err := r.crowd.gather(ctx)
	if err != nil {
		return err
	}
	before, err := cpuOf(r.pid)
	if err == nil {
		err = g.begin(time.Now())
	}
	if err == nil {
		err = wait(ctx, d)
	}
	got, hist, endErr := g.end()
	if err != nil || endErr != nil {
		return orFirst(err, endErr)
	}
	after, err := cpuOf(r.pid)
	r.hist.Merge(hist)
	r.ops, r.bytes, r.took = r.ops+got.Ops, r.bytes+got.Bytes, r.took+got.Took
	r.cpu, r.all = r.cpu+after-before, r.all+got.All
	return err
}

func orFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fill makes a topic of so many bytes, in batches of so many records of 1 KiB, syncs it, and tells its end.
func (s suite) fill(ctx context.Context, addr, topic string, size int64, records int) (next uint64, err error) {
	settings := ""
	if s.small {
		settings = " segment.bytes=1MiB"
	}
	if _, err := ask(ctx, addr, "CREATE "+topic+settings); err != nil {
		return 0, err
	}
	one, err := oneBatch(records)
	if err != nil {
		return 0, err
	}
	many := bytes.Repeat(one, max(1, min(4<<20, int(size)/4)/len(one)))
	c, err := dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer closeQuietly(c)
	answers := newReader(c)
	head := fmt.Appendf(nil, "BATCH %s %d ack=written\n", topic, len(many))
	for sent := int64(0); sent < size; sent += int64(len(many)) {
		for _, part := range [][]byte{head, many, []byte("\n")} {
			if _, err := c.Write(part); err != nil {
				return 0, err
			}
		}
		if err := sluiceAnswer(answers); err != nil {
			return 0, err
		}
		next += uint64(len(many) / len(one) * records)
	}
	_, err = ask(ctx, addr, "FLUSH "+topic)
	return next, err
}

func oneBatch(records int) ([]byte, error) {
	var b batch.Builder
	b.Reset(nil)
	value := noise(rawRequest)
	for range records {
		b.Add(1, nil, value, nil)
	}
	return b.Finish(batch.None)
}
