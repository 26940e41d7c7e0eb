package stages

import (
	"context"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// numbered is a batch of n records of a producer.
func numbered(t testing.TB, id int64, epoch int16, first int32, n int) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(nil)
	for i := range n {
		b.Add(1000, nil, fmt.Appendf(nil, "%d.%d.%d", id, epoch, int64(first)+int64(i)), nil)
	}
	p, err := b.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	batch.SetProducer(p, id, epoch, first)
	return p
}

func batchRequest(topic string, b []byte, more string) string {
	return fmt.Sprintf("BATCH %s %d%s\n%s\n", topic, len(b), more, b)
}

// E5: a sequence is appended once and in its order: the last five batches of a producer are known again, a gap, an older
// epoch and a new epoch that does not begin at 0 are refused, and numbers begin again behind 2147483647.
func TestE5SequencesAreAppendedOnce(t *testing.T) {
	c := dial(t, startServer(t, nil))
	const due = "ERR BAD_BATCH sequence=%d epoch=%d - nothing was appended: *"
	for i, step := range []struct {
		id    int64
		epoch int16
		first int32
		n     int
		want  string
	}{
		{7, 0, 3, 1, fmt.Sprintf(due, 0, 0)}, // in a log without any batch
		{7, 0, 0, 2, "OK first=0 next=2 ack=written synced=*"},
		{7, 0, 0, 2, "OK first=0 next=2 ack=written synced=*"},
		{7, 0, 2, 1, "OK first=2 next=3 ack=written synced=*"},
		{8, 3, 50, 1, "OK first=3 next=4 ack=written synced=*"}, // one that nothing is known of
		{7, 0, 0, 2, "OK first=0 next=2 ack=written synced=*"},
		{7, 0, 0, 1, fmt.Sprintf(due, 3, 0)}, // the same first one, another last one
		{7, 0, 1, 2, fmt.Sprintf(due, 3, 0)},
		{7, 0, 4, 1, fmt.Sprintf(due, 3, 0)},
		{7, 0, 3, 1, "OK first=4 next=5 ack=written synced=*"},
		{7, 0, 4, 1, "OK first=5 next=6 ack=written synced=*"},
		{7, 0, 5, 1, "OK first=6 next=7 ack=written synced=*"},
		{7, 0, 0, 2, "OK first=0 next=2 ack=written synced=*"}, // the fifth
		{7, 0, 6, 1, "OK first=7 next=8 ack=written synced=*"},
		{7, 0, 0, 2, fmt.Sprintf(due, 7, 0)}, // the sixth
		{7, 1, 7, 1, fmt.Sprintf(due, 0, 0)},
		{7, 1, 0, 1, "OK first=8 next=9 ack=written synced=*"},
		{7, 1, 6, 1, fmt.Sprintf(due, 1, 1)}, // it was one of the epoch before
		{7, 0, 7, 1, "ERR FENCED epoch=1 - nothing was appended: *"},
		{7, 0, 6, 1, "ERR FENCED epoch=1 - nothing was appended: *"},
		{7, 1, 0, 1, "OK first=8 next=9 ack=written synced=*"},
		{9, 0, math.MaxInt32 - 1, 4, "OK first=9 next=13 ack=written synced=*"},
		{9, 0, math.MaxInt32 - 1, 4, "OK first=9 next=13 ack=written synced=*"},
		{9, 0, 3, 1, fmt.Sprintf(due, 2, 0)},
		{9, 0, 2, 1, "OK first=13 next=14 ack=written synced=*"},
	} {
		c.send("%s", batchRequest("t", numbered(t, step.id, step.epoch, step.first, step.n), ""))
		want, got := step.want, c.line()
		if want, ok := strings.CutSuffix(want, "*"); ok && !strings.HasPrefix(want, "OK") {
			if !strings.HasPrefix(got, want) {
				t.Fatalf("step %d: got %q, want %q", i, got, want)
			}
			continue
		}
		if !matches(want, got) {
			t.Fatalf("step %d: got %q, want %q", i, got, want)
		}
	}
	c.send("HEAD t\n")
	c.want("OK oldest=0 next=14 synced=* epoch=0 segment=0 segments=1 bytes=* partitions=1")
	two := append(numbered(t, 7, 1, 1, 1), numbered(t, 7, 1, 2, 1)...)
	c.send("%s", batchRequest("t", two, ""))
	if got := c.line(); got != "ERR BAD_BATCH - "+errSequences.Text {
		t.Errorf("two batches of producers in a request: %q", got)
	}
}

