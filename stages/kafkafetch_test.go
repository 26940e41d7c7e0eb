package stages

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/kafka"
)

// fromPartition is a part of a Fetch.
type fromPartition struct {
	topic  string
	index  int32
	offset int64
	most   int32 // bytes; 0: a MiB
}

// wants is what a Fetch asks for beside its partitions.
type wants struct {
	wait     time.Duration
	min, max int32 // max 0: 50 MiB
}

// fetchRequest puts neighbours of one topic together, as clients do.
func fetchRequest(s *Server, version int16, w wants, parts ...fromPartition) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = version, int32(w.wait.Milliseconds()), w.min, w.max, -1
	if w.max == 0 {
		req.MaxBytes = 50 << 20
	}
	for i, p := range parts {
		if i == 0 || p.topic != parts[i-1].topic {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = p.topic, idOf(s, p.topic)
			req.Topics = append(req.Topics, t)
		}
		q := kmsg.NewFetchRequestTopicPartition()
		q.Partition, q.FetchOffset, q.PartitionMaxBytes = p.index, p.offset, p.most
		if p.most == 0 {
			q.PartitionMaxBytes = 1 << 20
		}
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, q)
	}
	return req
}

// idOf is the topic's id; of one that does not exist, one that nobody has.
func idOf(s *Server, topic string) [16]byte {
	if p := s.catalog.find([]byte(topic), 0); p != nil {
		return p.topic.id
	}
	return [16]byte{1, 2, 3}
}

// fetched is what the answer to a Fetch says of one partition.
type fetched struct {
	topic      string
	index      int32
	code       kafka.Code
	end, start int64 // high watermark, log start
	records    string
}

// parts are those of an answer, in its order; of the records, their bytes.
func parts(s *Server, answer kmsg.Response) (list []fetched) {
	for _, t := range answer.(*kmsg.FetchResponse).Topics {
		name := t.Topic
		for other, topic := range s.catalog.all() {
			if topic.id == t.TopicID && t.Topic == "" {
				name = other
			}
		}
		for _, p := range t.Partitions {
			start := p.LogStartOffset
			if answer.GetVersion() < 5 {
				start = 0 // not told
			}
			list = append(list, fetched{name, p.Partition, kafka.Code(p.ErrorCode), p.HighWatermark, start, string(p.RecordBatches)})
		}
	}
	return list
}

// stored is what the text protocol reads of a log from there on, as it is stored.
func (c *session) stored(topic string, from int64) string {
	c.t.Helper()
	c.send("FETCH %s %d\n", topic, from)
	_, b := c.data()
	return string(b)
}

func diff(t *testing.T, what string, got, want []fetched) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	show := func(all []fetched) string {
		var b strings.Builder
		for _, f := range all {
			fmt.Fprintf(&b, "\n%s/%d %v end=%d start=%d %d bytes", f.topic, f.index, f.code, f.end, f.start, len(f.records))
		}
		return b.String()
	}
	t.Fatalf("%s: got%s\nwant%s", what, show(got), show(want))
}

