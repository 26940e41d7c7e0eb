package disk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestI6B2B3B7WhatFailsALog breaks one kind of operation at a time and tells which of them end the log's life as a writer: every
// failed write, sync, rename and close, and what leaves the files in doubt. What can simply be tried again does not.
func TestI6B2B3B7WhatFailsALog(t *testing.T) {
	for _, c := range []struct {
		by    disk.By
		kind  fstest.Kind
		name  string // ending of the file's name
		err   error
		fatal bool
		after int // this many go well first
	}{
		{disk.ByWriter, fstest.Write, ".log", syscall.EIO, true, 0},
		{disk.ByWriter, fstest.Write, ".log", syscall.EFBIG, true, 0},
		{disk.ByWriter, fstest.Write, ".log", syscall.EROFS, true, 0},
		{disk.ByWriter, fstest.Write, ".log", &fstest.Short{N: 100, Err: syscall.EIO}, true, 0},
		{disk.ByFlusher, fstest.Sync, ".log", syscall.EIO, true, 0},
		{disk.ByFlusher, fstest.Write, "marks", syscall.EIO, true, 0},
		{disk.ByFlusher, fstest.Write, "marks", syscall.ENOSPC, false, 0},
		{disk.ByFlusher, fstest.Sync, ".log", syscall.ENOSPC, true, 0},
		{disk.ByFlusher, fstest.Sync, ".seg", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.Truncate, ".log", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.Sync, ".log", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.Sync, ".seg", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.Rename, ".seg", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.SyncDir, "0", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.SyncDir, "0", syscall.EIO, true, 1}, // not the spare's, the roll's
		{disk.ByRoller, fstest.Allocate, ".log", syscall.EIO, true, 0},
		{disk.ByRoller, fstest.Rename, ".seg", syscall.ENOSPC, false, 0},
		{disk.ByRoller, fstest.Allocate, ".seg", syscall.EIO, false, 0},
		{disk.ByRoller, fstest.Create, ".seg", syscall.EMFILE, false, 0},
		{disk.ByRoller, fstest.Create, ".seg", syscall.EACCES, false, 0},
		{disk.ByRoller, fstest.Close, ".log", syscall.EIO, true, 0},
	} {
		t.Run(fmt.Sprintf("%s %s %s %v after %d", c.by, c.kind, c.name, c.err, c.after), func(t *testing.T) {
			hit, met := 0, 0
			e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
				if op.By == c.by && op.Kind == c.kind && strings.HasSuffix(op.Name, c.name) && hit < 2 {
					if met++; met > c.after {
						hit++
						return c.err
					}
				}
				return nil
			}), disk.LogOptions{SegmentBytes: 160 << 10})
			err := untilError(t, e, 100)
			if hit == 0 || (e.l.Err() != nil) != c.fatal || (hit == 1) != c.fatal {
				t.Fatalf("met %d times; log %v", hit, e.l.Err())
			}
			cause := c.err
			if short, ok := errors.AsType[*fstest.Short](cause); ok {
				cause = short.Err
			}
			wantIs(t, err, cause)
			if c.fatal {
				wantIs(t, e.l.Err(), cause)
			}
		})
	}
}

// untilError appends n batches, or until the log has failed, and returns all errors.
func untilError(t *testing.T, e *env, n int) error {
	t.Helper()
	var all []error
	for i := 0; i < n && e.l.Err() == nil; i++ {
		p := sized(t, "x", 9000)
		for !fits(e.l, len(p)) && !e.l.Roll() {
			_, err := e.l.Sync()
			mark := e.l.Mark(disk.ByFlusher)
			_, again := e.l.Maintain()
			all = append(all, err, mark, again)
		}
		_, _, err := e.l.Append(p)
		_, again := e.l.Maintain()
		all = append(all, err, again)
	}
	return errors.Join(all...)
}

// TestRollNeverWaits: with a roller that keeps up, the spare is there before it is needed, in tiny segments too.
func TestRollNeverWaits(t *testing.T) {
	for _, segment := range []int64{16 << 10, 64 << 10, 1 << 20} {
		for _, n := range []int{100, 1000, 5000, 7000, 10000, 15000, 40000, 620000} {
			if int(segment)/n > 1000 {
				continue // small against the segment: nothing new, and long
			}
			e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: segment})
			for range 4*int(segment)/n + 4 {
				p := sized(t, "x", n)
				if !fits(e.l, len(p)) && !e.l.Roll() {
					t.Fatalf("segments of %d, batches of %d: no spare at %d", segment, n, e.l.Next())
				}
				_, _, err := e.l.Append(p)
				must(t, err)
				_, err = e.l.Sync()
				must(t, err)
				e.maintain(t)
			}
			e.close(t)
		}
	}
}

