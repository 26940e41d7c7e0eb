package disk_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// faultKind is an error for one operation, or for all from there on.
type faultKind struct {
	name   string
	err    error
	sticky bool
	only   []fstest.Kind // empty: any
}

func faultKinds() []faultKind {
	var kinds []faultKind
	for _, k := range []faultKind{
		{name: "EIO", err: syscall.EIO},
		{name: "ENOSPC", err: syscall.ENOSPC},
		{name: "EIO after a part", err: &fstest.Short{N: 500, Err: syscall.EIO}},
		{name: "ENOSPC after a part", err: &fstest.Short{N: 100, Err: syscall.ENOSPC}},
		{name: "EIO after it was done", err: &fstest.Late{Err: syscall.EIO}},
		{name: "ENOSPC after it was done", err: &fstest.Late{Err: syscall.ENOSPC}},
	} {
		kinds = append(kinds, k)
		k.name, k.sticky = k.name+" for good", true
		kinds = append(kinds, k)
	}
	return kinds
}

// faulter fails operation k of a scenario, and looks at what is done after a log has failed.
type faulter struct {
	cutter
	kind faultKind
	k, n int
	hit  bool
}

func (f *faulter) before(p *proc, op fstest.Op) error {
	f.frozen(p, op)
	for _, k := range f.kind.only {
		if k != op.Kind {
			return nil
		}
	}
	f.n++
	if f.n-1 == f.k || f.kind.sticky && f.n-1 > f.k {
		f.hit = true
		return f.kind.err
	}
	return nil
}

// frozen: a log that has failed changes nothing any more (I6).
func (f *faulter) frozen(p *proc, op fstest.Op) {
	if !op.Changes() {
		return
	}
	for topic, t := range p.w {
		for i, h := range t.logs {
			if h.l != nil && h.l.Err() != nil && strings.HasPrefix(op.Name, fmt.Sprintf("topics/%s/%d/", topic, i)) {
				p.broken("after log %s/%d has failed: %v", topic, i, op)
			}
		}
	}
}

// faults runs each scenario with each kind of fault at every stride-th operation.
func faults(t *testing.T, scenarios []scenario, kinds []faultKind, stride int) {
	if testing.Short() {
		stride *= 5
	} else if raceDetector {
		stride *= 2
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range kinds {
				hits := 0
				for k := int(seed() % uint64(stride)); faultAt(t, s, kind, k); k += stride {
					hits++
				}
				if hits == 0 && stride == 1 {
					t.Errorf("%s: nothing failed", kind.name)
				}
			}
		})
	}
}

// faultAt runs a scenario with a fault at operation k, and opens what is left. False: there are no so many operations.
func faultAt(t *testing.T, s scenario, kind faultKind, k int) bool {
	h := fnv.New64a()
	fmt.Fprint(h, t.Name(), kind.name, k) // a hash takes everything
	f := &faulter{cutter: cutter{t: t, rng: rand.New(rand.NewPCG(seed(), h.Sum64()))}, kind: kind, k: k}
	f.hook = f.before
	defer func() {
		if err := recover(); err != nil {
			f.deaths = append([]string{fmt.Sprintf("%s at operation %d", kind.name, k)}, f.deaths...)
			f.report(err)
		}
	}()
	x := &script{c: &f.cutter}
	x.begin(fstest.NewMem(), make(world))
	if !completes(func() { s.run(x) }) && !f.hit {
		x.broken("it gave up without a fault")
	}
	if !f.hit {
		return false
	}
	f.aftermath(x.proc)
	f.hook = nil
	f.future(x.mem.Kill(), x.w.branch(kind.loses()), "killed")
	f.future(x.mem.Crash(f.rng, 0), x.w.branch(true), "power cut, keeping nothing")
	f.future(x.mem.Crash(f.rng, .5), x.w.branch(true), "power cut, keeping half")
	return true
}

// loses: the kernel forgets bytes, so that a kill may take as much as a power cut.
func (k faultKind) loses() bool {
	_, loses := errors.AsType[*fstest.Dropped](k.err)
	return loses
}

func completes(do func()) (done bool) {
	defer func() {
		if err := recover(); err != nil {
			if _, up := err.(gaveUp); !up {
				panic(err)
			}
		}
	}()
	do()
	return true
}

// aftermath is what a process does that goes on behind a fault: a log that has failed refuses and changes nothing, the others
// go on; at last all is closed.
func (f *faulter) aftermath(p *proc) {
	for _, topic := range p.names() {
		for i, h := range p.w[topic].logs {
			switch {
			case h.l == nil:
			case h.l.Err() != nil:
				p.refuses(h)
			case !f.kind.sticky && h.writing == nil:
				p.mem.SetSpace(0)
				if !completes(func() { p.append(topic, i, 200); p.sync(topic, i) }) {
					p.broken("log %s/%d does not go on, and has not failed", topic, i)
				}
			}
		}
	}
	for _, topic := range p.names() {
		for i := range p.w[topic].logs {
			completes(func() { p.close(topic, i) })
		}
	}
	if p.s != nil {
		_ = p.s.Close() // fails when a log could not be closed
	}
}

func (p *proc) refuses(h *logHist) {
	durable, next := h.l.Durable(), h.l.Next()
	var x [3]error
	_, _, x[0] = h.l.Append(build(p.t, rec{0, "late"}))
	_, x[1] = h.l.Sync()
	_, x[2] = h.l.Maintain()
	for i, err := range x {
		if !errors.Is(err, disk.ErrFailed) {
			p.broken("call %d of a failed log gives %v", i, err)
		}
	}
	if h.l.MaintenanceDue() || !fits(h.l, 1<<30) || h.l.Durable() != durable || h.l.Next() != next {
		p.broken("a failed log asks for something, or moves")
	}
	completes(func() {
		if got := p.read(h.l); uint64(len(got)) != next {
			p.broken("a failed log shows %d records of %d", len(got), next)
		}
	})
}

// TestB2B3B4B5B6 fails operations of every scenario, once and for good, before, in the middle and after they are done: a log
// whose write or sync failed takes nothing more and changes nothing, lack of space is refused and forgotten, the other logs go
// on, and whatever comes then, a kill or a power cut takes nothing that was promised, and nothing that was refused is there.
func TestB2B3B4B5B6FaultAtEveryOperation(t *testing.T) {
	stride := 29
	if fromEnv("SLUICE_CLONES", 0) > 0 {
		stride = 1
	}
	faults(t, scenarios, faultKinds(), stride)
}

// TestB1 lets the kernel drop the pages of a sync that fails, and take them for clean: the log is at its end, and the next
// start believes the device, not the page cache.
func TestB1DroppedPages(t *testing.T) {
	kind := faultKind{name: "EIO and the pages are gone", err: &fstest.Dropped{Err: syscall.EIO}, only: []fstest.Kind{fstest.Sync}}
	faults(t, scenarios, []faultKind{kind}, 1)
}
