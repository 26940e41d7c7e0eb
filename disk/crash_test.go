package disk_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// clones counts the file systems that the suite has opened after a crash.
var clones atomic.Int64

// TestMain says how much was tried, which a passing test could not.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", fmt.Sprint(seed())); err != nil { // what chance finds is no verdict on a change
		panic(err)
	}
	code := m.Run()
	n, want := clones.Load(), fromEnv("SLUICE_CLONES", 0)
	if n > 0 {
		fmt.Printf("disk: %d crash clones, SLUICE_SEED=%d\n", n, seed())
	}
	if code == 0 && uint64(n) < want {
		fmt.Printf("disk: SLUICE_CLONES wants %d\n", want)
		code = 1
	}
	os.Exit(code)
}

func fromEnv(name string, otherwise uint64) uint64 {
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s is no number: %v", name, err))
	}
	return n
}

func seed() uint64 { return fromEnv("SLUICE_SEED", 1) }

// A round of all tests makes more than clonesPerRound.
const clonesPerRound = 25000

func rounds() int { return int(1 + fromEnv("SLUICE_CLONES", 0)/clonesPerRound) }

// plan says which crashes a test makes: at is the probability of one at each operation that changes something, by the number
// of crashes before it, so 1 at first is all of them.
type plan struct {
	scenarios []scenario
	at        [4]float64
	kills     bool
	cuts      int // power cuts at each place, the first of which leaves nothing unsynced
}

// cutter runs a workload and, in the middle of each operation, the futures that a crash there has.
type cutter struct {
	plan
	t      *testing.T
	rng    *rand.Rand
	values int
	lives  []*proc  // at work: the first was not crashed, each other came of a crash in the one before
	deaths []string // of all lives but the last
	torn   *tornWrite
	hook   func(*proc, fstest.Op) error // told of every operation of every life
}

func crash(t *testing.T, p plan) {
	for _, w := range p.scenarios {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds() {
				crashScenario(t, p, w, round)
			}
		})
	}
}

func crashScenario(t *testing.T, p plan, w scenario, round int) {
	h := fnv.New64a()
	fmt.Fprint(h, t.Name(), round) // a hash takes everything
	c := &cutter{plan: p, t: t, rng: rand.New(rand.NewPCG(seed(), h.Sum64()))}
	c.hook = c.before
	if testing.Short() {
		c.at[0] /= 5
	} else if raceDetector && c.at[0] < 1 {
		c.at[0] /= 2
	}
	defer func() {
		if err := recover(); err != nil {
			c.report(err)
		}
	}()
	x := &script{c: c}
	x.begin(fstest.NewMem(), make(world))
	w.run(x)
	c.tear(x.proc)
}

// report tells what was found, and how to find it again.
func (c *cutter) report(err any) {
	var s strings.Builder
	switch err := err.(type) {
	case broken:
		s.WriteString(err.what)
	case gaveUp:
		s.WriteString("it gave up, and no fault was asked for")
	default:
		fmt.Fprintf(&s, "panic: %v\n%s", err, debug.Stack())
	}
	fmt.Fprintf(&s, "\nagain with: SLUICE_SEED=%d SLUICE_CLONES=%d go test -run '%s' ./disk", seed(), fromEnv("SLUICE_CLONES", 0), c.t.Name())
	for i, p := range c.lives {
		fmt.Fprintf(&s, "\nlife %d, its last operations:\n%s", i, p.trace())
		if i < len(c.deaths) {
			fmt.Fprintf(&s, "\ncrash: %s", c.deaths[i])
		}
	}
	c.t.Fatal(s.String())
}

func (x *script) begin(mem *fstest.Mem, w world) {
	x.proc = newProc(x.c.t, mem, w, x.c.rng, &x.c.values, x.c.hook)
	x.c.lives = []*proc{x.proc}
}

// next is the process after a crash that the workload itself has asked for.
func (x *script) next(mem *fstest.Mem, w world) {
	x.c.tear(x.proc)
	x.begin(mem, w)
	x.openStore()
	x.topics()
	x.openAll()
}

// before is told of every operation of every life.
func (c *cutter) before(p *proc, op fstest.Op) error {
	c.tear(p)
	depth := len(c.lives) - 1
	if depth >= len(c.at) || !op.Changes() || c.rng.Float64() >= c.at[depth] {
		return nil
	}
	at := fmt.Sprintf("before change %d, %v", p.changes, op)
	if c.kills {
		c.future(p.mem.Kill(), p.w.branch(false), at+": killed")
		if op.Kind == fstest.Write || op.Kind == fstest.WriteSync {
			c.torn = &tornWrite{p, op, p.mem.Kill(), p.w.branch(false)}
		}
	}
	for i := range c.cuts {
		keep := 0.0
		if i > 0 {
			keep = []float64{.02, .2, .5, .8, .98, 1}[c.rng.IntN(6)]
		}
		c.future(p.mem.Crash(c.rng, keep), p.w.branch(true), fmt.Sprintf("%s: power cut, keeping %v", at, keep))
	}
	return nil
}

// tornWrite is a process that was killed in the middle of a write: what was there before it, and as much of it as it had
// done. That is known only once the other life has done it.
type tornWrite struct {
	p   *proc
	op  fstest.Op
	mem *fstest.Mem
	w   world
}

