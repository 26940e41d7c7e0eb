package disk_test

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestD1SleepBesideClose: while the only log that is awake is being closed, one that waits for its place is told to wait,
// and not that there is none; behind the close it has the place.
func TestD1SleepBesideClose(t *testing.T) {
	var once sync.Once
	came, gate := make(chan struct{}), make(chan struct{})
	f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Kind == fstest.Sync && op.By == disk.ByController && strings.HasPrefix(op.Name, "topics/a/0/0") {
			once.Do(func() { close(came) })
			<-gate
		}
		return nil
	})
	h := fstest.CountHandles(f)
	s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
	a, b := logs[0], logs[1]
	a.append(t, build(t, rec{1, "x"}))
	closed := make(chan error, 1)
	go func() { closed <- a.l.Close() }()
	<-came
	b.l.Roll()
	ready, err := b.l.Maintain()
	close(gate)
	must(t, <-closed)
	if ready || !errors.Is(err, disk.ErrNoFiles) {
		t.Fatalf("beside the close: %v, %v", ready, err)
	}
	if ready, err := b.l.Maintain(); !ready || err != nil {
		t.Fatalf("behind the close: %v, %v", ready, err)
	}
	closeAll(t, h, s, b)
}

// TestD1SleepBesideNewLogs: while new logs take each place that becomes free, one that waits to take appends is told to wait
// at most, and never that there is no place: a new log, too, can be put to sleep for it.
func TestD1SleepBesideNewLogs(t *testing.T) {
	h := fstest.CountHandles(fstest.NewMem())
	s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
	over, made := make(chan struct{}), make(chan error, 1)
	stop := sync.OnceFunc(func() { close(over) })
	defer stop()
	go func() {
		for {
			select {
			case <-over:
				made <- nil
				return
			default:
			}
			if err := makeAndDrop(s); err != nil {
				made <- err
				return
			}
		}
	}()
	for i := range 2000 {
		l := logs[i%2].l
		for !fits(l, 100) && !l.Roll() {
			if _, err := l.Maintain(); err != nil && !errors.Is(err, disk.ErrNoFiles) {
				t.Fatalf("append %d: %v", i, err)
			}
		}
		_, _, err := l.Append(build(t, rec{1, "x"}))
		must(t, err)
	}
	stop()
	must(t, <-made)
	closeAll(t, h, s, logs...)
}

// makeAndDrop is a topic that comes and goes.
func makeAndDrop(s *disk.Store) error {
	if err := s.CreateTopic(disk.ByController, "new", nil); err != nil {
		return err
	}
	l, _, err := s.OpenLog(disk.ByOpen, "new", 0, disk.LogOptions{})
	if err != nil {
		return err
	}
	return errors.Join(l.Close(), s.DropTopic(disk.ByController, "new"))
}

// TestD1SleepFailsOnceTold: a log that cannot be put to sleep for want of room tells so once, until it could be.
func TestD1SleepFailsOnceTold(t *testing.T) {
	full := true
	f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if full && op.Kind == fstest.Rename && op.By == disk.ByRoller && strings.Contains(op.Name, "/a/") {
			return syscall.ENOSPC
		}
		return nil
	})
	core, warned := observer.New(zap.WarnLevel)
	s, err := disk.OpenStore(f, tight, zap.New(core))
	must(t, err)
	var logs []*env
	for _, topic := range []string{"a", "b"} {
		must(t, s.CreateTopic(disk.ByController, topic, nil))
		e := &env{fs: f, s: s}
		e.l, e.rec, err = s.OpenLog(disk.ByOpen, topic, 0, disk.LogOptions{SegmentBytes: 16 << 10})
		must(t, err)
		logs = append(logs, e)
	}
	a, b := logs[0], logs[1]
	for round := range 2 {
		full = true
		a.begin(t)
		for fits(a.l, 4<<10) {
			a.append(t, sized(t, "x", 3<<10))
		}
		if !a.l.Roll() {
			t.Fatal("no spare to roll to")
		}
		warned.TakeAll()
		for range 3 {
			b.l.Roll()
			if ready, err := b.l.Maintain(); ready || err == nil {
				t.Fatalf("round %d: awake, %v", round, err)
			}
		}
		if n := warned.FilterMessageSnippet("could not be put to sleep").Len(); n != 1 {
			t.Fatalf("round %d: told %d times", round, n)
		}
		full = false
		b.append(t, build(t, rec{1, "y"}))
	}
	must(t, a.l.Close())
	must(t, b.l.Close())
	must(t, s.Close())
}
