package stages

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// framed puts the size in front.
func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// claim is the head of a frame that says it has that size.
func claim(size uint32, key, version int16) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, 0, 0, 0, 1, 0xff, 0xff) // correlation, no client id
}

// E4: a frame that can't be one, that is too large, or asks for what is not served ends its
// connection, behind the answers to what came before; it takes no memory, appends nothing,
// and STATS counts it.
func TestE4KafkaFrames(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.KafkaProtocol.MaxFrame = 1 << 20 })
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	shape := (&kafkaSession{t: t}).frame
	good := shape(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "x")}, toPartition{"t", 1, recordBatch(t, "y")}))[4:]
	classic := shape(produceRequest(3, 1, toPartition{"t", 0, recordBatch(t, "x")}))[4:]
	// behind the client id: transactional id, acks, timeout, then the number of topics
	topicsAt := len(classic) - len(recordBatch(t, "x")) - 4 - 4 - 4 - 3 - 4
	with := func(b []byte, at int, v uint32) []byte {
		b = slices.Clone(b)
		binary.BigEndian.PutUint32(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		why   closing
	}{
		{"size 0", claim(0, 0, 9), closedMalformed},
		{"size 9", claim(9, 18, 0), closedMalformed},
		{"size -1", claim(1<<32-1, 0, 9), closedMalformed},
		{"size -2^31", claim(1<<31, 0, 9), closedMalformed},
		{"size 2^31-1", claim(1<<31-1, 0, 9), closedOversized},
		{"a Produce above the limit", claim(1<<20+1, 0, 9), closedOversized},
		{"a Fetch above the limit", claim(1<<20+1, 1, 12), closedOversized},
		{"an unserved key with a size above the limit", claim(1<<20+1, 99, 0), closedOversized},
		{"key 99", claim(10, 99, 0), closedUnserved},
		{"key -1", claim(10, -1, 0), closedUnserved},
		{"Produce 2, which is told", claim(10, 0, 2), closedUnserved},
		{"Produce 12", claim(10, 0, 12), closedUnserved},
		{"Produce -1", claim(10, 0, -1), closedUnserved},
		{"Fetch 3", claim(10, 1, 3), closedUnserved},
		{"Metadata 99", claim(10, 3, 99), closedUnserved},
		{"a line of the text protocol", []byte("PING\nPING\n"), closedOversized},
		{"a client id beyond the frame", framed(append(claim(0, 3, 1)[4:12], 0x7f, 0xff)), closedMalformed},
		{"trailing bytes", framed(append(slices.Clone(good), 0)), closedMalformed},
		{"the last byte missing", framed(good[:len(good)-1]), closedMalformed},
		{"cut in the second partition", framed(good[:len(good)-20]), closedMalformed},
		{"trailing bytes in a Metadata", framed(append(shape(&kmsg.MetadataRequest{Version: 1})[4:], 7)), closedMalformed},
		{"10^9 topics", framed(with(classic, topicsAt, 1e9)), closedMalformed},
		{"-2 topics", framed(with(classic, topicsAt, 1<<32-2)), closedMalformed},
		{"records of 2^31-1 bytes", framed(with(classic, len(classic)-len(recordBatch(t, "x"))-4, 1<<31-1)), closedMalformed},
		{"an endless varint", framed(append(slices.Clone(good[:14]), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), closedMalformed},
		{"10^9 topics in a Metadata", framed(append(claim(0, 3, 1)[4:], 0x3b, 0x9a, 0xca, 0)), closedMalformed},
		{"10^9 partitions in a Fetch", framed(append(shape(&kmsg.FetchRequest{Version: 4})[4:][:14+4+4+4+4+1], 0x3b, 0x9a, 0xca, 0)), closedMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.snapshot()
			k := dialKafka(t, s)
			first := &kmsg.ApiVersionsRequest{Version: 0}
			k.write(append(k.frame(first), c.bytes...))
			k.receive(first)
			k.ended()
			if n := s.stats.closed[c.why].Load() - before.Closed[closingNames[c.why]]; n != 1 {
				t.Errorf("%d connections were closed as %s, want 1: %v, before %v", n, closingNames[c.why], s.snapshot().Closed, before.Closed)
			}
			for _, b := range s.budgets() {
				if used, _ := b.bytes.Used(); used != 0 {
					t.Errorf("%d bytes of %s are still leased", used, b.name)
				}
			}
		})
	}
	text.send("HEAD t\n")
	text.want("OK oldest=0 next=0 synced=0 epoch=0 segment=0 segments=1 bytes=0 partitions=1")
}

// E4: a frame that ends with its connection, wherever, is no request.
func TestE4KafkaTruncated(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	small := (&kafkaSession{t: t}).frame(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "x")}))
	large := (&kafkaSession{t: t}).frame(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, strings.Repeat("x", 600<<10))}))
	cuts := [][]byte{large[:len(large)-1], large[:300<<10], large[:5000], large[:4096]}
	for n := 1; n < len(small); n++ {
		cuts = append(cuts, small[:n])
	}
	for _, b := range cuts {
		c := dialKafka(t, s)
		c.write(b)
		if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.ended()
	}
	text.send("HEAD t\n")
	text.want("OK oldest=0 next=0 synced=0 epoch=0 segment=0 segments=1 bytes=0 partitions=1")
}

