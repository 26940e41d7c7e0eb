package disk_test

import (
	"math/rand/v2"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestA4NewDirectory cuts the power at each step of making a data directory: whatever is left, the next start makes it whole.
// The identity may be there without the directory of topics, whose name nobody has synced before.
func TestA4NewDirectory(t *testing.T) {
	for n := 0; ; n++ {
		mem := fstest.NewMem()
		f := fstest.Stop(mem, n, fstest.Done)
		_, err := disk.OpenStore(f, disk.StoreOptions{}, zap.NewNop())
		for seed := range uint64(100) {
			left := mem.Crash(rand.New(rand.NewPCG(seed, 0)), .5)
			s, err := disk.OpenStore(left, disk.StoreOptions{}, zap.NewNop())
			if err != nil {
				t.Fatalf("a power cut after change %d, seed %d: %v", n, seed, err)
			}
			_, err = s.Topics(disk.ByController)
			must(t, err)
		}
		if err == nil {
			return
		}
	}
}

// TestA4KilledCreation kills a process at each step of making a directory and a topic. If the next one shows the topic and
// takes records into it, a power cut takes neither: somebody has to sync the names that the killed one had only made.
func TestA4KilledCreation(t *testing.T) {
	for n := 0; ; n++ {
		mem := fstest.NewMem()
		f := fstest.Stop(mem, n, fstest.Done)
		if s, err := disk.OpenStore(f, disk.StoreOptions{}, zap.NewNop()); err == nil {
			_ = s.CreateTopic(disk.ByController, "t", nil) // killed in it
		}
		if !f.Stopped() {
			return
		}
		left := mem.Kill()
		e := &env{fs: left, s: openStore(t, left)}
		if topics, err := e.s.Topics(disk.ByController); err != nil || len(topics) == 0 {
			must(t, err)
			continue
		}
		e.openLog(t)
		e.append(t, build(t, rec{1, "synced"}))
		_, err := e.l.Sync()
		must(t, err)
		after := left.Crash(rand.New(rand.NewPCG(0, 0)), 0)
		e = &env{fs: after, s: openStore(t, after)}
		if topics, err := e.s.Topics(disk.ByController); err != nil || len(topics) != 1 {
			t.Fatalf("killed after change %d: the topic with its synced record is gone: %v, %v", n, topics, err)
		}
		e.openLog(t)
		if e.l.Next() != 1 {
			t.Fatalf("killed after change %d: the synced record is gone", n)
		}
	}
}

// TestA4KilledRoll kills a process at each step of finishing a roll; the next one appends, syncs and makes a spare, and the
// power is cut at each step of that. The name of the active segment must be durable before another file takes the name that it
// had.
func TestA4KilledRoll(t *testing.T) {
	for n := 0; ; n++ {
		mem := fstest.NewMem()
		f := fstest.Stop(mem, -1, fstest.Done)
		e := rolled(t, f)
		_, err := e.l.Sync()
		must(t, err)
		f.StopAfter(n)
		_, _ = e.l.Maintain() // killed in it
		if !f.Stopped() {
			return
		}
		for m := 0; cutWhileAppending(t, mem.Kill(), e.opt, m); m++ {
		}
	}
}

// cutWhileAppending appends and rolls, and cuts the power after m changes. False: it came to its end before.
func cutWhileAppending(t *testing.T, mem *fstest.Mem, opt disk.LogOptions, m int) bool {
	f := fstest.Stop(mem, -1, fstest.Done)
	e := &env{fs: f, s: openStore(t, f), opt: opt}
	e.openLog(t)
	f.StopAfter(m)
	for range 4 {
		if !fits(e.l, 4<<10) && !e.l.Roll() {
			_, _ = e.l.Maintain() // it may not be made any more
			continue
		}
		if _, _, err := e.l.Append(sized(t, "c", 3<<10)); err != nil {
			break
		}
		_, _ = e.l.Sync()
		_, _ = e.l.Maintain()
	}
	durable := e.l.Durable()
	for seed := range uint64(40) {
		after := mem.Crash(rand.New(rand.NewPCG(seed, 0)), .5)
		e := &env{fs: after, s: openStore(t, after), opt: opt}
		e.openLog(t)
		if e.l.Next() < durable {
			t.Fatalf("power cut after change %d, seed %d: %d records are left of %d synced", m, seed, e.l.Next(), durable)
		}
	}
	return f.Stopped()
}
