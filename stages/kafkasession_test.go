package stages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/kafka"
)

// inSession makes a Fetch one of a session.
func inSession(req *kmsg.FetchRequest, id, epoch int32, forget ...fromPartition) *kmsg.FetchRequest {
	req.SessionID, req.SessionEpoch = id, epoch
	for _, p := range forget {
		t := kmsg.NewFetchRequestForgottenTopic()
		t.Topic, t.Partitions = p.topic, []int32{p.index}
		for _, named := range req.Topics {
			if named.Topic == p.topic {
				t.TopicID = named.TopicID
			}
		}
		req.ForgottenTopics = append(req.ForgottenTopics, t)
	}
	return req
}

// A session's client names what has changed, and is told what is news: records, an end that has moved, errors, also of a topic that comes and
// goes. A request that does not fit its session is refused as Kafka's clients know it, and so is one that comes by another connection.
func TestKafkaFetchSession(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	msg := func(topic string) {
		t.Helper()
		text.send("MSG %s 1\nx\n", topic)
		text.want("OK first=* next=* ack=written synced=0")
	}
	text.send("CREATE t partitions=4\n")
	text.want("OK")
	id := int32(0)
	ask := func(what string, req *kmsg.FetchRequest, code kafka.Code, want string) {
		t.Helper()
		answer := c.ask(req).(*kmsg.FetchResponse)
		var got []string
		for _, p := range parts(s, answer) {
			got = append(got, fmt.Sprintf("%s/%d:%d:%v:%v", p.topic, p.index, p.end, len(p.records) > 0, p.code))
		}
		if strings.Join(got, " ") != want || kafka.Code(answer.ErrorCode) != code || code == kafka.NoError && req.SessionEpoch > 0 && answer.SessionID != id || code != kafka.NoError && answer.SessionID != 0 {
			t.Fatalf("%s: %v, session %d, %s\nwant %v, %d, %s", what, kafka.Code(answer.ErrorCode), answer.SessionID, strings.Join(got, " "), code, id, want)
		}
		id = max(id, answer.SessionID)
	}
	fetch := func(epoch int32, forget []fromPartition, from ...fromPartition) *kmsg.FetchRequest {
		return inSession(fetchRequest(s, 12, wants{wait: time.Millisecond, min: 1}, from...), id, epoch, forget...)
	}
	ask("begins", fetch(0, nil, fromPartition{"t", 0, 0, 0}, fromPartition{"t", 1, 0, 0}, fromPartition{"t", 2, 0, 0}, fromPartition{"new", 0, 0, 0}), 0,
		"t/0:0:false:NONE t/1:0:false:NONE t/2:0:false:NONE new/0:-1:false:UNKNOWN_TOPIC_OR_PARTITION")
	if id <= 0 {
		t.Fatal("no session was made")
	}
	msg("t/1")
	ask("records", fetch(1, nil), 0, "t/1:1:true:NONE new/0:-1:false:UNKNOWN_TOPIC_OR_PARTITION")
	ask("not taken", fetch(2, nil), 0, "t/1:1:true:NONE new/0:-1:false:UNKNOWN_TOPIC_OR_PARTITION")
	msg("new/0")
	ask("taken, and a topic that came", fetch(3, nil, fromPartition{"t", 1, 1, 0}), 0, "new/0:1:true:NONE")
	ask("forgotten and added", fetch(4, []fromPartition{{"t", 1, 0, 0}, {"t", 3, 0, 0}}, fromPartition{"new", 0, 1, 0}, fromPartition{"t", 3, 0, 0}), 0, "")
	ask("added", fetch(5, nil, fromPartition{"t", 3, 0, 0}), 0, "t/3:0:false:NONE")
	msg("t/1")
	ask("of what was forgotten nothing is told", fetch(6, nil), 0, "")
	ask("out of range", fetch(7, nil, fromPartition{"t", 0, 9, 0}), 0, "t/0:0:false:OFFSET_OUT_OF_RANGE")
	ask("in range", fetch(8, nil, fromPartition{"t", 0, 0, 0}), 0, "t/0:0:false:NONE")
	ask("nothing", fetch(9, nil), 0, "")
	text.send("DROP new\n")
	text.want("OK")
	ask("dropped", fetch(10, nil), 0, "new/0:-1:false:UNKNOWN_TOPIC_OR_PARTITION")
	ask("an old epoch", fetch(10, nil), kafka.InvalidFetchSessionEpoch, "")
	ask("a later epoch", fetch(12, nil), kafka.InvalidFetchSessionEpoch, "")
	ask("it goes on", fetch(11, []fromPartition{{"new", 0, 0, 0}}), 0, "")
	mine := id
	id++
	ask("another id", fetch(12, nil), kafka.FetchSessionIDNotFound, "")
	id = mine
	ask("topics by id", inSession(fetchRequest(s, 13, wants{}), id, 12), kafka.FetchSessionIDNotFound, "")
	c = dialKafka(t, s)
	ask("another connection", fetch(12, nil), kafka.FetchSessionIDNotFound, "")
	id = 0
	ask("anew", fetch(0, nil, fromPartition{"t", 1, 0, 0}), 0, "t/1:2:true:NONE")
	ask("closed", fetch(-1, nil, fromPartition{"t", 1, 0, 0}), 0, "t/1:2:true:NONE")
	ask("gone", fetch(1, nil), kafka.FetchSessionIDNotFound, "")
	id = 0
	ask("of no session", fetch(1, nil), kafka.FetchSessionIDNotFound, "")
}

