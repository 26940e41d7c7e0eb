package disk_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// epochs are those of the stored batches, in order, without repetition.
func epochs(t *testing.T, l *disk.Log) (all []int32) {
	t.Helper()
	var c disk.Cursor
	for from := uint64(0); from < l.Next(); {
		ch, err := l.ReadAt(make([]byte, 9000), from, &c)
		must(t, err)
		for b := ch.Bytes; len(b) > 0; {
			h, err := batch.Verify(b)
			must(t, err)
			if n := len(all); n == 0 || all[n-1] != h.Epoch {
				all = append(all, h.Epoch)
			}
			b = b[h.Size:]
		}
		from = ch.Next
	}
	return all
}

// TestI3Epochs: a run that appends begins a new epoch if the one before did not end in order, and only then; a run
// without appends changes nothing, and pays nothing of what is owed.
func TestI3Epochs(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), disk.LogOptions{})
	e.fs = restarted{e.fs}
	n := 0
	steps := []struct {
		name   string
		killed bool // the run before
		appends,
		closes bool
		epoch int32
	}{
		{"the first run", false, true, false, 0},
		{"after a kill", true, true, false, 1},
		{"after another", true, true, true, 2},
		{"after a clean stop", false, true, true, 2},
		{"no append after a clean stop", false, false, true, 2},
		{"no append, killed", false, false, false, 2},
		{"clean still: nothing was appended since", true, true, false, 2},
		{"killed, no append, killed", true, false, false, 2},
		{"killed, no append, closed", true, false, true, 2},
		{"owed still", false, false, true, 2},
		{"and paid now", false, true, true, 3},
		{"once", false, true, true, 3},
	}
	for i, c := range steps {
		if i > 0 {
			before := takeImage(t, e.fs)
			e.kill(t)
			wantImage(t, takeImage(t, e.fs), before)
		}
		if c.appends {
			for range 2 {
				e.append(t, build(t, rec{1, fmt.Sprint(n)}))
				n++
			}
		}
		if e.l.Epoch() != c.epoch {
			t.Fatalf("%s: epoch %d, want %d", c.name, e.l.Epoch(), c.epoch)
		}
		if c.closes {
			must(t, e.l.Close())
		}
	}
	e.kill(t)
	if got := epochs(t, e.l); !slices.Equal(got, []int32{0, 1, 2, 3}) {
		t.Fatalf("epochs %v", got)
	}
	for _, c := range []struct {
		epoch, have int32
		end         uint64
	}{{-1, -1, 0}, {0, 0, 2}, {1, 1, 4}, {2, 2, 10}, {3, 3, uint64(n)}, {9, 3, uint64(n)}} {
		if have, end := e.l.EpochEnd(c.epoch); have != c.have || end != c.end {
			t.Errorf("epoch %d: %d ends at %d, want %d at %d", c.epoch, have, end, c.have, c.end)
		}
	}
	e.close(t)
}

// TestI3EpochIsStoredFirst: the first append of a run comes behind the epoch, synced, and its name; or behind the end of
// the clean flag.
func TestI3EpochIsStoredFirst(t *testing.T) {
	for _, clean := range []bool{false, true} {
		var tr tracer
		e := newEnv(t, restarted{fstest.Trace(fstest.NewMem(), tr.line)}, disk.LogOptions{})
		fill(t, e, 10, 0)
		if clean {
			must(t, e.l.Close())
		}
		e.kill(t)
		tr.take()
		p := build(t, rec{1, "x"})
		if room, empty := e.l.Room(); room != 0 || empty || e.l.Roll() {
			t.Fatal("there is room before the run has begun")
		}
		if !e.l.MaintenanceDue() {
			t.Fatal("nobody asks for the begin")
		}
		if ready, err := e.l.Maintain(); !ready || err != nil {
			t.Fatal(ready, err)
		}
		_, _, err := e.l.Append(p)
		must(t, err)
		want := []string{"rename topics/t/0/epochs.tmp -> topics/t/0/epochs", "syncdir topics/t/0", "write topics/t/0/0"}
		if clean {
			want = []string{"write topics/t/0/marks", "sync topics/t/0/marks", "write topics/t/0/0"}
		}
		for _, line := range tr.take() {
			if len(want) > 0 && strings.Contains(line, want[0]) {
				want = want[1:]
			} else if strings.HasPrefix(line, "writer") {
				t.Fatalf("clean %v: %q comes before %q", clean, line, want)
			}
		}
		if len(want) > 0 {
			t.Fatalf("clean %v: missing %q", clean, want)
		}
		e.close(t)
	}
}

