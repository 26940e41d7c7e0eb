package matrix

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"sluice/client"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// The socket driver types the protocol. It has a parser of its own, so that a mistake the server shares with the
// client's parser is seen here.
var socketDriver = driver{
	name: "socket",
	what: "the text protocol, typed",
	open: func(ctx context.Context, addr string) (session, error) { return openSocket(ctx, addr) },
}

type socket struct {
	nc net.Conn
	in *bufio.Reader
}

func openSocket(ctx context.Context, addr string) (*socket, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(end); err != nil {
			return nil, err
		}
	}
	return &socket{nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}, nil
}

// line is one line of an answer.
type line struct {
	raw    string
	kind   string // OK REC DATA ERR
	n      int64  // DATA: its length
	fields map[string]string
}

func (l line) uint(name string) uint64 {
	n, err := strconv.ParseUint(l.fields[name], 10, 64)
	if err != nil {
		return 1<<64 - 1 // no field is ever so large: whatever it is compared with differs
	}
	return n
}

func (l line) int(name string) int64 {
	n, err := strconv.ParseInt(l.fields[name], 10, 64)
	if err != nil {
		return -1 << 63
	}
	return n
}

func (s *socket) send(format string, args ...any) error {
	_, err := fmt.Fprintf(s.nc, format, args...)
	return err
}

// line reads one line. An ERR is both a line and a *refusal.
func (s *socket) line() (line, error) {
	raw, err := s.in.ReadString('\n')
	if err != nil {
		return line{}, fmt.Errorf("after %q: %w", raw, err)
	}
	raw, crlf := strings.CutSuffix(raw, "\r\n")
	if !crlf {
		return line{}, fmt.Errorf("line %q does not end in CRLF", raw)
	}
	head, sentence, _ := strings.Cut(raw, " - ")
	words := strings.Split(head, " ")
	l := line{raw: raw, kind: words[0], fields: map[string]string{}}
	words = words[1:]
	switch {
	case l.kind == "DATA" && len(words) > 0:
		if l.n, err = strconv.ParseInt(words[0], 10, 64); err != nil {
			return l, fmt.Errorf("line %q: %w", raw, err)
		}
		words = words[1:]
	case l.kind == "ERR" && len(words) > 0:
		l.fields["code"] = words[0]
		words = words[1:]
	}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return l, fmt.Errorf("line %q has the word %q", raw, w)
		}
		l.fields[name] = value
	}
	if l.kind == "ERR" {
		return l, &refusal{code: l.fields["code"], text: sentence}
	}
	return l, nil
}

// ok reads a line that must be an OK.
func (s *socket) ok() (line, error) {
	l, err := s.line()
	if err == nil && l.kind != "OK" {
		err = fmt.Errorf("got %q, want an OK", l.raw)
	}
	return l, err
}

// bytes reads n bytes and their end of line.
func (s *socket) bytes(n int64) ([]byte, error) {
	b := make([]byte, n+2)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, err
	}
	if string(b[n:]) != "\r\n" {
		return nil, fmt.Errorf("%d bytes are followed by %q, want CRLF", n, b[n:])
	}
	return b[:n:n], nil
}

func (s *socket) ask(format string, args ...any) (line, error) {
	if err := s.send(format+"\n", args...); err != nil {
		return line{}, err
	}
	return s.ok()
}

func (s *socket) create(topic string, settings ...string) error {
	_, err := s.ask("%s", strings.Join(append([]string{"CREATE", topic}, settings...), " "))
	return err
}

func (s *socket) drop(topic string) error {
	_, err := s.ask("DROP %s", topic)
	return err
}

func (s *socket) head(topic string) (client.Head, error) {
	l, err := s.ask("HEAD %s", topic)
	return client.Head{
		Oldest: l.uint("oldest"), Next: l.uint("next"), Synced: l.uint("synced"), Epoch: l.int("epoch"),
		Segment: l.uint("segment"), Segments: l.int("segments"), Bytes: l.int("bytes"), Partitions: l.int("partitions"),
	}, err
}