// A Fetch of any version gets the stored bytes of each partition, from the batch that holds the offset on, and the errors of those that
// can't be read; small ones in one write, and large ones from the file.
func TestKafkaFetch(t *testing.T) {
	for _, size := range []int{100, 5 << 10, 40 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := startKafka(t, nil)
			text := dial(t, s)
			text.send("CREATE t partitions=3\nCREATE u\n")
			text.want("OK", "OK")
			for _, topic := range []string{"t/1", "t/1", "t/2", "u"} {
				one := storedBatch(t, batch.None, strings.Repeat(topic, size/4), topic)
				fmt.Fprintf(text.nc, "BATCH %s %d\n%s\n", topic, len(one), one)
				text.want("OK first=* next=* ack=written synced=*")
			}
			one, two, u := text.stored("t/1", 0), text.stored("t/2", 0), text.stored("u", 0)
			c := dialKafka(t, s)
			for version := int16(4); version <= 16; version++ {
				none, unknown := kafka.UnknownTopicOrPartition, kafka.UnknownTopicOrPartition
				nobody := "nobody"
				if version >= 13 {
					unknown, nobody = kafka.UnknownTopicID, ""
				}
				start := int64(-1)
				if version < 5 {
					start = 0
				}
				got := parts(s, c.ask(fetchRequest(s, version, wants{wait: time.Hour, min: 1}, fromPartition{"t", 0, 0, 0}, fromPartition{"t", 1, 3, 0}, fromPartition{"t", 9, 0, 0},
					fromPartition{"nobody", 0, 0, 0}, fromPartition{"t", 2, 1, 0}, fromPartition{"t", 1, 5, 0}, fromPartition{"t", 1, -1, 0}, fromPartition{"u", 0, 0, 0})))
				diff(t, fmt.Sprintf("version %d", version), got, []fetched{
					{"t", 0, kafka.NoError, 0, 0, ""}, {"t", 1, kafka.NoError, 4, 0, one[len(one)/2:]}, {"t", 9, none, -1, start, ""},
					{nobody, 0, unknown, -1, start, ""}, {"t", 2, kafka.NoError, 2, 0, two}, {"t", 1, kafka.OffsetOutOfRange, 4, 0, ""},
					{"t", 1, kafka.OffsetOutOfRange, 4, 0, ""}, {"u", 0, kafka.NoError, 2, 0, u},
				})
			}
			if n := s.readers.sendfile.Load(); n > 0 != (size > 16<<10) {
				t.Errorf("%d bytes went by sendfile", n)
			}
		})
	}
}

// An answer keeps to the limits: of each partition, and of all, in the order of the request; but the first batch of the first that has any
// always comes, whole, so that its reader gets past it.
func TestKafkaFetchLimits(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text := dial(t, s)
	one := storedBatch(t, batch.None, strings.Repeat("x", 900))
	size := int32(len(one))
	text.send("CREATE t partitions=3\n")
	text.want("OK")
	for i := range 15 {
		fmt.Fprintf(text.nc, "BATCH t/%d %d\n%s\n", i%3, len(one), one)
		text.want("OK first=* next=* ack=written synced=0")
	}
	c := dialKafka(t, s)
	for _, l := range []struct {
		wants wants
		most  [3]int32
		want  [3]int32 // batches
	}{
		{wants{}, [3]int32{0, 0, 0}, [3]int32{5, 5, 5}},
		{wants{}, [3]int32{1, 0, 1}, [3]int32{1, 5, 0}},
		{wants{}, [3]int32{2 * size, 3*size - 1, size}, [3]int32{2, 2, 1}},
		{wants{max: 1}, [3]int32{}, [3]int32{1, 0, 0}},
		{wants{max: 6*size + 1}, [3]int32{}, [3]int32{5, 1, 0}},
		{wants{max: 6 * size}, [3]int32{4 * size, 0, 0}, [3]int32{4, 2, 0}},
		{wants{max: 5*size - 1}, [3]int32{1, 2 * size, 0}, [3]int32{1, 2, 1}},
		{wants{max: -1}, [3]int32{-1, -1, -1}, [3]int32{1, 0, 0}},
		{wants{min: 1 << 30, max: size}, [3]int32{}, [3]int32{1, 0, 0}},
		{wants{wait: time.Hour, min: 15 * size}, [3]int32{}, [3]int32{5, 5, 5}},
		{wants{wait: time.Hour, min: 1 << 30, max: 2 * size}, [3]int32{}, [3]int32{2, 0, 0}},
		{wants{wait: time.Hour, min: 1 << 30}, [3]int32{size, size, size}, [3]int32{1, 1, 1}}, // waiting would bring nothing
		{wants{wait: time.Millisecond, min: 15*size + 1}, [3]int32{}, [3]int32{5, 5, 5}},
		{wants{wait: time.Hour, min: 0}, [3]int32{}, [3]int32{5, 5, 5}},
	} {
		answer := c.ask(fetchRequest(s, 12, l.wants, fromPartition{"t", 0, 0, l.most[0]}, fromPartition{"t", 1, 0, l.most[1]}, fromPartition{"t", 2, 0, l.most[2]}))
		for i, p := range parts(s, answer) {
			if len(p.records) != int(l.want[i]*size) || p.end != 5 || p.code != kafka.NoError {
				t.Errorf("%+v: of %d came %d bytes, %v, want %d batches", l, i, len(p.records), p.code, l.want[i])
			}
		}
	}
}

