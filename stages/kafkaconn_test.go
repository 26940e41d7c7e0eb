package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/kafka"
)

// Requests that a client sends without waiting are answered in its order, whatever each
// waits for, and appended in it.
func TestKafkaPipelinedAnswersKeepTheirOrder(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.Writer.Count, c.Topic.Partitions = 2, 3 })
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c := dialKafka(t, s)
	var reqs []kmsg.Request
	const rounds = 200
	for i := range rounds {
		acks := int16(1 - 2*(i%2)) // 1 and all in turns, so that answers become ready out of order
		reqs = append(reqs, produceRequest(9, acks, toPartition{"t", int32(i % 3), recordBatch(t, fmt.Sprint(i))}))
		if i%10 == 0 {
			reqs = append(reqs, &kmsg.ApiVersionsRequest{Version: 2})
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.send(reqs...)
	}()
	var next [3]int64
	i := 0
	for _, req := range reqs {
		answer := c.receive(req) // which compares the number of the request
		if _, ok := req.(*kmsg.ProduceRequest); !ok {
			continue
		}
		want := produced{"t", int32(i % 3), kafka.NoError, next[i%3]}
		if got := results(answer); !slices.Equal(got, []produced{want}) {
			t.Fatalf("request %d: %v, want %v", i, got, want)
		}
		next[i%3]++
		i++
	}
	<-done
	text.send("READ t/1 0 limit=4\n")
	for i := range 4 {
		text.want("REC offset=* time=* key=-1 n=*", fmt.Sprint(1+3*i))
	}
}

// acks=all answers once the records are synced, acks=1 once they are written; the settings
// can say otherwise, and the topic's own level has no say in it.
func TestKafkaAcksNameLevels(t *testing.T) {
	for _, c := range []struct {
		acks     int16
		one, all string
		waits    bool
	}{
		{1, "written", "synced", false},
		{-1, "written", "synced", true},
		{1, "synced", "synced", true},
		{-1, "written", "written", false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			conf := noTicks()
			conf.Kafka = anyPort
			for name, value := range map[string]string{"stages.kafka.acks_one": c.one, "stages.kafka.acks_all": c.all} {
				set, _ := Find(Settings(), name)
				if err := set.Set(&conf, value); err != nil {
					t.Fatal(err)
				}
			}
			s := startServerOn(t, fstest.NewMem(), conf)
			text := dial(t, s)
			text.send("CREATE t ack=%s\n", map[bool]string{true: "written", false: "synced"}[c.waits])
			text.want("OK")
			before := s.stats.syncs.Load()
			k := dialKafka(t, s)
			if got := results(k.ask(produceRequest(9, c.acks, toPartition{"t", 0, recordBatch(t, "x")}))); got[0].code != 0 {
				t.Fatal(got)
			}
			if synced := s.stats.syncs.Load() > before; synced != c.waits {
				t.Errorf("synced: %v, want %v", synced, c.waits)
			}
		})
	}
}

// A failed sync is told to those who wait for it, as an error behind which clients try again.
func TestB2KafkaFailedSyncIsAnswered(t *testing.T) {
	conf := noTicks()
	conf.Kafka = anyPort
	b := &breaking{by: disk.ByFlusher, kind: fstest.Sync, err: syscall.EIO}
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), b.decide), conf)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	k := dialKafka(t, s)
	b.arm()
	got := results(k.ask(produceRequest(9, -1, toPartition{"t", 0, recordBatch(t, "x")})))
	if !slices.Equal(got, []produced{{"t", 0, kafka.KafkaStorageError, -1}}) {
		t.Error(got)
	}
	if got := results(k.ask(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "x")}))); got[0].code != kafka.KafkaStorageError {
		t.Error("behind it:", got)
	}
}

