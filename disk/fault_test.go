package disk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// fault fails the k-th operation, or all from the k-th on.
type fault struct {
	k      int
	err    error
	sticky bool

	n      int
	after  bool // a fault has been
	broken bool // the log has failed: from now on nothing but reading and closing is allowed
	bad    []fstest.Op
}

func (f *fault) decide(op fstest.Op) error {
	if f.broken && op.Kind != fstest.Read && op.Kind != fstest.Ahead && op.Kind != fstest.Open && op.Kind != fstest.Size && op.Kind != fstest.Close {
		f.bad = append(f.bad, op)
	}
	f.n++
	if f.n == f.k || f.sticky && f.n > f.k {
		f.after = true
		return f.err
	}
	return nil
}

// outcome is what a workload was promised.
type outcome struct {
	topic   bool
	log     bool
	acked   []rec  // appended
	durable uint64 // of those, synced
	unknown []rec  // of the append that failed the log
}

// workload appends, syncs, rolls and reads as the server does, until it is done or nothing goes any more. It checks on
// its way what every single answer means for the next.
func workload(t *testing.T, ft *fault, fs disk.FS) (o outcome) {
	t.Helper()
	s, err := disk.OpenStore(fs, disk.StoreOptions{}, zap.NewNop())
	if err != nil {
		return o
	}
	defer func() {
		if err := s.Close(); err != nil && !ft.after {
			t.Fatal(err)
		}
	}()
	if err := s.CreateTopic(disk.ByController, "t", nil); err != nil {
		return o
	}
	o.topic = true
	l, _, err := s.OpenLog(disk.ByOpen, "t", 0, small)
	if err != nil {
		return o
	}
	o.log = true
	w := faulty{t: t, ft: ft, l: l, o: &o}
	for i := 0; i < 50 && w.step(i); i++ {
	}
	w.finish()
	return o
}

type faulty struct {
	t  *testing.T
	ft *fault
	l  *disk.Log
	o  *outcome
}

func (w *faulty) step(i int) bool {
	r := rec{int64(i), strings.Repeat(fmt.Sprint(i%10), 900)}
	p := build(w.t, r)
	for tries := 0; !fits(w.l, len(p)) && !w.l.Roll(); tries++ {
		w.sync()
		w.maintain()
		if tries > 3 {
			return false // no space for a spare: the server would go on trying
		}
	}
	first, next, err := w.l.Append(p)
	switch {
	case err == nil:
		if first != uint64(len(w.o.acked)) || next != first+1 {
			w.t.Fatalf("appended [%d, %d) behind %d records", first, next, len(w.o.acked))
		}
		w.o.acked = append(w.o.acked, r)
	case errors.Is(err, disk.ErrNoSpace):
		if w.l.Err() != nil {
			w.t.Fatalf("no space, and failed: %v", w.l.Err())
		}
	case errors.Is(err, disk.ErrFailed):
		w.t.Fatalf("a log that was fine says %v", err)
	default:
		w.o.unknown = []rec{r}
		wantIs(w.t, w.l.Err(), disk.ErrFailed)
	}
	if i%7 == 3 {
		w.sync()
	}
	w.maintain()
	if i%10 == 5 {
		w.read()
	}
	return w.check()
}

func (w *faulty) sync() {
	before := w.l.Durable()
	durable, err := w.l.Sync()
	if err == nil && durable != w.l.Next() {
		w.t.Fatalf("synced to %d of %d", durable, w.l.Next())
	}
	if durable < before || durable > w.l.Next() || err != nil && w.l.Err() == nil {
		w.t.Fatalf("synced from %d to %d, %v; the log says %v", before, durable, err, w.l.Err())
	}
	w.o.durable = durable
}

func (w *faulty) maintain() {
	for i := 0; w.l.MaintenanceDue() && i < 3; i++ {
		if _, err := w.l.Maintain(); err != nil && !w.ft.after {
			w.t.Fatal(err)
		}
	}
}

// read wants what was acknowledged, and nothing else; a fault may hit reads too.
func (w *faulty) read() {
	var c disk.Cursor
	for from := uint64(0); from < w.l.Next(); {
		ch, err := w.l.ReadAt(make([]byte, 2000), from, &c)
		if err != nil {
			if !w.ft.after {
				w.t.Fatal(err)
			}
			return
		}
		from = ch.Next
	}
}

