package stages

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// What a Kafka client produces, in every version that is served and at every level, gets the
// offsets that its answer tells, and is there for the text protocol.
func TestKafkaProduce(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t partitions=2\n")
	text.want("OK")
	c := dialKafka(t, s)
	next := int64(0)
	for version := int16(3); version <= 11; version++ {
		for _, acks := range []int16{-1, 1, 0} {
			req := produceRequest(version, acks, toPartition{"t", 1, recordBatch(t, fmt.Sprintf("v%d", version), fmt.Sprintf("acks%d", acks))})
			if acks == 0 {
				c.send(req)
				c.answered++ // never
			} else if got, want := results(c.ask(req)), []produced{{"t", 1, kafka.NoError, next}}; !slices.Equal(got, want) {
				t.Fatalf("version %d: %v, want %v", version, got, want)
			}
			next += 2
		}
	}
	c.ask(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "last")})) // behind those without an answer
	text.send("HEAD t/1\nREAD t/1 3 limit=3\n")
	text.want(fmt.Sprintf("OK oldest=0 next=%d synced=* epoch=0 segment=0 segments=1 bytes=* partitions=2", next))
	text.want("REC offset=3 time=1700000000000 key=-1 n=5", "acks1", "REC offset=4 time=1700000000000 key=-1 n=2", "v3", "REC offset=5 time=1700000000000 key=-1 n=5", "acks0")
}

// I10: a batch that a Kafka client produces allocates nothing, at any level, small or large,
// alone or among others.
func TestI10KafkaProduceAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, and empties pools at random")
	}
	small, large := recordBatch(t, strings.Repeat("x", 1000)), recordBatch(t, strings.Repeat("x", 500<<10))
	many := make([]toPartition, 20)
	for i := range many {
		many[i] = toPartition{fmt.Sprint("t", i%2), int32(i / 2), small}
	}
	for _, c := range []struct {
		name     string
		requests []*kmsg.ProduceRequest
	}{
		{"acks=1", []*kmsg.ProduceRequest{produceRequest(11, 1, toPartition{"t0", 0, small})}},
		{"acks=all", []*kmsg.ProduceRequest{produceRequest(9, -1, toPartition{"t0", 0, small})}},
		{"500 KiB, version 7", []*kmsg.ProduceRequest{produceRequest(7, 1, toPartition{"t0", 0, large})}},
		{"20 partitions of two topics", []*kmsg.ProduceRequest{produceRequest(11, 1, many...)}},
		{"acks=0, and one behind", []*kmsg.ProduceRequest{produceRequest(9, 0, toPartition{"t0", 0, small}), produceRequest(9, 1, toPartition{"t0", 1, small})}},
		{"32 at once", slices.Repeat([]*kmsg.ProduceRequest{produceRequest(9, 1, toPartition{"t0", 0, small})}, 32)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startKafka(t, func(c *Config) { c.Topic.Flush, c.Topic.Partitions = Forever, 10 })
			text := dial(t, s)
			text.send("CREATE t0\nCREATE t1\n")
			text.want("OK", "OK")
			k := dialKafka(t, s)
			var request []byte
			answers := 0
			for _, req := range c.requests {
				request = append(request, k.frame(req)...)
				if req.Acks != 0 {
					answers++
				}
			}
			size := k.answerSize(request, answers)
			plain := &session{t: t, nc: k.nc}
			answer := make([]byte, size)
			run := func() { plain.fixed(request, answer) }
			for range 100 { // buffers grow to their size
				run()
			}
			if n := testing.AllocsPerRun(300, run); n != 0 {
				t.Errorf("%.0f allocations", n)
			}
			if n := s.snapshot().Kafka.Errors["Produce"]; n != 0 {
				t.Errorf("%d errors", n)
			}
		})
	}
}

// answerSize is the size of so many answers to a request, which it sends once.
func (c *kafkaSession) answerSize(request []byte, answers int) int {
	c.t.Helper()
	c.write(request)
	all := 0
	for range answers {
		var size [4]byte
		if _, err := io.ReadFull(c.in, size[:]); err != nil {
			c.t.Fatal(err)
		}
		n, err := io.CopyN(io.Discard, c.in, int64(binary.BigEndian.Uint32(size[:])))
		if err != nil {
			c.t.Fatal(err)
		}
		all += 4 + int(n)
	}
	return all
}
