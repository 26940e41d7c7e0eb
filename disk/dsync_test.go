package disk_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

var smallDsync = disk.LogOptions{SegmentBytes: small.SegmentBytes, IndexInterval: small.IndexInterval, Dsync: true}

// TestI2Dsync shows that with Dsync every append is durable when it returns, across rolls too, without a sync, and that a
// power cut behind any of them takes nothing.
func TestI2Dsync(t *testing.T) {
	var tr tracer
	mem := fstest.NewMem()
	e := newEnv(t, fstest.Trace(mem, tr.line), smallDsync)
	var want []rec
	for i := range 60 {
		r := rec{1, strings.Repeat("x", 900)}
		e.append(t, build(t, r))
		want = append(want, r)
		if bytes, n := e.l.Unsynced(); e.l.Durable() != e.l.Next() || bytes != 0 || n != 0 || e.l.Dirty() {
			t.Fatalf("durable %d of %d; unsynced %d bytes, %d records", e.l.Durable(), e.l.Next(), bytes, n)
		}
		if i%9 == 0 {
			syncAndMark(t, e)
			e.maintain(t)
		}
		after := &env{fs: mem.Crash(rand.New(rand.NewPCG(1, uint64(i))), 0), opt: smallDsync}
		after.s = openStore(t, after.fs)
		after.openLog(t)
		if got := readAll(t, after.l, 0, 3000); !slices.Equal(got, want) {
			t.Fatalf("a power cut left %d records of %d", len(got), len(want))
		}
	}
	if e.l.Info().Segments < 3 {
		t.Fatalf("%+v", e.l.Info())
	}
	for _, line := range tr.take() {
		if strings.HasPrefix(line, "flusher sync") || strings.HasPrefix(line, "writer") && !strings.HasPrefix(line, "writer writesync ") {
			t.Fatalf("with Dsync: %s", line)
		}
	}
	e.close(t)
}

// TestI2DsyncFails: a write that fails moves the durable point by nothing, and ends the log; one without space is undone.
func TestI2DsyncFails(t *testing.T) {
	var fail error
	e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.By == disk.ByWriter && op.Kind == fstest.WriteSync {
			return fail
		}
		return nil
	}), smallDsync)
	want := fillMore(t, e, 3)
	fail = &fstest.Short{N: 30, Err: syscall.ENOSPC}
	_, _, err := e.l.Append(build(t, rec{1, "x"}))
	wantIs(t, err, disk.ErrNoSpace)
	must(t, e.l.Err())
	fail = nil
	want = append(want, fillMore(t, e, 1)...)
	fail = &fstest.Short{N: 30, Err: syscall.EIO}
	_, _, err = e.l.Append(build(t, rec{1, "x"}))
	wantIs(t, err, syscall.EIO)
	wantIs(t, e.l.Err(), disk.ErrFailed)
	if e.l.Durable() != 4 || e.l.Next() != 4 {
		t.Fatalf("durable %d, next %d", e.l.Durable(), e.l.Next())
	}
	if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want) {
		t.Fatal("what was read is not what was appended")
	}
}

// TestI2DsyncBesideFlusher: flusher and writer move the durable point at once, and it never goes back nor too far; the
// race detector looks on.
func TestI2DsyncBesideFlusher(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{Dsync: true, SegmentBytes: 1 << 20})
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := uint64(0)
		for last < 3000 {
			next := e.l.Next()
			durable, err := e.l.Sync()
			if err != nil || durable < last || durable < next {
				t.Errorf("synced from %d to %d, the end was %d, %v", last, durable, next, err)
				return
			}
			if err := e.l.Mark(disk.ByFlusher); err != nil {
				t.Error(err)
				return
			}
			last = durable
		}
	}()
	p := build(t, rec{1, "x"})
	for range 3000 {
		_, next, err := e.l.Append(p)
		must(t, err)
		if e.l.Durable() < next {
			t.Fatalf("durable %d of %d", e.l.Durable(), next)
		}
	}
	<-done
	e.close(t)
}
