package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/wire/kafka"
)

// loneResponder is one without a connection to a client.
func loneResponder(t *testing.T, s *Server) *responder {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // nothing is sent
	r := &newConn(s, far, speaksKafka).responder
	r.init()
	return r
}

// A request that names many topics ends with the stop's patience, and with its client: or a stop would wait for all of them.
func TestKafkaAdminEndsWithItsConnection(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text := dial(t, s)
	text.send("CREATE old\n")
	text.want("OK")
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "new", NumPartitions: 1, ReplicationFactor: 1}}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "old", Count: 2}}
	drop := kmsg.NewPtrDeleteTopicsRequest()
	drop.TopicNames = []string{"old"}
	times := kmsg.NewPtrListOffsetsRequest()
	times.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "old", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: 0, CurrentLeaderEpoch: -1, Timestamp: latestOffset}}}}
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	for _, req := range []kmsg.Request{create, named(4, true, "new"), grow, times, drop} {
		for why, end := range map[string]func(*conn) context.Context{
			"the stop is cut short": func(*conn) context.Context { return cut },
			"the client is gone":    func(c *conn) context.Context { c.broken.Store(true); return t.Context() },
			"the socket has failed": func(c *conn) context.Context { c.responder.err = errGone; return t.Context() },
		} {
			r := loneResponder(t, s)
			ctx := end(r.c)
			r.carryOut(ctx, &command{kafka: &kafkaRequest{body: req}})
			if r.err == nil {
				t.Errorf("%T goes on though %s", req, why)
			}
		}
	}
	if all := s.catalog.all(); len(all) != 1 || all["old"] == nil || len(all["old"].parts) != 1 {
		t.Errorf("the topics are now %v", all)
	}
}

// kafkaParts are parts of a Produce to the first n partitions of t.
func kafkaParts(t *testing.T, n int) []toPartition {
	parts := make([]toPartition, n)
	for i := range parts {
		parts[i] = toPartition{"t", int32(i), recordBatch(t, "x")}
	}
	return parts
}

// Connections that have all read buffers between them take nothing from Kafka's clients.
func TestKafkaLargeRequestsBesideBusyConnections(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text := dial(t, s)
	text.send("CREATE t partitions=100\n")
	text.want("OK")
	all := s.conf.Memory.Receive
	if !s.receiveMemory.TryReserve(all) {
		t.Fatal("memory.receive is in use")
	}
	defer s.receiveMemory.Free(all)
	c := dialKafka(t, s)
	if got := results(c.ask(produceRequest(9, 1, kafkaParts(t, 100)...))); len(got) != 100 || got[99].code != kafka.NoError {
		t.Errorf("a Produce: %v", got)
	}
	if got := described(c.ask(named(9, false, slices.Repeat([]string{"t"}, 100)...))); len(got) != 1 {
		t.Errorf("a Metadata: %v", got)
	}
	var from []fromPartition
	for i := range int32(1000) {
		from = append(from, fromPartition{"t", i % 100, 0, 0})
	}
	c.ask(fetchRequest(s, 12, wants{}, from...))
}

// A large answer is paid for as long as its client leaves it where it is, and one for which there is no room ends its connection.
func TestI9KafkaAnswerMemory(t *testing.T) {
	conf := kafkaConf()
	conf.Memory.Answers = 512 << 10
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t partitions=1000\n")
	text.want("OK")
	used := func() int64 { n, _ := s.answerMemory.Used(); return n }
	slow := dialKafka(t, s)
	if err := slow.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	asks := make([]kmsg.Request, 400) // more than the kernel takes
	for i := range asks {
		asks[i] = named(9, false, "t")
	}
	slow.send(asks...)
	waitFor(t, func() bool { return s.readers.parked.Load() == 1 })
	if n := used(); n < 26_000 {
		t.Errorf("%d bytes are paid for an answer that waits", n)
	}
	all := s.conf.Memory.Answers - used()
	if !s.answerMemory.TryReserve(all) {
		t.Fatal("there is no room")
	}
	other := dialKafka(t, s)
	other.ask(named(9, false, "none")) // a small one takes none
	other.send(named(9, false, "t"))
	other.ended()
	if n := s.stats.closed[closedOverloaded].Load(); n != 1 {
		t.Errorf("%d connections were closed for want of room", n)
	}
	s.answerMemory.Free(all)
	dialKafka(t, s).ask(named(9, false, "t"))
	if err := slow.nc.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return used() == 0 })
}

