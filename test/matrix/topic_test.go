package matrix

import (
	"fmt"
	"strings"

	"sluice/wire/text"
)

func createDropCreate(t *trial) {
	topic, s := t.topic(), t.open()
	for round := range 3 {
		t.must(s.create(topic))
		rs := t.records(fmt.Sprint("round", round), 7-round)
		t.put(s, topic, 0, rs...) // offsets begin anew
		t.want(s, topic, "0", limits{}, rs, 0)
		t.must(s.drop(topic))
		_, err := s.head(topic)
		t.mustRefuse(err, "NO_TOPIC")
	}
	rs := t.records("last", 2)
	t.put(s, topic, 0, rs...) // by itself, too
	t.want(s, topic, "0", limits{}, rs, 0)
}

func topicSettings(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "segment.bytes=16KiB", "max.message.bytes=8KiB", "index.interval.bytes=1KiB", "ack=synced", "partitions=2", "flush.ms=100ms"))
	rs := make([]record, 9)
	for i := range rs {
		rs[i].value = fill(6000)
		as, err := s.append(topic, text.AckDefault, rs[i])
		t.must(err)
		t.must(checkAnswers(as, text.AckSynced, 1, uint64(i)))
	}
	h, err := s.head(topic)
	t.must(err)
	if h.Segments < 4 || h.Partitions != 2 || h.Synced != 9 {
		t.failf("HEAD says %+v", h)
	}
	t.want(s, topic, "0", limits{}, rs, 0)
	_, err = s.append(topic, text.AckWritten, record{value: fill(9000)})
	if err == nil {
		t.failf("max.message.bytes is ignored")
	}
}

func partitionsAreAdded(t *trial) {
	topic, hand, s := t.topic(), t.hand(), t.open()
	t.must(s.create(topic))
	rs := t.records("r", 4)
	t.put(s, topic, 0, rs...)
	_, err := s.head(topic + "/2")
	t.mustRefuse(err, "NO_TOPIC")
	_, err = hand.ask("ALTER %s partitions=3", topic)
	t.must(err)
	added := t.records("added", 3)
	t.put(s, topic+"/2", 0, added...)
	t.want(s, topic+"/2", "0", limits{}, added, 0)
	t.want(s, topic, "0", limits{}, rs, 0)
	h, err := s.head(topic)
	t.must(err)
	if h.Partitions != 3 {
		t.failf("HEAD says %+v", h)
	}
	_, err = hand.ask("ALTER %s partitions=2", topic)
	t.mustRefuse(err, "BAD_SETTING")
}

func settingsAreAltered(t *trial) {
	topic, hand, s := t.topic(), t.hand(), t.open()
	t.must(s.create(topic))
	rs := t.records("r", 2)
	t.put(s, topic, 0, rs...)
	large := record{value: fill(1500)}
	_, err := hand.ask("ALTER %s max.message.bytes=1KiB ack=never", topic)
	t.mustRefuse(err, "BAD_SETTING")
	t.put(s, topic, 2, large)
	_, err = hand.ask("ALTER %s max.message.bytes=1KiB flush.ms=20ms", topic)
	t.must(err)
	if _, err = s.append(topic, t.conf.level(), large); err == nil {
		t.failf("max.message.bytes is ignored")
	}
	t.want(t.open(), topic, "0", limits{}, append(rs, large), 0) // a refused payload may end its connection
}

func listOfTopics(t *trial) {
	s := t.open()
	small, large := t.topic(), t.topic()
	t.must(s.create(small))
	t.must(s.create(large, "partitions=2"))
	t.put(s, large, 0, t.records("r", 5)...)
	t.put(s, large+"/1", 0, t.records("r", 4)...)
	list, err := s.topics()
	t.must(err)
	var got []string
	for _, x := range list {
		if strings.HasPrefix(x.Name, t.name+".") {
			got = append(got, fmt.Sprintf("%s %d %d %v", x.Name, x.Partitions, x.Records, x.Bytes >= 9*int64(t.conf.record)))
		}
	}
	want := fmt.Sprintf("[%s 1 0 false %s 2 9 true]", small, large)
	if fmt.Sprint(got) != want {
		t.failf("the list has %v, want %s", got, want)
	}
}

