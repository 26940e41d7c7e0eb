package matrix

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"sluice/wire/text"
)

// storm is everything at once, on topics that others create and drop meanwhile. Nothing may hang, whatever the queues
// hold; nothing may be answered that the state of a topic can't explain; and what is read is what was sent.
func storm(t *trial) {
	const clients, topics = 6, 3
	names := make([]string, topics)
	for i := range names {
		names[i] = t.topic()
	}
	sessions := make([]session, clients)
	for i := range sessions {
		sessions[i] = t.open()
	}
	t.each(clients, func(i int) error {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		for step := range t.size(40) {
			topic := names[rng.IntN(topics)]
			what, err := t.gust(rng, sessions[i], topic)
			switch {
			case err == nil, refused(err, "NO_TOPIC"), refused(err, "EXISTS"), refused(err, "OUT_OF_RANGE"):
			default:
				return fmt.Errorf("client %d, step %d: %s %s: %w", i, step, what, topic, err)
			}
		}
		return nil
	})
	s := t.open()
	for _, topic := range names { // every log is sound behind it
		if err := s.create(topic); err != nil {
			t.mustRefuse(err, "EXISTS")
		}
		h, err := s.head(topic)
		t.must(err)
		t.put(s, topic, h.Next, t.records("last", 1)...)
		got, err := s.read(topic, "oldest", limits{})
		t.must(err)
		t.must(sound(got))
		if uint64(len(got)) != h.Next+1 {
			t.failf("%s has %d records, HEAD said %d before the last", topic, len(got), h.Next)
		}
	}
}

// gust is one request of a storm.
func (t *trial) gust(rng *rand.Rand, s session, topic string) (string, error) {
	switch n := rng.IntN(20); n {
	case 0:
		return "drop", s.drop(topic)
	case 1, 2:
		return "create", s.create(topic)
	case 3, 4:
		_, err := s.flush(topic)
		return "flush", err
	case 5, 6:
		_, err := s.head(topic)
		return "head", err
	case 7:
		_, err := s.topics()
		return "topics", err
	case 8:
		f, err := s.follow(topic, "-2", 0)
		if err == nil {
			err = f.end()
		}
		return "follow", err
	case 9, 10, 11, 12:
		rs, err := s.read(topic, []string{"oldest", "-3", "0", "newest"}[n-9], limits{records: 20})
		if err == nil {
			err = sound(rs)
		}
		return "read", err
	default:
		rs := t.records("s", 1+rng.IntN(3))
		level := []text.Ack{text.AckDefault, text.AckNone, text.AckWritten, text.AckSynced}[rng.IntN(4)]
		_, err := s.append(topic, level, rs...)
		return "append", err
	}
}

// sound checks that records come one behind the other.
func sound(rs []record) error {
	for i, r := range rs {
		var who string
		var n int
		if _, err := fmt.Sscanf(string(r.value), "%s %d", &who, &n); err != nil {
			return errors.New("nobody sent " + describe(r))
		}
		if r.offset != rs[0].offset+uint64(i) {
			return fmt.Errorf("record %d of a read has offset %d, the first %d", i, r.offset, rs[0].offset)
		}
	}
	return nil
}
