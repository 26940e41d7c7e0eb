package matrix

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"sluice/client"
	"sluice/wire/text"
)

// These rows are about the places where readers go wrong: the first and the last record of the log and of each segment,
// the middle of a batch, the end of an empty log, an end that moves.

// segmented appends n records one by one, and returns them as they are stored, with the base offsets of the segments.
func segmented(t *trial, s session, topic string, n int) (rs []record, bases []int) {
	hand := t.hand()
	for i, r := range t.records("r", n) {
		t.put(s, topic, uint64(i), r)
		h, err := hand.head(topic)
		t.must(err)
		if base := int(h.Segment); !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	if strings.Contains(t.conf.settings, "segment.bytes=16KiB") && t.conf.record > 4<<10 && len(bases) < n/4 {
		t.failf("%d records of %d bytes lie in %d segments: this shows nothing about boundaries", n, t.conf.record, len(bases))
	}
	rs, err := hand.read(topic, "0", limits{}) // with their times
	t.must(err)
	return rs, bases
}

// everyPlaceAtBoundaries names the records around each boundary in every way there is, and reads up to it, over it, and
// on to the end.
func everyPlaceAtBoundaries(t *trial) {
	topic, s := t.topic(), t.open()
	rs, bases := segmented(t, t.hand(), topic, t.size(24))
	n := len(rs)
	places := map[int]bool{0: true, n - 1: true, n: true}
	for _, base := range bases[max(0, len(bases)-3):] {
		for i := max(base-1, 0); i <= min(base+1, n); i++ {
			places[i] = true
		}
	}
	for at := range places {
		end := n // of the segment
		for _, base := range slices.Backward(bases) {
			if base > at {
				end = base
			}
		}
		names := []string{fmt.Sprint(at)}
		if at < n {
			names = append(names, fmt.Sprintf("-%d", n-at))
			first := slices.IndexFunc(rs, func(r record) bool { return r.ms >= rs[at].ms })
			t.want(s, topic, fmt.Sprintf("@%d", rs[at].ms), limits{records: 1}, rs[first:first+1], uint64(first))
		}
		for _, from := range names {
			for _, limit := range []int{1, end - at, end - at + 1} {
				if limit > 0 {
					t.want(s, topic, from, limits{records: int64(limit)}, rs[at:min(at+limit, n)], uint64(at))
				}
			}
			if !t.drv.slow {
				t.want(s, topic, from, limits{}, rs[at:], uint64(at))
			}
		}
	}
	t.want(s, topic, fmt.Sprintf("@%d", rs[n-1].ms+1), limits{}, nil, 0)
	t.want(s, topic, fmt.Sprintf("@%d", rs[0].ms-1), limits{records: 2}, rs[:min(2, n)], 0)
	t.want(s, topic, "newest", limits{}, nil, 0)
}

// emptyLog follows a log that has nothing yet, from every kind of place: each follower gets the first record, and reads
// get nothing before it.
func emptyLog(t *trial) {
	topic, other := t.topic(), t.hand()
	t.must(other.create(topic))
	t.subscribers(other, 0) // those of the rows before may still be on their way out
	froms := []string{"oldest", "newest", "0", "-1", "@0", "@2200-01-01T00:00:00Z"}
	var all []follower
	var firsts []pending
	for _, from := range froms {
		f, err := t.open().follow(topic, from, 1)
		t.must(err)
		all, firsts = append(all, f), append(firsts, await(f))
	}
	t.subscribers(other, int64(len(froms)))
	r := t.records("r", 1)
	t.put(other, topic, 0, r...)
	for i, first := range firsts {
		n := <-first
		t.must(n.err)
		if err := same([]record{n.r}, r, 0); err != nil {
			t.failf("from %s: %w", froms[i], err)
		}
		t.must(ended(all[i]))
	}
}

// insideBatches begins and ends in the middle of stored batches: nobody sees a record before the one asked for.
func insideBatches(t *trial) {
	const each = 5
	for _, codec := range []client.Codec{client.None, client.LZ4} {
		topic, s := t.topic(), t.open()
		rs := t.records("r", 3*each)
		for i := range rs {
			rs[i].ms = 1_700_000_000_000 + int64(i)
		}
		_, err := s.(batcher).batches(topic, text.AckWritten, codec, rs[:each], rs[each:2*each], rs[2*each:])
		t.must(err)
		for i := range rs {
			for _, from := range []string{fmt.Sprint(i), fmt.Sprintf("-%d", len(rs)-i), fmt.Sprintf("@%d", rs[i].ms)} {
				t.want(s, topic, from, limits{records: each}, rs[i:min(i+each, len(rs))], uint64(i))
			}
			f, err := s.follow(topic, fmt.Sprint(i), 1)
			t.must(err)
			got, err := take(f, 1)
			t.must(err)
			t.must(same(got, rs[i:i+1], uint64(i)))
			t.must(ended(f))
		}
	}
}

// readsWhileItRolls reads from everywhere while the log grows from segment to segment: what comes is the records from
// there on, at least as far as was acknowledged when the read began.
func readsWhileItRolls(t *trial) {
	const readers = 3
	topic := t.topic()
	n := t.size(40)
	rs := t.records("r", n)
	writer := t.hand()
	t.put(writer, topic, 0, rs[0])
	var acked atomic.Int64
	acked.Store(1)
	sessions := make([]session, readers)
	for i := range sessions {
		sessions[i] = t.open()
	}
	level := max(t.conf.level(), text.AckWritten) // it has to know when a record is there
	t.each(1+readers, func(i int) error {
		if i == 0 {
			for k := 1; k < n; k++ {
				if _, err := writer.append(topic, level, rs[k]); err != nil {
					return err
				}
				acked.Store(int64(k + 1))
			}
			return nil
		}
		for round := 0; ; round++ {
			known := int(acked.Load())
			if err := readSome(sessions[i-1], topic, rs, known, (round*7+i)%known); err != nil || known == n {
				return err
			}
		}
	})
}

// readSome reads from an offset, and the records from there to the end by their number.
func readSome(s session, topic string, rs []record, known, at int) error {
	for _, from := range []string{fmt.Sprint(at), fmt.Sprintf("-%d", known-at)} {
		got, err := s.read(topic, from, limits{})
		if err != nil {
			return fmt.Errorf("from %s: %w", from, err)
		}
		first := at
		if from[0] == '-' && len(got) > 0 { // the end may have moved on
			first = int(got[0].offset)
		}
		end := first + len(got)
		if first < at || end < known || end > len(rs) {
			return fmt.Errorf("from %s, with %d records acknowledged: got [%d, %d)", from, known, first, end)
		}
		if err := same(got, rs[first:end], uint64(first)); err != nil {
			return fmt.Errorf("from %s: %w", from, err)
		}
	}
	return nil
}

// rawFromEachOffset takes DATA frames from each offset on, over all segments: the first batch has the offset, and each
// frame goes on where the one before ended.
func rawFromEachOffset(t *trial) {
	topic, s := t.topic(), t.hand()
	rs, _ := segmented(t, s, topic, t.size(16))
	n := uint64(len(rs))
	for at := range n {
		t.must(s.send("TAIL %s %d raw=1 limit=%d\n", topic, at, n-at))
		for next := at; ; {
			l, err := s.line()
			t.must(err)
			if l.kind == "OK" {
				if next != n || l.uint("next") != n {
					t.failf("from %d: %q behind offset %d of %d", at, l.raw, next, n)
				}
				break
			}
			b, err := s.bytes(l.n)
			t.must(err)
			part, err := decode(b)
			t.must(err)
			if l.uint("from") != next || len(part) == 0 || part[0].offset > next || part[len(part)-1].offset+1 != l.uint("next") {
				t.failf("from %d: %q at offset %d, with %d records from %d", at, l.raw, next, len(part), part[0].offset)
			}
			t.must(same(part, rs[part[0].offset:l.uint("next")], part[0].offset))
			next = l.uint("next")
		}
	}
}