// A client that goes by what a session tells it gets every record of every partition, however its partitions come and go, and however few
// bytes an answer may have; and nobody is kept waiting by a busy one.
func TestKafkaFetchSessionLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	const partitions = 20
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t partitions=%d\n", partitions)
	text.want("OK")
	ends, at := make([]int64, partitions), make([]int64, partitions)
	var in []int32 // the session's
	id, epoch, named := int32(0), int32(0), map[int32]int64{}
	step := func(change bool) (records int) {
		if change && epoch > 0 && rng.IntN(40) == 0 {
			epoch = 0 // a new session
		}
		var from, forget []fromPartition
		for i := range int32(partitions) {
			has := slices.Contains(in, i)
			switch {
			case epoch == 0 && has, has && named[i] != at[i]:
				from = append(from, fromPartition{"t", i, at[i], 1 + rng.Int32N(3000)})
			case change && rng.IntN(10) == 0 && has && epoch > 0:
				forget = append(forget, fromPartition{"t", i, 0, 0})
				in = slices.DeleteFunc(in, func(k int32) bool { return k == i })
			case (change && rng.IntN(5) == 0 || !change) && !has:
				from, in = append(from, fromPartition{"t", i, at[i], 1 + rng.Int32N(3000)}), append(in, i)
			}
		}
		rng.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
		for _, p := range from {
			named[p.index] = p.offset
		}
		answer := c.ask(inSession(fetchRequest(s, 12, wants{max: 1 + rng.Int32N(4000)}, from...), id, epoch, forget...)).(*kmsg.FetchResponse)
		if answer.ErrorCode != 0 {
			t.Fatalf("epoch %d: %v", epoch, kafka.Code(answer.ErrorCode))
		}
		if id = answer.SessionID; id != 0 {
			epoch++
		}
		for _, p := range parts(s, answer) {
			if p.code != kafka.NoError || !slices.Contains(in, p.index) || p.end != ends[p.index] {
				t.Fatalf("%d: %v, end %d, want %d", p.index, p.code, p.end, ends[p.index])
			}
			for b := []byte(p.records); len(b) > 0; {
				h, err := batch.Verify(b)
				if err != nil || int64(h.BaseOffset) != at[p.index] {
					t.Fatalf("%d: offset %d, %v, want %d", p.index, h.BaseOffset, err, at[p.index])
				}
				at[p.index] = int64(h.Next())
				b, records = b[h.Size:], records+1
			}
		}
		return records
	}
	for range 400 {
		for range rng.IntN(4) {
			i := rng.IntN(partitions)
			text.send("MSG t/%d %d\n%s\n", i, 500, strings.Repeat("x", 500))
			text.want("OK first=* next=* ack=written synced=0")
			ends[i]++
		}
		step(true)
	}
	for step(false) > 0 { // all are asked for now, and every answer brings some
	}
	if !slices.Equal(at, ends) {
		t.Errorf("got up to %v, want %v", at, ends)
	}
}

// What a session spares: of a thousand partitions with one that is busy, a request and its answer are as short as of that one.
func TestKafkaFetchSessionIsShort(t *testing.T) {
	const partitions = 1000
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t partitions=%d\n", partitions)
	text.want("OK")
	var all []fromPartition
	for i := range int32(partitions) {
		all = append(all, fromPartition{"t", i, 0, 0})
	}
	full := c.ask(fetchRequest(s, 12, wants{}, all...)).(*kmsg.FetchResponse)
	first := c.ask(inSession(fetchRequest(s, 12, wants{}, all...), 0, 0)).(*kmsg.FetchResponse)
	for epoch := int32(1); epoch < 5; epoch++ {
		text.send("MSG t/77 10\n0123456789\n")
		text.want("OK first=* next=* ack=written synced=*")
		req := inSession(fetchRequest(s, 12, wants{}, fromPartition{"t", 77, int64(epoch) - 1, 0}), first.SessionID, epoch)
		answer := c.ask(req).(*kmsg.FetchResponse)
		sent, came, before := len(c.frame(req)), len(answer.AppendTo(nil)), len(full.AppendTo(nil))
		c.correlation--
		if sent > 150 || came > 250 || before < 30*partitions {
			t.Errorf("%d bytes were sent, and %d came; without a session %d come", sent, came, before)
		}
	}
}

