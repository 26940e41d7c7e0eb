package matrix

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/process"
)

// behaviour is one thing that holds in every configuration and through every driver.
type behaviour struct {
	name  string
	needs []capability
	home  home
	run   func(t *trial)
}

// home says which server a behaviour needs.
type home uint8

const (
	shared   home = iota // any; others use it as well
	alone                // one of its own, which it may stop and start again
	process_             // one of its own in a process of its own, which it may kill and measure
)

var drivers = []*driver{&socketDriver, &clientDriver, &commandDriver}

func TestMain(m *testing.M) {
	status := process.Main(m)
	if tally.cells > 0 {
		tally.print()
	}
	os.Exit(status)
}

// TestMatrix runs every cell.
func TestMatrix(t *testing.T) {
	for i := range configurations {
		c := &configurations[i]
		for _, d := range drivers {
			if testing.Short() && !c.quick || d.only != nil && !slices.Contains(d.only, c.name) {
				continue
			}
			t.Run(c.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				column(t, c, d)
			})
		}
	}
}

// column runs all behaviours of one configuration through one driver, on one server where they can share it.
func column(t *testing.T, c *configuration, d *driver) {
	begin := inside
	if d.late {
		begin = outside
	}
	srv, err := begin(t, c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range behaviours {
		b := &behaviours[i]
		t.Run(b.name, func(t *testing.T) {
			v, report := judge(b, c, d, exceptions, func() error { return attempt(t, b, c, d, srv) })
			tally.add(v, b, c, d)
			switch {
			case v.failed():
				t.Errorf("%s", report)
			case report != "":
				t.Log(report)
			}
		})
	}
	if err := quiet(srv); err != nil {
		t.Errorf("behind all behaviours: %v", err)
	}
	if err := srv.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func attempt(tt *testing.T, b *behaviour, c *configuration, d *driver, srv server) error {
	t := &trial{conf: c, drv: d, srv: srv, name: strings.NewReplacer(" ", "-", ",", "").Replace(b.name)}
	if b.home != shared {
		if err := t.own(tt, b.home == process_); err != nil {
			return err
		}
	}
	return t.run(b)
}

// quiet checks that a server nobody uses holds nothing: no connection but this one, no subscriber, no leased byte.
func quiet(srv server) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	s, err := openSocket(ctx, srv.addr())
	if err != nil {
		return err
	}
	defer s.close()
	for {
		st, err := snapshot(s)
		if err != nil {
			return err
		}
		left := []string{}
		if st.Connections != 1 {
			left = append(left, fmt.Sprintf("%d connections", st.Connections-1))
		}
		if st.Subscribers != 0 {
			left = append(left, fmt.Sprintf("%d subscribers", st.Subscribers))
		}
		for _, m := range st.Memory {
			if m.Used != 0 {
				left = append(left, fmt.Sprintf("%d bytes of memory.%s", m.Used, m.Name))
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the server still has %s", strings.Join(left, ", "))
		}
	}
}

// verdict is what became of a cell.
type verdict uint8

const (
	passed verdict = iota
	broken
	expectedFailure
	unexpectedPass
	notApplicable
)

func (v verdict) failed() bool { return v == broken || v == unexpectedPass }

// exception is a row of the table of expected failures. "" in one of the first three stands for all.
type exception struct {
	behaviour, driver, configuration string
	reason                           string
}

func (e *exception) covers(b *behaviour, c *configuration, d *driver) bool {
	fits := func(want, name string) bool { return want == "" || want == name }
	return fits(e.behaviour, b.name) && fits(e.configuration, c.name) && fits(e.driver, d.name)
}

// judge runs one cell, unless its driver can't, and weighs the outcome against the table.
func judge(b *behaviour, c *configuration, d *driver, table []exception, run func() error) (verdict, string) {
	for _, need := range b.needs {
		if why, lacks := d.lacks[need]; lacks {
			return notApplicable, fmt.Sprintf("not applicable: %s lacks %s: %s", d.name, need, why)
		}
	}
	err := run()
	i := slices.IndexFunc(table, func(e exception) bool { return e.covers(b, c, d) })
	switch {
	case i < 0 && err == nil:
		return passed, ""
	case i < 0:
		return broken, err.Error()
	case err == nil:
		return unexpectedPass, "it passes, and is in the table of expected failures: " + table[i].reason + "; take it out"
	}
	return expectedFailure, fmt.Sprintf("fails as expected: %s (%v)", table[i].reason, err)
}

// tally is what the end of the run tells. Columns add to it at the same time.
var tally summary

type summary struct {
	sync.Mutex
	cells    int
	verdicts map[verdict]int
	perRow   map[string]map[verdict]int // behaviours
	perCol   map[string]map[verdict]int // configurations
}

func (s *summary) add(v verdict, b *behaviour, c *configuration, d *driver) {
	s.Lock()
	defer s.Unlock()
	if s.verdicts == nil {
		s.verdicts, s.perRow, s.perCol = map[verdict]int{}, map[string]map[verdict]int{}, map[string]map[verdict]int{}
	}
	s.cells++
	s.verdicts[v]++
	count := func(m map[string]map[verdict]int, name string) {
		if m[name] == nil {
			m[name] = map[verdict]int{}
		}
		m[name][v]++
	}
	count(s.perRow, b.name)
	count(s.perCol, c.name)
}
