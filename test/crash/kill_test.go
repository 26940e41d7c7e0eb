package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
	"sluice/test/process"
)

// cyclesPerRound bounds a history: after so many ends of the process a new directory and a new history begin.
const cyclesPerRound = 20

// totals are what a run tells at its end.
type totals struct {
	kills, starts, stops int // killed under load, killed at start, stopped in order
	acked, records       int // acknowledged under load; read back and checked, over all scans
}

// What was acknowledged as written, or read, survives SIGKILL at any moment: under load, while the server starts, and
// while it stops. The log oracle checks the history of every round.
func TestA1A5A6KilledUnderLoad(t *testing.T) {
	kills := int(number(t, "SLUICE_KILLS", 100))
	if testing.Short() {
		kills = 5
	}
	seed := firstSeed(t)
	var sum totals
	for round := uint64(0); sum.kills < kills && !t.Failed(); round++ {
		t.Run(fmt.Sprintf("seed %d", seed+round), func(t *testing.T) { // the name is what to run again
			r := newRound(t, seed+round)
			r.vary()
			r.sum = &sum
			r.run(min(cyclesPerRound, kills-sum.kills))
		})
	}
	t.Logf("%d kills under load, %d more while starting, %d clean stops; %d records acknowledged, %d read back; seeds %d and on",
		sum.kills, sum.starts, sum.stops, sum.acked, sum.records, seed)
}

// A round is one directory, through many ends of its server.
type round struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	bin  string
	data string
	args []string
	rec  *oracle.Recorder
	logs []string
	cut  bool // it has lost its power, which may cost indexes: nothing syncs them
	sum  *totals
}

// newRound is a server that may die as often as it likes.
func newRound(t *testing.T, seed uint64) *round {
	r := &round{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), bin: process.Binary(t), data: t.TempDir(), rec: &oracle.Recorder{}, sum: &totals{}}
	r.set("crash_loop.deaths", "0")
	return r
}

func (r *round) set(name, value string) { r.args = append(r.args, "--set", name+"="+value) }

func (r *round) one(choices ...string) string { return choices[r.rng.IntN(len(choices))] }

// vary makes up the stages of a server under load.
func (r *round) vary() {
	r.logs = []string{"a", "b", "b/1"}
	r.set("stages.writer.count", r.one("1", "2"))
	r.set("stages.flusher.count", r.one("1", "2", "3"))
	r.set("stages.flusher.tick", r.one("0", "1ms", "20ms"))
	r.set("stages.conn.group_bytes", r.one("0", "4KiB", "64KiB"))
}

