package matrix

import (
	"fmt"
	"time"

	"sluice/client"
	"sluice/stages"
	"sluice/wire/batch"
	"sluice/wire/text"
)

func tailFromNewest(t *trial) {
	topic, s, other := t.topic(), t.open(), t.hand()
	rs := t.records("r", 12)
	t.put(other, topic, 0, rs[:4]...)
	t.subscribers(other, 0) // those of the rows before may still be on their way out
	f, err := s.follow(topic, "newest", 0)
	t.must(err)
	first := await(f)
	t.subscribers(other, 1)
	t.put(other, topic, 4, rs[4:]...)
	n := <-first
	t.must(n.err)
	got, err := take(f, 7)
	t.must(err)
	t.must(same(append([]record{n.r}, got...), rs[4:], 4))
	t.must(f.end())
	t.subscribers(other, 0)
}

func tailCatchesUp(t *trial) {
	topic, s, other := t.topic(), t.open(), t.hand()
	n := t.size(40)
	rs := t.records("r", n)
	t.put(other, topic, 0, rs[:n/2]...)
	f, err := s.follow(topic, "2", 0)
	t.must(err)
	got, err := take(f, n/2-2)
	t.must(err)
	for i := n / 2; i < n; i++ { // one by one, at the end
		t.put(other, topic, uint64(i), rs[i])
		more, err := take(f, 1)
		t.must(err)
		got = append(got, more...)
	}
	t.must(same(got, rs[2:], 2))
	t.must(f.end())
}

func tailLimit(t *trial) {
	topic, s, other := t.topic(), t.open(), t.hand()
	rs := t.records("r", 10)
	t.put(other, topic, 0, rs[:6]...)
	for _, limit := range []int64{1, 4, 6} { // all of it is there
		f, err := s.follow(topic, "0", limit)
		t.must(err)
		got, err := take(f, int(limit))
		t.must(err)
		t.must(same(got, rs[:limit], 0))
		t.must(ended(f))
		t.must(f.end())
	}
	f, err := s.follow(topic, "-2", 4) // a half of it is yet to come
	t.must(err)
	got, err := take(f, 2)
	t.must(err)
	t.put(other, topic, 6, rs[6:]...)
	more, err := take(f, 2)
	t.must(err)
	t.must(same(append(got, more...), rs[4:8], 4))
	t.must(ended(f))
	t.must(f.end())
	t.want(s, topic, "8", limits{}, rs[8:], 8) // the session goes on
}

func tailEnds(t *trial) {
	topic, s, other := t.topic(), t.open(), t.hand()
	rs := t.records("r", 8)
	t.put(other, topic, 0, rs...)
	for _, read := range []int{0, 3, 8} {
		f, err := s.follow(topic, "0", 0)
		t.must(err)
		got, err := take(f, read)
		t.must(err)
		t.must(same(got, rs[:read], 0))
		t.must(f.end())
		t.subscribers(other, 0)
	}
	t.want(s, topic, "0", limits{}, rs, 0)
}

func tailRaw(t *trial) {
	topic, s := t.topic(), t.hand()
	rs := t.records("r", 9)
	for i := range rs {
		rs[i].ms = 5
	}
	_, err := s.batches(topic, t.conf.ack, client.None, rs[:4], rs[4:5], rs[5:9])
	t.must(err)
	t.must(s.send("TAIL %s 2 raw=1 limit=4\n", topic)) // the batch that reaches the limit comes whole
	var got []record
	for next := uint64(2); ; {
		l, err := s.line()
		t.must(err)
		if l.kind == "OK" {
			if l.uint("next") != next || next < 6 {
				t.failf("TAIL raw=1 limit=4 from 2 ends with %q behind offset %d", l.raw, next)
			}
			break
		}
		if l.kind != "DATA" || l.uint("from") != next || l.uint("next") <= next {
			t.failf("got %q at offset %d", l.raw, next)
		}
		b, err := s.bytes(l.n)
		t.must(err)
		part, err := decode(b)
		t.must(err)
		if len(part) == 0 || part[0].offset > next {
			t.failf("offset %d is not in %q", next, l.raw)
		}
		next = l.uint("next")
		got = append(got, part...)
	}
	t.must(same(got, rs[:len(got)], 0))
}

// decode reads the records of batches that lie back to back.
func decode(b []byte) ([]record, error) {
	var out []record
	var reader batch.Reader
	for len(b) > 0 {
		h, err := batch.Verify(b)
		if err != nil {
			return out, err
		}
		if err := reader.Reset(b[:h.Size], 1<<24); err != nil {
			return out, err
		}
		var r batch.Record
		for reader.Next(&r) {
			out = append(out, record{offset: r.Offset, ms: r.Time, key: r.Key, value: r.Value})
		}
		if err := reader.Err(); err != nil {
			return out, err
		}
		b = b[h.Size:]
	}
	return out, nil
}

