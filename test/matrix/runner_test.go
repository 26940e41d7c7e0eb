package matrix

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The runner itself: what each outcome makes of a cell.
func TestJudge(t *testing.T) {
	b := &behaviour{name: "b"}
	needy := &behaviour{name: "b", needs: []capability{nulls}}
	d := &driver{name: "d", lacks: map[capability]string{nulls: "it has none"}}
	fails := []exception{{behaviour: "b", driver: "d", reason: "known"}}
	fine, bad := func() error { return nil }, func() error { return errors.New("bad") }
	for _, c := range []struct {
		name   string
		b      *behaviour
		conf   string
		table  []exception
		run    func() error
		want   verdict
		report string
	}{
		{"passes", b, "c", nil, fine, passed, ""},
		{"fails", b, "c", nil, bad, broken, "bad"},
		{"fails as expected", b, "c", fails, bad, expectedFailure, "known"},
		{"an expected failure passes", b, "c", fails, fine, unexpectedPass, "take it out"},
		{"the row is for another behaviour", &behaviour{name: "other"}, "c", fails, bad, broken, "bad"},
		{"the row is for another configuration", b, "c", []exception{{behaviour: "b", configuration: "x"}}, bad, broken, "bad"},
		{"the row is for this configuration", b, "x", []exception{{behaviour: "b", configuration: "x"}}, bad, expectedFailure, ""},
		{"the row is for another driver", b, "c", []exception{{behaviour: "b", driver: "x"}}, bad, broken, "bad"},
		{"a driver that can't", needy, "c", nil, func() error { panic("BUG: it was run") }, notApplicable, "it has none"},
	} {
		got, report := judge(c.b, &configuration{name: c.conf}, d, c.table, c.run)
		if got != c.want || !strings.Contains(report, c.report) {
			t.Errorf("%s: got %s, %q", c.name, verdictNames[got], report)
		}
		if got.failed() != (got == broken || got == unexpectedPass) {
			t.Errorf("%s: %s does not fail the run", c.name, verdictNames[got])
		}
	}
}

// A trial's failure is the behaviour's, wherever it happens: a failed check, a panic, a session that can't be closed.
func TestTrialFails(t *testing.T) {
	for name, run := range map[string]func(*trial){
		"failf": func(t *trial) { t.failf("broken") },
		"must":  func(t *trial) { t.must(errors.New("broken")) },
		"panic": func(*trial) { panic("broken") },
		"close": func(t *trial) { t.sessions = append(t.sessions, badSession{}) },
		"each":  func(t *trial) { t.each(2, func(i int) error { return [2]error{nil, errors.New("broken")}[i] }) },
	} {
		if err := new(trial).run(&behaviour{run: run}); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := new(trial).run(&behaviour{run: func(*trial) {}}); err != nil {
		t.Error(err)
	}
}

type badSession struct{ session }

func (badSession) close() error { return errors.New("broken") }

// A row of a table that names nothing hides what it was meant for.
func TestTablesNameWhatThereIs(t *testing.T) {
	seen := map[string]bool{}
	once := func(kind, name string) {
		if seen[kind+name] {
			t.Errorf("there are two of %s %s", kind, name)
		}
		seen[kind+name] = true
	}
	for _, c := range configurations {
		once("configuration ", c.name)
	}
	for _, b := range behaviours {
		once("behaviour ", b.name)
	}
	for _, d := range drivers {
		once("driver ", d.name)
		for need, why := range d.lacks {
			if why == "" || !slices.ContainsFunc(behaviours, func(b behaviour) bool { return slices.Contains(b.needs, need) }) {
				t.Errorf("driver %s lacks %q, which no behaviour needs, or without a reason", d.name, need)
			}
		}
		for _, name := range d.only {
			if !seen["configuration "+name] || d.why == "" {
				t.Errorf("driver %s runs under %s only: there is no such configuration, or no reason", d.name, name)
			}
		}
	}
	for _, e := range exceptions {
		fits := false
		for i := range behaviours {
			for j := range configurations {
				for _, d := range drivers {
					fits = fits || e.covers(&behaviours[i], &configurations[j], d)
				}
			}
		}
		if !fits || e.reason == "" {
			t.Errorf("the expected failure %+v fits no cell, or has no reason", e)
		}
	}
}
