package sched

import (
	"context"
	"errors"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLeaseWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBytes(16 << 10)
		first, err := b.Lease(t.Context(), 10<<10) // rounds up to the whole budget
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error)
		go func() {
			second, err := b.Lease(t.Context(), 1)
			if err == nil {
				second.Release()
			}
			got <- err
		}()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatalf("leased above the budget: %v", err)
		default:
		}
		first.Release()
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if used, total := b.Used(); used != 0 || total != 16<<10 {
			t.Fatalf("used %d of %d after all was released", used, total)
		}
	})
}

func TestLeaseLimits(t *testing.T) {
	b := NewBytes(1 << 20)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		n    int
		fine bool
	}{
		{"negative", t.Context(), -1, false},
		{"above LeaseMax", t.Context(), LeaseMax + 1, false},
		{"above the budget", t.Context(), 1<<20 + 1, false},
		{"the whole budget", t.Context(), 1 << 20, true},
		{"nothing", t.Context(), 0, true},
		{"cancelled", cancelled, 1, false},
	} {
		buf, err := b.Lease(c.ctx, c.n)
		if (err == nil) != c.fine {
			t.Errorf("%s: error %v, fine wanted: %v", c.name, err, c.fine)
		}
		if err == nil {
			if len(buf.B) != c.n {
				t.Errorf("%s: %d bytes, want %d", c.name, len(buf.B), c.n)
			}
			buf.Release()
		}
	}
}

func TestTickUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second+time.Millisecond)
		defer cancel()
		n := 0
		if err := Tick(ctx, 100*time.Millisecond, func(time.Time) { n++ }); err != nil {
			t.Fatal(err)
		}
		if n != 10 {
			t.Fatalf("%d ticks in a second of 100 ms, want 10", n)
		}
	})
}

func TestGroupLabelsAndJoins(t *testing.T) {
	g := NewGroup(t.Context())
	boom := errors.New("boom")
	g.Go("flusher", func(ctx context.Context) error {
		if v, _ := pprof.Label(ctx, "stage"); v != "flusher" {
			t.Errorf("label %q", v)
		}
		var dump strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&dump, 1); err != nil {
			t.Error(err)
		}
		if !strings.Contains(dump.String(), `"stage":"flusher"`) {
			t.Error("the goroutine dump does not name the stage")
		}
		return boom
	})
	g.Go("writer", func(ctx context.Context) error {
		<-ctx.Done() // the other's failure ends this one
		return nil
	})
	if err := g.Wait(); !errors.Is(err, boom) {
		t.Fatalf("got %v, want the first error", err)
	}
}