// A request to more partitions than a connection may have appends under way is carried out whole.
func TestKafkaProduceToManyPartitions(t *testing.T) {
	const partitions = 2*partsMost + 1
	conf := Default()
	conf.Kafka = anyPort
	s := startServerOn(t, fstest.NewMem(), conf)
	text := dial(t, s)
	text.send("CREATE t partitions=%d\n", partitions)
	text.want("OK")
	parts := make([]toPartition, partitions)
	for i := range parts {
		parts[i] = toPartition{"t", int32(i), recordBatch(t, fmt.Sprint(i))}
	}
	c := dialKafka(t, s)
	for round := range int64(3) {
		got := results(c.ask(produceRequest(11, 1, parts...)))
		if len(got) != partitions {
			t.Fatalf("%d results", len(got))
		}
		for i, r := range got {
			if r != (produced{"t", int32(i), kafka.NoError, round}) {
				t.Fatalf("result %d: %v", i, r)
			}
		}
	}
	waitFor(t, func() bool { used, _ := s.requestMemory.Used(); return used == 0 })
}

// A client that takes none of its answers holds no memory for requests while it is waited for.
func TestE3KafkaProducerThatTakesNoAnswers(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.Conn.InFlight = 4 })
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c := dialKafka(t, s)
	if err := c.nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	parts := []toPartition{{"t", 0, recordBatch(t, "x")}}
	for i := range 6 {
		parts = append(parts, toPartition{strings.Repeat(fmt.Sprint(i), 249), 0, nil}) // for long answers
	}
	flood := slices.Repeat(c.frame(produceRequest(9, 1, parts...)), 20)
	go func() { // ends with the connection
		for {
			if _, err := c.nc.Write(flood); err != nil {
				return
			}
		}
	}()
	waitFor(t, func() bool {
		used, _ := s.appendMemory.Used()
		return s.readers.parked.Load() == 1 && used == 0
	})
	text.send("MSG t 1\nx\n") // nobody else notices
	text.want("OK first=* next=* ack=written synced=*")
	_ = c.nc.Close() // the writer above ends with it
}

// A stop answers every Produce that it has received whole, and closes the connections.
func TestKafkaStopAnswersWhatItAccepted(t *testing.T) {
	dir := t.TempDir()
	s := startKafka(t, func(c *Config) { c.Data = dir })
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c, idle, half, head := dialKafka(t, s), dialKafka(t, s), dialKafka(t, s), dialKafka(t, s)
	frame := half.frame(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "half")}))
	half.write(frame[:50])
	head.write(frame[:5])
	waitFor(t, func() bool {
		begun := 0
		s.conns.each(func(c *conn) {
			if c.lineSince.Load() != 0 || c.frameSince.Load() != 0 {
				begun++
			}
		})
		return begun == 2
	})
	reqs := slices.Repeat([]kmsg.Request{produceRequest(9, -1, toPartition{"t", 0, recordBatch(t, "x")})}, 30)
	c.send(reqs...)
	c.receive(reqs[0])
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	answers := 1
	for ; answers < len(reqs); answers++ {
		if _, err := c.in.Peek(1); err == io.EOF {
			break // the rest was not received when the stop began
		}
		if got := results(c.receive(reqs[0])); got[0] != (produced{"t", 0, kafka.NoError, int64(answers)}) {
			t.Fatal(got)
		}
	}
	c.ended()
	idle.ended()
	half.ended()
	head.ended()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	again := startServer(t, func(c *Config) { c.Data = dir })
	c2 := dial(t, again)
	c2.send("HEAD t\n")
	c2.want(fmt.Sprintf("OK oldest=0 next=%d synced=%[1]d epoch=0 segment=0 segments=1 bytes=* partitions=1", answers))
}

// A client that closes its half is answered all that it has sent whole.
func TestKafkaHalfClose(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c := dialKafka(t, s)
	reqs := slices.Repeat([]kmsg.Request{produceRequest(9, -1, toPartition{"t", 0, recordBatch(t, "x")})}, 5)
	c.send(reqs...)
	if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for _, req := range reqs {
		c.receive(req)
	}
	c.ended()
}