// TestB6BeginFails: what is stored at the begin of a run fails at each of its operations. No space, and a file that cannot
// be made, keep the append waiting and pass; all else ends the log. The table is then the old one or the new one, in
// memory as on the disk.
func TestB6BeginFails(t *testing.T) {
	base := newEnv(t, fstest.NewMem(), disk.LogOptions{})
	want := fill(t, base, 10, 0)
	unclean := takeImage(t, base.fs)
	must(t, base.l.Close())
	clean := takeImage(t, base.fs)
	for name, im := range map[string]image{"unclean": unclean, "clean": clean} {
		for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
			for k := 1; ; k++ {
				mem := fstest.NewMem()
				n, hit := 0, fstest.Kind("")
				e := newEnv(t, restarted{fstest.Fail(mem, func(op fstest.Op) error {
					if n > 0 && op.By == disk.ByRoller && op.Kind != fstest.Read && op.Kind != fstest.Allocate {
						if n++; n == k+1 {
							hit = op.Kind
							return fault
						}
					}
					return nil
				})}, disk.LogOptions{})
				putImage(t, mem, im)
				e.kill(t)
				n = 1
				epoch := e.l.Epoch()
				e.l.Roll()
				ready, err := e.l.Maintain()
				if hit == "" {
					must(t, err)
					break
				}
				if room, _ := e.l.Room(); ready && room > 0 { // it hit an index that is made behind the begin
					break
				}
				if ready || err == nil || e.l.Epoch() != epoch {
					t.Fatalf("%s, %v at %s: ready %v, %v, epoch %d", name, fault, hit, ready, err, e.l.Epoch())
				}
				wantIs(t, err, fault)
				passes := hit == fstest.Create || hit == fstest.Remove || hit == fstest.Open || fault == syscall.EMFILE && hit == fstest.SyncDir || fault == syscall.ENOSPC && hit != fstest.SyncDir && (name == "unclean" || hit != fstest.Sync)
				if (e.l.Err() == nil) != passes {
					t.Fatalf("%s, %v at %s: the log says %v", name, fault, hit, e.l.Err())
				}
				if passes {
					first, _ := e.append(t, build(t, rec{1, "x"}))
					if first != 10 {
						t.Fatalf("appended at %d", first)
					}
					continue
				}
				e.kill(t)
				if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want) {
					t.Fatal("what was read is not what was appended")
				}
				e.append(t, build(t, rec{1, "x"}))
				if least := map[string]int32{"unclean": 1, "clean": 0}[name]; e.l.Epoch() < least || e.l.Epoch() > least+1 {
					t.Fatalf("%s, %v at %s: epoch %d", name, fault, hit, e.l.Epoch())
				}
			}
		}
	}
}

// TestC9Epochs: one damaged or missing copy of the epoch table is written anew from the other; without a good one the
// table is made from the batches, without a scan of the log.
func TestC9Epochs(t *testing.T) {
	e := newEnv(t, restarted{fstest.NewMem()}, small)
	var want []rec
	for range 4 {
		want = append(want, fillMore(t, e, 150)...)
		syncAndMark(t, e)
		e.kill(t)
	}
	if segs := len(listNames(t, e.fs, "topics/t/0", ".log")); segs < 6 {
		t.Fatalf("only %d segments", segs)
	}
	im := takeImage(t, e.fs)
	for name, c := range map[string]struct{ first, second string }{
		"first gone": {"", im["epochs.2"]}, "second gone": {im["epochs"], ""},
		"first flipped": {"x" + im["epochs"], im["epochs.2"]}, "second cut": {im["epochs"], im["epochs.2"][:20]},
		"both gone": {"", ""}, "both flipped": {"x", "y"}, "one gone, one flipped": {"", "z"},
	} {
		t.Run(name, func(t *testing.T) {
			putImage(t, e.fs, im)
			for file, text := range map[string]string{"epochs": c.first, "epochs.2": c.second} {
				must(t, e.fs.Remove("test", "topics/t/0/"+file))
				if text != "" {
					save(t, e.fs, "topics/t/0/"+file, []byte(text))
				}
			}
			read := 0
			f := fstest.Fail(e.fs, func(op fstest.Op) error {
				if op.Kind == fstest.Read && strings.HasSuffix(op.Name, ".log") {
					read += op.Len
				}
				return nil
			})
			s := openStore(t, restarted{f})
			l, r, err := s.OpenLog(disk.ByOpen, "t", 0, small)
			must(t, err)
			must(t, l.Err())
			if len(r.Repaired) == 0 && c.first+c.second != "" || l.Epoch() != 3 {
				t.Fatalf("%+v, epoch %d", r, l.Epoch())
			}
			for epoch, first := range []uint64{150, 300, 450, 600} {
				if have, end := l.EpochEnd(int32(epoch)); have != int32(epoch) || end != first {
					t.Fatalf("epoch %d: %d ends at %d, want %d", epoch, have, end, first)
				}
			}
			if read > 6*16<<10 {
				t.Fatalf("%d bytes of segments were read", read)
			}
			wantReads(t, l, want)
			k := &env{fs: e.fs, opt: small, s: s, l: l}
			k.append(t, build(t, rec{1, "x"}))
			if l.Epoch() != 4 {
				t.Fatalf("the new epoch is %d", l.Epoch())
			}
			if string(load(t, e.fs, "topics/t/0/epochs")) != string(load(t, e.fs, "topics/t/0/epochs.2")) {
				t.Fatal("the copies differ")
			}
			must(t, l.Close())
		})
	}
}