// create makes the topics, with settings that make rolls, syncs and allocations happen all the time.
func (r *round) create(addr string) {
	r.t.Helper()
	c := r.dial(addr)
	for _, topic := range []string{"a partitions=1", "b partitions=2"} {
		line := "CREATE " + topic + " segment.bytes=" + r.one("16KiB", "32KiB", "100KiB") +
			" flush.ms=" + r.one("0", "1", "10", "1000") + " flush.bytes=" + r.one("1KiB", "100KiB") + " flush.messages=" + r.one("1", "100") +
			" sync=" + r.one("data", "data", "dsync", "shutdown") + " index.interval.bytes=" + r.one("0", "100", "4KiB")
		if _, err := c.Ask("%s", line); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *round) dial(addr string) *witness.Conn {
	r.t.Helper()
	c, err := witness.Dial(addr, r.rec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

func (r *round) start() *process.Server {
	r.t.Helper()
	s, err := process.Start(r.bin, append([]string{"--data", r.data, "--http", ""}, r.args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Kill)
	return s
}

// killAtStart ends a server that may not be ready yet.
func (r *round) killAtStart() {
	r.t.Helper()
	cmd := exec.Command(r.bin, append([]string{"serve", "--data", r.data, "--listen", "127.0.0.1:0", "--http", "", "--kafka", ""}, r.args...)...)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-time.After(time.Duration(r.rng.IntN(30_000)) * time.Microsecond):
	case <-r.t.Context().Done():
	}
	if err := cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	r.rec.End(oracle.Kill)
	r.sum.starts++
}

func (r *round) run(kills int) {
	s := r.start()
	r.create(s.Text)
	for range kills {
		l, err := witness.StartLoad(s.Text, r.rec, r.logs, 2+r.rng.IntN(3), r.rng.IntN(3), r.rng.Uint64())
		if err != nil {
			r.t.Fatal(err)
		}
		r.killUnder(s, l)
		r.sum.acked += int(l.Acked.Load())
		for r.rng.IntN(5) == 0 {
			r.killAtStart()
		}
		if r.rng.IntN(4) == 0 {
			r.verify(false)
		}
		s = r.start()
		r.scan(s)
		if r.rng.IntN(8) == 0 {
			s = r.restart(s)
		}
	}
	r.stop(s)
	r.tidy()
	check(r.t, r.rec.Events())
}

// killUnder waits until load is on, and then for a while of up to 200 ms. Some servers are stopping when they are killed.
func (r *round) killUnder(s *process.Server, l *witness.Load) {
	r.t.Helper()
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-s.Ended():
		}
	}
	select {
	case <-l.On:
	case <-s.Ended():
		r.t.Fatalf("the server has ended by itself: %s", s.Log())
	case <-time.After(witness.Limit):
		r.t.Fatalf("nothing was acknowledged within %v: %v\n%s", witness.Limit, l.End(), s.Log())
	}
	wait(time.Duration(r.rng.IntN(200_000)) * time.Microsecond)
	if r.rng.IntN(20) == 0 {
		r.verify(false) // beside the server
	}
	how := oracle.Kill
	if r.rng.IntN(8) == 0 {
		how = oracle.Halt
		if err := s.Signal(syscall.SIGTERM); err != nil {
			r.t.Fatal(err)
		}
		wait(time.Duration(r.rng.IntN(20_000)) * time.Microsecond)
	}
	s.Kill()
	if err := l.Join(); err != nil {
		r.t.Error(err)
	}
	r.rec.End(how)
	r.sum.kills++
	codes := l.Codes()
	delete(codes, "SHUTTING_DOWN")
	if len(codes) > 0 {
		r.t.Errorf("a healthy server answered %v: %s", codes, s.Log())
	}
}

// scan reads everything back.
func (r *round) scan(s *process.Server) {
	r.t.Helper()
	c := r.dial(s.Text)
	defer c.Close()
	for _, log := range r.logs {
		e, err := c.Scan(log)
		if err != nil {
			check(r.t, r.rec.Events())
			r.t.Fatalf("%v\n%s", err, s.Log())
		}
		r.sum.records += len(e.Records)
	}
}

func (r *round) stop(s *process.Server) {
	r.t.Helper()
	if err := s.Stop(); err != nil {
		r.t.Fatalf("%v\n%s", err, s.Log())
	}
	r.rec.End(oracle.Stop)
	r.sum.stops++
}

func (r *round) restart(s *process.Server) *process.Server {
	r.t.Helper()
	r.stop(s)
	s = r.start()
	r.scan(s)
	return s
}

// verify has every byte read offline. There is no damage, whether the server runs or has been killed; and behind a stop,
// there is not even a problem. (A kill may come between the two copies of a small file.)
func (r *round) verify(stopped bool) {
	r.t.Helper()
	out, err := exec.Command(r.bin, "verify", r.data).CombinedOutput()
	if !bytes.Contains(out, []byte(": 0 damages, ")) || stopped && err != nil {
		r.t.Errorf("sluice verify: %v\n%s", err, out)
	}
}

// tidy looks at what a server leaves behind that has ended: names that are known, and nothing half done.
func (r *round) tidy() {
	r.t.Helper()
	r.verify(!r.cut)
	for name := range tree(r.t, r.data) {
		if !knownName(name) {
			r.t.Errorf("%s is left in the directory", name)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%v", strings.Join(r.args, " "))
	}
}

// tree gives the sizes of all files below a directory, by their names from there.
func tree(t *testing.T, root string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	if err := walk(os.DirFS(root), sizes); err != nil {
		t.Fatal(err)
	}
	return sizes
}
