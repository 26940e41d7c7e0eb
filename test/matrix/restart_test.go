package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"sluice/wire/text"
)

func stopKeepsAll(t *trial) {
	topic, other, s := t.topic(), t.topic(), t.open()
	t.must(s.create(topic, "flush.ms=1h", "index.interval.bytes=2KiB"))
	rs := t.records("r", t.size(32))
	half := len(rs) / 2
	t.put(s, topic, 0, rs[:half]...)
	t.put(s, other, 0, rs[:3]...)
	t.leave()
	t.must(t.srv.stop())
	t.restart()
	s = t.open()
	h, err := s.head(topic)
	t.must(err)
	if h.Next != uint64(half) || h.Synced != uint64(half) {
		t.failf("after a graceful stop HEAD says %+v, want %d records and all of them synced", h, half)
	}
	t.want(s, topic, "0", limits{}, rs[:half], 0)
	t.want(s, other, "0", limits{}, rs[:3], 0)
	for i := range half {
		t.want(s, topic, fmt.Sprint(i), limits{records: 2}, rs[i:min(i+2, half)], uint64(i))
	}
	t.put(s, topic, uint64(half), rs[half:]...)
	t.want(s, topic, "0", limits{}, rs, 0)
	t.mustRefuse(s.create(topic), "EXISTS")
}

// Nothing believes an index without proof (I5): without one, with a cut one, with one of another segment, each offset and
// each time is found all the same.
func indexesAreDerived(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "segment.bytes=16KiB", "index.interval.bytes=1KiB"))
	const n = 12
	rs := make([]record, n)
	for i := range rs {
		rs[i].value = append(t.value("r", i), fill(5<<10)...)
		t.put(s, topic, uint64(i), rs[i]) // a batch each, so that there are segments
	}
	stored, err := s.read(topic, "0", limits{})
	t.must(err)
	t.leave()
	whole := map[string][]byte{}
	for damage := range 4 {
		t.must(t.srv.stop())
		names, err := filepath.Glob(filepath.Join(t.dir, "topics", topic, "0", "*.idx"))
		t.must(err)
		if damage == 0 {
			for _, name := range names {
				whole[name], err = os.ReadFile(name)
				t.must(err)
			}
			if len(whole) < 2 {
				t.failf("%d indexes: this shows nothing", len(whole))
			}
		}
		var other []byte
		for name, b := range whole {
			b = bytes.Clone(b)
			switch damage {
			case 0:
				b = nil
			case 1:
				b = b[:len(b)/2]
			case 2:
				b, other = other, b // the first one is empty, the others are their neighbours'
			case 3:
				for j := range b {
					b[j] ^= 0x55
				}
			}
			if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
				t.must(err)
			}
			if damage > 0 {
				t.must(os.WriteFile(name, b, 0o644))
			}
		}
		t.restart()
		s = t.open()
		for i := 0; i < n; i += 12 / t.size(12) {
			t.want(s, topic, fmt.Sprint(i), limits{records: 2}, rs[i:min(i+2, n)], uint64(i))
		}
		checkTimes(t, s, topic, stored)
		t.want(s, topic, "0", limits{}, rs, 0)
		t.leave()
	}
}

// A log grows through many runs, each of which ends in another place of a segment.
func manyStarts(t *trial) {
	topic := t.topic()
	rs := t.records("r", 15)
	for n, run := 0, 1; n < len(rs); run++ {
		s := t.open()
		k := min(run, len(rs)-n)
		t.put(s, topic, uint64(n), rs[n:n+k]...)
		n += k
		t.want(s, topic, "0", limits{}, rs[:n], 0)
		t.leave()
		t.must(t.srv.stop())
		t.restart()
	}
	t.want(t.open(), topic, "0", limits{}, rs, 0)
}

// Whatever was acknowledged is there after kill -9, and each producer's records are there without a gap.
func killKeepsWritten(t *trial) {
	const producers, enough = 3, 30
	topic := t.topic()
	var acked [producers]atomic.Int64
	var total atomic.Int64
	reached := make(chan struct{})
	names := make([]string, producers)
	sessions := make([]session, producers)
	ctx, giveUp := context.WithCancel(t.ctx) // nobody need look for the dead server for as long as a user would have it
	defer giveUp()
	for i := range sessions {
		s, err := t.drv.open(ctx, t.srv.addr())
		t.must(err)
		defer s.close() // its connection is gone by then
		sessions[i], names[i] = s, fmt.Sprint("p", i)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-reached:
		case <-t.ctx.Done():
		}
		t.srv.kill()
		giveUp()
	}()
	t.each(producers, func(i int) error {
		for n := 0; ; n += 3 {
			rs := make([]record, 3)
			for j := range rs {
				rs[j].value = t.value(names[i], n+j)
			}
			if _, err := sessions[i].append(topic, t.conf.ack, rs...); err != nil {
				if isRefusal(err) {
					return fmt.Errorf("a server that was killed gave a reason: %w", err)
				}
				return nil
			}
			acked[i].Add(3)
			if total.Add(3) == enough {
				close(reached)
			}
		}
	})
	<-stopped
	t.restart()
	s := t.open()
	got, err := s.read(topic, "0", limits{})
	t.must(err)
	least := make([]int, producers)
	for i := range least {
		if t.conf.level() >= text.AckWritten {
			least[i] = int(acked[i].Load())
		}
	}
	t.must(checkProducers(got, names, least))
	more := t.records("after", 5)
	t.put(s, topic, uint64(len(got)), more...)
	t.want(s, topic, fmt.Sprint(len(got)), limits{}, more, uint64(len(got)))
}

