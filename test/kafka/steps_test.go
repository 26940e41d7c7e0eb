package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/test/kafka/clients"
)

// A trial is one client on its way through the steps.
type trial struct {
	name  string // of its topics
	b     broker
	bare  broker // which makes no topic by itself, and has none
	d     clients.Driver
	next  int64 // of its log: what it has produced so far
	begin int64 // milliseconds: the time of the first record
}

// cannot is a step that the client has no way to take; it says why.
type cannot string

func (c cannot) Error() string { return string(c) }

// do carries out one request. What the client cannot do, and what it met, are errors.
func (tr *trial) do(r clients.Request) (clients.Answer, error) {
	if r.Server == "" {
		r.Server = tr.b.addr()
	}
	a, err := tr.d.Do(r)
	switch {
	case err != nil:
		return a, err
	case a.Unsupported != "":
		return a, cannot(a.Unsupported)
	case !a.OK:
		return a, &met{a.Code, a.Error}
	}
	return a, nil
}

// met is an error that a client got.
type met struct {
	code int16
	text string
}

func (m *met) Error() string { return fmt.Sprintf("code %d: %s", m.code, m.text) }

// must tells whether a request failed with the code that it should have.
func must(code int16, err error) error {
	var m *met
	switch {
	case err == nil:
		return fmt.Errorf("it succeeded; code %d was due", code)
	case errors.As(err, &m) && m.code != code:
		return fmt.Errorf("code %d was due: %w", code, err)
	case errors.As(err, &m):
		return nil
	}
	return err
}

// A step is a row of the matrix.
type step struct {
	name string
	do   func(*trial, context.Context) error
}

// perStep is how many records a step produces: some batches with every client, and quick with all of them.
const perStep = 30

var steps = []step{
	{"metadata", func(tr *trial, _ context.Context) error { return tr.count("partitions", "many", 3) }},
	{"create a topic", (*trial).create},
	{"add partitions", (*trial).grow},
	{"describe its settings", (*trial).config},
	{"produce, no compression", produces(clients.Request{Codec: "none", Acks: "all"})},
	{"produce, gzip", produces(clients.Request{Codec: "gzip", Acks: "all"})},
	{"produce, snappy", produces(clients.Request{Codec: "snappy", Acks: "all"})},
	{"produce, lz4", produces(clients.Request{Codec: "lz4", Acks: "all"})},
	{"produce, zstd", produces(clients.Request{Codec: "zstd", Acks: "all"})},
	{"produce, acks=0", produces(clients.Request{Codec: "none", Acks: "0"})},
	{"produce, acks=1", produces(clients.Request{Codec: "none", Acks: "1"})},
	{"produce, idempotent", produces(clients.Request{Codec: "snappy", Acks: "all", Idempotent: true})},
	{"produce to a chosen partition", (*trial).spread},
	{"a topic made by its first record", (*trial).auto},
	{"consume from the beginning", func(tr *trial, ctx context.Context) error { return tr.consume(ctx, 0, tr.next) }},
	{"seek to an offset", func(tr *trial, ctx context.Context) error { return tr.consume(ctx, 7, tr.next-7) }},
	{"seek to a time", (*trial).seekTime},
	{"ask for offsets: oldest, newest", (*trial).bounds},
	{"ask for offsets: by time", (*trial).offsetOfTime},
	{"wait for the next record", (*trial).wait},
	{"error: unknown topic", func(tr *trial, _ context.Context) error {
		_, err := tr.do(clients.Request{Op: "partitions", Server: tr.bare.addr(), Topic: tr.topic("nowhere")})
		return must(3, err)
	}},
	{"error: record too large", func(tr *trial, _ context.Context) error {
		_, err := tr.do(clients.Request{Op: "produce", Topic: tr.topic("log"), Codec: "none", Acks: "all", Count: 1, Size: 2 * largest, Time: tr.begin})
		return must(10, err)
	}},
	{"error: offset out of range", func(tr *trial, _ context.Context) error {
		_, err := tr.do(clients.Request{Op: "consume", Topic: tr.topic("log"), From: "offset", At: tr.next + 1000, Count: 1})
		return must(1, err)
	}},
	{"delete a topic", (*trial).remove},
}