func statisticsTell(t *trial) {
	topic, s := t.topic(), t.open()
	before, err := snapshot(s)
	t.must(err)
	t.put(s, topic, 0, t.records("r", 6)...)
	_, err = s.read(topic, "0", limits{})
	t.must(err)
	_, err = s.head(topic + ".missing")
	t.mustRefuse(err, "NO_TOPIC")
	after, err := snapshot(s)
	t.must(err)
	if after.Records < before.Records+6 || after.Requests <= before.Requests || after.AppendedBytes < before.AppendedBytes+6*int64(t.conf.record) ||
		after.Reads <= before.Reads || after.Errors["NO_TOPIC"] <= before.Errors["NO_TOPIC"] || after.Connections < 1 {
		t.failf("before %+v\nafter %+v", before, after)
	}
	for _, x := range after.Topics {
		if x.Name == topic && x.Next == 6 && x.Oldest == 0 && x.Segments > 0 && x.State == "ok" {
			return
		}
	}
	t.failf("%s is not among the topics of %+v", topic, after.Topics)
}

func noTopic(t *trial) {
	topic, s := t.topic(), t.open()
	_, err := s.head(topic)
	t.mustRefuse(err, "NO_TOPIC")
	_, err = s.read(topic, "0", limits{})
	t.mustRefuse(err, "NO_TOPIC")
	_, err = s.flush(topic)
	t.mustRefuse(err, "NO_TOPIC")
	t.mustRefuse(s.drop(topic), "NO_TOPIC")
	_, err = s.append(topic+"/1", text.AckWritten, t.records("r", 1)...) // an append creates partition 0, no other
	t.mustRefuse(err, "NO_TOPIC")
	_, err = s.head(topic)
	t.mustRefuse(err, "NO_TOPIC")
}

func exists(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic))
	rs := t.records("r", 2)
	t.put(s, topic, 0, rs...)
	t.mustRefuse(s.create(topic), "EXISTS")
	t.mustRefuse(s.create(topic, "partitions=4"), "EXISTS")
	t.want(s, topic, "0", limits{}, rs, 0)
}

func outOfRange(t *trial) {
	topic, s := t.topic(), t.open()
	rs := t.records("r", 3)
	t.put(s, topic, 0, rs...)
	for _, from := range []string{"4", "1000", "9223372036854775807"} {
		_, err := s.read(topic, from, limits{})
		t.mustRefuse(err, "OUT_OF_RANGE")
		f, err := s.follow(topic, from, 0)
		if err == nil {
			_, err = f.next()
		}
		t.mustRefuse(err, "OUT_OF_RANGE")
	}
	t.want(s, topic, "3", limits{}, nil, 0)
	t.want(s, topic, "2", limits{}, rs[2:], 2)
}

func badSetting(t *trial) {
	topic, s := t.topic(), t.open()
	for _, pair := range []string{
		"segment.bytes=1", "segment.bytes=5GiB", "segment.bytes=some", "partitions=0", "partitions=1025", "ack=none", "ack=replicated",
		"max.message.bytes=1GiB", "flush.ms=never", "flush.bytes=0", "flush.messages=many", "sync=always", "index.interval.bytes=-1", "retention.ms=7d", "hook.delete=x", "no.such.setting=1",
	} {
		t.mustRefuse(s.create(topic, pair), "BAD_SETTING")
		if t.drv.slow {
			continue
		}
		_, err := s.head(topic)
		t.mustRefuse(err, "NO_TOPIC") // nothing changed
	}
	t.must(s.create(topic))
}

func badTopic(t *trial) {
	s := t.hand()
	for _, name := range []string{".", "..", "a*b", "__own", "t/x", "t/01", strings.Repeat("x", 250)} {
		_, err := s.head(name)
		t.mustRefuse(err, "BAD_TOPIC")
		_, err = s.append(name, text.AckWritten, t.records("r", 1)...)
		t.mustRefuse(err, "BAD_TOPIC")
	}
	long := strings.Repeat("y", 249-len(t.topic())) + t.topic()
	t.put(s, long[:249], 0, t.records("r", 1)...)
	t.must(s.drop(long[:249]))
	driven := t.open() // a client may refuse such a name by itself, but not as anything else
	for _, name := range []string{"..", "a*b"} {
		if err := driven.create(name); err == nil {
			t.failf("topic %q was created", name)
		}
	}
}
