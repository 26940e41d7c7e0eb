package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/client"
	"sluice/test/kafka/clients"
	"sluice/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// limit ends a step that hangs; it is far above what any of them takes on a busy machine.
const limit = 90 * time.Second

// largest is the limit of a batch in every topic of these tests; it is Kafka's own default.
const largest = 1048588

// A broker is what the clients talk to, and a second way to look at it, which judges them.
type broker interface {
	addr() string
	create(ctx context.Context, topic string, partitions int) error
	// read waits until there are count records from an offset on. Record.Header is the value of the only header "i".
	read(ctx context.Context, topic string, partition int, from, count int64) ([]clients.Record, error)
	add(ctx context.Context, topic, value string) error
	has(ctx context.Context, topic string) (bool, error)
}

// peer is the broker of this run. A strict one makes no topic that nobody has created.
func peer(t *testing.T, strict bool) broker {
	switch p := os.Getenv("SLUICE_KAFKA_PEER"); p {
	case "":
		return newSluice(t, "--set", fmt.Sprint("auto_create=", !strict))
	case "kfake":
		set := []kfake.Opt{kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(largest)})}
		if !strict {
			set = append(set, kfake.AllowAutoTopicCreation())
		}
		c, err := kfake.NewCluster(set...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return newOther(t, c.ListenAddrs()[0])
	default:
		return newOther(t, p)
	}
}

// sluice is a server of ours, looked at through the text protocol.
type sluice struct {
	*process.Server
	cl *client.Client
}

func newSluice(t *testing.T, args ...string) broker {
	p, err := process.Start(process.Binary(t), append([]string{"--data", t.TempDir()}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%v\n%s", err, p.Log())
		}
		p.Kill()
	})
	cl, err := client.Dial(t.Context(), client.Options{Addr: p.Text, AnswerTimeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
	})
	return &sluice{p, cl}
}

func (s *sluice) addr() string { return s.Kafka }

func (s *sluice) create(ctx context.Context, topic string, partitions int) error {
	return s.cl.Create(ctx, topic, map[string]string{"partitions": strconv.Itoa(partitions), "max.message.bytes": strconv.Itoa(largest)})
}

func (s *sluice) read(ctx context.Context, topic string, partition int, from, count int64) (list []clients.Record, err error) {
	if count == 0 {
		return nil, nil
	}
	c, err := s.cl.Consumer(fmt.Sprintf("%s/%d", topic, partition), client.ConsumerOptions{From: client.Offset(uint64(from)), Follow: true, Limit: count})
	if err != nil {
		return nil, err
	}
	for r, err := range c.Records(ctx) {
		if err != nil {
			return list, err
		}
		var header []byte
		if len(r.Headers) == 1 && string(r.Headers[0].Key) == "i" {
			header = r.Headers[0].Value
		}
		list = append(list, record(int64(r.Offset), r.Time, r.Key, r.Value, header))
	}
	return list, nil
}

func (s *sluice) add(ctx context.Context, topic, value string) error {
	p, err := s.cl.Producer(topic, client.ProducerOptions{})
	if err != nil {
		return err
	}
	_, err = p.Append(ctx, client.Record{Value: []byte(value)})
	return errors.Join(err, p.Close(ctx))
}

func (s *sluice) has(ctx context.Context, topic string) (bool, error) {
	list, err := s.cl.Topics(ctx)
	return slices.ContainsFunc(list, func(t client.Topic) bool { return t.Name == topic }), err
}

// other is any other broker, looked at through franz-go.
type other struct {
	at string
	cl *kgo.Client
}

func newOther(t *testing.T, at string) broker {
	cl, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &other{at, cl}
}

func (o *other) addr() string { return o.at }

func (o *other) create(ctx context.Context, topic string, partitions int) error {
	most := strconv.Itoa(largest)
	_, err := kadm.NewClient(o.cl).CreateTopic(ctx, int32(partitions), 1, map[string]*string{"max.message.bytes": &most}, topic)
	return err
}

func (o *other) read(ctx context.Context, topic string, partition int, from, count int64) (list []clients.Record, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.at), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(partition): kgo.NewOffset().At(from)}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for int64(len(list)) < count {
		got := cl.PollFetches(ctx)
		if err := got.Err(); err != nil {
			return list, err
		}
		for _, r := range got.Records() {
			var header []byte
			if len(r.Headers) == 1 && r.Headers[0].Key == "i" {
				header = r.Headers[0].Value
			}
			list = append(list, record(r.Offset, r.Timestamp, r.Key, r.Value, header))
		}
	}
	return list[:count], nil
}

func (o *other) add(ctx context.Context, topic, value string) error {
	return o.cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

func (o *other) has(ctx context.Context, topic string) (bool, error) {
	list, err := kadm.NewClient(o.cl).ListTopics(ctx)
	return list.Has(topic), err
}
