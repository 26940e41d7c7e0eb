package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"sluice/disk"
	"sluice/disk/fstest"
)

// tight is the least that a store can do with: one log awake, two files in use.
var tight = disk.StoreOptions{Files: 17}

// newLogs is a store with so few descriptors, and topics a, b, ... of one log each.
func newLogs(t testing.TB, f disk.FS, o disk.StoreOptions, n int, lo disk.LogOptions) (*disk.Store, []*env) {
	t.Helper()
	s, err := disk.OpenStore(f, o, nop)
	must(t, err)
	var logs []*env
	for i := range n {
		topic := string(rune('a' + i))
		must(t, s.CreateTopic(disk.ByController, topic, nil))
		e := &env{fs: f, opt: lo, s: s}
		e.l, e.rec, err = s.OpenLog(disk.ByOpen, topic, 0, lo)
		must(t, err)
		logs = append(logs, e)
	}
	return s, logs
}

// closeAll wants every descriptor back.
func closeAll(t testing.TB, h *fstest.Handles, s *disk.Store, logs ...*env) {
	t.Helper()
	for _, e := range logs {
		must(t, e.l.Close())
	}
	must(t, s.Close())
	if now, most := h.Taken(); now != 0 || most > s.Files().Budget {
		t.Fatalf("%d descriptors are still taken, %d were at most, of %d", now, most, s.Files().Budget)
	}
}

// TestI13SharesOfBudget: whatever the budget, its shares are enough for one log to open, one to roll and one to be read,
// and never more than all. One that is too small is refused with the number it takes.
func TestI13SharesOfBudget(t *testing.T) {
	least, _, _, _, _ := disk.SharesForTest(1024)
	if least != tight.Files {
		t.Fatalf("a store needs %d", least)
	}
	for budget := least; budget < 5000; budget++ {
		_, service, openings, pins, awake := disk.SharesForTest(budget)
		if openings < 1 || pins < 2 || awake < 1 || service+4*openings+pins+3*awake > budget {
			t.Fatalf("%d are cut into %d, %d openings, %d, and %d logs", budget, service, openings, pins, awake)
		}
	}
	if _, err := disk.OpenStore(fstest.NewMem(), disk.StoreOptions{Files: least - 1}, nop); err == nil || !strings.Contains(err.Error(), "at least 17") {
		t.Fatalf("one less: %v", err)
	}
}

// TestI13SleepSyncsFirst: before a log's files are closed for another log, each is synced by its own descriptor, the mark
// is brought up to the end, and nothing else happens to them.
func TestI13SleepSyncsFirst(t *testing.T) {
	var tr tracer
	h := fstest.CountHandles(fstest.Trace(fstest.NewMem(), tr.line))
	s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
	a, b := logs[0], logs[1]
	if i := s.Files(); i.Awake != 1 {
		t.Fatalf("%d logs are awake", i.Awake)
	}
	a.append(t, build(t, rec{1, "x"}))
	tr.take()
	b.l.Roll()
	ready, err := b.l.Maintain()
	must(t, err)
	const seg, marks = "topics/%s/0/00000000000000000000.log", "topics/%s/0/marks"
	wantLines(t, &tr, slices.Concat(
		[]string{
			"roller sync " + fmt.Sprintf(seg, "a"),
			"roller write " + fmt.Sprintf(marks, "a") + " 0+88",
			"roller sync " + fmt.Sprintf(marks, "a"),
			"roller close " + fmt.Sprintf(seg, "a"),
			"roller close " + fmt.Sprintf(marks, "a"),
			"roller open " + fmt.Sprintf(seg, "b"),
			"- size " + fmt.Sprintf(seg, "b"),
			"roller open " + fmt.Sprintf(marks, "b"),
		})...)
	if durable, err := a.l.Sync(); !ready || durable != 1 || err != nil || a.l.Dirty() {
		t.Fatalf("ready %v; asleep, and durable up to %d, %v", ready, durable, err)
	}
	if room, _ := a.l.Room(); room != 0 || a.l.Roll() {
		t.Fatalf("asleep, and room for %d bytes", room)
	}
	if _, _, err := a.l.Append(build(t, rec{1, "y"})); !errors.Is(err, disk.ErrAsleep) {
		t.Fatalf("an append to a log asleep: %v", err)
	}
	if _, err := a.l.Maintain(); !errors.Is(err, disk.ErrNoFiles) {
		t.Fatalf("the other one was woken for an append that has not come: %v", err)
	}
	_, _, err = b.l.Append(build(t, rec{1, "z"}))
	must(t, err)
	if !b.l.MaintenanceDue() {
		t.Fatal("used, and nobody tells the roller, which has a log that waits")
	}
	for i := range 20 { // in turns: each wakes one and puts the other to sleep
		logs[i%2].append(t, build(t, rec{int64(i), "z"}))
	}
	if got := readAll(t, a.l, 0, 100); len(got) != 11 {
		t.Fatalf("%d records", len(got))
	}
	if i := s.Files(); i.Sleeps < 20 || i.Awake != 1 {
		t.Fatalf("%+v", i)
	}
	if bad := h.Unsynced(); len(bad) > 0 {
		t.Fatalf("closed with unsynced bytes: %v", bad)
	}
	closeAll(t, h, s, logs...)
}

