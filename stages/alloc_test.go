package stages

import (
	"bytes"
	"fmt"
	"testing"

	"sluice/wire/batch"
)

// exchange is what a client sends in one write, and how many answers it gets.
type exchange struct {
	name    string
	bytes   []byte
	answers int
}

// steady is the appends that a server in its steady state carries out, in the
// forms that clients send.
func steady(t testing.TB) []exchange {
	var b batch.Builder
	b.Reset(nil)
	for i := range 50 {
		b.Add(int64(i), []byte("key"), make([]byte, 200), nil)
	}
	stored, err := b.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	msg := fmt.Appendf(nil, "MSG t 1024\n%1024d\n", 7)
	return []exchange{
		{"MSG", msg, 1},
		{"MSG synced", []byte("MSG t 10 key=3 ack=synced\nkey0123456789\n"), 1},
		{"MSG larger than the buffer", fmt.Appendf(nil, "MSG t 32768\n%32768d\n", 7), 1},
		{"64 MSGs at once", bytes.Repeat(msg, 64), 64},
		{"BATCH", append(append(fmt.Appendf(nil, "BATCH t %d\n", len(stored)), stored...), '\n'), 1},
	}
}

// I10.
func TestI10AppendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	for _, e := range steady(t) {
		t.Run(e.name, func(t *testing.T) {
			c := dial(t, startServer(t, func(c *Config) { c.Topic.Flush = Forever }))
			answer := make([]byte, 64<<10)
			run := func() { c.exchange(e, answer) }
			for range 100 { // buffers grow to their size
				run()
			}
			if n := testing.AllocsPerRun(500, run); n != 0 {
				t.Errorf("%.0f allocations for %d commands, want 0", n, e.answers)
			}
		})
	}
}

// exchange sends and waits for the answers' lines, without allocating.
func (c *session) exchange(e exchange, answer []byte) {
	if _, err := c.nc.Write(e.bytes); err != nil {
		c.t.Fatal(err)
	}
	for got := 0; got < e.answers; {
		n, err := c.nc.Read(answer)
		if err != nil {
			c.t.Fatal(err)
		}
		got += bytes.Count(answer[:n], []byte("\n"))
	}
}

// The garbage collector has next to nothing to do, however many messages come.
func TestTwoMillionMessagesFewCollections(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("two million messages take a while, and the race detector allocates")
	}
	s := startServer(t, func(c *Config) { c.Topic.SegmentBytes = 64 << 20 })
	c := dial(t, s)
	pipeline := exchange{"", bytes.Repeat([]byte("MSG t 10\n0123456789\n"), 200), 200}
	answer := make([]byte, 64<<10)
	c.exchange(pipeline, answer)
	before := s.snapshot()
	for range 2_000_000 / pipeline.answers {
		c.exchange(pipeline, answer)
	}
	after := s.snapshot()
	if n := after.Records - before.Records; n != 2_000_000 {
		t.Fatalf("%d records", n)
	}
	if n := after.GCCycles - before.GCCycles; n > 5 {
		t.Errorf("%d collections for two million messages, want a handful at most", n)
	}
}
