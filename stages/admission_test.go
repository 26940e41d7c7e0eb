package stages

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// dies lets n runs on the file system die young.
func dies(t *testing.T, fs disk.FS, n int) {
	t.Helper()
	for range n {
		store, err := disk.OpenStore(fs, disk.StoreOptions{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.BeginRun(); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A6: behind five runs that died young, one refuses appends and says everywhere why
// and how that ends; reads go on. It ends with a clean stop, not with a further death.
func TestA6CrashLoopEndsReadOnly(t *testing.T) {
	fs := filled(t, 1)
	dies(t, fs, 4)
	s := startServerOn(t, fs, noTicks())
	c := dial(t, s)
	c.send("MSG t0 1\nx\n")
	c.want("OK first=1 next=2 ack=written synced=*")
	if err := s.Stop(t.Context()); err != nil { // the row is broken
		t.Fatal(err)
	}
	dies(t, fs, 7)
	s = startServerOn(t, fs, noTicks())
	c = dial(t, s)
	for _, request := range []string{"MSG t0 1\nx\n", "MSG new 1\nx\n", "MSG t0 1 ack=synced\nx\n"} {
		c.send("%s", request)
		c.refused("ERR REFUSED - the last 7 runs of this server died within 1m0s of their start: ")
	}
	c.send("READ t0 1\nCREATE u\nDROP u\nTOPICS\n")
	c.want("REC offset=1 time=* key=-1 n=1", "x", "OK next=2 end=2 epoch=*", "OK", "OK")
	if _, b := c.data(); strings.Contains(string(b), "new") {
		t.Error("a refused append created its topic")
	}
	c.send("STATS\n")
	if _, b := c.data(); !strings.Contains(string(b), "state=read-only reason=\"the last 7 runs") {
		t.Errorf("STATS does not tell:\n%s", b)
	}
	if status, body := s.health(); status != 200 || !strings.HasPrefix(body, "REFUSED: the last 7 runs") {
		t.Errorf("/healthz says %d %q", status, body)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startServerOn(t, fs, noTicks())
	c = dial(t, s)
	c.send("MSG t0 1\nx\n")
	c.want("OK first=2 next=3 ack=written synced=*") // the begin of a run asks for a sync
}

// A start that fails in order is no death, and ends no row of them.
func TestA6FailedStartIsNoDeath(t *testing.T) {
	fs := filled(t, 2)
	dies(t, fs, 5)
	conf := noTicks()
	conf.MaxPartitions = 1
	for range 3 {
		if s, err := startOn(fs, conf, testLogger(t)); err == nil {
			t.Fatalf("it starts; stop: %v", s.Stop(t.Context()))
		}
	}
	s := startServerOn(t, fs, noTicks())
	if e := s.admission.refusal(); e == nil || !strings.HasPrefix(e.Text, "the last 5 runs") {
		t.Errorf("got %v", e)
	}
}

// Where crash_loop.deaths is 0 nothing is counted, and nothing written.
func TestCrashLoopCanBeSwitchedOff(t *testing.T) {
	fs := filled(t, 1)
	dies(t, fs, 9)
	conf := noTicks()
	conf.CrashLoop = 0
	s := startServerOn(t, fstest.Fail(fs, func(op fstest.Op) error {
		if strings.Contains(op.Name, "starts") {
			t.Errorf("%v", op)
		}
		return nil
	}), conf)
	c := dial(t, s)
	c.send("MSG t0 1\nx\n")
	c.want("OK first=1 next=2 ack=written synced=*")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