// TestC9EpochOfMark: an epoch that has left no batch is not used again when the table is lost: the mark knows of it.
func TestC9EpochOfMark(t *testing.T) {
	e := newEnv(t, restarted{fstest.NewMem()}, disk.LogOptions{})
	fill(t, e, 10, 0)
	syncAndMark(t, e)
	e.kill(t)
	kept := load(t, e.fs, seg0)
	fillMore(t, e, 1)
	syncAndMark(t, e)
	m := newestSlot(load(t, e.fs, marksFile))
	m.pos, m.off, m.last = 0, 0, 0 // as if nothing of it had been synced
	save(t, e.fs, marksFile, m.forge(load(t, e.fs, marksFile)))
	save(t, e.fs, seg0, kept)
	for _, name := range []string{"epochs", "epochs.2"} {
		must(t, e.fs.Remove("test", "topics/t/0/"+name))
	}
	e.kill(t)
	e.append(t, build(t, rec{1, "x"}))
	if e.l.Epoch() != 2 {
		t.Fatalf("epoch %d is used again", e.l.Epoch())
	}
}

// TestC3EpochsAreChecked flips every bit of a stored batch's epoch, in a sealed segment and below the mark of the active
// one: that batch alone answers CORRUPT.
func TestC3EpochsAreChecked(t *testing.T) {
	e := newEnv(t, restarted{fstest.NewMem()}, small)
	want := fill(t, e, 300, 0)
	syncAndMark(t, e)
	im := takeImage(t, e.fs)
	segs := listNames(t, e.fs, "topics/t/0", ".log")
	for _, name := range []string{segs[0], segs[len(segs)-1]} {
		b := load(t, e.fs, name)
		hit := places(t, b)[1]
		for bit := range 32 {
			c := slices.Clone(b)
			c[hit.pos+12+bit/8] ^= 1 << (bit % 8)
			putImage(t, e.fs, im)
			save(t, e.fs, name, c)
			e.kill(t)
			must(t, e.l.Err())
			got, gaps := readAround(t, e.l, 2000)
			wantAround(t, got, gaps, want, hit.first, hit.next)
		}
	}
}

// TestEpochTableAt compares the table with a plain search, for many tables.
func TestEpochTableAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	for range 50 {
		e := newEnv(t, restarted{fstest.NewMem()}, small)
		var ends []uint64
		for range 1 + rng.IntN(5) {
			for range 1 + rng.IntN(20) {
				e.append(t, build(t, rec{1, "x"}))
			}
			ends = append(ends, e.l.Next())
			e.kill(t)
		}
		for epoch, end := range ends {
			if have, got := e.l.EpochEnd(int32(epoch)); have != int32(epoch) || got != end {
				t.Fatalf("epoch %d ends at %d, want %d (%v)", epoch, got, end, ends)
			}
		}
		readAll(t, e.l, 0, 500)
		e.close(t)
	}
}

// cached is a file system that shows what was written, until it is told to forget it: then a file is as the device has it.
type cached struct {
	disk.FS
	mu     sync.Mutex
	device map[string][]byte // of files that the device has otherwise
	broken string            // a Sync of this file fails
}

type cachedFile struct {
	disk.File
	c    *cached
	name string
}

func (c *cached) Open(by disk.By, name string) (disk.File, error) {
	f, err := c.FS.Open(by, name)
	if err != nil {
		return nil, err
	}
	return &cachedFile{f, c, name}, nil
}

func (c *cached) Lock(disk.By, string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *cachedFile) Sync(by disk.By) error {
	if f.c.broken == f.name {
		return syscall.EIO
	}
	return f.File.Sync(by)
}

func (f *cachedFile) Evict(by disk.By, _, _ int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if b, ok := f.c.device[f.name]; ok {
		_, err := f.File.WriteAt(by, b, 0)
		return err
	}
	return nil
}