// What a setting is for is told once, and the settings of so many topics at most.
func TestKafkaDescribeConfigsIsBounded(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text := dial(t, s)
	text.send("CREATE a\nCREATE b\n")
	text.want("OK", "OK")
	c := dialKafka(t, s)
	ask := func(names ...string) []kmsg.DescribeConfigsResponseResource {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version, req.IncludeDocumentation = 3, true
		for _, name := range names {
			req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name})
		}
		return c.ask(req).(*kmsg.DescribeConfigsResponse).Resources
	}
	helps := func(r kmsg.DescribeConfigsResponseResource) (n int) {
		for _, c := range r.Configs {
			if c.Documentation != nil {
				n++
			}
		}
		return n
	}
	if got := ask("none", "a", "b"); helps(got[1]) == 0 || helps(got[2]) != 0 {
		t.Errorf("told with the first: %d times, and with the second: %d", helps(got[1]), helps(got[2]))
	}
	var many []string
	for i := range describedMost - 1 {
		many = append(many, fmt.Sprint(i))
	}
	got := ask(append(many, "a", "b")...)
	if a, b := got[len(got)-2], got[len(got)-1]; len(a.Configs) == 0 || len(b.Configs) != 0 || kafka.Code(b.ErrorCode) != kafka.PolicyViolation {
		t.Errorf("the last that is told: %v; and the one behind it: %v, %v", kafka.Code(a.ErrorCode), kafka.Code(b.ErrorCode), b.Configs)
	}
}

// I9: partitions that leave a session and come back to it pay for their topic's name once.
func TestI9KafkaFetchSessionNames(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	c := dialKafka(t, s)
	a, b := fromPartition{strings.Repeat("a", 200), 0, 0, 0}, fromPartition{strings.Repeat("b", 200), 0, 0, 0}
	first := c.ask(inSession(fetchRequest(s, 12, wants{}, a, b), 0, 0)).(*kmsg.FetchResponse)
	for epoch := int32(1); epoch < 600; epoch += 2 {
		for k, req := range []*kmsg.FetchRequest{fetchRequest(s, 12, wants{}), fetchRequest(s, 12, wants{}, a)} {
			if inSession(req, first.SessionID, epoch+int32(k)); k == 0 {
				inSession(req, first.SessionID, epoch, a)
			}
			if answer := c.ask(req).(*kmsg.FetchResponse); answer.ErrorCode != 0 || answer.SessionID != first.SessionID {
				t.Fatalf("request %d: %v", epoch, kafka.Code(answer.ErrorCode))
			} else if got := parts(s, answer); k == 1 && (len(got) != 2 || got[1].topic != a.topic && got[0].topic != a.topic) {
				t.Fatalf("request %d: %v", epoch, got)
			}
		}
		a, b = b, a // the one that stays is the last, so that its name is no neighbour's
	}
	if used, _ := s.fetchMemory.Used(); used > 16<<10 {
		t.Errorf("%d bytes are paid for two partitions", used)
	}
}

