package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/wire/batch"
)

func TestLongRawStepsMeasureEverySideAndLeaveNothing(t *testing.T) {
	s := suite{dir: t.TempDir(), measure: 20 * time.Millisecond, small: true}
	names := map[string]bool{}
	for _, st := range s.longSteps() {
		if st.system != "raw" {
			continue
		}
		tally, _, err := st.run(t.Context())
		if errors.Is(err, errors.ErrUnsupported) || err != nil && strings.Contains(err.Error(), "not supported") {
			t.Skipf("skipped: %s: this file system cannot do it: %v", st.name, err)
		}
		if err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		rows, err := rowsOf(1, st, tally, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Ops == 0 || r.P50 > r.Max || names[r.Name] || !strings.HasPrefix(r.Name, st.name) {
				t.Errorf("%s: %+v", st.name, r)
			}
			names[r.Name] = true
		}
		if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
			t.Errorf("%s left %v (%v)", st.name, left, err)
		}
	}
	if want := 2*8 + 6 + 2 + 2; len(names) != want {
		t.Errorf("%d rows, want %d", len(names), want)
	}
}

// Turns go round, each side has its share, and what runs beside a side runs then only and is joined.
func TestSidesTakeTurns(t *testing.T) {
	var order []string
	running := false
	one := func(name string, beside bool) side {
		s := side{name: name, op: func() (time.Duration, error) {
			if running != beside {
				t.Errorf("%s: beside is %v", name, running)
			}
			if len(order) == 0 || order[len(order)-1] != name {
				order = append(order, name)
			}
			return time.Microsecond, nil
		}}
		if beside {
			s.beside = func() func() error {
				running = true
				return func() error { running = false; return nil }
			}
		}
		return s
	}
	got, err := alternate(t.Context(), 2*slice+slice/2, []side{one("a", false), one("b", true)})
	if err != nil || strings.Join(order, " ") != "a b a b a b" {
		t.Errorf("%v, %v", order, err)
	}
	if got.name != "a" || len(got.beside) != 1 || got.beside[0].name != "b" || got.ops == 0 || got.beside[0].ops == 0 {
		t.Errorf("%+v", got)
	}
}

