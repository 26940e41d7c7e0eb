package main

import (
	"context"
	"errors"
	"os"
	"time"
)

// The limits of the file system, measured in this process: no server could be faster.

const appendBytes = 64 << 10

// measureAppend writes 64 KiB after 64 KiB to the end of one file: into the page cache, like `written`.
func measureAppend(ctx context.Context, name string, d time.Duration) (tally, error) {
	block := noise(appendBytes)
	return measureFile(ctx, name, d, appendBytes, func(f *os.File, _ int64) error {
		_, err := f.Write(block)
		return err
	})
}

// measureSync writes 1 KiB and syncs it, again and again. Allocated: into blocks that the file has already,
// as the log's own segments do; else the file grows with each write, and the sync carries its new size too.
func measureSync(ctx context.Context, name string, d time.Duration, allocated bool) (tally, error) {
	const ahead = 64 << 20
	block := noise(rawRequest)
	size := int64(0)
	return measureFile(ctx, name, d, rawRequest, func(f *os.File, pos int64) error {
		if allocated && pos+rawRequest > size {
			size += ahead
			if err := allocate(f, size); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(block, pos); err != nil {
			return err
		}
		return fdatasync(f)
	})
}

// measureFile calls op for a time, each time at the next position of a new file.
func measureFile(ctx context.Context, name string, d time.Duration, bytes int64, op func(*os.File, int64) error) (t tally, err error) {
	f, err := os.Create(name)
	if err != nil {
		return tally{}, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	t.hist = newHist()
	start := time.Now()
	for last := start; last.Sub(start) < d; {
		if err := op(f, t.bytes); err != nil {
			return t, err
		}
		now := time.Now()
		record(t.hist, now.Sub(last))
		last = now
		t.ops++
		t.bytes += bytes
		if t.ops%1024 == 0 && ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
	}
	t.took = time.Since(start)
	return t, nil
}

// noise is what does not compress, the same in every run.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(0x9E3779B97F4A7C15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
