package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// W11: Kafka's clients against sluice and against Apache Kafka, with the same settings. A broker stays up for all of a
// run: a JVM that has just started compiles instead of serving, so what it does first is thrown away. The one that
// is not being measured is idle.

const (
	kafkaDefaults = "page cache, Kafka's defaults"
	kafkaFlushed  = "synced, log.flush.interval.messages=1"

	brokerWarm  = 40 * time.Second // of a JVM, thrown away
	oursWarm    = 4 * time.Second
	fillBytes   = 512 << 20 // what the fetches read
	partitions  = 4         // of the topics that take all a client can send
	mostMemory  = "MiB of memory, at most"
	cpuMicros   = "us of server CPU for a record"
	clientLinks = 5 // requests in flight that a producer may have, as all clients have it
)

// A broker is one system at one durability.
type broker struct {
	system, level string
	durability    string // as the tables name it
	acks          kgo.Acks
	warm          time.Duration
	start         func(context.Context) (*proc, error)

	p       *proc // nil until a step needs it
	records int   // in the topic that is read
	answers []answer
	topics  int // made so far
}

// brokers are the sides of W11. Of two with one level, both must have answered before the bytes were synced, or neither.
func (s suite) brokers() []*broker {
	var all []*broker
	for _, l := range []struct {
		level, ours, theirs, settings string
		acks                          kgo.Acks
	}{
		{"written", written, kafkaDefaults, "", kgo.LeaderAck()},
		{"synced", synced, kafkaFlushed, "log.flush.interval.messages=1\n", kgo.AllISRAcks()},
	} {
		if s.kafka.version != "" {
			all = append(all, &broker{system: "kafka", level: l.level, durability: l.theirs, acks: l.acks, warm: brokerWarm,
				start: func(ctx context.Context) (*proc, error) {
					return startKafka(ctx, s.kafka, filepath.Join(s.dir, "kafka-"+l.level), l.settings)
				}})
		}
		all = append(all, &broker{system: "sluice", level: l.level, durability: l.ours, acks: l.acks, warm: oursWarm,
			start: func(ctx context.Context) (*proc, error) {
				return startListener(ctx, s.sluice, filepath.Join(s.dir, "sluice-"+l.level))
			}})
	}
	return all
}

var listenerLine = regexp.MustCompile(`^sluice .*ready: .*\bkafka ([^\s,]+:\d+)`)

// startListener starts bin/sluice for Kafka's clients: addr is where they connect to.
func startListener(ctx context.Context, bin, data string) (*proc, error) {
	cmd := exec.Command(bin, "serve", "--data", data, "--listen", "127.0.0.1:0", "--http", "", "--kafka", "127.0.0.1:0")
	p, err := serveCmd(ctx, cmd, listenerLine)
	if err == nil {
		p.dir = data
	}
	return p, err
}

// brokerSteps has each load on every broker before the next one, so that a round's two figures stand side by side.
func (s suite) brokerSteps(brokers []*broker) []step {
	var out []step
	for _, l := range s.brokerLoads() {
		for _, b := range brokers {
			if !b.takes(l) {
				continue
			}
			out = append(out, step{"W11 " + b.level + ", " + l.name, b.system, b.durability, l.conns, l.inFlight,
				func(ctx context.Context) (tally, time.Duration, error) {
					if err := b.open(ctx, s); err != nil {
						return tally{}, 0, err
					}
					t, err := b.load(ctx, l, s.warm, s.measure)
					if err == nil && t.ops == 0 {
						err = errors.New("nothing was answered in time")
					}
					return t, 0, err
				}})
		}
	}
	return out
}

// open starts the broker and warms it up, if it is not up already.
func (b *broker) open(ctx context.Context, s suite) (err error) {
	if b.p != nil {
		return nil
	}
	if b.p, err = b.start(ctx); err != nil {
		return err
	}
	if s.small { // to warm up would only take time
		return b.fill(ctx, 1000)
	}
	if err := b.fill(ctx, fillBytes/rawRequest); err != nil {
		return err
	}
	loads := slices.DeleteFunc(s.brokerLoads(), func(l brokerLoad) bool { return l.cold || !b.takes(l) })
	for _, l := range loads {
		if _, err := b.load(ctx, l, 0, b.warm/time.Duration(len(loads))); err != nil {
			return fmt.Errorf("warm up, %s: %w", l.name, err)
		}
	}
	return nil
}