// kafkaConf is noTicks with a listener for Kafka's clients.
func kafkaConf() Config {
	c := noTicks()
	c.Kafka = anyPort
	return c
}

// A Fetch that waits has one subscription for all its partitions, ends with what comes to any of them, and asks nothing in between.
func TestKafkaFetchWaits(t *testing.T) {
	const partitions = 200
	s := startServerOn(t, disk.OS(t.TempDir()), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t partitions=%d\n", partitions)
	text.want("OK")
	var all []fromPartition
	for i := range int32(partitions) {
		all = append(all, fromPartition{"t", i, 0, 0})
	}
	subscribed := func(n int64) {
		waitFor(t, func() bool { return s.stats.subscribers.Load() == n })
	}
	watched := func() (n int32) {
		for _, p := range s.catalog.all()["t"].parts {
			n += p.watched.Load()
		}
		return n
	}
	for round, at := range []int{7, 0, partitions - 1} {
		req := fetchRequest(s, 12, wants{wait: time.Hour, min: 1}, all...)
		c.send(req)
		subscribed(1)
		waitFor(t, func() bool { return watched() == partitions })
		text.send("MSG t/%d 3\nabc\n", at)
		text.want("OK first=0 next=1 ack=written synced=0")
		for i, p := range parts(s, c.receive(req)) {
			if (len(p.records) > 0) != (i == at) || p.code != kafka.NoError {
				t.Fatalf("round %d: of %d came %d bytes, %v", round, i, len(p.records), p.code)
			}
		}
		if watched() != 0 {
			t.Error("it is subscribed still")
		}
		all[at].offset = 1
	}
	req := fetchRequest(s, 12, wants{wait: 10 * time.Millisecond, min: 1}, all...)
	for i, p := range parts(s, c.ask(req)) {
		if len(p.records) > 0 || p.code != kafka.NoError {
			t.Fatalf("of %d came %d bytes, %v", i, len(p.records), p.code)
		}
	}
	subscribed(0)
}

// What ends a Fetch that waits: as many bytes as it asked for, over all its partitions; its topic's end, that of its client, and the
// server's.
func TestKafkaFetchStopsWaiting(t *testing.T) {
	one := storedBatch(t, batch.None, strings.Repeat("x", 900))
	for name, end := range map[string]func(t *testing.T, s *Server, c *kafkaSession, text *session) (code kafka.Code, answered bool){
		"enough": func(t *testing.T, s *Server, _ *kafkaSession, text *session) (kafka.Code, bool) {
			for i := range 3 {
				fmt.Fprintf(text.nc, "BATCH t/%d %d\n%s\n", i%2, len(one), one)
				text.want("OK first=* next=* ack=written synced=0")
			}
			return kafka.NoError, true
		},
		"drop": func(t *testing.T, s *Server, _ *kafkaSession, text *session) (kafka.Code, bool) {
			text.send("DROP t\n")
			text.want("OK")
			return kafka.UnknownTopicOrPartition, true
		},
		"half-close": func(t *testing.T, s *Server, c *kafkaSession, _ *session) (kafka.Code, bool) {
			if err := c.nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			return kafka.NoError, true
		},
		"drain": func(t *testing.T, s *Server, _ *kafkaSession, _ *session) (kafka.Code, bool) {
			s.requestStop()
			return kafka.NoError, true
		},
		"gone": func(t *testing.T, s *Server, c *kafkaSession, _ *session) (kafka.Code, bool) {
			reset(t, &session{t: t, nc: c.nc})
			return 0, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServerOn(t, fstest.NewMem(), kafkaConf())
			text, c := dial(t, s), dialKafka(t, s)
			text.send("CREATE t partitions=2\n")
			text.want("OK")
			req := fetchRequest(s, 11, wants{wait: time.Hour, min: int32(3 * len(one))}, fromPartition{"t", 0, 0, 0}, fromPartition{"t", 1, 0, 0})
			c.send(req)
			waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
			code, answered := end(t, s, c, text)
			if !answered {
				waitFor(t, func() bool { return s.stats.subscribers.Load() == 0 })
				return
			}
			total, told := 0, false
			for _, p := range parts(s, c.receive(req)) {
				total += len(p.records)
				told = told || p.code == code // a topic's partitions are dropped one after the other
			}
			if !told {
				t.Errorf("nothing says %v", code)
			}
			if name == "enough" && total != 3*len(one) {
				t.Errorf("%d bytes", total)
			}
			waitFor(t, func() bool { return s.stats.subscribers.Load() == 0 })
		})
	}
}

