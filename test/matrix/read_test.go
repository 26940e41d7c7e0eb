package matrix

import (
	"fmt"
	"strings"
	"time"

	"sluice/client"
	"sluice/wire/text"
)

func fromEveryKind(t *trial) {
	topic, s := t.topic(), t.open()
	const n = 20
	rs := t.records("r", n)
	t.must(s.create(topic))
	for _, from := range []string{"oldest", "newest", "0", "-1", "-5", "@0"} {
		t.want(s, topic, from, limits{}, nil, 0) // an empty log
	}
	t.put(s, topic, 0, rs...)
	for _, c := range []struct {
		from  string
		first int
	}{
		{"oldest", 0}, {"newest", n}, {"0", 0}, {"7", 7}, {"19", n - 1}, {"20", n},
		{"-1", n - 1}, {"-5", n - 5}, {"-20", 0}, {"-21", 0}, {"-1000000", 0},
		{"@0", 0}, {"@1970-01-01T00:00:00Z", 0}, {"@9223372036854775807", n}, {"@2200-01-01T00:00:00Z", n},
	} {
		t.want(s, topic, c.from, limits{}, rs[c.first:], uint64(c.first))
	}
}

func readLimits(t *trial) {
	topic, s := t.topic(), t.open()
	n := t.size(20)
	rs := t.records("r", n)
	t.put(s, topic, 0, rs...)
	for _, limit := range []int{1, 2, n / 2, n - 1, n, n + 1, 1 << 30} {
		t.want(s, topic, "0", limits{records: int64(limit)}, rs[:min(limit, n)], 0)
		t.want(s, topic, "-3", limits{records: int64(limit)}, rs[n-3:][:min(limit, 3)], uint64(n-3))
	}
}

func byteLimit(t *trial) {
	topic, s := t.topic(), t.open()
	const n = 12
	rs := t.records("r", n)
	t.put(s, topic, 0, rs...)
	size := int64(t.conf.record)
	for _, c := range []struct {
		bytes int64
		want  int
	}{{1, 1}, {size - 1, 1}, {size, 1}, {2*size - 1, 1}, {2 * size, 2}, {5*size + 1, 5}, {n * size, n}, {1 << 40, n}} {
		t.want(s, topic, "0", limits{bytes: c.bytes}, rs[:c.want], 0)
		t.want(s, topic, "0", limits{bytes: c.bytes, records: 3}, rs[:min(3, c.want)], 0)
	}
}

// eachOffset reads at every offset, and looks closely at the first and last record of each segment.
func eachOffset(t *trial) {
	topic, s, hand := t.topic(), t.open(), t.hand()
	n := t.size(30)
	rs := t.records("r", n)
	bases := map[int]bool{}
	for i := range rs {
		t.put(hand, topic, uint64(i), rs[i])
		h, err := hand.head(topic)
		t.must(err)
		bases[int(h.Segment)] = true
	}
	if strings.Contains(t.conf.settings, "segment.bytes=16KiB") && t.conf.record > 4<<10 && len(bases) < n/3 {
		t.failf("%d records of %d bytes lie in %d segments: this shows nothing about boundaries", n, t.conf.record, len(bases))
	}
	for i := range rs {
		t.want(s, topic, fmt.Sprint(i), limits{records: 2}, rs[i:min(i+2, n)], uint64(i))
	}
	for base := range bases {
		if base == 0 || t.drv.slow && base > n/2 {
			continue
		}
		from := uint64(base - 1) // the last one of the segment before
		t.want(s, topic, fmt.Sprint(from), limits{records: 1}, rs[from:from+1], from)
		t.want(s, topic, fmt.Sprint(from), limits{}, rs[from:], from)
		t.want(s, topic, fmt.Sprint(base), limits{}, rs[base:], uint64(base))
		f, err := t.open().follow(topic, fmt.Sprint(from), 2)
		t.must(err)
		got, err := take(f, min(2, n-int(from)))
		t.must(err)
		t.must(same(got, rs[from:min(int(from)+2, n)], from))
		t.must(ended(f))
	}
}

// lastMessage reads around the end, at each length that the log has on its way.
func lastMessage(t *trial) {
	topic, s := t.topic(), t.open()
	rs := t.records("r", t.size(16))
	for i := range rs {
		t.put(s, topic, uint64(i), rs[i])
		t.want(s, topic, "-1", limits{}, rs[i:i+1], uint64(i))
		t.want(s, topic, fmt.Sprint(i), limits{}, rs[i:i+1], uint64(i))
		t.want(s, topic, fmt.Sprint(i+1), limits{}, nil, 0)
		_, err := s.read(topic, fmt.Sprint(i+2), limits{})
		t.mustRefuse(err, "OUT_OF_RANGE")
	}
}

// checkTimes asks for the offset of every time around those of the records. The answer is the first record at or
// after it, not the nearest.
func checkTimes(t *trial, s session, topic string, rs []record) {
	asked := map[int64]bool{}
	for _, r := range rs {
		for _, ms := range []int64{r.ms - 1, r.ms, r.ms + 1} {
			if asked[ms] || len(asked) > t.size(36) {
				continue
			}
			asked[ms] = true
			first := len(rs)
			for i := range rs {
				if rs[i].ms >= ms {
					first = i
					break
				}
			}
			want := rs[first:min(first+1, len(rs))]
			t.want(s, topic, fmt.Sprintf("@%d", ms), limits{records: 1}, want, uint64(first))
		}
	}
}