// E5: what is sent again waits for its level as what is sent first.
func TestE5DuplicateWaitsForItsLevel(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Topic.Flush = Forever })
	c := dial(t, s)
	b := numbered(t, 7, 0, 0, 3)
	c.send("%s", batchRequest("t", b, ""))
	c.want("OK first=0 next=3 ack=written synced=0")
	c.send("%s", batchRequest("t", b, ""))
	c.want("OK first=0 next=3 ack=written synced=0")
	c.send("%s", batchRequest("t", b, " ack=synced"))
	c.want("OK first=0 next=3 ack=synced synced=3")
	if got := s.snapshot(); got.Duplicates != 2 || got.Producers != 1 || got.Records != 3 {
		t.Errorf("STATS: duplicates %d, producers %d, records %d", got.Duplicates, got.Producers, got.Records)
	}
}

// E5, A5: batches that were sent again are known in the same pass of the writer, and across a write that had no room: what
// was refused with the others can be sent again in order, and what followed is refused as long as it has not been, also in the
// next write of the pass, and behind a batch without a sequence.
func TestA5E5SequencesInOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := fstest.NewMem()
		full, fullAt, writes := false, 0, 0
		fs := fstest.Fail(mem, func(op fstest.Op) error {
			if op.By == disk.ByWriter && op.Kind == fstest.Write {
				if writes++; full || writes == fullAt {
					return syscall.ENOSPC
				}
			}
			return nil
		})
		b := startStages(t, fs, func(c *Config) { c.Disk.Check = 0 })
		defer b.stop()
		answers := make(chan *command, 100)
		send := func(batches ...[]byte) (got []string) {
			var all list
			for i, p := range batches {
				h := batch.ReadHeader(p)
				all.push(&command{op: opAppend, verb: text.VerbBatch, ack: text.AckWritten, part: b.part, bytes: p, records: int(h.Count), seq: uint64(i), reply: answers})
			}
			b.together(all.take())
			synctest.Wait()
			got = make([]string, len(batches))
			for range batches {
				cmd := <-answers
				if got[cmd.seq] = fmt.Sprintf("%d-%d", cmd.first, cmd.end); cmd.err != nil {
					got[cmd.seq] = cmd.err.Code.String()
				}
			}
			return got
		}
		want := func(got []string, want ...string) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		one := func(first int32) []byte { return numbered(t, 1, 0, first, 1) }
		other := numbered(t, 2, 0, 0, 1)
		want(send(one(0), one(0), one(1), one(3), one(2), one(1), other, other), "0-1", "0-1", "1-2", "BAD_BATCH", "2-3", "1-2", "3-4", "3-4")
		writes = 0
		want(send(one(3), one(4), one(5)), "4-5", "5-6", "6-7")
		if writes != 1 {
			t.Errorf("%d writes for three batches that follow each other", writes)
		}
		full = true
		want(send(one(6), one(7)), "DISK_FULL", "DISK_FULL")
		full = false
		b.writer.admission.room.full.Store(nil) // as its next check would
		want(send(one(7), one(6), one(7), one(6)), "BAD_BATCH", "7-8", "8-9", "7-8")
		large := func(id int64, first int32) []byte { // two of them are two writes
			var b batch.Builder
			b.Reset(nil)
			b.Add(1000, nil, make([]byte, 700<<10), nil)
			p, err := b.Finish(batch.None)
			if err != nil {
				t.Fatal(err)
			}
			batch.SetProducer(p, id, 0, first)
			return p
		}
		writes, fullAt = 0, 1
		want(send(large(1, 8), large(-1, -1), one(9)), "DISK_FULL", "9-10", "BAD_BATCH")
	})
}