func TestASideEndsWithAnyError(t *testing.T) {
	fine := func() (time.Duration, error) { return 1, nil }
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		side side
		want error
	}{
		"op":        {t.Context(), side{op: func() (time.Duration, error) { return 0, os.ErrInvalid }}, os.ErrInvalid},
		"beside":    {t.Context(), side{op: fine, beside: repeat(func() (time.Duration, error) { return 0, os.ErrInvalid })}, os.ErrInvalid},
		"cancelled": {cancelled, side{op: fine}, context.Canceled},
	} {
		if _, err := alternate(c.ctx, slice, []side{c.side}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A file is reserved ahead of what is written, in the steps of disk, and begun anew at its limit.
func TestATargetIsReservedAhead(t *testing.T) {
	var reserved []int64
	to := &target{
		block: make([]byte, 48<<10), limit: 200 << 10, wrap: func(t *target) error { t.ready = 0; return nil },
		prepare: inSteps(func(_ *os.File, n int64) error { reserved = append(reserved, n); return nil }),
		write:   func(*target) error { return nil },
	}
	for range 6 {
		if _, err := to.once(); err != nil || to.pos > to.ready {
			t.Fatalf("wrote up to %d with %d reserved: %v", to.pos, to.ready, err)
		}
	}
	if want := []int64{64 << 10, 128 << 10, 256 << 10, 64 << 10, 128 << 10}; !reflect.DeepEqual(reserved, want) {
		t.Errorf("reserved %v, want %v", reserved, want)
	}
}

func TestALaidSegmentHoldsWholeBatches(t *testing.T) {
	dir := t.TempDir()
	whole, head, err := zeroBatch()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batch.CheckAll(whole, 1<<20); err != nil {
		t.Errorf("a server would refuse the batch: %v", err)
	}
	if err := laySegment(dir, 300, 3, 7, head); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(segmentFile(dir, 300))
	if err != nil || len(b) != 3*sparseBatch {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for i := range 3 {
		h, err := batch.Verify(b[i*sparseBatch:])
		if err != nil || h.BaseOffset != uint64(300+i) || h.Epoch != 7 || h.Count != 1 || h.Size != sparseBatch {
			t.Errorf("batch %d: %+v, %v", i, h, err)
		}
	}
}

// Whatever a start did to a directory, the next one finds what the kill had left.
func TestADirectoryIsPutBack(t *testing.T) {
	s := store{dir: t.TempDir()}
	put := func(name, text string, size int64) {
		t.Helper()
		path := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
	}
	s.active, s.end = filepath.Join(s.dir, "log", "active.log"), 3
	put("node.json", "identity", 8)
	put("log/marks", "mark", 4096)
	put("log/lost", "it is there", 11)
	put("log/sealed.log", "sealed", smallFile+1)
	put("log/active.log", "abc", smallFile+1)
	before := contents(t, s.dir)
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	put("node.json", "another", 7)
	put("log/marks", "moved on", 4096)
	put("log/active.log", "abcdef", smallFile+100)
	put("log/next.seg", "spare", 5)
	if err := os.Remove(filepath.Join(s.dir, "log", "lost")); err != nil {
		t.Fatal(err)
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, s.dir); !reflect.DeepEqual(after, before) {
		for name := range after {
			if after[name] != before[name] {
				t.Errorf("%s is not as it was", name)
			}
		}
		t.Errorf("%d files, there were %d", len(after), len(before))
	}
	if how, err := s.cool(false); err != nil || how == "" {
		t.Errorf("%q, %v", how, err)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAFullDiskIsSaidBeforeAnythingIsLaid(t *testing.T) {
	dir := t.TempDir()
	err := layout{name: "W9", segments: 1 << 40, batches: 100}.roomFor(dir)
	if err == nil || !strings.Contains(err.Error(), "MiB and") {
		t.Errorf("%v", err)
	}
	if err := (layout{name: "W9"}).roomFor(dir); err != nil && !bytes.Contains([]byte(err.Error()), []byte("free")) {
		t.Error(err)
	}
}

func TestGoals(t *testing.T) {
	for _, c := range []struct {
		q         ratio
		v         float64
		goal, met string
	}{
		{ratio{atMost: true, goal: 1.5}, 1.5, "<= 1.5", "yes"}, {ratio{atMost: true, goal: 1.5}, 1.6, "<= 1.5", "no"},
		{ratio{goal: 2}, 2, ">= 2", "yes"}, {ratio{goal: 2}, 1, ">= 2", "no"}, {ratio{}, 7, "-", "-"},
	} {
		if goal, met := c.q.judge(c.v); goal != c.goal || met != c.met {
			t.Errorf("%+v: %s, %s", c, goal, met)
		}
	}
}

// Every goal of a long step is looked up under a name that a row has.
func TestGoalsOfLongStepsHaveRows(t *testing.T) {
	r := report{facts: facts{Rounds: 1}}
	figures := map[string]float64{perIdle: 1, mostFiles: 1, aboveEmpty: 1, medianTurn: 1}
	for _, st := range (suite{dir: t.TempDir()}).longSteps() {
		for _, end := range []string{"", ", none", ", echo", ", append", ", read", ", ack", ", W1", ", W2", ", W1, none", ", W2, none"} {
			for _, system := range []string{"sluice", "raw"} {
				r.rows = append(r.rows, row{Round: 1, Name: st.name + end, System: system, Rate: 1, P99: 1, P999: 1, Max: 1, Figures: figures})
			}
		}
	}
	short := regexp.MustCompile(`^(W[1-5]\b|W3b|W7|W8 (one|10k/s)|W11 )`) // and W11, which has a test of its own
	for _, q := range ratios {
		if !short.MatchString(q.workload) && len(r.values(q)) != 1 {
			t.Errorf("%s, %s: no row has such a name", q.workload, q.what)
		}
	}
}

func TestWaysAreRelativeToTheFirst(t *testing.T) {
	r := report{facts: facts{Rounds: 3}}
	for n, slow := range []int64{1, 100, 3} { // the second round was slow for all
		r.rows = append(r.rows,
			row{Round: n + 1, Name: "a: one", System: "raw", Rate: 1000 / float64(slow), P50: 100 * slow, P99: 100 * slow, P999: 100 * slow},
			row{Round: n + 1, Name: "a: other", System: "raw", Rate: 500 / float64(slow), P50: 250 * slow, P99: 300 * slow, P999: 400 * slow},
			row{Round: n + 1, Name: "alone", System: "raw", P50: 7})
	}
	var b strings.Builder
	r.writeWays(&b)
	text := b.String()
	if strings.Count(text, "## a, relative") != 1 || !strings.Contains(text, "\n| one | 1.00 | 1.00 | 1.00 | 1.00 |\n| other | 0.50 | 2.50 | 3.00 | 4.00 |\n") || strings.Contains(text, "alone") {
		t.Errorf("%s", text)
	}
}
