package stages

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// A writer that has let go of a log asks for nothing more on its behalf: the
// roller would work on closed files, or on those of a new topic of that name.
func TestDroppedLogGetsNoMoreWork(t *testing.T) {
	store, err := disk.OpenStore(fstest.NewMem(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateTopic("controller", "t", nil); err != nil {
		t.Fatal(err)
	}
	log, _, err := store.OpenLog("open", "t", 0, disk.LogOptions{SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := log.Append(storedBatch(t, batch.None, strings.Repeat("x", 14<<10))); err != nil {
		t.Fatal(err)
	}
	if !log.MaintenanceDue() {
		t.Fatal("a log that is nearly full wants a spare")
	}
	work, replies := make(chan *command, 10), make(chan *command, 10)
	w := newWriter(WriterConfig{Queue: 10, Buffer: 4 << 10}, 1, work, work, new(stats))
	p := &partition{topic: &topic{name: "t", conf: DefaultTopic()}, log: log, writer: w}
	w.in <- &command{op: opAppend, verb: text.VerbMsg, part: p, bytes: storedBatch(t, batch.None, "x"), records: 1, msgs: 1, reply: replies}
	w.in <- &command{op: opForget, part: p, reply: replies} // both are taken up in one pass
	close(w.in)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if refused, forgot := <-replies, <-replies; refused.err != errDropped || forgot.op != opForget {
		t.Errorf("got %v, then op %d", refused.err, forgot.op)
	}
	if len(work) != 0 {
		t.Error("the writer asked the roller for work on a log that was dropped")
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// Requests that found their topic before it was dropped, and whose turn comes
// behind that: they are refused, and wait for nothing.
func TestRequestsBehindADrop(t *testing.T) {
	s := startServer(t, nil)
	c, other := dial(t, s), dial(t, s)
	other.send("CREATE t\nCREATE u\nMSG t 1\nx\n")
	other.want("OK", "OK", "OK first=0 next=1 ack=written synced=*")
	c.send("FETCH u newest wait=1h\nFETCH t newest wait=1h\nTAIL t\nREAD t 0\nREAD t newest\nREAD t @1\nHEAD t\nFLUSH t\nPING\n")
	waitFor(t, func() bool { return s.stats.requests.Load() == 3+9 })
	other.send("DROP t\nMSG u 1\nx\n")
	other.want("OK", "OK first=0 next=1 ack=written synced=*")
	c.data()
	for range 7 {
		c.want("ERR NO_TOPIC - the topic was dropped")
	}
	c.want("OK pong=1")
}