func (s *socket) flush(topic string) (uint64, error) {
	l, err := s.ask("FLUSH %s", topic)
	return l.uint("synced"), err
}

// data asks for a DATA answer.
func (s *socket) data(format string, args ...any) (line, []byte, error) {
	if err := s.send(format+"\n", args...); err != nil {
		return line{}, nil, err
	}
	l, err := s.line()
	if err == nil && l.kind != "DATA" {
		err = fmt.Errorf("got %q, want DATA", l.raw)
	}
	if err != nil {
		return l, nil, err
	}
	b, err := s.bytes(l.n)
	return l, b, err
}

func (s *socket) topics() ([]client.Topic, error) {
	_, b, err := s.data("TOPICS")
	if err != nil {
		return nil, err
	}
	var list []client.Topic
	for row := range strings.Lines(string(b)) {
		var t client.Topic
		if _, err := fmt.Sscanf(row, "%s partitions=%d records=%d bytes=%d\n", &t.Name, &t.Partitions, &t.Records, &t.Bytes); err != nil {
			return nil, fmt.Errorf("TOPICS has %q: %w", row, err)
		}
		list = append(list, t)
	}
	return list, nil
}

func (s *socket) stats() ([]byte, error) {
	_, b, err := s.data("STATS format=json")
	return b, err
}

