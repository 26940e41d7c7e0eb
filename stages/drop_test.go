package stages

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// A writer that has let go of a log asks for nothing more on its behalf: the
// roller would work on closed files, or on those of a new topic of that name.
func TestDroppedLogGetsNoMoreWork(t *testing.T) {
	store, err := disk.OpenStore(fstest.NewMem(), disk.StoreOptions{}, zap.NewNop())
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
	w := newWriter(WriterConfig{Queue: 10, Buffer: 4 << 10}, 1, work, work, &admission{room: newRoom(fstest.NewMem(), DiskConfig{}, zap.NewNop())}, new(stats))
	p := &partition{topic: &topic{name: "t", conf: newTopicConf(DefaultTopic())}, log: log, writer: w}
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

// Topics that come and go under everything that may be under way on them: every
// request has its answer, and nothing is left behind.
func TestDropUnderLoad(t *testing.T) {
	conf := Default()
	conf.Flusher.Tick, conf.Conn.InFlight = time.Millisecond, 4
	conf.Writer.Queue, conf.Flusher.Queue, conf.Readers.Queue, conf.MaxPartitions = 1, 1, 1, 3
	conf.Topic.SegmentBytes = 16 << 10
	s := startServerOn(t, fstest.NewMem(), conf)
	var wg sync.WaitGroup
	over := make(chan struct{})
	value := strings.Repeat("x", 3000)
	for _, request := range []string{
		fmt.Sprintf("MSG t 3000\n%s\n", value), fmt.Sprintf("MSG t 3000 ack=synced\n%s\n", value), fmt.Sprintf("MSG t/1 3000\n%s\n", value),
		oneBatch(t, "t", batch.None, value, value), "FLUSH t\n", "HEAD t\n", "READ t oldest limit=3\n", "FETCH t newest wait=1h\n",
		"TAIL t oldest limit=100\n", "TAIL t raw=1 limit=100\n", "STATS\n",
	} {
		c := dial(t, s)
		wg.Go(func() {
			for range 2 { // pipelined, but for those that the next request would end
				if !strings.HasPrefix(request, "TAIL") {
					c.send("%s", request)
				}
			}
			for {
				select {
				case <-over:
					return
				default:
				}
				c.send("%s", request)
				c.whole(strings.HasPrefix(request, "TAIL"))
			}
		})
	}
	c := dial(t, s)
	for range 30 {
		c.send("CREATE t partitions=2\n")
		c.line() // or a MSG was faster
		at := s.stats.records.Load()
		waitFor(t, func() bool { return s.stats.records.Load() > at+20 })
		c.send("DROP t\n")
		c.want("OK")
	}
	close(over)
	left := make(chan struct{})
	go func() {
		wg.Wait()
		close(left)
	}()
	for done := false; !done; { // wakes who waits for records, also on a topic that a straggler's MSG has made anew
		c.send("CREATE t partitions=2\nMSG t 1\nx\nDROP t\n")
		c.line()
		c.line()
		c.line()
		select {
		case <-left:
			done = true
		default:
		}
	}
}

// whole reads one whole answer. Of a TAIL, DATA is not the end.
func (c *session) whole(tail bool) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.t.Errorf("after %q: %v", line, err)
			return
		}
		var a text.Answer
		if err := text.ParseAnswer(bytes.TrimSuffix(line, []byte("\r\n")), &a); err != nil {
			c.t.Error(err)
			return
		}
		if n := a.Payload(); n >= 0 {
			if _, err := c.in.Discard(int(n) + 2); err != nil {
				c.t.Error(err)
				return
			}
		}
		if a.Kind != text.AnswerRec && !(tail && a.Kind == text.AnswerData) {
			return
		}
	}
}