// Where what was read can be lost by a power cut, the next start begins a new epoch, so that an offset that is used
// again can be told apart (I3).
func uncleanStartBeginsEpoch(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 3)...)
	before, err := s.head(topic)
	t.must(err)
	t.srv.kill()
	t.restart()
	s = t.hand()
	t.put(s, topic, before.Next, t.records("after", 2)...)
	after, err := s.head(topic)
	t.must(err)
	if after.Epoch != before.Epoch+1 {
		t.failf("the epoch was %d, and is %d after a kill and an append", before.Epoch, after.Epoch)
	}
	t.leave()
	t.must(t.srv.stop())
	t.restart()
	s = t.hand()
	t.put(s, topic, after.Next, t.records("again", 1)...)
	last, err := s.head(topic)
	t.must(err)
	if last.Epoch != after.Epoch {
		t.failf("the epoch was %d, and is %d after a graceful stop", after.Epoch, last.Epoch)
	}
}

// Readers that name the epoch of their last record are told when the log has diverged from it (I3).
func fencedBehindUncleanStart(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 3)...)
	before, err := s.head(topic)
	t.must(err)
	t.srv.kill()
	t.restart()
	s = t.hand()
	t.put(s, topic, before.Next, t.records("after", 2)...)
	old, now := before.Epoch, before.Epoch+1
	for _, c := range []struct {
		from    uint64
		epoch   int64
		refusal string
	}{
		{before.Next, old, ""}, {before.Next + 1, now, ""}, {before.Next + 2, now, ""}, {0, now, ""},
		{before.Next + 1, old, fmt.Sprintf("its epoch %d ends at %d,", old, before.Next)},
		{before.Next + 9, old, fmt.Sprintf("its epoch %d ends at %d,", old, before.Next)},
		{0, now + 1, fmt.Sprintf("its epoch %d ends at %d,", now, before.Next+2)},
	} {
		for _, request := range []string{"READ %s %d epoch=%d limit=0", "FETCH %s %d epoch=%d bytes=0"} {
			if strings.HasPrefix(request, "FETCH") && c.refusal == "" {
				continue // READ has shown it
			}
			_, err := s.ask(request, topic, c.from, c.epoch)
			if c.refusal == "" {
				t.must(err)
				continue
			}
			t.mustRefuse(err, "FENCED")
			if !strings.Contains(err.Error(), c.refusal) {
				t.failf("from %d in epoch %d: got %v, want %s", c.from, c.epoch, err, c.refusal)
			}
		}
	}
}

// On a full disk appends are refused and all else goes on; with room they go on where they were.
func diskFullIsAState(t *trial) {
	topic, s, conf := t.topic(), t.open(), t.conf
	rs := t.records("r", 4)
	t.put(s, topic, 0, rs[:2]...)
	t.leave()
	t.must(t.srv.stop())
	full := *conf
	full.settings += " disk.low=1024TiB" // more than there is
	t.conf = &full
	t.restart()
	s = t.open()
	for _, level := range []text.Ack{text.AckWritten, text.AckSynced} {
		_, err := s.append(topic, level, rs[2])
		t.mustRefuse(err, "DISK_FULL")
	}
	fresh := t.topic()
	_, err := s.append(fresh, text.AckWritten, rs[2])
	t.mustRefuse(err, "DISK_FULL")
	_, err = s.head(fresh)
	t.mustRefuse(err, "NO_TOPIC")
	t.want(s, topic, "0", limits{}, rs[:2], 0)
	synced, err := s.flush(topic)
	t.must(err)
	if synced != 2 {
		t.failf("FLUSH says %d", synced)
	}
	t.must(s.create(fresh))
	t.must(s.drop(fresh))
	t.leave()
	t.must(t.srv.stop())
	t.conf = conf
	t.restart()
	s = t.open()
	t.put(s, topic, 2, rs[2:]...)
	t.want(s, topic, "0", limits{}, rs, 0)
}

// What is known of producers outlives kills: what was sent before one and is sent again behind it is appended once.
func killKeepsSequences(t *trial) {
	topic, s := t.topic(), t.hand()
	id, rs := newProducer(t, s), t.records("r", 9)
	for i := range rs {
		for time := range 2 {
			l, err := s.sendBatch(topic, text.AckDefault, numbered(t, id, 0, int32(i), rs[i:i+1]))
			t.must(err)
			if l.uint("first") != uint64(i) {
				t.failf("batch %d was answered %q", i, l.raw)
			}
			if i%3 == 0 && time == 0 { // as often as a server may die that soon
				t.srv.kill()
				t.restart()
				s = t.hand()
			}
		}
	}
	if other := newProducer(t, s); other == id {
		t.failf("the id %d was given again", id)
	}
	t.want(t.open(), topic, "0", limits{}, rs, 0)
}