func timeLookup(t *trial) {
	topic, s := t.topic(), t.open()
	began := time.Now().UnixMilli()
	n := t.size(16)
	for i, r := range t.records("r", n) {
		t.put(s, topic, uint64(i), r)
	}
	rs, err := s.read(topic, "0", limits{})
	t.must(err)
	for _, r := range rs {
		if r.ms < began || r.ms > time.Now().UnixMilli() {
			t.failf("offset %d has time %d, it was sent between %d and now", r.offset, r.ms, began)
		}
	}
	checkTimes(t, s, topic, rs)
}

func timesGoBack(t *trial) {
	for _, whole := range []bool{false, true} {
		topic, s := t.topic(), t.open()
		rs := t.records("r", 18)
		for i := range rs {
			rs[i].ms = 1_700_000_000_000 + int64(i*7%18)*10 + int64(i)*3
		}
		if b, ok := s.(batcher); whole && ok { // several times in one batch
			_, err := b.batches(topic, text.AckWritten, client.None, rs[:1], rs[1:8], rs[8:11], rs[11:])
			t.must(err)
		} else {
			t.put(s, topic, 0, rs...)
		}
		t.want(s, topic, "0", limits{}, rs, 0)
		checkTimes(t, s, topic, rs)
	}
}

func fetchAtTheEnd(t *trial) {
	topic, s := t.topic(), t.hand()
	t.must(s.create(topic))
	l, _, err := s.data("FETCH %s 0", topic)
	t.must(err)
	if l.n != 0 || l.uint("from") != 0 || l.uint("next") != 0 || l.uint("end") != 0 {
		t.failf("an empty log: %q", l.raw)
	}
	rs := t.records("r", 10)
	t.put(s, topic, 0, rs...)
	for _, c := range []struct {
		from string
		at   uint64
	}{{"newest", 10}, {"10", 10}, {"-1", 9}, {"oldest", 0}, {"4", 4}} {
		l, b, err := s.data("FETCH %s %s", topic, c.from)
		t.must(err)
		if l.uint("from") != c.at || l.uint("end") != 10 || l.uint("next") < c.at || l.uint("synced") > 10 {
			t.failf("from %s: %q", c.from, l.raw)
		}
		if (len(b) == 0) != (c.at == 10) {
			t.failf("from %s: %d bytes", c.from, len(b))
		}
	}
	_, _, err = s.data("FETCH %s 11", topic)
	t.mustRefuse(err, "OUT_OF_RANGE")
}

func fetchWaits(t *trial) {
	topic, s, other := t.topic(), t.hand(), t.hand()
	t.must(s.create(topic))
	l, _, err := s.data("FETCH %s 0 wait=5ms", topic) // which runs out
	t.must(err)
	if l.n != 0 || l.uint("next") != 0 {
		t.failf("nothing came, and the answer is %q", l.raw)
	}
	t.subscribers(other, 0) // those of the rows before may still be on their way out
	rs := t.records("r", 6)
	// As many bytes as three records surely have, and two surely have not.
	t.must(s.send("FETCH %s newest wait=1h min=%d\n", topic, 2*t.conf.record+400))
	t.subscribers(other, 1)
	for i := range rs {
		t.put(other, topic, uint64(i), rs[i])
	}
	l, err = s.line()
	t.must(err)
	b, err := s.bytes(l.n)
	t.must(err)
	segment := int64(1 << 40) // where it ends, FETCH may stop with less than was asked for
	if strings.Contains(t.conf.settings, "segment.bytes=16KiB") {
		segment = 0
	}
	if chunk := strings.Contains(t.conf.settings, "readers.chunk=4KiB"); l.uint("from") != 0 || l.uint("next") == 0 || segment > 0 && !chunk && len(b) < 2*t.conf.record+400 {
		t.failf("FETCH min=%d: %q", 2*t.conf.record+400, l.raw)
	}
	t.must(s.send("FETCH %s 2 wait=1h\n", topic)) // there is something: no wait
	l, err = s.line()
	t.must(err)
	if _, err := s.bytes(l.n); err != nil || l.n == 0 {
		t.failf("FETCH with wait where records are: %q, %w", l.raw, err)
	}
	t.must(s.send("FETCH %s newest wait=1h\n", topic))
	t.subscribers(other, 1)
	t.must(other.drop(topic))
	_, err = s.line()
	t.mustRefuse(err, "NO_TOPIC")
}

func fetchLimits(t *trial) {
	topic, s := t.topic(), t.hand()
	rs := t.records("r", 24)
	for i := range rs {
		rs[i].ms = 1
		_, err := s.batches(topic, t.conf.ack, client.None, rs[i:i+1])
		t.must(err)
	}
	heads, all, err := stored(s, topic)
	t.must(err)
	size := len(all) / len(rs) // of a batch
	if len(heads) != len(rs) {
		t.failf("%d batches, want %d", len(heads), len(rs))
	}
	for _, limit := range []int{1, size - 1, size, 3*size - 1, 3 * size, 1 << 30} {
		for from := 0; from < len(rs); {
			l, b, err := s.data("FETCH %s %d bytes=%d", topic, from, limit)
			t.must(err)
			if len(b) > limit && len(b) != size || len(b) == 0 || len(b)%size != 0 {
				t.failf("FETCH bytes=%d of batches of %d: %q", limit, size, l.raw)
			}
			from += len(b) / size
			if l.uint("next") != uint64(from) || l.uint("end") != uint64(len(rs)) {
				t.failf("FETCH bytes=%d: %q, want next=%d", limit, l.raw, from)
			}
		}
	}
}
