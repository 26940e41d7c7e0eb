package system

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
)

// A Kafka fetch of a megabyte of stored batches, from several partitions, goes from the files to the socket: sendfile carries every byte of
// them, what lies between is written with it, and nothing is read. The log of the test has the calls.
func TestKafkaFetchOfAMegabyteIsSendfile(t *testing.T) {
	const partitions = 4
	s := traceWith(t, t.TempDir(), []string{"-e", "trace=%desc,%network,futex"}, "--kafka", "127.0.0.1:0", "--set", "topic.partitions=4")
	for i := range partitions {
		s.fill(fmt.Sprintf("t/%d", i), 512, 500)
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.SessionEpoch = 12, 1<<20, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "t"
	for i := range int32(partitions) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = i, 1<<20
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	nc, err := net.Dial("tcp", s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	var total int64
	for range 2 { // the first finds out what is not checked yet
		total = 0
		if _, err := nc.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("megabyte")).AppendRequest(nil, req, 7)); err != nil {
			t.Fatal(err)
		}
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(in, frame); err != nil {
			t.Fatal(err)
		}
		var answer kmsg.FetchResponse
		answer.Version = req.Version
		if err := answer.ReadFrom(frame[5:]); err != nil {
			t.Fatal(err)
		}
		for _, p := range answer.Topics[0].Partitions {
			total += int64(len(p.RecordBatches))
			for b := p.RecordBatches; len(b) > 0; {
				h, err := batch.Verify(b)
				if err != nil {
					t.Fatal(err)
				}
				b = b[h.Size:]
			}
		}
	}
	if total < 900<<10 {
		t.Fatalf("%d bytes of records came", total)
	}
	calls := s.calls()
	from := func(what string) int {
		for i, c := range slices.Backward(calls) {
			if c.name == "read" && strings.Contains(c.args, what) {
				return i
			}
		}
		t.Fatalf("the trace has no read of %q", what)
		return 0
	}
	count, carried := map[string]int{}, map[string]int64{}
	for _, c := range calls[from("megabyte"):from(`"SHUTDOWN`)] {
		count[c.name]++
		if strings.HasPrefix(c.path, "socket:") || strings.HasPrefix(c.path, "TCP:") || strings.HasSuffix(c.path, ".log") || strings.HasSuffix(c.path, ".seg") {
			carried[c.name] += max(0, c.ret)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-12s %6d calls, %d bytes", name, count[name], carried[name])
	}
	if got := carried["sendfile"]; got != total {
		t.Errorf("sendfile carried %d of %d bytes", got, total)
	}
	if got := carried["pread64"] + carried["preadv"] + carried["preadv2"]; got > 16<<10 { // headers, and a byte here and there to know that it is in memory
		t.Errorf("%d bytes were read", got)
	}
	if got := carried["write"] + carried["sendmsg"] + carried["sendto"]; got > 2<<10 {
		t.Errorf("%d bytes were written beside", got)
	}
}