// TestB1CacheIsNotTrusted: after an fdatasync that failed, the kernel may show bytes that the device does not have. The
// next start sees what the device has: it syncs, evicts and then scans.
func TestB1CacheIsNotTrusted(t *testing.T) {
	e, want, _, at := marked(t)
	b := load(t, e.fs, seg0)
	lost := at[len(at)-5]
	device := slices.Clone(b)
	clear(device[lost.pos:])
	e.fs = &cached{FS: e.fs, device: map[string][]byte{seg0: device}}
	e.kill(t)
	must(t, e.l.Err())
	if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want[:lost.first]) {
		t.Fatalf("%d records are there, the device has %d", len(got), lost.first)
	}
	e.close(t)
}

// TestB1SyncFailsAtStart: when the sync before the scan fails, the log can be read up to its mark, and takes no appends.
func TestB1SyncFailsAtStart(t *testing.T) {
	e, want, mark, _ := marked(t)
	before := takeImage(t, e.fs)
	mem := e.fs
	e.fs = &cached{FS: mem, broken: seg0}
	e.kill(t)
	wantIs(t, e.l.Err(), disk.ErrFailed)
	wantIs(t, e.l.Err(), syscall.EIO)
	if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want[:mark]) || e.l.Durable() != uint64(mark) {
		t.Fatalf("%d records are there, want %d", len(got), mark)
	}
	must(t, e.l.Close())
	wantImage(t, takeImage(t, mem), before)
	e = rolled(t, restarted{fstest.NewMem()})
	fillMore(t, e, 1)
	syncAndMark(t, e)
	all := readAll(t, e.l, 0, 5000)
	_, _, err := e.l.Append(build(t, rec{1, "not synced"}))
	must(t, err)
	e.fs = &cached{FS: e.fs, broken: spare}
	e.kill(t)
	wantIs(t, e.l.Err(), syscall.EIO)
	if got := readAll(t, e.l, 0, 5000); !slices.Equal(got, all) {
		t.Fatalf("%d records are there, want %d", len(got), len(all))
	}
	must(t, e.l.Close())
}

// TestUnsynced counts what a power cut could take.
func TestUnsynced(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	check := func(bytes int64, records uint64) {
		t.Helper()
		if b, r := e.l.Unsynced(); b != bytes || r != records {
			t.Fatalf("unsynced are %d bytes, %d records; want %d and %d", b, r, bytes, records)
		}
	}
	check(0, 0)
	p := build(t, rec{1, "a"}, rec{1, "b"})
	e.append(t, p)
	check(int64(len(p)), 2)
	e.append(t, p)
	check(2*int64(len(p)), 4)
	syncAndMark(t, e)
	check(0, 0)
	var sum int64
	for range 20 { // over a roll
		p := sized(t, "x", 1000)
		first, _ := e.append(t, p)
		if sum += int64(len(p)); e.l.Durable() > first {
			t.Fatal("an append was synced by itself")
		}
		if e.l.Durable() > 4 { // the helper synced for the roll
			sum = int64(len(p)) * int64(e.l.Next()-e.l.Durable())
		}
		check(sum, e.l.Next()-e.l.Durable())
	}
	e.reopen(t)
	check(0, 0)
	e.close(t)
}

// TestBrokenLog answers everything with the reason, and lets other logs be.
func TestBrokenLog(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	l := e.s.BrokenLog("t", 1, syscall.EIO)
	_, err := l.ReadAt(make([]byte, 100), 0, nil)
	wantIs(t, err, syscall.EIO)
	_, err = l.ReadAt(make([]byte, 100), 7, nil)
	wantIs(t, err, syscall.EIO)
	_, err = l.OffsetAt(0, true)
	wantIs(t, err, syscall.EIO)
	_, err = l.Sync()
	wantIs(t, err, disk.ErrFailed)
	_, _, err = l.Append(build(t, rec{1, "x"}))
	wantIs(t, err, disk.ErrFailed)
	wantIs(t, err, syscall.EIO)
	wantIs(t, l.Err(), disk.ErrFailed)
	if l.Info().Segments != 1 || l.Epoch() != 0 || l.MaintenanceDue() || l.Dirty() {
		t.Fatalf("%+v", l.Info())
	}
	if e.s.DropTopic(disk.ByController, "t") == nil {
		t.Fatal("a topic was dropped under its log")
	}
	must(t, l.Close())
	e.close(t)
}

// TestI3RolledAndClosedInOrder: a stop right behind a roll, with nothing in the new segment yet, is as clean as any.
func TestI3RolledAndClosedInOrder(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), tiny)
	for e.l.Info().Segments < 2 {
		e.append(t, sized(t, "a", 600))
		for !fits(e.l, 600) && e.l.Info().Segments < 2 {
			if !e.l.Roll() {
				_, err := e.l.Sync()
				must(t, err)
				_, err = e.l.Maintain()
				must(t, err)
			}
		}
	}
	must(t, e.l.Close())
	if e.openLog(t); !e.rec.Clean {
		t.Fatalf("opened as after a crash: %+v", e.rec)
	}
}