// TestI13SleepFinishesRoll: a log falls asleep in each state that a roll has, and in that of a spare.
func TestI13SleepFinishesRoll(t *testing.T) {
	mem := fstest.NewMem()
	h := fstest.CountHandles(mem)
	s, logs := newLogs(t, h, tight, 2, disk.LogOptions{SegmentBytes: 16 << 10})
	a, b := logs[0], logs[1]
	n := 0
	put := func() {
		_, _, err := a.l.Append(sized(t, fmt.Sprint(n), 3<<10))
		must(t, err)
		n++
	}
	aside := func() { b.append(t, build(t, rec{1, "x"})) }
	for range 4 {
		a.append(t, sized(t, fmt.Sprint(n), 3<<10))
		n++
	}
	if !exists(t, mem, "topics/a/0/next.seg") {
		t.Fatal("no spare")
	}
	aside()
	if exists(t, mem, "topics/a/0/next.seg") || a.l.Dirty() {
		t.Fatal("asleep with a spare")
	}
	for fits(a.l, 4<<10) {
		t.Fatal("asleep, and it takes more")
	}
	a.begin(t)
	a.maintain(t)
	for fits(a.l, 4<<10) {
		put()
	}
	if !a.l.Roll() {
		t.Fatal("no spare to roll to")
	}
	aside() // rolled, nothing synced, nothing appended since
	a.begin(t)
	for fits(a.l, 4<<10) {
		a.append(t, sized(t, fmt.Sprint(n), 3<<10))
		n++
	}
	if !a.l.Roll() {
		t.Fatal("no spare to roll to")
	}
	put()
	aside() // rolled, nothing synced, the first batch is in the spare
	if exists(t, mem, "topics/a/0/next.seg") || a.l.Dirty() {
		t.Fatalf("asleep behind a roll: %v", files(t, mem, "topics/a/0"))
	}
	for i, r := range readAll(t, a.l, 0, 5000) {
		if strings.TrimSpace(r.value) != fmt.Sprint(i) {
			t.Fatalf("offset %d has %q", i, r.value)
		}
	}
	if bad := slices.DeleteFunc(h.Unsynced(), func(name string) bool { return strings.HasSuffix(name, ".idx.tmp") }); len(bad) > 0 {
		t.Fatalf("closed with unsynced bytes: %v", bad)
	}
	closeAll(t, h, s, logs...)
}