// E4: what is wrong with one partition of a Produce, it alone is refused for, with the code
// that Kafka has for it, and nothing of it is appended; the others are.
func TestE4KafkaBadBatchFailsAlone(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t partitions=20 max.message.bytes=2000\n")
	text.want("OK")
	change := func(at int, b ...byte) []byte {
		out := recordBatch(t, "x")
		copy(out[at:], b)
		return out
	}
	proved := func(at int, b ...byte) []byte { // with its checksum right again
		out := change(at, b...)
		binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
		return out
	}
	two := append(recordBatch(t, "x"), recordBatch(t, "y")...)
	bad := []struct {
		name    string
		records []byte
		want    kafka.Code
	}{
		{"no records", nil, kafka.InvalidRecord},
		{"half a batch", recordBatch(t, "x")[:40], kafka.InvalidRecord},
		{"two batches", two, kafka.InvalidRecord},
		{"magic 1", change(16, 1), kafka.InvalidRecord},
		{"base offset 1", change(7, 1), kafka.InvalidRecord},
		{"above max.message.bytes", recordBatch(t, strings.Repeat("x", 2000)), kafka.MessageTooLarge},
		{"a wrong checksum", change(17, 1, 2, 3, 4), kafka.CorruptMessage},
		{"length -1", change(8, 0xff, 0xff, 0xff, 0xff), kafka.CorruptMessage},
		{"bytes behind the batch", append(recordBatch(t, "x"), 1, 2, 3), kafka.InvalidRecord},
		{"a count of 2", proved(57, 0, 0, 0, 2), kafka.InvalidRecord},
		{"a count of 10^9", proved(57, 0x3b, 0x9a, 0xca, 0), kafka.InvalidRecord},
		{"a control batch", proved(22, 0x20), kafka.InvalidRecord},
		{"a transaction", proved(22, 0x10), kafka.InvalidTxnState},
		{"codec 7", proved(22, 7), kafka.UnsupportedCompression},
		{"log append time", proved(22, 8), kafka.InvalidTimestamp},
	}
	c := dialKafka(t, s)
	for _, b := range bad {
		req := produceRequest(11, -1, toPartition{"t", 0, recordBatch(t, "before")}, toPartition{"t", 1, b.records}, toPartition{"t", 2, recordBatch(t, "behind")})
		got := results(c.ask(req))
		if len(got) != 3 || got[0].code != 0 || got[1] != (produced{"t", 1, b.want, -1}) || got[2].code != 0 {
			t.Errorf("%s: %v, want %v for partition 1 alone", b.name, got, b.want)
		}
	}
	got := results(c.ask(produceRequest(9, 1, toPartition{"u", 0, recordBatch(t, "x")}, toPartition{"t", 20, recordBatch(t, "x")},
		toPartition{"t", -1, recordBatch(t, "x")}, toPartition{"t", 3, recordBatch(t, "x")})))
	want := []produced{
		{"u", 0, kafka.UnknownTopicOrPartition, -1}, {"t", 20, kafka.UnknownTopicOrPartition, -1}, {"t", -1, kafka.UnknownTopicOrPartition, -1}, {"t", 3, kafka.NoError, 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, acks := range []int16{-2, 2} {
		got := results(c.ask(produceRequest(9, acks, toPartition{"t", 4, recordBatch(t, "x")}, toPartition{"none", 0, nil})))
		if len(got) != 2 || got[0].code != kafka.InvalidRequiredAcks || got[1].code != kafka.InvalidRequiredAcks {
			t.Errorf("acks=%d: %v", acks, got)
		}
	}
	n := len(bad)
	text.send("HEAD t/0\nHEAD t/1\nHEAD t/2\nHEAD t/4\n")
	for _, next := range []int{n, 0, n, 0} {
		text.want(fmt.Sprintf("OK oldest=0 next=%d synced=%[1]d epoch=0 segment=0 segments=1 bytes=* partitions=20", next))
	}
	if codes := s.snapshot().Kafka; codes.Errors["Produce"] != int64(n+3+4) || codes.Codes["INVALID_RECORD"] != 9 {
		t.Errorf("STATS: %+v", codes)
	}
}

// With acks=0 a client learns of a failure by the end of its connection, as with Kafka, and
// of what came before it by the answers.
func TestKafkaUnansweredFailureClosesTheConnection(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t\n")
	text.want("OK")
	c := dialKafka(t, s)
	first := produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "a")})
	c.send(first, produceRequest(9, 0, toPartition{"t", 0, recordBatch(t, "b")}, toPartition{"t", 1, recordBatch(t, "c")}))
	if got := results(c.receive(first)); got[0].code != 0 {
		t.Fatal(got)
	}
	if _, err := c.in.ReadByte(); err == nil {
		t.Fatal("there is an answer to acks=0")
	} else if err != io.EOF {
		t.Log(err) // a reset says the same
	}
	if n := s.stats.closed[closedUnanswered].Load(); n != 1 {
		t.Errorf("%d connections were closed for it", n)
	}
	text.send("HEAD t\n")
	text.want("OK oldest=0 next=2 synced=* epoch=0 segment=0 segments=1 bytes=* partitions=1")
}