func tailEndsWithTopic(t *trial) {
	topic, s, other := t.topic(), t.open(), t.hand()
	t.put(other, topic, 0, t.records("r", 3)...)
	t.subscribers(other, 0) // as above
	f, err := s.follow(topic, "0", 0)
	t.must(err)
	_, err = take(f, 3)
	t.must(err)
	last := await(f)
	t.subscribers(other, 1)
	t.must(other.drop(topic))
	t.mustRefuse((<-last).err, "NO_TOPIC")
	missing, err := s.follow(topic, "0", 0)
	if err == nil {
		_, err = missing.next()
	}
	t.mustRefuse(err, "NO_TOPIC")
}

// Every follower gets every record, once, in order, while all of them are made.
func producersAndFollowers(t *trial) {
	const producers, followers = 4, 8
	topic, s := t.topic(), t.open()
	t.must(s.create(topic))
	n := t.size(40)
	names, counts := make([]string, producers), make([]int, producers)
	from, to := make([]session, producers), make([]follower, followers)
	for i := range to {
		f, err := t.open().follow(topic, "oldest", producers*int64(n))
		t.must(err)
		to[i] = f
	}
	for i := range from {
		from[i], names[i], counts[i] = t.open(), fmt.Sprint("p", i), n
	}
	got := make([][]record, followers)
	t.each(producers+followers, func(i int) error {
		if i < followers {
			var err error
			if got[i], err = take(to[i], producers*n); err == nil {
				err = ended(to[i])
			}
			if err != nil {
				err = fmt.Errorf("follower %d: %w", i, err)
			}
			return err
		}
		i -= followers
		rs := t.records(names[i], n)
		for len(rs) > 0 {
			k := min(len(rs), 4)
			if _, err := from[i].append(topic, t.conf.ack, rs[:k]...); err != nil {
				return fmt.Errorf("producer %d: %w", i, err)
			}
			rs = rs[k:]
		}
		return nil
	})
	all, err := s.read(topic, "0", limits{})
	t.must(err)
	t.must(checkProducers(all, names, counts))
	for i := range got {
		if err := same(got[i], all, 0); err != nil {
			t.failf("follower %d: %w", i, err)
		}
	}
}

// Clients that vanish leave no subscriber, no goroutine, no descriptor and no leased byte: those that wait at the end,
// and those that are in the middle of what they asked for.
func deadFollowers(t *trial) {
	topic, other := t.topic(), t.hand()
	const n = 24
	rs := make([]record, n) // 1.5 MiB, more than the buffers hold at first
	for i := range rs {
		rs[i].value = fill(64 << 10)
	}
	_, err := other.append(topic, text.AckWritten, rs...)
	t.must(err)
	s, err := t.drv.open(t.ctx, t.srv.addr())
	t.must(err)
	f, err := s.follow(topic, "0", n)
	t.must(err)
	_, err = take(f, n) // once through, so that what is opened on first use is open
	t.must(err)
	t.must(f.end())
	t.must(s.close())
	// Without those of the logs: which of its files a log has open at a moment is its own affair, and has its own bound.
	open := func(st stages.Snapshot) int { return st.Descriptors - st.Files.Open }
	var base [2]int
	t.until("the first follower is gone, and nothing is being opened or closed", func() (bool, error) {
		st, err := snapshot(other)
		before := base
		base = [2]int{st.Goroutines, open(st)}
		return st.Connections == 1 && st.Subscribers == 0 && base == before, err
	})
	var all []follower
	for i := range 6 {
		s, err := t.drv.open(t.ctx, t.srv.addr())
		t.must(err)
		defer s.close()                                        // which is an error by then
		f, err := s.follow(topic, []string{"-1", "0"}[i%2], 0) // one waits at the end, the other stands in the middle
		t.must(err)
		_, err = take(f, 1)
		t.must(err)
		all = append(all, f)
	}
	for _, f := range all {
		f.kill()
	}
	end := time.Now().Add(deadline / 2)
	t.until("nothing is left of dead followers", func() (bool, error) {
		st, err := snapshot(other)
		used := int64(0)
		for _, m := range st.Memory {
			used += m.Used
		}
		fine := st.Connections == 1 && st.Subscribers == 0 && st.Goroutines <= base[0] && open(st) <= base[1] && used == 0
		if !fine && time.Now().After(end) {
			return false, fmt.Errorf("left are %d connections, %d subscribers, %d goroutines (%d before), %d descriptors (%d before), %d bytes",
				st.Connections-1, st.Subscribers, st.Goroutines, base[0], open(st), base[1], used)
		}
		return fine, err
	})
}