func (b *broker) takes(l brokerLoad) bool { return l.only == "" || l.only == b.level }

func (b *broker) close() error {
	if b.p == nil {
		return nil
	}
	_, err := b.p.stop()
	b.p = nil
	return err
}

// load runs one load, with what it costs the broker.
func (b *broker) load(ctx context.Context, l brokerLoad, warm, measure time.Duration) (tally, error) {
	w := window{from: time.Now().Add(warm)}
	w.until = w.from.Add(measure)
	cpu := b.cpuWithin(w)
	t, err := l.run(ctx, b, w)
	cost, cpuErr := cpu()
	_, most, memErr := residentOf(b.p.cmd.Process.Pid)
	if err := errors.Join(err, cpuErr, memErr); err != nil {
		return t, err
	}
	if most == 0 { // unknown on this system
		return t, nil
	}
	if t.figures == nil { // else its time was the program's own, and not the window
		t.cpu = cost
		t.figures = map[string]float64{cpuMicros: float64(cost.Microseconds()) / float64(max(t.ops, 1))}
	}
	t.figures[mostMemory] = float64(most) / (1 << 20)
	return t, nil
}

// cpuWithin watches what the broker takes during the window; the function that it returns waits for the window's end.
func (b *broker) cpuWithin(w window) func() (time.Duration, error) {
	type sample struct {
		cpu time.Duration
		err error
	}
	out := make(chan sample, 1)
	pid := b.p.cmd.Process.Pid
	go func() { // joined by the receive below
		time.Sleep(time.Until(w.from))
		before, err := cpuOf(pid)
		time.Sleep(time.Until(w.until))
		after, err2 := cpuOf(pid)
		out <- sample{after - before, errors.Join(err, err2)}
	}()
	return func() (time.Duration, error) {
		s := <-out
		return s.cpu, s.err
	}
}

// client connects as franz-go does by default, but for what a comparison needs: no waiting for more records, no compression.
func (b *broker) client(opts ...kgo.Opt) (*kgo.Client, error) {
	all := []kgo.Opt{kgo.SeedBrokers(b.p.addr), kgo.ClientID("bench"), kgo.RequiredAcks(b.acks), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(time.Minute)}
	if b.acks != kgo.AllISRAcks() {
		all = append(all, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(clientLinks))
	}
	return kgo.NewClient(append(all, opts...)...)
}

// withTopic gives a load a topic of its own, and removes it.
func (b *broker) withTopic(ctx context.Context, partitions int32, run func(topic string) (tally, error)) (t tally, err error) {
	b.topics++
	name := fmt.Sprintf("bench-%d", b.topics)
	if err := b.create(ctx, name, partitions); err != nil {
		return t, err
	}
	t, err = run(name)
	return t, errors.Join(err, b.remove(ctx, name))
}

func (b *broker) create(ctx context.Context, name string, partitions int32) error {
	want := kmsg.NewCreateTopicsRequestTopic()
	want.Topic, want.NumPartitions, want.ReplicationFactor = name, partitions, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, want), 30_000
	res, err := request[*kmsg.CreateTopicsResponse](ctx, b, req)
	if err == nil && (len(res.Topics) != 1 || res.Topics[0].ErrorCode != 0) {
		err = fmt.Errorf("create %s: %+v", name, res.Topics)
	}
	return err
}

func (b *broker) remove(ctx context.Context, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.Topic = &name
	req.TopicNames, req.Topics, req.TimeoutMillis = append(req.TopicNames, name), append(req.Topics, gone), 30_000
	res, err := request[*kmsg.DeleteTopicsResponse](ctx, b, req)
	if err == nil && (len(res.Topics) != 1 || res.Topics[0].ErrorCode != 0) {
		err = fmt.Errorf("delete %s: %+v", name, res.Topics)
	}
	return err
}

func request[T kmsg.Response](ctx context.Context, b *broker, req kmsg.Request) (res T, err error) {
	cl, err := b.client()
	if err != nil {
		return res, err
	}
	defer cl.Close()
	got, err := cl.Request(ctx, req)
	if err != nil {
		return res, fmt.Errorf("%s: %w", kmsg.NameForKey(req.Key()), err)
	}
	return got.(T), nil
}
