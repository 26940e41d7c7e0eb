package stages

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
	"sluice/wire/kafka"
)

// startKafka is startServer with a listener for Kafka's clients.
func startKafka(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	return startServer(t, func(c *Config) {
		c.Kafka = anyPort
		if change != nil {
			change(c)
		}
	})
}

// kafkaSession is a client of the Kafka protocol that does one thing after the other.
type kafkaSession struct {
	t           *testing.T
	nc          net.Conn
	in          *bufio.Reader
	correlation int32 // of the last request
	answered    int32 // of the last answer
}

func dialKafka(t *testing.T, s *Server) *kafkaSession {
	t.Helper()
	return dialKafkaAt(t, s.KafkaAddr())
}

func dialKafkaAt(t *testing.T, addr string) *kafkaSession {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() }) // a second close of an orderly ended session is fine
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &kafkaSession{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// frame is the bytes of a request, whose version is set.
func (c *kafkaSession) frame(req kmsg.Request) []byte {
	c.correlation++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.correlation)
}

func (c *kafkaSession) write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// send sends requests in one write.
func (c *kafkaSession) send(reqs ...kmsg.Request) {
	c.t.Helper()
	var b []byte
	for _, req := range reqs {
		b = append(b, c.frame(req)...)
	}
	c.write(b)
}

// receive reads the next answer, which must be one to the next request.
func (c *kafkaSession) receive(to kmsg.Request) kmsg.Response {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		c.t.Fatalf("the answer to %T: %v", to, err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatalf("the answer to %T, of %d bytes: %v", to, len(b), err)
	}
	c.answered++
	if got := int32(binary.BigEndian.Uint32(b)); got != c.answered {
		c.t.Fatalf("the answer is to request %d, want %d", got, c.answered)
	}
	b = b[4:]
	answer := to.ResponseKind()
	if to.IsFlexible() && to.Key() != int16(kafka.ApiVersions) {
		b = b[1:] // no tags in the header
	}
	if err := answer.ReadFrom(b); err != nil {
		c.t.Fatalf("%T: %v", answer, err)
	}
	return answer
}

// ask is send and receive.
func (c *kafkaSession) ask(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.send(req)
	return c.receive(req)
}

// ended checks that the server closes the connection now, in order.
func (c *kafkaSession) ended() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.t.Fatalf("got byte %#x and error %v, want the end of the stream", b, err)
	}
}

// recordBatch is a batch of plain records with these values.
func recordBatch(t testing.TB, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(nil)
	for _, v := range values {
		b.Add(1_700_000_000_000, nil, []byte(v), nil)
	}
	out, err := b.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// toPartition is a part of a Produce.
type toPartition struct {
	topic   string
	index   int32
	records []byte
}

// produceRequest puts neighbours of one topic together, as clients do.
func produceRequest(version, acks int16, parts ...toPartition) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 1000
	for _, p := range parts {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != p.topic {
			t := kmsg.NewProduceRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, kmsg.ProduceRequestTopicPartition{Partition: p.index, Records: p.records})
	}
	return req
}

// produced is what the answer to a Produce says of one partition.
type produced struct {
	topic string
	index int32
	code  kafka.Code
	base  int64
}

// results are those of an answer, in its order.
func results(answer kmsg.Response) (list []produced) {
	for _, t := range answer.(*kmsg.ProduceResponse).Topics {
		for _, p := range t.Partitions {
			list = append(list, produced{t.Topic, p.Partition, kafka.Code(p.ErrorCode), p.BaseOffset})
		}
	}
	return list
}