// E1: a head or a body that does not come to its end is closed upon by its deadline, and an
// idle connection is not.
func TestE1KafkaSlowRequests(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	small := (&kafkaSession{t: t}).frame(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "x")}))
	large := (&kafkaSession{t: t}).frame(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, strings.Repeat("x", 300<<10))}))
	idle := dialKafka(t, s)
	idle.ask(&kmsg.ApiVersionsRequest{})
	for _, c := range []struct {
		name string
		sent []byte
		why  closing
	}{
		{"half a head", small[:5], closedHeader},
		{"half a small body", small[:30], closedFrame},
		{"half a large body", large[:280<<10], closedFrame},
		{"half of another request", (&kafkaSession{t: t}).frame(&kmsg.MetadataRequest{Version: 9})[:14], closedFrame},
	} {
		k := dialKafka(t, s)
		k.write(c.sent)
		since := func() (begun bool) {
			s.conns.each(func(c *conn) { begun = begun || c.lineSince.Load() != 0 || c.frameSince.Load() != 0 })
			return begun
		}
		waitFor(t, since)
		s.conns.expire(time.Now().Add(time.Hour), s.conf.Conn)
		if b, err := k.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // a reset says the same as an end
			t.Fatalf("%s: got byte %#x and error %v", c.name, b, err)
		}
		if n := s.stats.closed[c.why].Load(); n == 0 {
			t.Errorf("%s: %v", c.name, s.snapshot().Closed)
		}
		s.stats.closed[c.why].Store(0)
	}
	idle.ask(&kmsg.ApiVersionsRequest{})
}

// An idle connection of a Kafka client costs what one of the text protocol costs.
func TestKafkaIdleConnectionIsCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector has its own memory")
	}
	s := startKafka(t, nil)
	const n = 500
	measure := func(open func() net.Conn) float64 {
		before := heap()
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = open()
		}
		cost := float64(heap()-before) / n
		for _, c := range conns {
			_ = c.Close()
		}
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		return cost
	}
	var plain, spoken float64
	for range 3 { // what else the process does at that moment is not a connection's
		plain = measure(func() net.Conn { c := dial(t, s); c.quiet(); return c.nc })
		spoken = measure(func() net.Conn { c := dialKafka(t, s); c.ask(&kmsg.ApiVersionsRequest{Version: 3}); return c.nc })
		if spoken <= plain+2048 {
			return
		}
	}
	t.Errorf("an idle connection takes %.0f bytes of heap, one of the text protocol %.0f", spoken, plain)
}

// heap is what is in use, with nothing left over.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// One connection too many is closed without a word, which is all that Kafka's clients know.
func TestKafkaTooManyConnections(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.MaxConnections = 1 })
	first := dialKafka(t, s)
	first.ask(&kmsg.ApiVersionsRequest{})
	dialKafka(t, s).ended()
	first.ask(&kmsg.ApiVersionsRequest{})
	if n := s.snapshot().Errors["OVERLOADED"]; n != 1 {
		t.Errorf("%d refused connections in STATS", n)
	}
}

// STATS tells what Kafka's clients ask for, and why they were closed upon.
func TestKafkaStats(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c := dialKafka(t, s)
	c.ask(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "x")}, toPartition{"t", 1, recordBatch(t, "x")}))
	bad := dialKafka(t, s)
	bad.write(claim(10, 99, 0))
	bad.ended()
	waitFor(t, func() bool { return s.stats.kafka.connections.Load() == 1 })
	got := string(s.snapshot().render(false))
	for _, want := range []string{
		"connections          2\n",
		"kafka                connections=1\n",
		"kafka                key=\"Produce\" requests=1 errors=1\n",
		"kafka                key=\"key 63\" requests=1 errors=0\n",
		"kafka                code=\"UNKNOWN_TOPIC_OR_PARTITION\" count=1\n",
		"closed               reason=unserved count=1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