// TestI13SleepThatFails: a sync that fails on the way to sleep fails that log as any other sync would (I6). Who waits for
// the place has it at the next try, as a log that has failed has nothing more to lose.
func TestI13SleepThatFails(t *testing.T) {
	for _, broken := range []string{"topics/a/0/00000000000000000000.log", "topics/a/0/marks"} {
		f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if op.Kind == fstest.Sync && op.By == disk.ByRoller && op.Name == broken {
				return syscall.EIO
			}
			return nil
		})
		h := fstest.CountHandles(f)
		s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
		a, b := logs[0], logs[1]
		a.append(t, build(t, rec{1, "x"}))
		b.l.Roll()
		ready, err := b.l.Maintain()
		if ready || err == nil || errors.Is(err, disk.ErrNoFiles) || b.l.Err() != nil {
			t.Fatalf("%s: %v, %v; %v", broken, ready, err, b.l.Err())
		}
		wantIs(t, a.l.Err(), disk.ErrFailed)
		if _, err := a.l.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("the flusher is told %v", err)
		}
		b.append(t, build(t, rec{1, "y"}))
		if got := readAll(t, a.l, 0, 100); len(got) != 1 || s.Files().Awake != 1 {
			t.Fatalf("%d records, %+v", len(got), s.Files())
		}
		if _, _, err := a.l.Append(build(t, rec{1, "x"})); !errors.Is(err, disk.ErrFailed) {
			t.Fatalf("an append to a failed log: %v", err)
		}
		closeAll(t, h, s, logs...)
	}
}

// TestI2SyncBesideSleep: the flusher that comes while the roller syncs a log on its way to sleep is told what came of that,
// and not before.
func TestI2SyncBesideSleep(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		came, gate := make(chan struct{}), make(chan struct{})
		f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if op.Kind == fstest.Sync && op.By == disk.ByRoller && strings.HasPrefix(op.Name, "topics/a/0/0") {
				close(came)
				<-gate
				return fault
			}
			return nil
		})
		h := fstest.CountHandles(f)
		s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
		a, b := logs[0], logs[1]
		a.append(t, build(t, rec{1, "x"}))
		woken := make(chan error, 1)
		go func() {
			b.l.Roll()
			_, err := b.l.Maintain()
			woken <- err
		}()
		<-came
		type outcome struct {
			durable uint64
			err     error
		}
		synced := make(chan outcome, 1)
		go func() {
			durable, err := a.l.Sync()
			synced <- outcome{durable, err}
		}()
		for range 1000 {
			runtime.Gosched()
			select {
			case got := <-synced:
				t.Fatalf("told %+v before the sync had returned", got)
			default:
			}
		}
		close(gate)
		got := <-synced
		if err := <-woken; !errors.Is(got.err, fault) || (err == nil) != (fault == nil) || fault == nil && got.durable != 1 {
			t.Fatalf("the flusher is told %+v, the roller %v; want %v", got, err, fault)
		}
		closeAll(t, h, s, logs...)
	}
}

// TestOpeningsWait: more logs than there are descriptors for are opened one behind the other, and a log is closed likewise.
func TestOpeningsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held string
		came, gate := make(chan struct{}, 10), make(chan struct{})
		h := fstest.CountHandles(fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if held != "" && op.Kind == fstest.List && op.Name == held {
				came <- struct{}{}
				<-gate
			}
			return nil
		}))
		s, logs := newLogs(t, h, tight, 3, disk.LogOptions{})
		must(t, logs[0].l.Close())
		must(t, logs[1].l.Close())
		logs[2].append(t, build(t, rec{1, "x"}))
		held = "topics/a/0"
		errs := make(chan error, 2)
		for i := range 2 {
			go func() {
				e := logs[i]
				var err error
				e.l, _, err = s.OpenLog(disk.ByOpen, string(rune('a'+i)), 0, e.opt)
				errs <- err
			}()
			if i == 0 {
				<-came
			}
		}
		synctest.Wait()
		if len(errs) != 0 || s.Files().Waits != 1 {
			t.Fatalf("%d are open, %+v", len(errs), s.Files())
		}
		held = ""
		close(gate)
		for range 2 {
			must(t, <-errs)
		}
		closeAll(t, h, s, logs...)
	})
}

