package stages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
)

// The whole pipeline loses its process at any operation on files, in the middle of a write too, or its power, three times in
// a row, some of them while it opens: every record is there that its level promised, and no other. The log oracle looks.
func TestA1A2A3A4A5PipelineCrashes(t *testing.T) {
	seeds, first := 80, uint64(1) // what chance finds is no verdict on a change
	switch {
	case testing.Short():
		seeds = 15
	case raceEnabled:
		seeds = 30
	}
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first = n
	}
	deaths, acked := 0, 0
	for seed := range uint64(seeds) {
		c := newCrashing(t, first+seed)
		for range 3 {
			c.live()
		}
		c.judge()
		deaths, acked = deaths+c.deaths, acked+c.acked
	}
	t.Logf("%d deaths, %d records acknowledged, seeds from %d on", deaths, acked, first)
}

// crashing is one file system and the servers that die on it.
type crashing struct {
	t             *testing.T
	seed          uint64
	rng           *rand.Rand
	mem           *fstest.Mem
	rec           oracle.Recorder
	conf          Config
	deaths, acked int
}

func newCrashing(t *testing.T, seed uint64) *crashing {
	c := &crashing{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), mem: fstest.NewMem(), conf: Default()}
	one := func(choices ...int64) int64 { return choices[c.rng.IntN(len(choices))] }
	c.conf.Topic.SegmentBytes = one(16<<10, 20<<10, 40<<10)
	c.conf.Topic.Sync = []SyncMode{SyncData, SyncData, SyncDsync, SyncShutdown}[c.rng.IntN(4)]
	c.conf.Topic.FlushBytes = one(1<<10, None, None)
	c.conf.Writer.Count = one(1, 2)
	c.conf.Flusher.Count = one(1, 2)
	c.conf.Flusher.Tick = time.Duration(one(0, 1, 5)) * time.Millisecond
	c.conf.Conn.GroupBytes = one(0, 4<<10)
	c.conf.Listen, c.conf.HTTP, c.conf.Grace = "127.0.0.1:0", "", patience
	return c
}

var crashLogs = []string{"a", "b"}

// live is a server's life: it opens, takes appends, and dies.
func (c *crashing) live() {
	c.t.Helper()
	at := c.rng.IntN(400)
	if c.rng.IntN(3) == 0 {
		at = c.rng.IntN(40) // while it opens, or soon after
	}
	dying := fstest.Stop(c.mem, at, []fstest.Last{fstest.Undone, fstest.Done, fstest.Half}[c.rng.IntN(3)])
	if s := c.start(dying); s != nil {
		l, err := witness.StartLoad(s.Addr(), &c.rec, crashLogs, 1+c.rng.IntN(3), 0, c.rng.Uint64())
		if err != nil {
			c.t.Fatalf("seed %d: %v", c.seed, err)
		}
		waitFor(c.t, dying.Stopped)
		_ = s.Stop(context.Background()) // its files are dead
		if err := l.Join(); err != nil {
			c.t.Fatalf("seed %d: %v", c.seed, err)
		}
		c.acked += int(l.Acked.Load())
	}
	how := oracle.Kill
	if next := c.mem.Kill(); c.rng.IntN(2) == 0 {
		c.mem = next
	} else {
		c.mem, how = c.mem.Crash(c.rng, []float64{0, 0.3, 0.7, 1}[c.rng.IntN(4)]), oracle.Power
	}
	c.rec.End(how)
	c.deaths++
	c.look()
}

// start gives nil for a server that died before it was ready.
func (c *crashing) start(fs disk.FS) *Server {
	c.t.Helper()
	s, err := startOn(fs, c.conf, zap.NewNop())
	if err != nil {
		if d, ok := fs.(*fstest.Stopper); !ok || !d.Stopped() {
			c.t.Fatalf("seed %d: after %d deaths: %v", c.seed, c.deaths, err)
		}
	}
	return s
}

// look reads everything back, with a server that nothing happens to until then. Half of them are killed afterwards, so that
// the next life begins on what was not stopped in order.
func (c *crashing) look() {
	c.t.Helper()
	s := c.start(c.mem)
	w, err := witness.Dial(s.Addr(), &c.rec)
	if err != nil {
		c.t.Fatal(err)
	}
	defer w.Close()
	for _, log := range crashLogs {
		if s.catalog.find([]byte(log), 0) == nil {
			continue // it died before its first record
		}
		if _, err := w.Scan(log); err != nil {
			c.judge()
			c.t.Fatalf("seed %d: after %d deaths: %v", c.seed, c.deaths, err)
		}
	}
	how := oracle.Stop
	left := c.mem
	if c.rng.IntN(2) == 0 {
		left, how = c.mem.Kill(), oracle.Kill
	}
	if err := s.Stop(context.Background()); err != nil {
		c.t.Fatalf("seed %d: after %d deaths: %v", c.seed, c.deaths, err)
	}
	c.mem = left
	c.rec.End(how)
}

// judge asks the oracle.
func (c *crashing) judge() {
	c.t.Helper()
	events := c.rec.Events()
	found := oracle.Check(events)
	if len(found) == 0 {
		return
	}
	name := filepath.Join(os.TempDir(), fmt.Sprintf("sluice-history-pipeline-%d.jsonl", c.seed))
	f, err := os.Create(name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if err := oracle.Save(f, events); err != nil {
		c.t.Fatal(err)
	}
	c.t.Fatalf("SLUICE_SEED=%d: %d violations, such as %v; the history is in %s", c.seed, len(found), slices.Clip(found[:min(len(found), 3)]), name)
}
