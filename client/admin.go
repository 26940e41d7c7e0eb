package client

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/wire/text"
)

// Head is where a partition's log stands.
type Head struct {
	Oldest     uint64 `json:"oldest"`     // the first record there is
	Next       uint64 `json:"next"`       // the offset of the next record
	Synced     uint64 `json:"synced"`     // records before it survive a power cut
	Epoch      int64  `json:"epoch"`      // masters the log has had
	Segment    uint64 `json:"segment"`    // the active segment's first offset
	Segments   int64  `json:"segments"`   // files
	Bytes      int64  `json:"bytes"`      // of all segments
	Partitions int64  `json:"partitions"` // of the topic
}

// Topic is a line of the list of topics.
type Topic struct {
	Name       string `json:"name"`
	Partitions int64  `json:"partitions"`
	Records    int64  `json:"records"`
	Bytes      int64  `json:"bytes"`
}

const (
	maxText     = 16 << 20 // the most a STATS or TOPICS may bring
	maxSettings = text.MaxPairs
)

var ping = request{op: "ping", line: []byte("PING"), read: noMore}

// Ping asks for an answer.
func (c *Client) Ping(ctx context.Context) error { return c.do(ctx, ping) }

// Create makes a topic. Settings have the names and values of the protocol, partitions=3, segment.bytes=64MiB.
// Errors: EXISTS, BAD_SETTING, BAD_TOPIC; ErrUnknown if the connection is lost before the answer.
func (c *Client) Create(ctx context.Context, topic string, settings map[string]string) error {
	return c.set(ctx, "create", "CREATE ", topic, settings)
}

// Alter changes settings of a topic, all of them or none, and returns once they hold, behind a power cut too: ack=synced.
// Partitions can only be added. segment.bytes, index.interval.bytes, and sync from or to dsync, can't be changed yet.
// Errors: NO_TOPIC, BAD_SETTING, DISK_FULL; ErrUnknown if the connection is lost before the answer.
func (c *Client) Alter(ctx context.Context, topic string, settings map[string]string) error {
	if len(settings) == 0 {
		return fmt.Errorf("alter: there is nothing to change: name a setting")
	}
	return c.set(ctx, "alter", "ALTER ", topic, settings)
}

func (c *Client) set(ctx context.Context, op, verb, topic string, settings map[string]string) error {
	if len(settings) > maxSettings {
		return fmt.Errorf("%s: %d settings: at most %d", op, len(settings), maxSettings)
	}
	line, err := topicLine(verb, topic)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == "" || strings.ContainsAny(name, " =%\r\n") {
			return fmt.Errorf("%s: %q is no name of a setting", op, name)
		}
		line = text.AppendStr(line, name, settings[name])
	}
	if len(line)+2 > text.MaxLine {
		return fmt.Errorf("%s: the settings need %d bytes, a line has %d", op, len(line)+2, text.MaxLine)
	}
	return c.do(ctx, request{op: op, topic: topic, line: line, changes: true, read: noMore})
}

// Drop removes a topic with all its records.
func (c *Client) Drop(ctx context.Context, topic string) error {
	line, err := topicLine("DROP ", topic)
	if err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	return c.do(ctx, request{op: "drop", topic: topic, line: line, changes: true, read: noMore})
}

// Head asks where a partition ("topic" or "topic/3") stands.
func (c *Client) Head(ctx context.Context, topic string) (Head, error) {
	var h Head
	line, err := partitionLine("HEAD ", topic)
	if err != nil {
		return h, fmt.Errorf("head: %w", err)
	}
	err = c.do(ctx, request{op: "head", topic: topic, line: line, read: func(_ *conn, a *text.Answer) error {
		f := fieldsOf(a)
		h = Head{
			Oldest: f.uint("oldest"), Next: f.uint("next"), Synced: f.uint("synced"), Epoch: f.int("epoch"),
			Segment: f.uint("segment"), Segments: f.int("segments"), Bytes: f.int("bytes"), Partitions: f.int("partitions"),
		}
		return f.err()
	}})
	return h, err
}

// Flush makes everything appended to the partition before it durable, and returns the first offset that is not.
func (c *Client) Flush(ctx context.Context, topic string) (synced uint64, err error) {
	line, err := partitionLine("FLUSH ", topic)
	if err != nil {
		return 0, fmt.Errorf("flush: %w", err)
	}
	err = c.do(ctx, request{op: "flush", topic: topic, line: line, read: func(_ *conn, a *text.Answer) error {
		f := fieldsOf(a)
		synced = f.uint("synced")
		return f.err()
	}})
	return synced, err
}