// TestSleepBesideReader: a reader keeps what it has pinned while the log falls asleep and wakes, and counts as one of those
// that may read; others open the segment by its name.
func TestSleepBesideReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fstest.CountHandles(fstest.NewMem())
		s, logs := newLogs(t, h, tight, 3, disk.LogOptions{})
		a, b := logs[0], logs[1]
		logs[2].append(t, build(t, rec{1, "x"}))
		p := build(t, rec{1, "x"})
		a.append(t, p)
		var x, y, z disk.Extent
		must(t, a.l.Locate(&x, 0, 100, nil, false))
		b.append(t, build(t, rec{1, "y"}))
		if err := a.l.Locate(&y, 0, 100, nil, false); !errors.Is(err, disk.ErrCold) {
			t.Fatalf("asleep, and in memory: %v", err)
		}
		got := make([]byte, x.Size)
		for _, e := range []*disk.Extent{&x, &y} {
			if e == &y {
				must(t, a.l.Locate(&y, 0, 100, nil, true))
			}
			if _, err := e.File().ReadAt("test", got, e.Pos); err != nil || string(got[61:]) != string(p[61:]) {
				t.Fatalf("read %v", err)
			}
		}
		third := make(chan error, 1)
		go func() { third <- logs[2].l.Locate(&z, 0, 100, nil, true) }()
		synctest.Wait()
		if len(third) != 0 {
			t.Fatalf("two read what is not awake, and a third one does: %v", <-third)
		}
		must(t, x.Release())
		must(t, <-third)
		must(t, z.Release())
		a.append(t, build(t, rec{2, "z"}))
		if _, err := y.File().ReadAt("test", got, y.Pos); err != nil {
			t.Fatalf("awake again, the other reader has %v", err)
		}
		must(t, y.Release())
		must(t, a.l.Locate(&x, 0, 100, nil, false))
		must(t, x.Release())
		if i := s.Files(); i.Cached != 1 { // that of the third log
			t.Fatalf("awake, and kept twice: %+v", i)
		}
		closeAll(t, h, s, logs...)
	})
}

// TestWokenLogIsNotWhatItWas: what sleeps may be changed by others. A file that is gone or shorter fails the log; one that
// cannot be opened for other reasons is tried again.
func TestWokenLogIsNotWhatItWas(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, f disk.FS)
		fault error // of each open by the roller
		fails bool
	}{
		{"segment gone", func(t *testing.T, f disk.FS) { must(t, f.Remove("test", "topics/a/0/00000000000000000000.log")) }, nil, true},
		{"marks gone", func(t *testing.T, f disk.FS) { must(t, f.Remove("test", "topics/a/0/marks")) }, nil, true},
		{"shorter", func(t *testing.T, f disk.FS) { save(t, f, "topics/a/0/00000000000000000000.log", []byte("x")) }, nil, true},
		{"no descriptor", func(*testing.T, disk.FS) {}, syscall.EMFILE, false},
		{"no right", func(*testing.T, disk.FS) {}, fs.ErrPermission, false},
	} {
		var fault error
		f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if op.Kind == fstest.Open && op.By == disk.ByRoller {
				return fault
			}
			return nil
		})
		h := fstest.CountHandles(f)
		s, logs := newLogs(t, h, tight, 2, disk.LogOptions{})
		a, b := logs[0], logs[1]
		a.append(t, build(t, rec{1, "x"}))
		b.append(t, build(t, rec{1, "y"}))
		c.spoil(t, f)
		fault = c.fault
		a.l.Room()
		a.l.Roll()
		ready, err := a.l.Maintain()
		if failed := a.l.Err() != nil; ready || err == nil || failed != c.fails {
			t.Fatalf("%s: ready %v, %v; the log says %v", c.name, ready, err, a.l.Err())
		}
		fault = nil
		if !c.fails {
			a.append(t, build(t, rec{1, "x"}))
		}
		b.append(t, build(t, rec{1, "y"}))
		closeAll(t, h, s, logs...)
	}
}

// sealedEnv is a log with sealed segments in a store with as little as it can do with, and the offset each begins at.
func sealedEnv(t testing.TB, f disk.FS) (s *disk.Store, e *env, bases []uint64) {
	t.Helper()
	s, logs := newLogs(t, f, tight, 1, disk.LogOptions{SegmentBytes: 3 << 10, IndexInterval: 512})
	e = logs[0]
	for i := range 40 {
		if info := e.l.Info(); len(bases) == 0 || bases[len(bases)-1] != info.ActiveBase {
			bases = append(bases, info.ActiveBase)
		}
		e.append(t, sized(t, fmt.Sprint(i), 400))
	}
	_, err := e.l.Sync()
	must(t, err)
	e.maintain(t)
	for len(bases) > 0 && bases[len(bases)-1] >= e.l.Info().ActiveBase {
		bases = bases[:len(bases)-1]
	}
	if len(bases) < 5 {
		t.Fatalf("only %d sealed segments", len(bases))
	}
	return s, e, bases
}