// Clients of versions that do not know zstd get the batches before the first of it, and there its error.
func TestKafkaFetchZstdForOldClients(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	plain := storedBatch(t, batch.None, "a", "b")
	packed := withCodec(compressed(t, storedBatch(t, batch.None, "c"), batch.Zstd), batch.Zstd)
	for _, b := range [][]byte{plain, plain, packed, plain} {
		fmt.Fprintf(text.nc, "BATCH t %d\n%s\n", len(b), b)
		text.want("OK first=* next=* ack=written synced=0")
	}
	all := text.stored("t", 0)
	for version := int16(4); version <= 12; version++ {
		first := parts(s, c.ask(fetchRequest(s, version, wants{}, fromPartition{"t", 0, 0, 0})))[0]
		second := parts(s, c.ask(fetchRequest(s, version, wants{}, fromPartition{"t", 0, 4, 0})))[0]
		want := []fetched{{"t", 0, kafka.NoError, 7, 0, all}, {"t", 0, kafka.NoError, 7, 0, all[2*len(plain):]}}
		if version < 10 {
			want = []fetched{{"t", 0, kafka.NoError, 7, 0, all[:2*len(plain)]}, {"t", 0, kafka.UnsupportedCompression, 7, 0, ""}}
		}
		diff(t, fmt.Sprintf("version %d", version), []fetched{first, second}, want)
	}
}

// A client whose idea of the leader's epoch is old, or newer than the log's, is told; and so is one whose last record was of an epoch that
// ends before.
func TestKafkaFetchEpochs(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("MSG t 1\na\n")
	text.want("OK first=0 next=1 ack=written synced=0")
	for _, e := range []struct {
		leader, last int32
		offset       int64
		code         kafka.Code
		epoch        int32
		end          int64
	}{
		{-1, -1, 0, kafka.NoError, -1, -1}, {0, 0, 1, kafka.NoError, -1, -1}, {1, -1, 0, kafka.UnknownLeaderEpoch, -1, -1},
		{0, 0, 2, kafka.NoError, 0, 1}, {0, 3, 1, kafka.NoError, 0, 1}, {-1, -1, 2, kafka.OffsetOutOfRange, -1, -1},
	} {
		req := fetchRequest(s, 12, wants{}, fromPartition{"t", 0, e.offset, 0})
		p := &req.Topics[0].Partitions[0]
		p.CurrentLeaderEpoch, p.LastFetchedEpoch = e.leader, e.last
		got := c.ask(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if kafka.Code(got.ErrorCode) != e.code || got.DivergingEpoch.Epoch != e.epoch || got.DivergingEpoch.EndOffset != e.end || e.end >= 0 && len(got.RecordBatches) > 0 {
			t.Errorf("%+v: %v, diverging %+v", e, kafka.Code(got.ErrorCode), got.DivergingEpoch)
		}
	}
}

// Requests one behind the other are answered in their order, whoever has to wait for the disk.
func TestKafkaFetchesInOrder(t *testing.T) {
	mem := fstest.NewMem()
	conf := kafkaConf()
	conf.Topic.SegmentBytes = 64 << 10
	s := startServerOn(t, mem, conf)
	fill(t, s, "t", 20)
	mem.SetCold(true)
	c := dialKafka(t, s)
	var reqs []kmsg.Request
	for i := range int64(20) {
		reqs = append(reqs, fetchRequest(s, 12, wants{}, fromPartition{"t", 0, i, 1}, fromPartition{"t", 0, 19 - i, 1 << 20}))
	}
	c.send(reqs...)
	for i, req := range reqs {
		got := parts(s, c.receive(req))
		for k, at := range []int{i, 19 - i} {
			h, err := batch.Verify([]byte(got[k].records))
			if err != nil || h.BaseOffset != uint64(at) || !bytes.Contains([]byte(got[k].records), bytes.Repeat([]byte("t"), 64<<10)) {
				t.Errorf("request %d, part %d: offset %d, %v", i, k, h.BaseOffset, err)
			}
		}
	}
}
