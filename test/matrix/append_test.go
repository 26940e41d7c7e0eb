package matrix

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"sluice/wire/batch"
	"sluice/wire/text"
)

func appendAndReadBack(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic))
	rs := t.records("r", t.size(48))
	many := len(rs) * 3 / 4
	t.put(s, topic, 0, rs[:many]...)
	for i := many; i < len(rs); i++ {
		t.put(s, topic, uint64(i), rs[i])
	}
	t.want(s, topic, "oldest", limits{}, rs, 0)
	t.want(t.open(), topic, "0", limits{}, rs, 0)
	h, err := s.head(topic)
	t.must(err)
	if h.Oldest != 0 || h.Next != uint64(len(rs)) || h.Synced > h.Next || h.Segment >= h.Next || h.Bytes < int64(len(rs)*t.conf.record) {
		t.failf("HEAD says %+v behind %d records", h, len(rs))
	}
}

func firstAppendCreates(t *trial) {
	topic, s := t.topic(), t.open()
	rs := t.records("r", 3)
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
	h, err := s.head(topic)
	t.must(err)
	if h.Partitions != 1 {
		t.failf("the topic has %d partitions, want 1", h.Partitions)
	}
}

// What a session has appended is there for its next request.
func readOwnWrites(t *trial) {
	topic, s := t.topic(), t.open()
	rs := t.records("r", t.size(20))
	for i, r := range rs {
		t.put(s, topic, uint64(i), r)
		t.want(s, topic, fmt.Sprint(i), limits{}, rs[i:i+1], uint64(i))
		h, err := s.head(topic)
		t.must(err)
		if h.Next != uint64(i+1) {
			t.failf("HEAD has next=%d behind %d appends of the same session", h.Next, i+1)
		}
	}
}

func keys(t *trial) {
	topic, s := t.topic(), t.open()
	rs := t.records("r", 12)
	for i := range rs {
		if i%3 > 0 {
			rs[i].key = fmt.Appendf(nil, "key %d", i%3)
		}
	}
	rs[5].key = bytes.Repeat([]byte("k"), 300)
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
}

func nullAndEmpty(t *trial) {
	topic, s := t.topic(), t.open()
	var rs []record
	for _, key := range [][]byte{nil, {}, []byte("k")} {
		for _, value := range [][]byte{nil, {}, []byte("v"), t.value("r", len(rs))} {
			rs = append(rs, record{key: key, value: value})
		}
	}
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
	t.want(t.hand(), topic, "0", limits{}, rs, 0)
}

// What a line can hold: every byte but its end.
func lineValues(t *trial) {
	topic, s := t.topic(), t.open()
	var all []byte
	for c := range 256 {
		if c != '\n' {
			all = append(all, byte(c))
		}
	}
	rs := []record{{value: all}, {value: []byte("\r")}, {value: []byte{}}, {value: []byte("ends in CR\r")}, {value: []byte(" \t ")}, {value: []byte("\x00")}}
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
}

// What looks like the protocol, inside of a value, is a value.
func anyValues(t *trial) {
	topic, s := t.topic(), t.open()
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	rs := []record{
		{value: all, key: all}, {value: []byte("\r\n")}, {value: []byte("\n")}, {value: []byte("OK next=1 end=1 epoch=0\r\n")},
		{value: []byte("x\r\nSHUTDOWN\r\n"), key: []byte("\nDROP " + topic + "\n")}, {value: bytes.Repeat([]byte("\r\n"), 1000)},
	}
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
	t.want(t.hand(), topic, "0", limits{}, rs, 0)
}

// noise is bytes that compress badly and hold no LF; made once, as a loop over megabytes is slow where coverage counts.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // it never fails
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r"))
})

// fill is n bytes of noise, others for another n.
func fill(n int) []byte {
	from := n % 1000
	return bytes.Clone(noise()[from : from+n])
}

func largeValues(t *trial) {
	const limit = 1 << 20 // max.message.bytes, as it is by default
	topic, s := t.topic(), t.open()
	largest := limit - batch.HeaderSize
	for batch.HeaderSize+batch.RecordSize(-1, largest) > limit {
		largest--
	}
	if t.drv.slow {
		largest -= 128 // the command keeps that much for what surrounds a line
	}
	rs := []record{
		{value: t.value("r", 0)}, {value: fill(largest)}, {value: t.value("r", 1)}, {value: fill(300 << 10)}, {value: fill(largest - 1)},
		{value: fill(64 << 10)}, {value: fill(65<<10 + 1)}, {value: fill(4096)}, {value: fill(4095)},
	}
	t.put(s, topic, 0, rs...)
	t.want(s, topic, "0", limits{}, rs, 0)
	t.want(s, topic, "4", limits{records: 1}, rs[4:5], 4)
}

