package crash

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/test/crash/witness"
	"sluice/test/kafka/clients"
)

// Real Kafka producers, which are idempotent and wait for acks=all, go on through power cuts of a real file system: in the
// end every record is in the log exactly once, in order, at the offset that was acknowledged.
func TestA2A3E5KafkaProducersThroughPowerCuts(t *testing.T) {
	t.Parallel()
	if !inSandbox(t) {
		return
	}
	cuts := int(number(t, "SLUICE_KAFKA_CUTS", 1))
	if testing.Short() {
		cuts = 1
	}
	s, v := newCutStay(t, firstSeed(t))
	s.start()
	var flows []*flow
	for i, p := range kafkaProducers {
		topic := fmt.Sprintf("k%d", i)
		s.create(topic)
		flows = append(flows, s.flow(p.client, clients.Request{Topic: topic, Codec: p.codec, Acks: "all", Idempotent: true, Count: 12_000, Size: 1000}))
	}
	for n := range cuts {
		for _, f := range flows {
			f.reach((n + 1) * f.r.Count / (cuts + 2)) // the slowest decides: the others may be done
		}
		s.pause(20 * time.Millisecond)
		s.cut(v)
		s.start()
	}
	for _, f := range flows {
		f.join()
	}
	s.cut(v)
	s.start()
	for _, f := range flows {
		f.check(s.numbers(f.r.Topic))
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// newCutStay is a stay on a file system that can lose its power.
func newCutStay(t *testing.T, seed uint64) (*stay, *volume) {
	v := newVolume(t, t.TempDir(), 512)
	s := newStay(t, seed)
	s.data = filepath.Join(v.dir, "data")
	return s, v
}

// cut takes the power away, and gives it back. The server has ended.
func (s *stay) cut(v *volume) {
	s.t.Helper()
	freeze(s.t, s.srv.Cmd.Process.Pid) // see cutUnder
	v.cutPower()
	s.kill()
	v.restore()
}

// With acks=1 a power cut may take what came after the last sync, and only that: what is left is the beginning of what was
// sent, in order, at the offsets that were acknowledged, and all of it that was told to be synced.
func TestA2KafkaAcksOneThroughAPowerCut(t *testing.T) {
	t.Parallel()
	if !inSandbox(t) {
		return
	}
	const most = 20_000
	s, v := newCutStay(t, firstSeed(t))
	s.start()
	s.ask("CREATE k segment.bytes=1MiB flush.ms=forever")
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.door.addr()), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(),
		kgo.RecordRetries(0), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(16<<10), kgo.DefaultProduceTopic("k"))
	must(t, err)
	defer cl.Close()
	f := &flow{t: t, s: s, name: "franz-go", done: make(chan struct{}), news: make(chan struct{}, 1)}
	f.mu.acked = map[int]int64{}
	for i := range most {
		if i == most/2 {
			must(t, cl.Flush(t.Context()))
			s.ask("FLUSH k")
		}
		r := kgo.StringRecord(fmt.Sprintf("none-%d", i+1))
		cl.Produce(t.Context(), r, func(r *kgo.Record, err error) {
			if err == nil {
				f.acked(i+1, r.Offset)
			}
		})
	}
	f.reach(most * 3 / 4)
	synced := s.ask("HEAD k").Uint("synced")
	s.cut(v)
	cl.Close()
	s.start()
	log := s.numbers("k")
	f.mu.Lock()
	defer f.mu.Unlock()
	if uint64(len(log)) < synced {
		t.Errorf("%d records were synced, and %d are there", synced, len(log))
	}
	for o, n := range log {
		if n != o+1 {
			t.Fatalf("offset %d holds record %d", o, n)
		}
	}
	for i, o := range f.mu.acked {
		if o != int64(i-1) {
			t.Fatalf("record %d was acknowledged at offset %d", i, o)
		}
	}
	t.Logf("%d records acknowledged, %d of them synced, %d are left", len(f.mu.acked), synced, len(log))
}

// Consumers that have read what a power cut took back, and whose offset other records have got since, are told so, instead of
// reading on as if nothing had happened: franz-go by ErrDataLoss, librdkafka and Java by the truncation of the log.
func TestA2KafkaConsumersNoticeWhatAPowerCutTook(t *testing.T) {
	t.Parallel()
	if !inSandbox(t) {
		return
	}
	for try := 1; ; try++ {
		if noticed(t) {
			return
		}
		if try == 10 {
			t.Fatal("ten power cuts have taken nothing that was read")
		}
	}
}

// reading is what the consumers have read before the cut; a record has about a KiB.
const reading = 100

// noticed is false if the cut has taken nothing: the kernel may have written it back by itself.
func noticed(t *testing.T) bool {
	t.Helper()
	s, v := newCutStay(t, firstSeed(t))
	s.start()
	s.ask("CREATE k flush.ms=forever")
	s.produce(reading)
	heard := s.consumers()
	s.cut(v)
	s.start()
	if next := s.ask("HEAD k").Uint("next"); next >= reading {
		t.Logf("the cut has left %d records", next)
		return false
	}
	s.produce(2 * reading) // so that there is something at every offset that a consumer may ask for
	for range cap(heard) {
		select {
		case err := <-heard:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(witness.Limit):
			t.Fatalf("a consumer noticed nothing\n%s", s.srv.Log())
		}
	}
	return true
}

// produce writes records of about a KiB, each a batch of its own.
func (s *stay) produce(n int) {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.door.addr()), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic("k"))
	must(s.t, err)
	defer cl.Close()
	for range n {
		must(s.t, cl.ProduceSync(s.t.Context(), kgo.SliceRecord(make([]byte, 1000))).FirstErr())
	}
}

// consumers start reading; they have read all there is when this returns. Each says what it was told in the end: nil if that
// is that the log was cut.
func (s *stay) consumers() <-chan error {
	s.t.Helper()
	others := []struct{ name, says string }{{"confluent-kafka", "log truncation detected"}, {"Java", "LogTruncationException"}}
	heard := make(chan error, 1+len(others))
	s.door.watch(reading*1000, cap(heard))
	var all sync.WaitGroup
	s.t.Cleanup(all.Wait)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.door.addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"k": {0: kgo.NewOffset().At(0)}}))
	must(s.t, err)
	s.t.Cleanup(cl.Close)
	all.Go(func() { heard <- franzNotices(s.t.Context(), cl) })
	for _, c := range others {
		d := s.driver(c.name)
		all.Go(func() {
			a, err := d.Do(clients.Request{Op: "consume", Server: s.door.addr(), Topic: "k", Count: 3 * reading, From: "offset"})
			if err == nil && !strings.Contains(a.Error, c.says) {
				err = fmt.Errorf("%s was told %q, and got %d records", c.name, a.Error, len(a.Records))
			}
			heard <- errors.Join(err, d.Close())
		})
	}
	select {
	case <-s.door.took:
	case err := <-heard:
		s.t.Fatalf("a consumer ended before it had read everything: %v\n%s", err, s.srv.Log())
	case <-time.After(witness.Limit):
		s.t.Fatalf("the consumers have not read everything\n%s", s.srv.Log())
	}
	return heard
}

func franzNotices(ctx context.Context, cl *kgo.Client) error {
	for n := 0; ; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		loss := (*kgo.ErrDataLoss)(nil)
		if errors.As(fetches.Err(), &loss) {
			return nil
		}
		if n += fetches.NumRecords(); n > reading {
			return fmt.Errorf("franz-go got %d records and no word of what was lost", n)
		}
	}
}