// check: a failed log stays failed, takes nothing, and touches nothing.
func (w *faulty) check() bool {
	if w.l.Next() != uint64(len(w.o.acked)) {
		w.t.Fatalf("the end is %d, appended are %d", w.l.Next(), len(w.o.acked))
	}
	if w.l.Err() == nil {
		return true
	}
	w.ft.broken = true
	_, _, err := w.l.Append(build(w.t, rec{0, "late"}))
	wantIs(w.t, err, disk.ErrFailed)
	_, err = w.l.Sync()
	wantIs(w.t, err, disk.ErrFailed)
	_, err = w.l.Maintain()
	wantIs(w.t, err, disk.ErrFailed)
	if w.l.MaintenanceDue() || !fits(w.l, 1<<30) {
		w.t.Fatal("a failed log asks for something")
	}
	w.read()
	return false
}

func (w *faulty) finish() {
	if err := w.l.Close(); err != nil && !w.ft.after {
		w.t.Fatal(err)
	}
	w.ft.broken = false
	if len(w.ft.bad) > 0 {
		w.t.Fatalf("after the log had failed: %+v", w.ft.bad)
	}
}

// TestI6B1B2B3B4B6B7FaultAtEveryOperation fails each operation of a workload, once and for ever, in several ways; afterwards, on files
// that work, what was acknowledged is there, and nothing that was refused (I6, B1 to B7).
func TestI6B1B2B3B4B6B7FaultAtEveryOperation(t *testing.T) {
	for _, err := range []error{
		syscall.EIO, syscall.ENOSPC, &fstest.Short{N: 500, Err: syscall.EIO}, &fstest.Short{N: 100, Err: syscall.ENOSPC},
	} {
		for _, sticky := range []bool{false, true} {
			name := strings.ReplaceAll(fmt.Sprintf("%v, sticky %v", err, sticky), "/", " ")
			t.Run(name, func(t *testing.T) {
				step := 1
				if testing.Short() {
					step = 5
				}
				for k := 1; ; k += step {
					mem := fstest.NewMem()
					ft := &fault{k: k, err: err, sticky: sticky}
					o := workload(t, ft, fstest.Fail(mem, ft.decide))
					if !ft.after {
						if len(o.acked) != 50 {
							t.Fatalf("without a fault, %d appends went well", len(o.acked))
						}
						t.Logf("%d operations", k-1)
						return
					}
					wantPromises(t, k, mem, o)
				}
			})
		}
	}
}

func wantPromises(t *testing.T, k int, mem *fstest.Mem, o outcome) {
	t.Helper()
	f := restarted{mem}
	s := openStore(t, f)
	topics, err := s.Topics(disk.ByController)
	must(t, err)
	if len(topics) == 0 {
		if o.topic {
			t.Fatalf("fault at %d: the topic is gone", k)
		}
		return
	}
	l, r, err := s.OpenLog(disk.ByOpen, "t", 0, small)
	must(t, err)
	got := readAll(t, l, 0, 3000)
	if !slices.Equal(got, o.acked) && !slices.Equal(got, append(slices.Clone(o.acked), o.unknown...)) {
		t.Fatalf("fault at %d: %d records are there, %d were acknowledged, %d unknown", k, len(got), len(o.acked), len(o.unknown))
	}
	if r.LostFrom != r.LostNext || uint64(len(got)) < o.durable {
		t.Fatalf("fault at %d: %+v", k, r)
	}
	must(t, l.Close())
	must(t, s.Close())
}

// TestOffsetsEnd: a batch may claim 2^31 records in a few bytes, so a client could reach the end of the numbers.
func TestOffsetsEnd(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	fill(t, e, 5, 0)
	must(t, e.l.Close())
	save(t, e.fs, "topics/t/0/09223372036854775800.log", nil)
	e.openLog(t)
	e.begin(t)
	p := build(t, rec{1, "a"}, rec{1, "b"}, rec{1, "c"})
	for range 2 {
		_, _, err := e.l.Append(p)
		must(t, err)
	}
	_, _, err := e.l.Append(p)
	if err == nil || e.l.Next() != 1<<63-2 {
		t.Fatalf("appended up to %d: %v", e.l.Next(), err)
	}
	wantIs(t, e.l.Err(), disk.ErrFailed)
}
