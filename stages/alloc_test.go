package stages

import (
	"bytes"
	"fmt"
	"strings"
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
		t.Skip("skipped: the race detector allocates, and empties pools at random")
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

// I10, for reads: whole batches from file to socket and from memory, and records as text.
func TestI10ReadAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, and empties pools at random")
	}
	s := startServer(t, func(c *Config) { c.Topic.Flush, c.Readers.Chunk = Forever, 1<<20 })
	fill := dial(t, s)
	for topic, size := range map[string]int{"tiny": 100, "small": 8 << 10, "large": 600 << 10} {
		fill.send("MSG %s %d\n%s\n", topic, size, strings.Repeat("x", size))
		fill.want("OK first=0 next=1 ack=written synced=*")
	}
	for i, request := range []string{
		"FETCH tiny newest\n", "FETCH tiny 0\n", "FETCH small 0\n", "FETCH large 0\n", "READ tiny 0\n", "READ small 0\n", "READ large 0\n",
		"TAIL large 0 raw=1 limit=1\n", strings.Repeat("FETCH tiny 0\n", 32), strings.Repeat("FETCH large 0\n", 4),
	} {
		first, _, _ := strings.Cut(request, "\n")
		t.Run(fmt.Sprintf("%d %s", i, first), func(t *testing.T) {
			c := dial(t, s)
			request, answer := []byte(request), make([]byte, 4<<20)
			size := c.answerSize(request, answer)
			run := func() { c.fixed(request, answer[:size]) }
			for range 100 { // buffers grow to their size
				run()
			}
			if n := testing.AllocsPerRun(300, run); n != 0 {
				t.Errorf("%.0f allocations", n)
			}
		})
	}
}

// I10, for followers: the append, its answer, and the frame that a waiting TAIL gets.
func TestI10FollowerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, and empties pools at random")
	}
	for _, form := range []string{"TAIL t raw=1\n", "TAIL t\n"} {
		s := startServer(t, func(c *Config) { c.Topic.Flush = Forever })
		producer, follower := dial(t, s), dial(t, s)
		producer.send("CREATE t\n")
		producer.want("OK")
		follower.send("%s", form)
		waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
		append := exchange{"", []byte("MSG t 10\n0123456789\n"), 1}
		answer, frame := make([]byte, 4<<10), make([]byte, 4<<10)
		run := func() {
			producer.exchange(append, answer)
			if n, err := follower.nc.Read(frame); err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		for range 100 {
			run()
		}
		if n := testing.AllocsPerRun(500, run); n != 0 {
			t.Errorf("%s: %.0f allocations for an append and its way to a follower", form, n)
		}
	}
}

// answerSize asks, and closes the answer with that of a PING, to learn how long it is.
func (c *session) answerSize(request, answer []byte) int {
	c.t.Helper()
	const pong = "OK pong=1\r\n"
	if _, err := fmt.Fprintf(c.nc, "%sPING\n", request); err != nil {
		c.t.Fatal(err)
	}
	n := 0
	for !bytes.HasSuffix(answer[:n], []byte(pong)) {
		k, err := c.nc.Read(answer[n:])
		if err != nil {
			c.t.Fatal(err)
		}
		n += k
	}
	return n - len(pong)
}

// fixed sends, and reads an answer of that length, without allocating.
func (c *session) fixed(request, answer []byte) {
	if _, err := c.nc.Write(request); err != nil {
		c.t.Fatal(err)
	}
	for n := 0; n < len(answer); {
		k, err := c.nc.Read(answer[n:])
		if err != nil {
			c.t.Fatal(err)
		}
		n += k
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
		t.Skip("skipped: two million messages take a while, and the race detector allocates")
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
