package matrix

import (
	"fmt"
	"strings"

	"sluice/wire/text"
)

func answersNameTheirLevel(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic))
	rs := t.records("r", 12)
	for i, level := range []text.Ack{text.AckWritten, text.AckSynced, text.AckNone, text.AckDefault} {
		part := rs[3*i : 3*i+3]
		as, err := s.append(topic, level, part...)
		t.must(err)
		want := t.conf.reached(level)
		if level == text.AckDefault {
			if want = t.conf.level(); t.conf.ack == text.AckNone {
				want = text.AckWritten // what the topic says; none is only ever asked for
			}
		}
		t.must(checkAnswers(as, want, len(part), uint64(3*i)))
		for _, a := range as {
			if a.ack != want {
				t.failf("asked for %v, offset %d was answered with %v", level, a.first, a.ack)
			}
			if a.synced > uint64(3*i+3) {
				t.failf("the watermark %d is behind the end", a.synced)
			}
		}
	}
	t.want(s, topic, "0", limits{}, rs, 0)
}

// The watermark of an answer, and of HEAD behind it, covers what is called synced, and never goes back.
func syncedCovers(t *trial) {
	topic, s := t.topic(), t.open()
	last := uint64(0)
	rs := t.records("r", t.size(16))
	for i, r := range rs {
		level := text.AckSynced
		if i%3 == 1 {
			level = text.AckWritten
		}
		as, err := s.append(topic, level, r)
		t.must(err)
		t.must(checkAnswers(as, level, 1, uint64(i)))
		for _, a := range as {
			if a.synced < last {
				t.failf("the watermark went back from %d to %d", last, a.synced)
			}
			last = a.synced
		}
		h, err := s.head(topic)
		t.must(err)
		if h.Synced < last || level == text.AckSynced && h.Synced < uint64(i+1) {
			t.failf("HEAD has synced=%d behind offset %d, answered as %v with a watermark of %d", h.Synced, i, level, last)
		}
	}
}

// Whoever follows the watermark of its answers must not be told that it went back, however the levels are mixed.
func watermarkOnlyRises(t *trial) {
	topic, s := t.topic(), t.hand()
	var req strings.Builder
	const n = 60
	for i := range n {
		level := text.AckWritten
		if i%4 == 0 {
			level = text.AckSynced
		}
		value := t.value("r", i)
		fmt.Fprintf(&req, "MSG %s %d ack=%v\n%s\n", topic, len(value), level, value)
	}
	sent := make(chan error, 1)
	go func() { sent <- s.send("%s", req.String()) }()
	last := uint64(0)
	for i := range n {
		l, err := s.ok()
		t.must(err)
		a := appended(l)
		if a.synced < last || a.first != uint64(i) {
			t.failf("answer %d is %q, behind a watermark of %d", i, l.raw, last)
		}
		last = a.synced
	}
	t.must(<-sent)
}

func flushMoves(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "flush.ms=forever", "ack=written"))
	rs := t.records("r", 9)
	_, err := s.append(topic, text.AckWritten, rs[0])
	t.must(err)
	if h, err := s.head(topic); err != nil || h.Next != 1 || t.conf.record < 16<<10 && !t.conf.dsync() && h.Synced != 0 {
		t.failf("behind one written record HEAD says %+v, %w", h, err)
	}
	for n := 1; ; n += 4 {
		synced, err := s.flush(topic)
		t.must(err)
		h, err := s.head(topic)
		t.must(err)
		if synced != uint64(n) || h.Synced != uint64(n) {
			t.failf("FLUSH says %d and HEAD %d, want %d", synced, h.Synced, n)
		}
		if n == len(rs) {
			break
		}
		_, err = s.append(topic, text.AckWritten, rs[n:n+4]...)
		t.must(err)
	}
}

func tickMoves(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "flush.ms=1"))
	_, err := s.append(topic, text.AckWritten, t.records("r", 3)...)
	t.must(err)
	if strings.Contains(t.conf.settings, "stages.flusher.tick=0") || strings.Contains(t.conf.settings, "topic.sync=shutdown") {
		// Without ticks, or where they sync nothing: flush.ms says nothing then, a FLUSH does.
		_, err := s.flush(topic)
		t.must(err)
	}
	t.until("the tick syncs what was written", func() (bool, error) {
		h, err := s.head(topic)
		return h.Synced == 3, err
	})
}

// flush.messages, without a tick, a FLUSH or an ack that asks for it.
func numberMoves(t *trial) {
	topic, s := t.topic(), t.open()
	t.must(s.create(topic, "flush.ms=forever", "flush.messages=3", "sync=data"))
	rs := t.records("r", 7)
	for i := range rs {
		_, err := s.append(topic, text.AckWritten, rs[i])
		t.must(err)
		t.until("fewer records than that are unsynced", func() (bool, error) { // a roll may have synced some, too
			h, err := s.head(topic)
			return h.Next == uint64(i+1) && h.Next-h.Synced < 3, err
		})
	}
	t.want(s, topic, "0", limits{}, rs, 0)
}