// I9: a session that outgrows memory.fetch is over, and its client begins anew; and one whose client names thousands of partitions in no order
// takes no more of the server's time than a new one would.
func TestI9KafkaFetchSessionMemory(t *testing.T) {
	conf := kafkaConf()
	conf.Memory.Fetch = 50 * partCost
	s := startServerOn(t, fstest.NewMem(), conf)
	c := dialKafka(t, s)
	first := c.ask(inSession(fetchRequest(s, 12, wants{}, fromPartition{"t", 0, 0, 0}), 0, 0)).(*kmsg.FetchResponse)
	for epoch := int32(1); ; epoch++ {
		answer := c.ask(inSession(fetchRequest(s, 12, wants{}, fromPartition{"t", epoch, 0, 0}), first.SessionID, epoch)).(*kmsg.FetchResponse)
		if code := kafka.Code(answer.ErrorCode); code == kafka.FetchSessionIDNotFound {
			if epoch < 8 {
				t.Errorf("over with %d partitions", epoch)
			}
			break
		} else if code != kafka.NoError || epoch > 50 {
			t.Fatalf("%d partitions: %v", epoch, code)
		}
	}
	if used, _ := s.fetchMemory.Used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
	var many []fromPartition
	for i := range int32(seekMost / 100) {
		many = append(many, fromPartition{"t", i, 0, 0})
	}
	conf.Memory.Fetch = 64 << 20
	c = dialKafka(t, startServerOn(t, fstest.NewMem(), conf))
	first = c.ask(inSession(fetchRequest(s, 12, wants{}, many[:5000]...), 0, 0)).(*kmsg.FetchResponse)
	rand.New(rand.NewPCG(1, 1)).Shuffle(5000, func(i, j int) { many[i], many[j] = many[j], many[i] })
	answer := c.ask(inSession(fetchRequest(s, 12, wants{}, many[:5000]...), first.SessionID, 1)).(*kmsg.FetchResponse)
	if kafka.Code(answer.ErrorCode) != kafka.FetchSessionIDNotFound {
		t.Errorf("%v", kafka.Code(answer.ErrorCode))
	}
}

// A thousand partitions, of which one has had a record: what a fetch costs without a session, and with one.
func BenchmarkKafkaFetchOfAThousandPartitions(b *testing.B) {
	for name, epoch := range map[string]int32{"full": -1, "session": 0} {
		b.Run(name, func(b *testing.B) {
			s := benchServer(b)
			nc, err := net.Dial("tcp", s.KafkaAddr())
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			text, err := net.Dial("tcp", s.Addr())
			if err != nil {
				b.Fatal(err)
			}
			defer text.Close()
			ask, answer := exchanger(b, nc), exchanger(b, text)
			answer([]byte("CREATE t partitions=1000\nMSG t/77 10\n0123456789\nCLOSE\n"), true)
			var all []fromPartition
			for i := range int32(1000) {
				all = append(all, fromPartition{"t", i, 0, 0})
			}
			frame := func(epoch, id int32, from []fromPartition) []byte {
				return kmsg.NewRequestFormatter().AppendRequest(nil, inSession(fetchRequest(s, 12, wants{}, from...), id, epoch), 1)
			}
			req, busy := frame(epoch, 0, all), all[77:78]
			came := ask(req, false)
			var id int32
			if epoch == 0 {
				id = int32(binary.BigEndian.Uint32(came[4+4+1+4+2:]))
			}
			b.ReportAllocs()
			for i := int32(1); b.Loop(); i++ {
				if epoch == 0 {
					req = frame(i, id, busy)
				}
				came = ask(req, false)
			}
			b.ReportMetric(float64(len(req)), "sent")
			b.ReportMetric(float64(len(came)), "came")
		})
	}
}

// exchanger sends, and reads an answer of Kafka's, or all up to the end.
func exchanger(b *testing.B, nc net.Conn) func(req []byte, all bool) []byte {
	buf := make([]byte, 1<<20)
	return func(req []byte, all bool) []byte {
		if _, err := nc.Write(req); err != nil {
			b.Fatal(err)
		}
		n := 0
		for n < 4 || all || n < 4+int(binary.BigEndian.Uint32(buf)) {
			k, err := nc.Read(buf[n:])
			n += k
			if errors.Is(err, io.EOF) && all {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		return buf[:n]
	}
}
