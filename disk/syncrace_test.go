package disk_test

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestI2B4WriterTakesTheError: the kernel tells of a failed writeback once for each open file. When the writer's cut back
// is told, the flusher's sync, which would be told of success, must not promise anything.
func TestI2B4WriterTakesTheError(t *testing.T) {
	var armed atomic.Bool
	waits, cut := make(chan bool), make(chan bool)
	f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		switch {
		case !armed.Load():
		case op.Kind == fstest.Write && op.By == disk.ByWriter:
			return syscall.ENOSPC
		case op.Kind == fstest.Sync && op.By == disk.ByWriter:
			close(waits)
			<-cut
			return &fstest.Dropped{Err: syscall.EIO}
		}
		return nil
	})
	e := newEnv(t, f, disk.LogOptions{})
	e.append(t, build(t, rec{1, "a"}))
	armed.Store(true)
	appended := make(chan error)
	go func() {
		_, _, err := e.l.Append(build(t, rec{2, "b"}))
		appended <- err
	}()
	<-waits
	synced := make(chan error, 1)
	go func() {
		_, err := e.l.Sync()
		synced <- err
	}()
	for range 10_000 { // the flusher comes as far as it can: to the lock, or, were there none, to a sync that succeeds
		runtime.Gosched()
	}
	close(cut)
	if err := <-appended; !errors.Is(e.l.Err(), disk.ErrFailed) {
		t.Fatalf("append: %v", err)
	}
	if err := <-synced; err == nil || e.l.Durable() != 0 {
		t.Fatalf("synced up to %d, %v", e.l.Durable(), err)
	}
	if err := e.l.Close(); err != nil {
		t.Log(err)
	}
}

// TestI7C6MissingBehindARoll: in the middle of a roll the segment before is missing. The one before that must not be cut
// to the size that the mark tells of the missing one.
func TestI7C6MissingBehindARoll(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{SegmentBytes: 400})
	value := func(n int) string { return strings.Repeat("x", n) }
	settle := func() {
		_, err := e.l.Sync()
		must(t, err)
		must(t, e.l.Mark(disk.ByFlusher))
	}
	for range 5 {
		e.append(t, build(t, rec{1, value(10)}))
	}
	settle()
	e.maintain(t)
	for !e.l.Roll() {
		settle()
		e.maintain(t)
	}
	e.append(t, build(t, rec{1, value(150)})) // the second segment, smaller than the first
	settle()
	e.maintain(t)
	for !e.l.Roll() {
		settle()
		if e.l.MaintenanceDue() {
			e.maintain(t)
		} else {
			e.append(t, build(t, rec{1, value(20)}))
		}
	}
	_, _, err := e.l.Append(build(t, rec{1, "b"}))
	must(t, err)
	settle() // the mark is in next.seg now
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	first, missing := segs[0], segs[len(segs)-1]
	before := load(t, e.fs, first)
	must(t, e.fs.Remove("test", missing))
	e.kill(t)
	if e.l.Err() == nil {
		t.Errorf("opened as if all were there: %+v", e.rec)
	}
	if got := load(t, e.fs, first); string(got) != string(before) {
		t.Errorf("the first segment had %d bytes, and has %d", len(before), len(got))
	}
	if err := e.l.Close(); err != nil {
		t.Log(err)
	}
}