func tooLargeValue(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "max.message.bytes=64KiB"))
	rs := t.records("r", 2)
	t.put(s, topic, 0, rs[0])
	_, err := s.append(topic, text.AckWritten, record{value: fill(70 << 10)})
	if !refused(err, "TOO_LARGE") && !refused(err, "BAD_BATCH") {
		t.failf("got %v, want TOO_LARGE or BAD_BATCH", err)
	}
	after := t.open() // TOO_LARGE closes a connection
	t.put(after, topic, 1, rs[1])
	t.want(after, topic, "0", limits{}, rs, 0)
}

// checkProducers checks that the log has each producer's records, all of them, once, in order, and dense offsets.
// atLeast is how many of each there must be; none may be missing before the last one that is there.
func checkProducers(got []record, names []string, atLeast []int) error {
	seen := map[string]int{}
	for i, r := range got {
		if r.offset != uint64(i) {
			return fmt.Errorf("record %d has offset %d", i, r.offset)
		}
		var who string
		var n int
		if _, err := fmt.Sscanf(string(r.value), "%s %d", &who, &n); err != nil {
			return fmt.Errorf("nobody sent %s", describe(r))
		}
		if n != seen[who] {
			return fmt.Errorf("offset %d has record %d of producer %s, want its record %d", i, n, who, seen[who])
		}
		seen[who]++
	}
	for i, name := range names {
		if seen[name] < atLeast[i] {
			return fmt.Errorf("the log has %d records of producer %s, want %d at least", seen[name], name, atLeast[i])
		}
		delete(seen, name)
	}
	if len(seen) > 0 {
		return fmt.Errorf("producers that nobody knows: %v", seen)
	}
	return nil
}

func manyProducers(t *trial) {
	const producers = 6
	topic := t.topic()
	n, chunk := t.size(40), 5
	sessions := make([]session, producers)
	names, counts := make([]string, producers), make([]int, producers)
	for i := range sessions {
		sessions[i], names[i], counts[i] = t.open(), fmt.Sprint("p", i), n
	}
	t.each(producers, func(i int) error {
		rs := t.records(names[i], n)
		for len(rs) > 0 {
			k := min(chunk, len(rs))
			as, err := sessions[i].append(topic, t.conf.ack, rs[:k]...)
			if err != nil {
				return err
			}
			for j := 1; j < len(as); j++ { // other producers' records may lie between, never before
				if as[j].first < as[j-1].next {
					return fmt.Errorf("%s: offset %d behind %d", names[i], as[j].first, as[j-1].first)
				}
			}
			rs = rs[k:]
		}
		return nil
	})
	got, err := sessions[0].read(topic, "0", limits{})
	t.must(err)
	t.must(checkProducers(got, names, counts))
	if len(got) != producers*n {
		t.failf("%d records, want %d", len(got), producers*n)
	}
}

// Topics have nothing to do with each other, whichever writer they belong to.
func manyTopics(t *trial) {
	s := t.open()
	topics := make([]string, t.size(8))
	for i := range topics {
		topics[i] = t.topic()
	}
	for round := range 3 {
		for i, topic := range topics {
			t.put(s, topic, uint64(2*round), t.records(fmt.Sprint("t", i), 2*round+2)[2*round:]...)
		}
	}
	for i, topic := range topics {
		t.want(s, topic, "0", limits{}, t.records(fmt.Sprint("t", i), 6), 0)
	}
}

func partitions(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "partitions=3"))
	for p := range 3 {
		t.put(s, fmt.Sprintf("%s/%d", topic, p), 0, t.records(fmt.Sprint("p", p), 2+p)...)
	}
	for p := range 3 {
		name := fmt.Sprintf("%s/%d", topic, p)
		t.want(s, name, "0", limits{}, t.records(fmt.Sprint("p", p), 2+p), 0)
		h, err := s.head(name)
		t.must(err)
		if h.Partitions != 3 || h.Next != uint64(2+p) {
			t.failf("HEAD %s says %+v", name, h)
		}
	}
	t.want(s, topic, "0", limits{}, t.records("p0", 2), 0) // the bare name is partition 0
	_, err := s.read(topic+"/3", "0", limits{})
	t.mustRefuse(err, "NO_TOPIC")
	_, err = s.append(topic+"/3", text.AckWritten, t.records("x", 1)...)
	t.mustRefuse(err, "NO_TOPIC")
	if strings.Contains(t.conf.settings, "topic.partitions") {
		t.failf("this behaviour wants the default number of partitions")
	}
}