func (c *cutter) tear(p *proc) {
	torn := c.torn
	if torn == nil || torn.p != p {
		return
	}
	c.torn = nil
	b := make([]byte, c.rng.IntN(torn.op.Len+1))
	from, err := p.mem.Open("test", torn.op.Name)
	p.fine(err, "open what was written")
	if _, err := from.ReadAt("test", b, torn.op.Pos); err != nil {
		p.broken("read what was written: %v", err)
	}
	to, err := torn.mem.Open("test", torn.op.Name)
	p.fine(err, "open what is torn")
	if _, err := to.WriteAt("test", b, torn.op.Pos); err != nil {
		p.broken("write what is torn: %v", err)
	}
	c.future(torn.mem, torn.w, fmt.Sprintf("in change %d, %v, after %d bytes: killed", p.changes, torn.op, len(b)))
}

// future is what comes after a crash: all that was promised is there, once and again; and the log goes on.
func (c *cutter) future(mem *fstest.Mem, w world, death string) {
	clones.Add(1)
	mem.SetSpace(0)
	p := newProc(c.t, mem, w, c.rng, &c.values, c.hook)
	c.lives, c.deaths = append(c.lives, p), append(c.deaths, death)
	p.openStore()
	p.topics()
	p.openAll()
	c.same(p)
	for _, topic := range p.names() {
		for i := range p.w[topic].logs {
			p.append(topic, i, 300)
			p.append(topic, i, 100, 2500)
			p.maintain(topic, i)
			p.sync(topic, i)
			p.reread(topic, i)
		}
	}
	c.look(p.mem.Crash(c.rng, 0), p.w.branch(true), "power cut after a sync, keeping nothing", false)
	p.closeAll()
	c.tear(p)
	c.look(p.mem.Kill(), p.w.branch(true), "closed in order", true)
	c.lives, c.deaths = c.lives[:len(c.lives)-1], c.deaths[:len(c.deaths)-1]
}

// look opens what is left, and closes it again. clean: it was closed in order.
func (c *cutter) look(mem *fstest.Mem, w world, death string, clean bool) {
	clones.Add(1)
	q := newProc(c.t, mem, w, c.rng, &c.values, nil)
	c.lives, c.deaths = append(c.lives, q), append(c.deaths, death)
	q.openStore()
	q.topics()
	for _, topic := range q.names() {
		for i := range q.w[topic].logs {
			if r := q.open(topic, i); clean && (!r.Clean || r.Scanned > 0 || r.Cut > 0) {
				q.broken("log %s/%d was closed in order, and is found as %+v", topic, i, r)
			}
		}
	}
	q.closeAll()
	_, err := disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) {
		// Indexes are not synced: a power cut may take any part of one, and nothing believes it (I5).
		if f.Severity != disk.Note && !strings.HasSuffix(f.File, ".idx") {
			q.broken("verify finds %+v", f)
		}
	})
	q.fine(err, "verify")
	c.lives, c.deaths = c.lives[:len(c.lives)-1], c.deaths[:len(c.deaths)-1]
}

// same: a process that is killed once it has opened everything leaves the next one nothing to do (A4, A6).
func (c *cutter) same(p *proc) {
	q := newProc(c.t, p.mem.Kill(), p.w.branch(false), c.rng, &c.values, nil)
	before := q.listing()
	q.openStore()
	q.topics()
	for _, topic := range q.names() {
		for i, h := range q.w[topic].logs {
			if r := q.open(topic, i); r.Cut != 0 || r.CutFile != "" || r.LostFrom != r.LostNext {
				q.broken("the second opening of %s/%d still finds %+v", topic, i, r)
			}
			if other := p.w[topic].logs[i].l; h.l.Epoch() != other.Epoch() {
				q.broken("the second opening of %s/%d has epoch %d, the first %d", topic, i, h.l.Epoch(), other.Epoch())
			}
		}
	}
	if after := q.listing(); !maps.Equal(before, after) {
		q.broken("the second opening changes the files from %v to %v", before, after)
	}
}

// reread holds what is read in the middle of a life against what was appended.
func (p *proc) reread(topic string, partition int) {
	h := p.w[topic].logs[partition]
	if err := h.found(p.read(h.l)); err != nil {
		p.broken("log %s/%d: %v", topic, partition, err)
	}
}

// TestA1 kills the process before every operation that changes something, and in the middle of every write: what was
// acknowledged as written is there, and nothing that was never appended.
func TestA1KillAtEveryOperation(t *testing.T) {
	crash(t, plan{scenarios: scenarios, at: [4]float64{1}, kills: true})
}

// TestA2A3 cuts the power before every operation that changes something, leaving nothing unsynced, or any part of it: what was
// acknowledged as synced is there, nothing that was never appended, and no offset has two values in one epoch.
func TestA2A3PowerCutAtEveryOperation(t *testing.T) {
	crash(t, plan{scenarios: scenarios, at: [4]float64{1}, cuts: 3})
}

// TestA4 crashes recovery, and the recovery from that, and once more: any part of it and a restart have the same end.
func TestA4CrashInRecovery(t *testing.T) {
	crash(t, plan{scenarios: scenarios, at: [4]float64{.04, .01, .01, 0}, kills: true, cuts: 2})
}

// TestF1 crashes around rolls, and in the recoveries from that: every step of a roll may be the last one.
func TestF1CrashInRoll(t *testing.T) {
	crash(t, plan{scenarios: only(rolling), at: [4]float64{.2, .005, 0, 0}, kills: true, cuts: 3})
}