// opens collects the segments that readers open.
type opens struct {
	tracer
	gate func(name string) error // may wait, and fail; nil: no
}

func (o *opens) decide(op fstest.Op) error {
	if op.Kind != fstest.Open || op.By != disk.ByReader || !strings.HasSuffix(op.Name, ".log") {
		return nil
	}
	o.line(op.Name[strings.LastIndexByte(op.Name, '/')+1:])
	if o.gate != nil {
		return o.gate(op.Name)
	}
	return nil
}

func segName(base uint64) string { return fmt.Sprintf("%020d.log", base) }

// TestReadersShareOneOpen: however many ask for a segment at once, it is opened once, and all get what came of that.
func TestReadersShareOneOpen(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			var o opens
			h := fstest.CountHandles(fstest.Fail(fstest.NewMem(), o.decide))
			s, e, bases := sealedEnv(t, h)
			gate := make(chan struct{})
			o.gate = func(string) error { <-gate; return fault }
			const n = 8
			errs := make(chan error, n)
			for range n {
				go func() {
					var x disk.Extent
					err := e.l.Locate(&x, bases[0], 100, nil, true)
					errs <- errors.Join(err, x.Release())
				}()
			}
			synctest.Wait()
			var x disk.Extent
			if err := e.l.Locate(&x, bases[0], 100, nil, false); !errors.Is(err, disk.ErrCold) {
				t.Fatalf("it is being opened, and who can't wait has %v", err)
			}
			if got := o.take(); !slices.Equal(got, []string{segName(bases[0])}) {
				t.Fatalf("opened %q", got)
			}
			close(gate)
			for range n {
				if err := <-errs; !errors.Is(err, fault) {
					t.Fatalf("%v, want %v", err, fault)
				}
			}
			o.gate = nil
			must(t, e.l.Locate(&x, bases[0], 100, nil, true))
			must(t, x.Release())
			if got := o.take(); (len(got) == 1) != (fault != nil) {
				t.Fatalf("afterwards opened %q", got)
			}
			closeAll(t, h, s, e)
		})
	}
}

// TestI13PinsAreBounded: beyond the files that may be in use at once, who can't wait is told so, who can waits for one that
// is let go, and who has one already goes without an index. Files in use are shared all the same.
func TestI13PinsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := fstest.CountHandles(fstest.NewMem())
		s, e, bases := sealedEnv(t, h)
		var held [3]disk.Extent
		must(t, e.l.Locate(&held[0], bases[0], 100, nil, true))
		must(t, e.l.Locate(&held[1], bases[1]+2, 100, nil, true)) // its index would be one too many
		if held[1].From != bases[1]+2 {
			t.Fatalf("without the index: %d", held[1].From)
		}
		if err := e.l.Locate(&held[2], bases[2], 100, nil, false); !errors.Is(err, disk.ErrCold) {
			t.Fatalf("all are in use: %v", err)
		}
		must(t, e.l.Locate(&held[2], bases[0], 100, nil, true)) // in use, and shared
		must(t, held[2].Release())
		done := make(chan error, 1)
		go func() { done <- e.l.Locate(&held[2], bases[2], 100, nil, true) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		must(t, held[0].Release())
		must(t, <-done)
		if i := s.Files(); i.Waits != 1 {
			t.Fatalf("%+v", i)
		}
		for i := range held {
			must(t, held[i].Release())
		}
		closeAll(t, h, s, e)
	})
}

