package matrix

import (
	"fmt"
	"io"
	"net"
	"strings"

	"sluice/client"
)

// All kinds of requests in one write: the answers come in their order, and each sees what stands before it.
func pipelining(t *trial) {
	topic, gone, s := t.topic(), t.topic(), t.hand()
	rs := t.records("r", 6)
	for i := range rs {
		rs[i].ms = 7
	}
	b, err := encode(client.None, rs[2:3], rs[3:5])
	t.must(err)
	var req strings.Builder
	msg := func(r record, more string) {
		fmt.Fprintf(&req, "MSG %s %d time=7%s\n%s\n", topic, len(r.value), more, r.value)
	}
	fmt.Fprintf(&req, "CREATE %s\r\nPING\n\nCREATE %s\n", topic, topic)
	msg(rs[0], "")
	msg(rs[1], " ack=none")
	fmt.Fprintf(&req, "READ %s 0\nBATCH %s %d ack=synced\n%s\n", topic, topic, len(b), b)
	msg(rs[5], "")
	fmt.Fprintf(&req, "READ %s 5\nHEAD %s\nFLUSH %s\nMSG %s 1\nx\nDROP %s\nHEAD %s\nTAIL %s 4\nPING\nNOSUCHVERB 3\nabc\nPING\n",
		topic, topic, topic, gone, gone, gone, topic)
	sent := make(chan error, 1)
	go func() { sent <- s.send("%s", req.String()) }()
	ok := func() line {
		l, err := s.ok()
		t.must(err)
		return l
	}
	refuse := func(code string) {
		_, err := s.line()
		t.mustRefuse(err, code)
	}
	records := func(want []record, first uint64) line {
		got, l, err := s.records()
		t.must(err)
		t.must(same(got, want, first))
		return l
	}
	ok()
	ok()
	refuse("EXISTS")
	ok()
	seen, l, err := s.records() // the append without answer is there; what stands behind the READ may be there, too
	t.must(err)
	if len(seen) < 2 || l.uint("next") != uint64(len(seen)) {
		t.failf("READ ends with %q behind %d records", l.raw, len(seen))
	}
	t.must(same(seen, rs[:len(seen)], 0))
	if l := ok(); l.uint("first") != 2 || l.uint("next") != 5 || l.uint("synced") < 5 || l.fields["ack"] != "synced" {
		t.failf("the BATCH was answered %q", l.raw)
	}
	ok()
	records(rs[5:], 5)
	if l := ok(); l.uint("next") != 6 {
		t.failf("HEAD says %q", l.raw)
	}
	if l := ok(); l.uint("synced") != 6 {
		t.failf("FLUSH says %q", l.raw)
	}
	ok()
	ok()
	refuse("NO_TOPIC")
	got, l, err := s.records() // the next request ends the TAIL, at a record's boundary
	t.must(err)
	t.must(same(got, rs[4:4+len(got)], 4))
	if l.uint("next") != uint64(4+len(got)) {
		t.failf("TAIL ends with %q behind %d records from 4", l.raw, len(got))
	}
	ok()
	refuse("BAD_COMMAND") // and closes: how long its payload is nobody can tell
	if rest, err := io.ReadAll(s.in); err != nil || len(rest) > 0 {
		t.failf("behind an answer that closes came %q, %v", rest, err)
	}
	t.must(<-sent)
}

// A refusal is answered where a success is not, with the number of the request.
func silentRefusals(t *trial) {
	topic, s := t.topic(), t.hand()
	t.must(s.create(topic))
	var req strings.Builder
	for i := range 10 { // the CREATE was request 1
		where := topic
		if i%4 == 3 {
			where += "/9"
		}
		fmt.Fprintf(&req, "MSG %s 2 ack=none\nr%d\n", where, i)
	}
	t.must(s.send("%sPING\n", req.String()))
	for _, want := range []string{"5", "9"} {
		l, err := s.line()
		t.mustRefuse(err, "NO_TOPIC")
		if l.fields["req"] != want {
			t.failf("got %q, want req=%s", l.raw, want)
		}
	}
	l, err := s.ok()
	t.must(err)
	if l.fields["pong"] != "1" {
		t.failf("got %q, want the answer to PING", l.raw)
	}
	h, err := s.head(topic)
	t.must(err)
	if h.Next != 8 {
		t.failf("HEAD says %+v, want 8 records", h)
	}
}

// What came whole before the client closed its half is carried out and answered.
func halfClose(t *trial) {
	topic, s := t.topic(), t.hand()
	rs := t.records("r", 20)
	sent := make(chan error, 1)
	go func() {
		err := s.sendMessages(topic, t.conf.ack, rs)
		if err == nil {
			err = s.send("READ %s 0\nMSG %s 1000\nhalf a mess", topic, topic)
		}
		if err == nil {
			err = s.nc.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	var got []record
	for {
		l, err := s.line()
		if err != nil {
			t.failf("before the READ was answered: %w", err)
		}
		if l.kind == "REC" {
			r, err := s.record(l)
			t.must(err)
			got = append(got, r)
		}
		if l.kind == "OK" && l.fields["end"] != "" {
			break
		}
	}
	t.must(<-sent)
	t.must(same(got, rs, 0))
	if rest, err := io.ReadAll(s.in); err != nil || len(rest) > 0 {
		t.failf("behind the last answer came %q, %v", rest, err)
	}
	t.want(t.hand(), topic, "0", limits{}, rs, 0)
}