func (tr *trial) topic(what string) string { return tr.name + "-" + what }

func (tr *trial) count(op, topic string, want int) error {
	a, err := tr.do(clients.Request{Op: op, Topic: tr.topic(topic)})
	if err == nil && a.Count != want {
		err = fmt.Errorf("%d were told, not %d", a.Count, want)
	}
	return err
}

func (tr *trial) create(context.Context) error {
	if _, err := tr.do(clients.Request{Op: "create", Topic: tr.topic("made"), Partitions: 3}); err != nil {
		return err
	}
	return tr.count("partitions", "made", 3)
}

func (tr *trial) grow(context.Context) error {
	if _, err := tr.do(clients.Request{Op: "grow", Topic: tr.topic("made"), Partitions: 5}); err != nil {
		return err
	}
	return tr.count("partitions", "made", 5)
}

func (tr *trial) config(context.Context) error {
	a, err := tr.do(clients.Request{Op: "config", Topic: tr.topic("many")})
	if err == nil && a.Count == 0 {
		err = errors.New("no settings were told")
	}
	return err
}

// remove deletes the topic of the first steps.
func (tr *trial) remove(ctx context.Context) error {
	if _, err := tr.do(clients.Request{Op: "delete", Topic: tr.topic("made")}); err != nil {
		return err
	}
	there, err := tr.b.has(ctx, tr.topic("made"))
	if err == nil && there {
		err = errors.New("the topic is still there")
	}
	return err
}

// produces appends to the client's log, and looks at what has come there.
func produces(r clients.Request) func(*trial, context.Context) error {
	return func(tr *trial, ctx context.Context) error {
		r.Topic, r.First, r.Count, r.Size, r.Time = tr.topic("log"), int(tr.next), perStep, 300, tr.begin
		err := tr.produce(ctx, r, tr.next)
		var p plain
		if err == nil || errors.As(err, &p) {
			tr.next += perStep
		}
		return err
	}
}

// produce has records appended that shall begin at an offset, and looks at them.
func (tr *trial) produce(ctx context.Context, r clients.Request, at int64) error {
	r.Op = "produce"
	a, err := tr.do(r)
	if err != nil {
		return err
	}
	if a.Offset >= 0 && a.Offset != at {
		return fmt.Errorf("the client was told offset %d, and %d was due", a.Offset, at)
	}
	got, err := tr.b.read(ctx, r.Topic, int(r.Partition), at, int64(r.Count))
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	var want []clients.Record
	for i := range int64(r.Count) {
		n := int64(r.First) + i
		want = append(want, clients.Record{Offset: at + i, Time: r.Time + n, Key: fmt.Sprint("k", n), Value: fmt.Sprintf("%s-%d", r.Codec, n), Size: r.Size, Header: fmt.Sprint(n)})
	}
	if err := same(got, want, a.Lacks); err != nil {
		return err
	}
	return compressed(ctx, tr.b, r.Topic, r.Partition, at, int64(r.Count), r.Codec)
}

// same compares records, but for what the client has no word for.
func same(got, want []clients.Record, lacks []string) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records instead of %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		for _, what := range lacks {
			switch what {
			case "key":
				g.Key = w.Key
			case "value":
				g.Value = w.Value
			case "time":
				g.Time = w.Time
			case "header":
				g.Header = w.Header
			}
		}
		if g != w {
			return fmt.Errorf("record %d is %+v, and should be %+v", i, g, w)
		}
	}
	return nil
}