// Errors count, whatever the request.
func TestKafkaStatsOfErrors(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	c := dialKafka(t, s)
	c.ask(fetchRequest(s, 12, wants{}, fromPartition{"none", 0, 0, 0}, fromPartition{"none", 1, 0, 0}))
	c.ask(inSession(fetchRequest(s, 12, wants{}), 7, 7))
	times := kmsg.NewPtrListOffsetsRequest()
	times.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "none", Partitions: make([]kmsg.ListOffsetsRequestTopicPartition, 1)}}
	times.Version = 1
	c.ask(times)
	ends := kmsg.NewPtrOffsetForLeaderEpochRequest()
	ends.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "none", Partitions: make([]kmsg.OffsetForLeaderEpochRequestTopicPartition, 1)}}
	ends.Version = 3
	c.ask(ends)
	id, transaction := kmsg.NewPtrInitProducerIDRequest(), "x"
	id.TransactionalID = &transaction
	c.ask(id)
	got := s.stats.kafka.snapshot()
	for key, want := range map[kafka.Key]int64{kafka.Fetch: 3, kafka.ListOffsets: 1, kafka.OffsetForLeaderEpoch: 1, kafka.InitProducerID: 1} {
		if got.Errors[key.String()] != want {
			t.Errorf("%v: %d errors, want %d", key, got.Errors[key.String()], want)
		}
	}
	if n := got.Codes[kafka.UnknownTopicOrPartition.String()]; n != 4 {
		t.Errorf("%d times %v", n, kafka.UnknownTopicOrPartition)
	}
}

// A large request waits for memory. One that is larger than all of it ends its connection, and nothing of it is appended.
func TestI9KafkaRequestMemory(t *testing.T) {
	conf := kafkaConf()
	conf.Memory.Requests = 100 * resultSize
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t partitions=100\n")
	text.want("OK")
	if !s.requestMemory.TryReserve(conf.Memory.Requests) {
		t.Fatal("memory.requests is in use")
	}
	held := func() bool { used, _ := s.appendMemory.Used(); return used > 0 }
	waits := dialKafka(t, s)
	produce := produceRequest(9, 1, kafkaParts(t, 50)...)
	waits.send(produce)
	waitFor(t, held)
	var from []fromPartition
	for i := range int32(300) {
		from = append(from, fromPartition{"t", i % 100, 0, 0})
	}
	fetches, fetch := dialKafka(t, s), fetchRequest(s, 12, wants{}, from...)
	fetches.send(fetch)
	small := dialKafka(t, s)
	if got := results(small.ask(produceRequest(9, 1, kafkaParts(t, 1)...))); got[0].code != kafka.NoError {
		t.Errorf("a small one: %v", got)
	}
	s.requestMemory.Free(conf.Memory.Requests)
	if got := results(waits.receive(produce)); len(got) != 50 || got[49].code != kafka.NoError {
		t.Errorf("one that has waited: %v", got)
	}
	fetches.receive(fetch)
	waitFor(t, s.nobodyArrives)
	large := dialKafka(t, s)
	large.send(produceRequest(9, 1, kafkaParts(t, 100)...))
	large.ended()
	if n := s.stats.closed[closedOverloaded].Load(); n != 1 {
		t.Errorf("%d connections were closed for want of memory", n)
	}
	if end := s.catalog.find([]byte("t"), 99).log.Next(); end != 0 {
		t.Errorf("%d records of it were appended", end)
	}
}

// nobodyArrives tells whether no request has a place among the half-received ones.
func (s *Server) nobodyArrives() bool {
	small, _ := s.appendMemory.arriving.Used()
	large, _ := s.largeMemory.arriving.Used()
	return small+large == 0
}

// The wait for it is as long as a frame may take, and ends with a stop's patience.
func TestI9KafkaRequestMemoryWaitEnds(t *testing.T) {
	conf := kafkaConf()
	conf.Conn.FrameTimeout = time.Nanosecond
	s := startServerOn(t, fstest.NewMem(), conf)
	all := conf.Memory.Requests
	if !s.requestMemory.TryReserve(all) {
		t.Fatal("memory.requests is in use")
	}
	defer s.requestMemory.Free(all)
	c := loneResponder(t, s).c
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), cut} {
		if err := c.hold(ctx, new(kafkaRequest), 2*ownRequest); !errors.Is(err, errNoMemory) {
			t.Errorf("got %v", err)
		}
		if c.requestLease(ctx, 2*ownRequest) != nil {
			t.Error("there is a lease")
		}
	}
}
