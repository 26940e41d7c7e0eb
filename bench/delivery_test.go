package main

import (
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawCourse is a course to a raw server, opened.
func rawCourse(t *testing.T, kind string) (*course, *proc) {
	p, err := startRaw(t.Context(), kind, strconv.Itoa(rawRequest))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := &course{tally: tally{name: kind}, addr: p.addr, request: noise(rawRequest), take: takeEcho}
	if kind == "fan" {
		c.request, c.take = message("written"), takeFrame
	}
	if err := c.open(t.Context(), time.Minute, kind == "fan"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c, p
}

// Turns count what came, one at a time and at a rate, and one after the other on the same connections.
func TestACourseCounts(t *testing.T) {
	for _, kind := range []string{"echo", "fan"} {
		t.Run(kind, func(t *testing.T) {
			c, _ := rawCourse(t, kind)
			for d := 20 * time.Millisecond; len(c.turns) < 4; d *= 2 { // on a machine with much else to do, too
				for _, paced := range []bool{false, true} {
					one, err := c.turn(t.Context(), d, paced)
					if err != nil {
						t.Fatal(err)
					}
					if paced && (one.ops < int64(d/2*followRate/time.Second) || one.ops > int64(d*followRate/time.Second)) {
						t.Errorf("at a rate: %d in %v", one.ops, d)
					}
					if one.ops > 0 {
						c.addTurn(one)
					}
				}
			}
			var sum int64
			for _, x := range c.turns {
				sum += x.Ops
			}
			if c.ops != sum || c.hist.TotalCount() != sum || c.bytes != sum*rawRequest || c.took <= 0 {
				t.Errorf("%d operations, %d latencies, %d bytes in %v; the turns have %d", c.ops, c.hist.TotalCount(), c.bytes, c.took, sum)
			}
		})
	}
}

// A server that goes away ends the turn with an error, whoever of the turn's goroutines meets it first.
func TestACourseEndsWithItsServer(t *testing.T) {
	for _, paced := range []bool{false, true} {
		c, p := rawCourse(t, "fan")
		first, err := c.turn(t.Context(), 20*time.Millisecond, paced)
		if err != nil {
			t.Fatalf("%+v, %v", first, err)
		}
		p.kill()
		if _, err := c.turn(t.Context(), time.Hour, paced); err == nil {
			t.Errorf("at a rate: %v: a turn without a server must not look like a figure", paced)
		}
	}
}

// The ratio is that of turns beside each other: what all sides have in one turn and not in another one cancels out.
func TestTurnsAreComparedInPairs(t *testing.T) {
	var ours, echo, fan tally
	for i, base := range []int64{8, 70, 9, 71, 8} {
		ours.turns = append(ours.turns, turn{P50: base * (15 + int64(i))})
		echo.turns = append(echo.turns, turn{P50: base * 10})
		fan.turns = append(fan.turns, turn{P50: base * 5})
	}
	ours.pairUp(echo, fan)
	for what, want := range map[string]float64{pairLow: 1.6, pairEcho: 1.7, pairHigh: 1.8, pairFan: 3.4} {
		if got := ours.figures[what]; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

// What is started while this process is pinned has its processors, also when this one has the others again.
func TestProcessesBeginWhereTheyAreTo(t *testing.T) {
	all, err := processors()
	if err != nil {
		t.Skipf("skipped: nobody is pinned here: %v", err)
	}
	t.Cleanup(func() {
		if err := pin(all); err != nil {
			t.Error(err)
		}
	})
	for _, where := range placements()[1:] {
		if err := pin(where.server); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "cat", "/proc/self/status").Output()
		if want := "Cpus_allowed_list:\t" + strconv.Itoa(where.server[0]) + "\n"; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: want %q in %s (%v)", where.name, want, out, err)
		}
		if err := pin(all); err != nil {
			t.Fatal(err)
		}
		if now, err := processors(); err != nil || !slices.Equal(now, all) {
			t.Errorf("%s: %v afterwards (%v), want %v", where.name, now, err, all)
		}
	}
}

// Every goal of W8's is looked up under a name that a row has.
func TestGoalsOfW8HaveRows(t *testing.T) {
	if _, err := processors(); err != nil || runtime.NumCPU() < 2 {
		t.Skipf("skipped: there are rows for one processor and for two only where they can be had: %v", err)
	}
	r := report{facts: facts{Rounds: 1}}
	for _, st := range (suite{}).deliverySteps() {
		r.rows = append(r.rows, row{Round: 1, Name: st.name, System: st.system, Figures: map[string]float64{pairEcho: 1, pairFan: 1}})
	}
	found := 0
	for _, q := range ratios {
		if strings.HasPrefix(q.workload, "W8 one") || q.workload == "W8 10k/s" {
			if found++; len(r.values(q)) != 1 {
				t.Errorf("%s, %s: no row has such a name", q.workload, q.what)
			}
		}
	}
	if found != 2*len(r.rows) {
		t.Errorf("%d ratios for %d steps", found, len(r.rows))
	}
}