// Topics lists the topics.
func (c *Client) Topics(ctx context.Context) ([]Topic, error) {
	var list []Topic
	err := c.do(ctx, request{op: "topics", line: []byte("TOPICS"), read: func(k *conn, a *text.Answer) error {
		b, err := k.text(a)
		if err != nil {
			return err
		}
		list, err = parseTopics(b)
		return err
	}})
	return list, err
}

// Stats returns the server's figures as one JSON object.
func (c *Client) Stats(ctx context.Context) ([]byte, error) { return c.stats(ctx, "json") }

// StatsText returns the server's figures as lines for people.
func (c *Client) StatsText(ctx context.Context) ([]byte, error) { return c.stats(ctx, "text") }

func (c *Client) stats(ctx context.Context, format string) (b []byte, err error) {
	line := []byte("STATS format=" + format)
	err = c.do(ctx, request{op: "stats", line: line, read: func(k *conn, a *text.Answer) error {
		b, err = k.text(a)
		return err
	}})
	return b, err
}

// Shutdown asks the server to stop as SIGTERM would. It returns when the server has agreed, not when it has stopped.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.do(ctx, request{op: "shutdown", line: []byte("SHUTDOWN"), changes: true, read: noMore})
}

// noMore reads an OK with nothing behind it.
func noMore(_ *conn, a *text.Answer) error {
	if a.Kind != text.AnswerOK {
		return protocolError("an OK was due, not %v", a.Kind)
	}
	return nil
}

// text reads the bytes of a DATA answer.
func (k *conn) text(a *text.Answer) ([]byte, error) {
	if a.Kind != text.AnswerData {
		return nil, protocolError("DATA was due, not %v", a.Kind)
	}
	if a.N < 0 || a.N > maxText {
		return nil, protocolError("DATA of %d bytes: at most %d", a.N, maxText)
	}
	b := make([]byte, a.N)
	return b, k.payload(b)
}

// parseTopics reads lines of "name partitions= records= bytes=". Names it does not know it passes over.
func parseTopics(b []byte) ([]Topic, error) {
	var list []Topic
	for line := range bytes.Lines(b) {
		words := strings.Fields(string(line))
		if len(words) == 0 {
			continue
		}
		t := Topic{Name: words[0]}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			into := map[string]*int64{"partitions": &t.Partitions, "records": &t.Records, "bytes": &t.Bytes}[name]
			if into == nil {
				continue
			}
			n, ok := text.ParseNumber(value)
			if !ok {
				return nil, protocolError("topic %s has %q", t.Name, w)
			}
			*into = n
		}
		list = append(list, t)
	}
	return list, nil
}

func topicLine(verb, topic string) ([]byte, error) {
	if err := text.CheckTopic([]byte(topic)); err != nil {
		return nil, err
	}
	return append([]byte(verb), topic...), nil
}

func partitionLine(verb, topic string) ([]byte, error) {
	if _, _, err := text.ParseTopic([]byte(topic)); err != nil {
		return nil, err
	}
	return append([]byte(verb), topic...), nil
}

// fields reads names that must be there, and remembers the first that is not.
type fields struct {
	a       *text.Answer
	missing string
}

func fieldsOf(a *text.Answer) *fields { return &fields{a: a} }

func (f *fields) uint(name string) uint64 {
	v, ok := f.a.Uint(name)
	f.note(name, ok)
	return v
}

func (f *fields) int(name string) int64 {
	v, ok := f.a.Int(name)
	f.note(name, ok)
	return v
}

func (f *fields) str(name string) string {
	v, ok := f.a.Str(name)
	f.note(name, ok)
	return v
}

func (f *fields) note(name string, ok bool) {
	if !ok && f.missing == "" {
		f.missing = name
	}
}

func (f *fields) err() error {
	if f.missing != "" {
		return protocolError("the answer has no %s=", f.missing)
	}
	return nil
}

// parse reads the answer to HELLO.
func (h *Hello) parse(a *text.Answer) error {
	if err := noMore(nil, a); err != nil {
		return err
	}
	f := fieldsOf(a)
	server := f.str("server")
	*h = Hello{
		Version: f.str("version"), Protocol: f.int("protocol"), Node: f.str("node"), Role: f.str("role"),
		MaxLine: f.int("max_line"), MaxBatch: f.int("max_batch"),
	}
	if err := f.err(); err != nil {
		return err
	}
	h.Sequences, _ = a.Int("sequences") // absent: none
	if server != "sluice" || h.Protocol != 1 {
		return protocolError("this is %s with protocol %d; the client speaks protocol 1 of sluice", server, h.Protocol)
	}
	if h.MaxBatch < MinBatchBytes {
		return protocolError("max_batch=%d is below %d", h.MaxBatch, MinBatchBytes)
	}
	return nil
}