// together puts commands into one pass of the writer.
func (b *rig) together(chain *command) {
	gate := make(chan *command) // the writer waits here, while the others come
	b.writer.in <- &command{op: opForget, part: &partition{log: b.part.log}, reply: gate}
	for chain != nil {
		next := chain.next
		b.writer.in <- chain
		chain = next
	}
	<-gate
}

// E5: what a server knows of its producers is there again after a stop and after a kill, and an id that it gave is not given
// again.
func TestA1E5SequencesAfterARestart(t *testing.T) {
	mem := fstest.NewMem()
	conf := Default()
	conf.Topic.SegmentBytes = 16 << 10
	last, ids := "", map[string]bool{}
	for life := range 6 {
		s := startServerOn(t, mem, conf)
		c := dial(t, s)
		if life > 0 {
			c.send("%s", batchRequest("t", numbered(t, 1, 0, int32(life-1)*100, 100), ""))
			c.want(last)
		}
		for i := range 5 { // they push the segments on, and are other producers'
			c.send("%s", batchRequest("t", numbered(t, 100+int64(i), 0, int32(life), 1), ""))
			c.want("OK first=* next=* ack=written synced=*")
		}
		c.send("%s", batchRequest("t", numbered(t, 1, 0, int32(life)*100, 100), " ack=synced"))
		last = strings.ReplaceAll(c.line(), "synced", "*")
		last = last[:strings.Index(last, " ack=")] + " ack=written synced=*"
		c.send("%s", batchRequest("t", numbered(t, 1, 0, int32(life)*100+200, 100), ""))
		if got := c.line(); !strings.HasPrefix(got, fmt.Sprintf("ERR BAD_BATCH sequence=%d ", life*100+100)) {
			t.Fatalf("life %d: a gap: %q", life, got)
		}
		for range 3 {
			c.send("PRODUCER\n")
			if got := c.line(); ids[got] || !matches("OK id=* epoch=0", got) {
				t.Fatalf("life %d: %q, after %v", life, got, ids)
			} else {
				ids[got] = true
			}
		}
		next := mem.Kill()
		if life%2 == 0 {
			if err := s.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			next = mem.Kill()
		}
		mem = next
	}
}

// I10, with producers that have ids, from the text protocol.
func TestI10SequencesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, and empties pools at random")
	}
	c := dial(t, startServer(t, func(c *Config) { c.Topic.Flush = Forever }))
	b, answer, next := numbered(t, 1, 0, 0, 10), make([]byte, 4<<10), int32(0)
	request := []byte(batchRequest("t", b, ""))
	at := len(request) - len(b) - 1
	run := func() {
		batch.SetProducer(request[at:len(request)-1], 1, 0, next)
		next += 10
		c.exchange(exchange{bytes: request, answers: 1}, answer)
		if answer[0] != 'O' {
			t.Fatalf("%s", answer)
		}
	}
	for range 100 {
		run()
	}
	if n := testing.AllocsPerRun(500, run); n != 0 {
		t.Errorf("%.0f allocations for a batch with sequences", n)
	}
}

// InitProducerId gives ids of the same row as PRODUCER, at every version, also to who has one; and none for a transaction.
func TestKafkaProducerIDs(t *testing.T) {
	s := startKafka(t, nil)
	c, person := dialKafka(t, s), dial(t, s)
	person.send("PRODUCER\n")
	person.want("OK id=0 epoch=0")
	for v := range int16(6) {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = v
		if v >= 3 {
			req.ProducerID, req.ProducerEpoch = int64(v), 5
		}
		got := c.ask(req).(*kmsg.InitProducerIDResponse)
		if got.ErrorCode != 0 || got.ProducerID != int64(v)+1 || got.ProducerEpoch != 0 {
			t.Errorf("version %d: %+v", v, got)
		}
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID = 4, new(string)
	if got := c.ask(req).(*kmsg.InitProducerIDResponse); got.ErrorCode != 42 || got.ProducerID != -1 {
		t.Errorf("with a transaction: %+v", got)
	}
	person.send("PRODUCER\n")
	person.want("OK id=7 epoch=0")
}
