package stages

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// FuzzKafkaConnection feeds a connection of the Kafka protocol any bytes and ends its stream.
// The server must answer in whole frames, in the order of the requests, and close; append
// exactly what it answers so, give all memory back, and go on serving others.
func FuzzKafkaConnection(f *testing.F) {
	shape := (&kafkaSession{}).frame
	x := recordBatch(f, "x", "y")
	for version := int16(3); version <= 11; version++ {
		f.Add(shape(produceRequest(version, 1, toPartition{"t", 0, x}, toPartition{"t", 1, x})))
	}
	good := shape(produceRequest(9, 1, toPartition{"t", 0, x}, toPartition{"t", 0, x[:70]}, toPartition{"t", 1, x}, toPartition{"u", 0, nil}))
	f.Add(good[:len(good)-3])
	f.Add(slices.Concat(good, good, shape(produceRequest(3, -1, toPartition{"t", 0, recordBatch(f, strings.Repeat("z", 9000))}))))
	f.Add(slices.Concat(shape(&kmsg.ApiVersionsRequest{Version: 0}), shape(&kmsg.ApiVersionsRequest{Version: 3}), claim(10, 18, 99), shape(&kmsg.MetadataRequest{Version: 9})))
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxBytes = 11, 1<<20
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0, PartitionMaxBytes: 1 << 20}}}}
	f.Add(slices.Concat(good, shape(fetch)))
	f.Add(claim(1<<31-1, 0, 9))
	f.Add(claim(1000, 1, 12))
	s := fuzzed(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, name := range []string{"t", "u"} {
			if got, _ := exchangeAll(t, s, speaksText, []byte("CREATE "+name+" partitions=2\n")); string(got) != "OK\r\n" {
				t.Fatalf("CREATE: %q", got)
			}
		}
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		before := s.stats.records.Load()
		got, _ := exchangeAll(t, s, speaksKafka, input)
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		for _, b := range s.budgets() {
			waitFor(t, func() bool { used, _ := b.bytes.Used(); return used == 0 })
		}
		appended, silent := checkFrames(t, input, got)
		if n := s.stats.records.Load() - before; n < appended || n > appended && !silent {
			t.Errorf("%d records were appended, %d were answered so", n, appended)
		}
		for name := range s.catalog.all() {
			if got, _ := exchangeAll(t, s, speaksText, []byte("DROP "+name+"\n")); string(got) != "OK\r\n" {
				t.Errorf("DROP %s: %q", name, got)
			}
		}
	})
}

// checkFrames proves that out is whole answers to requests at the front of in, and counts
// the records that they say were appended. silent: something may have been appended
// without an answer.
func checkFrames(t *testing.T, in, out []byte) (appended int64, silent bool) {
	next := func(b *[]byte) []byte {
		if len(*b) < 4 || uint64(binary.BigEndian.Uint32(*b)) > uint64(len(*b)-4) {
			return nil
		}
		frame := (*b)[4 : 4+binary.BigEndian.Uint32(*b)]
		*b = (*b)[4+len(frame):]
		return frame
	}
	for frame := next(&in); frame != nil; frame = next(&in) {
		h, err := kafka.ParseHeader(frame)
		if err != nil && h.Key != kafka.ApiVersions {
			break
		}
		var req kafka.ProduceRequest
		if h.Key == kafka.Produce {
			if err := req.Parse(h.Version, h.Body); err != nil {
				break
			}
			if req.Acks == 0 {
				silent = true
				continue
			}
		}
		answer := next(&out)
		if answer == nil && silent {
			return appended, true // a failure of what has no answer has ended the connection
		}
		if answer == nil {
			break
		}
		if got := int32(binary.BigEndian.Uint32(answer)); got != h.Correlation {
			t.Fatalf("the answer is to %d, want %d", got, h.Correlation)
		}
		if h.Key == kafka.Produce {
			appended += recordsOf(t, h, &req, answer[4:])
		}
	}
	if len(out) > 0 {
		t.Errorf("%d bytes are no answer to anything: %x", len(out), out[:min(len(out), 50)])
	}
	return appended, silent
}

// recordsOf counts the records that an answer says were appended.
func recordsOf(t *testing.T, h kafka.Header, req *kafka.ProduceRequest, body []byte) (n int64) {
	answer := kmsg.NewPtrProduceResponse()
	answer.Version = h.Version
	if kafka.Flexible(h.Key, h.Version) {
		body = body[1:]
	}
	if err := answer.ReadFrom(body); err != nil {
		t.Fatalf("the answer to a Produce: %v", err)
	}
	list := results(answer)
	var part kafka.ProducePartition
	for i := 0; req.Next(&part); i++ {
		if list[i].index != part.Index || list[i].topic != string(part.Topic) {
			t.Fatalf("result %d is of %s/%d, want %s/%d", i, list[i].topic, list[i].index, part.Topic, part.Index)
		}
		if list[i].code == kafka.NoError {
			n += int64(binary.BigEndian.Uint32(part.Records[57:]))
		}
	}
	return n
}
