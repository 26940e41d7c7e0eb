package matrix

// These are rows for what the protocol has and this version has not. Each is the least that will do, so that it passes
// on the day its verb is built, and says so.

func truncate(t *trial) {
	topic, s := t.topic(), t.hand()
	t.put(s, topic, 0, t.records("r", 6)...)
	l, err := s.ask("TRUNCATE %s before=3", topic)
	t.must(err)
	if l.uint("oldest") > 3 {
		t.failf("TRUNCATE before=3 was answered %q", l.raw)
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