// TestLongestUnusedGoesFirst: what was read of late stays open.
func TestLongestUnusedGoesFirst(t *testing.T) {
	var o opens
	h := fstest.CountHandles(fstest.Fail(fstest.NewMem(), o.decide))
	s, e, bases := sealedEnv(t, h)
	read := func(i int) { // in the middle, which takes the index too
		var x disk.Extent
		must(t, e.l.Locate(&x, bases[i]+2, 100, nil, true))
		must(t, x.Release())
	}
	for i := 1; i < len(bases); i++ {
		read(0)
		read(i)
	}
	opened := o.take()
	if s.Files().Evictions == 0 || slices.Index(opened[1:], segName(bases[0])) >= 0 {
		t.Fatalf("%d evictions; opened %q", s.Files().Evictions, opened)
	}
	read(0)
	read(1)
	if got := o.take(); !slices.Equal(got, []string{segName(bases[1])}) {
		t.Fatalf("opened %q", got)
	}
	closeAll(t, h, s, e)
}

// TestClosedLogLeavesTheCache: a log that is closed or dropped has nothing open but what readers hold, and that only until
// they let go of it.
func TestClosedLogLeavesTheCache(t *testing.T) {
	h := fstest.CountHandles(fstest.NewMem())
	s, e, bases := sealedEnv(t, h)
	readAll(t, e.l, 0, 5000)
	var x disk.Extent
	must(t, e.l.Locate(&x, bases[1], 100, nil, true))
	must(t, e.l.Close())
	if now, _ := h.Taken(); now != 2 { // the LOCK, and that
		t.Fatalf("%d descriptors are taken", now)
	}
	if _, err := x.File().ReadAt("test", make([]byte, 10), 0); err != nil {
		t.Fatalf("the reader has %v", err)
	}
	if err := e.l.Locate(new(disk.Extent), bases[0], 100, nil, true); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("closed, and read: %v", err)
	}
	must(t, x.Release())
	must(t, s.DropTopic(disk.ByController, "a"))
	closeAll(t, h, s)
}

// TestD1NoDescriptors: a process that is out of descriptors, for whatever reason, does nothing by halves: no log fails, and
// what could not be done is done once there are some again.
func TestD1NoDescriptors(t *testing.T) {
	for k := 1; ; k += 2 { // three in a row each time, so that what is tried again at once fails again
		armed, n, hits := false, 0, 0
		f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			switch op.Kind {
			case fstest.Open, fstest.Create, fstest.List, fstest.SyncDir:
				if !armed || op.By == "test" {
					return nil
				}
				if n++; n >= k && n < k+3 {
					hits++
					return syscall.EMFILE
				}
			}
			return nil
		})
		h := fstest.CountHandles(f)
		s, logs := newLogs(t, h, tight, 2, disk.LogOptions{SegmentBytes: 3 << 10, IndexInterval: 512})
		armed = true
		for i := range 20 {
			e := logs[i%2]
			appendSomehow(t, e, sized(t, fmt.Sprint(i), 500))
			_, err := e.l.Sync()
			must(t, err)
			_, err = e.l.ReadAt(make([]byte, 5000), uint64(i/4), nil)
			if err != nil && !errors.Is(err, syscall.EMFILE) {
				t.Fatalf("k=%d: read: %v", k, err)
			}
		}
		armed = false
		for i, e := range logs {
			must(t, e.l.Err())
			if got := readAll(t, e.l, 0, 5000); len(got) != 10 {
				t.Fatalf("k=%d: log %d has %d records", k, i, len(got))
			}
			must(t, e.l.Close())
			_, rec, err := s.OpenLog(disk.ByOpen, string(rune('a'+i)), 0, e.opt)
			must(t, err)
			if !rec.Clean {
				t.Fatalf("k=%d: closed in order, opened %+v", k, rec)
			}
		}
		if hits == 0 {
			return
		}
	}
}

// appendSomehow appends as soon as what it needs can be opened.
func appendSomehow(t *testing.T, e *env, p []byte) {
	t.Helper()
	for tries := 0; !fits(e.l, len(p)) && !e.l.Roll(); tries++ {
		_, err := e.l.Sync()
		must(t, err)
		if _, err := e.l.Maintain(); err != nil && tries > 10 {
			t.Fatal(err)
		}
	}
	_, _, err := e.l.Append(p)
	must(t, err)
	for i := 0; i < 5 && e.l.MaintenanceDue(); i++ {
		_, _ = e.l.Maintain() // what it could not do is still due
	}
}