func (s *socket) append(topic string, ack text.Ack, rs ...record) ([]answer, error) {
	sent := make(chan error, 1)
	go func() { sent <- s.sendMessages(topic, ack, rs) }() // answers must be taken meanwhile, or both sides stand still
	var answers []answer
	var failed error
	if ack != text.AckNone {
		for range rs {
			if l, err := s.ok(); err == nil {
				answers = append(answers, appended(l))
			} else if failed = first(failed, err); !isRefusal(err) {
				break
			}
		}
	} else {
		for {
			l, err := s.ok()
			if err == nil && l.fields["pong"] == "1" {
				break
			}
			if err == nil {
				err = fmt.Errorf("an append without answers was answered %q", l.raw)
			}
			if failed = first(failed, err); !isRefusal(err) {
				break
			}
		}
	}
	if err := <-sent; failed == nil {
		failed = err
	}
	return answers, failed
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func isRefusal(err error) bool {
	_, ok := err.(*refusal)
	return ok
}

func appended(l line) answer {
	ack, err := text.ParseAck(l.fields["ack"])
	if err != nil {
		ack = text.AckDefault // which is no level: whoever looks will see
	}
	return answer{first: l.uint("first"), next: l.uint("next"), ack: ack, synced: l.uint("synced")}
}

// ackWord is the request's ack=, or nothing.
func ackWord(a text.Ack) string {
	if a == text.AckDefault {
		return ""
	}
	return " ack=" + a.String()
}

func (s *socket) sendMessages(topic string, ack text.Ack, rs []record) error {
	out := bufio.NewWriterSize(s.nc, 64<<10)
	for _, r := range rs {
		n := len(r.value)
		if r.value == nil {
			n = -1
		}
		fmt.Fprintf(out, "MSG %s %d%s", topic, n, ackWord(ack))
		if r.key != nil {
			fmt.Fprintf(out, " key=%d", len(r.key))
		}
		if r.ms != 0 {
			fmt.Fprintf(out, " time=%d", r.ms)
		}
		fmt.Fprintf(out, "\r\n%s%s\r\n", r.key, r.value)
	}
	if ack == text.AckNone {
		out.WriteString("PING\n")
	}
	return out.Flush() // it keeps the first error
}

// batches sends one BATCH request with all of them.
func (s *socket) batches(topic string, ack text.Ack, c client.Codec, bs ...[]record) ([]answer, error) {
	payload, err := encode(c, bs...)
	if err != nil {
		return nil, err
	}
	l, err := s.sendBatch(topic, ack, payload)
	if err != nil || ack == text.AckNone {
		return nil, err
	}
	return []answer{appended(l)}, nil
}

func (s *socket) sendBatch(topic string, ack text.Ack, payload []byte) (line, error) {
	if err := s.send("BATCH %s %d%s\n%s\n", topic, len(payload), ackWord(ack), payload); err != nil {
		return line{}, err
	}
	if ack == text.AckNone {
		return s.ask("PING")
	}
	return s.ok()
}

// encode builds batches back to back.
func encode(c client.Codec, bs ...[]record) ([]byte, error) {
	var b batch.Builder
	var out []byte
	for _, rs := range bs {
		b.Reset(out)
		for _, r := range rs {
			b.Add(r.ms, r.key, r.value, nil)
		}
		var err error
		if out, err = b.Finish(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *socket) read(topic, from string, l limits) ([]record, error) {
	req := "READ " + topic + " " + from
	if l.records > 0 {
		req += fmt.Sprintf(" limit=%d", l.records)
	}
	if l.bytes > 0 {
		req += fmt.Sprintf(" bytes=%d", l.bytes)
	}
	if err := s.send("%s\n", req); err != nil {
		return nil, err
	}
	rs, end, err := s.records()
	if err == nil && len(rs) > 0 && end.uint("next") != rs[len(rs)-1].offset+1 {
		err = fmt.Errorf("READ ends with %q behind offset %d", end.raw, rs[len(rs)-1].offset)
	}
	return rs, err
}

// records reads RECs up to their OK.
func (s *socket) records() ([]record, line, error) {
	var rs []record
	for {
		l, err := s.line()
		if err != nil || l.kind == "OK" {
			return rs, l, err
		}
		r, err := s.record(l)
		if err != nil {
			return rs, l, err
		}
		rs = append(rs, r)
	}
}

func (s *socket) record(l line) (record, error) {
	if l.kind != "REC" {
		return record{}, fmt.Errorf("got %q, want a REC", l.raw)
	}
	k, n := l.int("key"), l.int("n")
	b, err := s.bytes(max(k, 0) + max(n, 0))
	if err != nil {
		return record{}, err
	}
	r := record{offset: l.uint("offset"), ms: l.int("time")}
	if k >= 0 {
		r.key = b[:k:k]
	}
	if n >= 0 {
		r.value = b[max(k, 0):]
	}
	return r, nil
}

func (s *socket) follow(topic, from string, limit int64) (follower, error) {
	req := "TAIL " + topic + " " + from
	if limit > 0 {
		req += fmt.Sprintf(" limit=%d", limit)
	}
	return &tail{s: s}, s.send("%s\n", req)
}

type tail struct {
	s     *socket
	ended bool
}

func (t *tail) next() (record, error) {
	l, err := t.s.line()
	if err != nil {
		return record{}, err
	}
	if l.kind == "OK" {
		t.ended = true
		return record{}, errEnded
	}
	return t.s.record(l)
}

// end sends a request, which ends a TAIL; what had left before is read over.
func (t *tail) end() error {
	if t.ended {
		return nil
	}
	if err := t.s.send("PING\n"); err != nil {
		return err
	}
	var ended error
	for ended == nil {
		_, ended = t.next()
	}
	if ended != errEnded && !isRefusal(ended) {
		return ended
	}
	l, err := t.s.ok()
	if err == nil && l.fields["pong"] != "1" {
		err = fmt.Errorf("the PING that ended TAIL was answered %q", l.raw)
	}
	if err == nil && ended != errEnded {
		err = ended
	}
	return err
}

// kill resets the connection: the server hears nothing of an orderly end.
func (t *tail) kill() {
	if tcp, ok := t.s.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = t.s.nc.Close()
}

func (s *socket) close() error { return s.nc.Close() }