// TestB4LeftoverOfSpare: a spare that could neither be allocated nor removed is in the way of the next attempt, and goes.
func TestB4LeftoverOfSpare(t *testing.T) {
	failed := make(map[fstest.Kind]bool)
	e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Name == spare && (op.Kind == fstest.Allocate || op.Kind == fstest.Remove) && !failed[op.Kind] {
			failed[op.Kind] = true
			return syscall.ENOSPC
		}
		return nil
	}), small)
	wantIs(t, untilError(t, e, 20), disk.ErrNoSpace)
	if len(failed) != 2 || e.l.Err() != nil || e.l.Info().Segments < 3 {
		t.Fatalf("failed %v, log %v, %+v", failed, e.l.Err(), e.l.Info())
	}
	e.close(t)
}

// TestA4FirstSegmentIsDurable: if the process dies between making the first segment and syncing its directories, the next
// one syncs them.
func TestA4FirstSegmentIsDurable(t *testing.T) {
	mem := fstest.NewMem()
	ft := &fault{k: 1 << 30, err: syscall.EIO, sticky: true}
	f := fstest.Fail(mem, func(op fstest.Op) error {
		if op.Kind == fstest.SyncDir && op.Name == "topics/t/0" {
			ft.k = 1
		}
		return ft.decide(op)
	})
	s := openStore(t, f)
	must(t, s.CreateTopic(disk.ByController, "t", nil))
	if _, _, err := s.OpenLog(disk.ByOpen, "t", 0, small); err == nil || !exists(t, mem, seg0) {
		t.Fatalf("opening: %v", err)
	}
	e := &env{fs: restarted{mem}, opt: small}
	e.s = openStore(t, e.fs)
	e.openLog(t)
	if left := mem.Unsynced(); len(left) != 0 {
		t.Fatalf("a power cut could take %v", left)
	}
	e.close(t)
}

// TestSearchBehindHoleIsBounded: a tail made of headers that all claim a megabyte must not cost a megabyte each.
func TestSearchBehindHoleIsBounded(t *testing.T) {
	e, b, at, _ := tail(t)
	header := []byte(b[at[1].pos:][:61])
	header[9], header[10], header[11] = 0x0f, 0xff, 0xff
	const size = 2 << 20
	hostile := b[:at[0].end] + "x" + strings.Repeat(string(header), size/len(header))
	read := 0
	f := fstest.Fail(e.fs, func(op fstest.Op) error {
		if op.Kind == fstest.Read {
			read += op.Len
		}
		return nil
	})
	putImage(t, e.fs, image{"00000000000000000000.log": hostile})
	s := openStore(t, restarted{f})
	l, _, err := s.OpenLog(disk.ByOpen, "t", 0, disk.LogOptions{})
	must(t, err)
	if l.Next() != at[0].next || read > 40*size {
		t.Fatalf("the end is %d; %d bytes were read of %d", l.Next(), read, size)
	}
	must(t, l.Close())
}

// TestRebuiltIndexIsUsed, and one that cannot be built is not tried for ever.
func TestRebuiltIndexIsUsed(t *testing.T) {
	var tr tracer
	broken := true
	e := newEnv(t, fstest.Trace(fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if broken && op.By == disk.ByRoller && op.Kind == fstest.Open && op.Name == seg0 {
			return syscall.EIO
		}
		return nil
	}), tr.line), small)
	fill(t, e, 300, 0)
	read := func() bool {
		tr.take()
		_, err := e.l.ReadAt(make([]byte, 3000), 50, nil)
		must(t, err)
		return slices.ContainsFunc(tr.take(), func(line string) bool { return strings.HasPrefix(line, "reader read "+seg0+" 0+") })
	}
	must(t, e.l.Close())
	must(t, e.fs.Remove("test", idx0))
	e.openLog(t)
	if !read() {
		t.Fatal("without an index the segment was not read from its start")
	}
	told := 0
	for i := 0; e.l.MaintenanceDue(); i++ {
		if _, err := e.l.Maintain(); err != nil {
			told++
		}
		if i > 10 {
			t.Fatal("maintenance never ends")
		}
	}
	if told != 1 {
		t.Fatalf("the failure was told %d times", told)
	}
	broken = false
	e.reopen(t)
	read()
	e.maintain(t)
	read() // checks the new index whole
	if read() {
		t.Fatal("the new index is not used")
	}
	e.close(t)
}
