package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// What the choices behind a log's files cost on this disk: how blocks are reserved, by which call a write is made
// durable, what another log's sync takes from an appender, and what the durable mark adds to a sync.

const (
	allocFirst = 64 << 10  // the steps in which disk allocates: 64 KiB, doubling up to 16 MiB
	allocLast  = 16 << 20  //
	zeroed     = 64 << 20  // bytes written and synced beforehand, and then overwritten again and again
	fileMost   = 256 << 20 // a file that reaches this is begun anew, so that a run needs little disk
	markBytes  = 64
)

// A target is a file that is written from its start to its end, in blocks of one size.
type target struct {
	f          *os.File
	block      []byte
	pos, ready int64               // where the next block goes; bytes that prepare has seen to
	prepare    func(*target) error // reserves what the next block needs; outside of the measured time, as disk's roller does it
	write      func(*target) error // makes the block durable
	wrap       func(*target) error // begins anew
	limit      int64               // where it wraps
}

func (t *target) once() (time.Duration, error) {
	if t.pos+int64(len(t.block)) > t.limit {
		if err := t.wrap(t); err != nil {
			return 0, err
		}
		t.pos = 0
	}
	if t.prepare != nil && t.pos+int64(len(t.block)) > t.ready {
		if err := t.prepare(t); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	err := t.write(t)
	t.pos += int64(len(t.block))
	return time.Since(start), err
}

func nothingReserved(*target) error { return nil }

// inSteps reserves as disk does.
func inSteps(reserve func(*os.File, int64) error) func(*target) error {
	return func(t *target) error {
		for t.ready < t.pos+int64(len(t.block)) {
			t.ready += min(max(t.ready, allocFirst), allocLast)
		}
		return reserve(t.f, t.ready)
	}
}

func zeros(t *target) error {
	block := make([]byte, 1<<20)
	for t.ready = 0; t.ready < zeroed; t.ready += int64(len(block)) {
		if _, err := t.f.WriteAt(block, t.ready); err != nil {
			return err
		}
	}
	return t.f.Sync()
}

func fromEmpty(t *target) error {
	t.ready = 0
	return errors.Join(t.f.Truncate(0), t.f.Sync())
}

func overwrite(*target) error { return nil }

func plainWrite(t *target) error {
	_, err := t.f.WriteAt(t.block, t.pos)
	return err
}

func writeThenSync(t *target) error {
	if err := plainWrite(t); err != nil {
		return err
	}
	return fdatasync(t.f)
}

func writeDsync(t *target) error { return pwriteDsync(t.f, t.block, t.pos) }

// allocations are the ways to reserve; the zeroed one shows the least a sync costs, and is not for a log: it writes every
// byte twice.
var allocations = []struct {
	name    string
	prepare func(*target) error
	wrap    func(*target) error
	limit   int64
}{
	{"fallocate in steps", inSteps(allocate), fromEmpty, fileMost}, // disk's way: the others are compared with it
	{"growing", nothingReserved, fromEmpty, fileMost},
	{"fallocate, KEEP_SIZE", inSteps(allocateKeepSize), fromEmpty, fileMost},
	{"zeroed blocks", zeros, overwrite, zeroed},
}

var durableWrites = []struct {
	name  string
	write func(*target) error
}{{"write+fdatasync", writeThenSync}, {"RWF_DSYNC", writeDsync}}

// measureAllocations compares every way to reserve with every way to make a block durable.
func measureAllocations(ctx context.Context, dir, name string, block int, d time.Duration) (t tally, err error) {
	files := &fileSet{dir: dir}
	defer func() { err = errors.Join(err, files.remove()) }()
	var sides []side
	for _, w := range durableWrites {
		for _, a := range allocations {
			f, err := files.create()
			if err != nil {
				return tally{}, err
			}
			to := &target{f: f, block: noise(block), prepare: a.prepare, write: w.write, wrap: a.wrap, limit: a.limit}
			sides = append(sides, side{name: fmt.Sprintf("%s: %s, %s", name, w.name, a.name), op: to.once, bytes: int64(block)})
		}
	}
	return alternate(ctx, d, sides)
}

// measureNeighbour tells what a sync costs those who did not ask for it: an appender that only writes, at 10,000 blocks
// of 1 KiB a second, and one that syncs each of its own; alone, with syncs of another file, and with syncs of its own
// file by another thread.
func measureNeighbour(ctx context.Context, dir string, d time.Duration) (t tally, err error) {
	files := &fileSet{dir: dir}
	defer func() { err = errors.Join(err, files.remove()) }()
	one := func(block int, write func(*target) error) (*target, error) {
		f, err := files.create()
		return &target{f: f, block: noise(block), prepare: inSteps(allocate), write: write, wrap: fromEmpty, limit: fileMost}, err
	}
	const pace = 100 * time.Microsecond
	other, err := one(appendBytes, writeThenSync)
	if err != nil {
		return tally{}, err
	}
	var sides []side
	for _, a := range []struct {
		name  string
		pace  time.Duration
		write func(*target) error
	}{{"write", pace, plainWrite}, {"write+fdatasync", 0, writeThenSync}} {
		to, err := one(rawRequest, a.write)
		if err != nil {
			return tally{}, err
		}
		own := func() (time.Duration, error) { return 0, fdatasync(to.f) }
		sides = append(sides,
			side{name: "neighbour " + a.name + ": alone", pace: a.pace, op: to.once, bytes: rawRequest},
			side{name: "neighbour " + a.name + ": another file synced", pace: a.pace, op: to.once, bytes: rawRequest, beside: repeat(other.once)},
			side{name: "neighbour " + a.name + ": its own file synced by another thread", pace: a.pace, op: to.once, bytes: rawRequest, beside: repeat(own)})
	}
	return alternate(ctx, d, sides)
}

// repeat does op over and over on a goroutine, until it is stopped.
func repeat(op func() (time.Duration, error)) func() func() error {
	return func() func() error {
		var wg sync.WaitGroup
		var ended atomic.Bool
		var err error
		wg.Go(func() {
			for err == nil && !ended.Load() {
				_, err = op()
			}
		})
		return func() error {
			ended.Store(true)
			wg.Wait()
			return err
		}
	}
}

// measureMark compares write and fdatasync with the same and a mark written behind it, in place, into another file that
// is not synced.
func measureMark(ctx context.Context, dir string, d time.Duration) (t tally, err error) {
	files := &fileSet{dir: dir}
	defer func() { err = errors.Join(err, files.remove()) }()
	marks, err := files.create()
	if err != nil {
		return tally{}, err
	}
	if _, err := marks.WriteAt(make([]byte, 4096), 0); err != nil {
		return tally{}, err
	}
	mark := noise(markBytes)
	withMark := func(t *target) error {
		if err := writeThenSync(t); err != nil {
			return err
		}
		_, err := marks.WriteAt(mark, t.pos/int64(len(t.block))%2*512)
		return err
	}
	var sides []side
	for _, w := range []struct {
		name  string
		write func(*target) error
	}{{"no mark", writeThenSync}, {"and a mark", withMark}} {
		f, err := files.create()
		if err != nil {
			return tally{}, err
		}
		to := &target{f: f, block: noise(rawRequest), prepare: inSteps(allocate), write: w.write, wrap: fromEmpty, limit: fileMost}
		sides = append(sides, side{name: "mark: write+fdatasync, " + w.name, op: to.once, bytes: rawRequest})
	}
	return alternate(ctx, d, sides)
}

// A fileSet makes files and removes them all.
type fileSet struct {
	dir   string
	files []*os.File
}

func (s *fileSet) create() (*os.File, error) {
	f, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("file-%d", len(s.files))))
	if err == nil {
		s.files = append(s.files, f)
	}
	return f, err
}

func (s *fileSet) remove() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	return errors.Join(errs...)
}
