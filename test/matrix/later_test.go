package matrix

import (
	"encoding/binary"
	"hash/crc32"

	"sluice/client"
)

// These are rows for what the protocol has and this version has not. Each is the least that will do, so that it passes
// on the day its verb is built, and says so.

func alter(t *trial) {
	topic, s := t.topic(), t.hand()
	t.must(s.create(topic))
	_, err := s.ask("ALTER %s ack=synced", topic)
	t.must(err)
}

func truncate(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 6)...)
	l, err := s.ask("TRUNCATE %s before=3", topic)
	t.must(err)
	if l.uint("oldest") > 3 {
		t.failf("TRUNCATE before=3 was answered %q", l.raw)
	}
}

// The server appends each sequence of a producer once.
func producerIDs(t *trial) {
	topic, s := t.topic(), t.hand()
	t.must(s.create(topic))
	l, err := s.ask("PRODUCER")
	t.must(err)
	b, err := encode(client.None, t.records("r", 2))
	t.must(err)
	binary.BigEndian.PutUint64(b[43:], l.uint("id"))
	binary.BigEndian.PutUint16(b[51:], uint16(l.uint("epoch")))
	binary.BigEndian.PutUint32(b[53:], 0)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	for range 2 {
		l, err := s.sendBatch(topic, t.conf.level(), b)
		t.must(err)
		if l.uint("next") != 2 {
			t.failf("the batch was answered %q, want next=2 each time", l.raw)
		}
	}
}

func committedOffsets(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 3)...)
	_, err := s.ask("COMMIT group %s 2", topic)
	t.must(err)
	l, err := s.ask("COMMITTED group %s", topic)
	t.must(err)
	if l.uint("offset") != 2 {
		t.failf("COMMITTED says %q", l.raw)
	}
}

func refuseAccept(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 3)...)
	_, err := s.ask("REFUSE %s", topic)
	t.must(err)
	_, err = s.append(topic, t.conf.level(), t.records("x", 1)...)
	t.mustRefuse(err, "REFUSED")
	_, err = s.ask("ACCEPT %s", topic)
	t.must(err)
	t.put(s, topic, 3, t.records("x", 1)...)
}
