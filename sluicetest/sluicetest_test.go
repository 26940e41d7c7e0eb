package sluicetest_test

import (
	"errors"
	"net/http"
	"testing"

	"sluice/client"
	"sluice/sluicetest"
)

func TestStart(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := http.Get("http://" + srv.HTTP + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", r.StatusCode, err)
	}
}

// What was appended is there when another server opens the same directory.
func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	o := sluicetest.Options{Dir: t.TempDir(), Settings: map[string]string{"topic.flush.ms": "forever"}, Quiet: true}
	srv := sluicetest.StartWith(t, o)
	p, err := srv.Client(t).Producer("t", client.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Append(t.Context(), client.Record{Value: []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Stop()

	consumer, err := sluicetest.StartWith(t, o).Client(t).Consumer("t", client.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range consumer.Records(t.Context()) {
		if err != nil || string(r.Value) != "kept" {
			t.Fatalf("%q, %v", r.Value, err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%d records", n)
	}
}

// failing stands in for a test, to see it fail.
type failing struct {
	testing.TB
	failed bool
}

var errFatal = errors.New("fatal")

func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) Fatalf(string, ...any) { f.failed = true; panic(errFatal) }

func TestWrongSettingsFailTheTest(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"stages.writer.qeue": "1", "topic.ack": "sometimes"} {
		f := &failing{TB: t}
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(errFatal) {
					panic(r)
				}
			}()
			sluicetest.StartWith(f, sluicetest.Options{Settings: map[string]string{name: value}})
		}()
		if !f.failed {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}

// Two servers can't share a directory, and the test hears of it.
func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	f := &failing{TB: t}
	defer func() {
		if recover() == nil || !f.failed {
			t.Error("a second server started in the same directory")
		}
	}()
	sluicetest.StartWith(f, sluicetest.Options{Dir: srv.Dir})
}