func (tr *trial) spread(ctx context.Context) error {
	for _, p := range []int32{2, 0, 1} { // 2 first: it is nobody's default
		if err := tr.produce(ctx, clients.Request{Topic: tr.topic("many"), Partition: p, Codec: "none", Acks: "all", Count: int(p) + 1, Size: 20, Time: tr.begin}, 0); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return nil
}

func (tr *trial) auto(ctx context.Context) error {
	return tr.produce(ctx, clients.Request{Topic: tr.topic("auto"), Codec: "none", Acks: "all", Count: 3, Size: 20, Time: tr.begin}, 0)
}

// consume reads count records from an offset on.
func (tr *trial) consume(ctx context.Context, at, count int64) error {
	return tr.consumed(ctx, clients.Request{Topic: tr.topic("log"), From: "offset", At: at, Count: int(count)}, at)
}

// consumed compares what a request reads with what is there from an offset on.
func (tr *trial) consumed(ctx context.Context, r clients.Request, at int64) error {
	r.Op = "consume"
	a, err := tr.do(r)
	if err != nil {
		return err
	}
	if slices.Contains(a.Lacks, "records") {
		if a.Count != r.Count {
			return fmt.Errorf("%d records came instead of %d", a.Count, r.Count)
		}
		return nil
	}
	want, err := tr.b.read(ctx, r.Topic, int(r.Partition), at, int64(r.Count))
	if err != nil {
		return err
	}
	return same(a.Records, want, a.Lacks)
}

// moment is a time in the middle of the client's log, and the offset of the first record that is no older.
func (tr *trial) moment(ctx context.Context) (millis, offset int64, err error) {
	list, err := tr.b.read(ctx, tr.topic("log"), 0, 0, tr.next)
	if err != nil {
		return 0, 0, err
	}
	if len(list) == 0 {
		return 0, 0, errors.New("nothing was produced")
	}
	millis = list[len(list)/2].Time
	return millis, int64(slices.IndexFunc(list, func(r clients.Record) bool { return r.Time >= millis })), nil
}

func (tr *trial) seekTime(ctx context.Context) error {
	millis, offset, err := tr.moment(ctx)
	if err != nil {
		return err
	}
	return tr.consumed(ctx, clients.Request{Topic: tr.topic("log"), From: "time", At: millis, Count: int(tr.next - offset)}, offset)
}

func (tr *trial) offsetOfTime(ctx context.Context) error {
	millis, offset, err := tr.moment(ctx)
	if err != nil {
		return err
	}
	return tr.offset("time", millis, offset)
}

func (tr *trial) offset(from string, at, want int64) error {
	a, err := tr.do(clients.Request{Op: "offset", Topic: tr.topic("log"), From: from, At: at})
	if err == nil && a.Offset != want {
		err = fmt.Errorf("%s is %d, and should be %d", from, a.Offset, want)
	}
	return err
}

func (tr *trial) bounds(context.Context) error {
	return errors.Join(tr.offset("earliest", 0, 0), tr.offset("latest", 0, tr.next))
}

// wait asks for a record that is appended meanwhile, or a little before: the client gets it in either case.
func (tr *trial) wait(ctx context.Context) error {
	added := make(chan error, 1)
	go func() { added <- tr.b.add(ctx, tr.topic("log"), "next") }()
	a, err := tr.do(clients.Request{Op: "consume", Topic: tr.topic("log"), From: "offset", At: tr.next, Count: 1})
	if e := <-added; e != nil {
		return e
	}
	tr.next++
	if err == nil && !slices.Contains(a.Lacks, "records") && (len(a.Records) != 1 || a.Records[0].Value != "next") {
		err = fmt.Errorf("read %+v", a.Records)
	}
	return err
}

func record(offset int64, at time.Time, key, value, header []byte) clients.Record {
	return clients.Record{Offset: offset, Time: at.UnixMilli(), Key: string(key), Value: strings.TrimRight(string(value), "."), Size: len(value), Header: string(header)}
}
