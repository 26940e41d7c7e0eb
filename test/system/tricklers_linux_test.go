package system

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
)

// A trickler announces a request, sends the beginning of it, and stays.
type trickler struct {
	nc    net.Conn
	claim int // bytes that it owes
}

// trickle connects n of them, in turn of each kind: a message, batches, a Produce.
func (s *server) trickle(n, claim int) []trickler {
	s.t.Helper()
	all := make([]trickler, n)
	for i := range all {
		addr, head := s.Text, []byte(fmt.Sprintf("MSG slow %d\n", claim))
		switch i % 3 {
		case 1:
			head = []byte(fmt.Sprintf("BATCH slow %d\n", claim))
		case 2:
			addr, head = s.Kafka, binary.BigEndian.AppendUint32(nil, uint32(claim))
			head = append(head, 0, 0, 0, 9) // Produce, version 9
		}
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = nc.Close() }) // the server may have done so before
		if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
			s.t.Fatal(err)
		}
		if _, err := nc.Write(append(head, strings.Repeat("x", 100)...)); err != nil {
			s.t.Fatal(err)
		}
		all[i] = trickler{nc, claim - 100}
	}
	return all
}

// produceKafka appends one record of size bytes, and wants it acknowledged.
func (s *server) produceKafka(nc net.Conn, in *bufio.Reader, size int) {
	s.t.Helper()
	var b batch.Builder
	b.Reset(nil)
	b.Add(0, nil, make([]byte, size), nil)
	records, err := b.Finish(batch.None)
	if err != nil {
		s.t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, 1, 1000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = records
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "t", []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{topic}
	if _, err := nc.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("quick")).AppendRequest(nil, req, 7)); err != nil {
		s.t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(in, body); err != nil {
		s.t.Fatal(err)
	}
	answer := kmsg.NewPtrProduceResponse()
	answer.Version = req.Version
	if err := answer.ReadFrom(body[4:]); err != nil || answer.Topics[0].Partitions[0].ErrorCode != 0 {
		s.t.Fatalf("answered %+v, %v", answer, err)
	}
}

// D2, E1: three hundred clients of both protocols that announce more than there is memory for, and send next to nothing of it, keep nobody
// else waiting: producers of every size go on while all of them stay, and each of them is taken for what it is once it has sent the rest.
func TestD2E1HalfSentRequestsHurtNobody(t *testing.T) {
	for _, c := range []struct {
		name, budget string
		claim        int
		sizes        []int // of the producers' requests
	}{
		{"small", "append", 250_000, []int{100, 5000, 100_000, 250_000}},
		{"large", "large", 1_900_000, []int{100, 100_000, 300_000, 1_000_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, t.TempDir(), "--set", "stages.conn.frame_timeout=1h", "--set", "topic.max.message.bytes=8MiB")
			s.talk("CREATE t\nCREATE slow\n")
			slow := s.trickle(300, c.claim)
			until(t, "half of the memory is lent", func() bool {
				text := s.talk("STATS\n")
				used := figure(t, text, "memory +name="+c.budget+" used")
				return used >= figure(t, text, "memory +name="+c.budget+" used=[0-9]+ bound")*7/16
			})
			producer, in := s.dial()
			kafka, err := net.Dial("tcp", s.Kafka)
			if err != nil {
				t.Fatal(err)
			}
			defer kafka.Close()
			if err := kafka.SetDeadline(time.Now().Add(limit)); err != nil {
				t.Fatal(err)
			}
			kafkaIn := bufio.NewReader(kafka)
			for range 10 {
				for _, size := range c.sizes {
					if got := exchange(t, producer, in, fmt.Sprintf("MSG t %d\n%s\n", size, strings.Repeat("p", size))); !strings.HasPrefix(got, "OK first=") {
						t.Fatalf("%d bytes were answered %q", size, got)
					}
					s.produceKafka(kafka, kafkaIn, size)
				}
			}
			text := s.talk("STATS\n")
			if n := figure(t, text, "connections"); n != len(slow)+3 || strings.Contains(text, "closed ") {
				t.Fatalf("of %d slow clients, the producers and who asks, %d are there:\n%s", len(slow), n, text)
			}
			for i := range 6 { // the others are as they are
				last := slow[i*49]
				if i*49%3 == 2 {
					continue // what it has sent is no Produce
				}
				if _, err := io.WriteString(last.nc, strings.Repeat("x", last.claim)+"\n"); err != nil {
					t.Fatal(err)
				}
				got, err := bufio.NewReader(last.nc).ReadString('\n')
				if want := [...]string{"OK first=", "ERR BAD_BATCH "}[i*49%3]; err != nil || !strings.HasPrefix(got, want) {
					t.Errorf("slow client %d, which has sent the rest, was answered %q, %v", i*49, got, err)
				}
			}
		})
	}
}

// D2, E1: a request that needs memory which half-sent ones hold gets it: who keeps it waiting, and sends next to nothing, is told OVERLOADED
// and closed; the Kafka protocol has no answer for that, STATS has the reason.
func TestD2E1WhoKeepsMemoryIdleIsCut(t *testing.T) {
	s := serve(t, t.TempDir(), "--set", "stages.conn.frame_timeout=32s", "--set", "topic.max.message.bytes=64MiB", "--set", "max_batch=64MiB")
	s.talk("CREATE t\nCREATE slow\n")
	first := s.trickle(1, 60_000_000)[0]
	until(t, "memory is lent", func() bool { return s.stat("memory +name=large used") > 0 })
	s.trickle(3, 60_000_000) // who need it as well, and are not waited for
	producer, in := s.dial()
	const size = 30_000_000 // no socket holds that
	if got := exchange(t, producer, in, fmt.Sprintf("MSG t %d\n%s\n", size, strings.Repeat("p", size))); !strings.HasPrefix(got, "OK first=") {
		t.Fatalf("answered %q", got)
	}
	if n := s.stat("closed +reason=overloaded count"); n < 1 {
		t.Errorf("%d were closed for want of memory", n)
	}
	got, err := bufio.NewReader(first.nc).ReadString('\n')
	if err != nil || !strings.HasPrefix(got, "ERR OVERLOADED - ") {
		t.Errorf("who was first to hold it was answered %q, %v", got, err)
	}
}
