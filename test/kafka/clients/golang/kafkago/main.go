package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"kafkadrivers/protocol"
)

func main() { os.Exit(protocol.Serve(do, code)) }

func code(err error) int16 {
	var e kafka.Error
	var list kafka.WriteErrors
	var large kafka.MessageTooLargeError
	switch {
	case errors.As(err, &list):
		for _, err := range list {
			if err != nil {
				return code(err)
			}
		}
	case errors.As(err, &large):
		return int16(kafka.MessageSizeTooLarge)
	case errors.As(err, &e):
		return int16(e)
	}
	return 0
}

func do(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	switch r.Op {
	case "version":
		return protocol.Version("github.com/segmentio/kafka-go"), nil
	case "produce", "stream":
		return produce(ctx, r)
	case "consume":
		return consume(ctx, r)
	}
	transport := &kafka.Transport{} // of its own: the shared one would answer from what it has heard before
	defer transport.CloseIdleConnections()
	return admin(ctx, &kafka.Client{Addr: kafka.TCP(r.Server), Transport: transport}, r)
}

func admin(ctx context.Context, cl *kafka.Client, r protocol.Request) (a protocol.Answer, err error) {
	switch r.Op {
	case "create":
		got, e := cl.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: r.Topic, NumPartitions: int(r.Partitions), ReplicationFactor: 1}}})
		if err = e; err == nil {
			err = got.Errors[r.Topic]
		}
	case "delete":
		got, e := cl.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{r.Topic}})
		if err = e; err == nil {
			err = got.Errors[r.Topic]
		}
	case "grow":
		got, e := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: r.Topic, Count: r.Partitions}}})
		if err = e; err == nil {
			err = got.Errors[r.Topic]
		}
	case "partitions":
		got, e := cl.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{r.Topic}})
		if err = e; err == nil && len(got.Topics) == 1 {
			err, a.Count = got.Topics[0].Error, len(got.Topics[0].Partitions)
		}
	case "config":
		got, e := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: r.Topic}}})
		if err = e; err == nil && len(got.Resources) == 1 {
			err, a.Count = got.Resources[0].Error, len(got.Resources[0].ConfigEntries)
		}
	case "offset":
		return offset(ctx, cl, r)
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	return a, err
}

func offset(ctx context.Context, cl *kafka.Client, r protocol.Request) (a protocol.Answer, err error) {
	ask := kafka.TimeOffsetOf(int(r.Partition), time.UnixMilli(r.At))
	switch r.From {
	case "earliest":
		ask = kafka.FirstOffsetOf(int(r.Partition))
	case "latest":
		ask = kafka.LastOffsetOf(int(r.Partition))
	}
	got, err := cl.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{r.Topic: {ask}}})
	if err != nil || len(got.Topics[r.Topic]) != 1 {
		return a, fmt.Errorf("%d answers: %w", len(got.Topics[r.Topic]), err)
	}
	p := got.Topics[r.Topic][0]
	for o := range p.Offsets {
		a = protocol.At(o)
	}
	switch r.From {
	case "earliest":
		a = protocol.At(p.FirstOffset)
	case "latest":
		a = protocol.At(p.LastOffset)
	}
	return a, p.Error
}

var acks = map[string]kafka.RequiredAcks{"0": kafka.RequireNone, "1": kafka.RequireOne, "all": kafka.RequireAll}

func produce(ctx context.Context, r protocol.Request) (a protocol.Answer, err error) {
	if r.Idempotent {
		return a, protocol.Unsupported("kafka-go has no idempotent producer")
	}
	base := int64(-1)
	w := &kafka.Writer{
		Addr: kafka.TCP(r.Server), Topic: r.Topic, RequiredAcks: acks[r.Acks], BatchBytes: 64 << 20, BatchTimeout: time.Millisecond,
		Balancer:               kafka.BalancerFunc(func(kafka.Message, ...int) int { return int(r.Partition) }),
		AllowAutoTopicCreation: true,
		Completion: func(list []kafka.Message, err error) {
			for _, m := range list {
				if i, ok := m.WriterData.(int); ok && err == nil {
					if i == r.First && r.Acks != "0" {
						base = m.Offset
					}
					if r.Op == "stream" {
						protocol.Tell(i, m.Offset)
					}
				}
			}
		},
	}
	switch r.Codec {
	case "gzip":
		w.Compression = kafka.Gzip
	case "snappy":
		w.Compression = kafka.Snappy
	case "lz4":
		w.Compression = kafka.Lz4
	case "zstd":
		w.Compression = kafka.Zstd
	}
	if r.Op == "stream" {
		w.MaxAttempts = math.MaxInt
	}
	var list []kafka.Message
	r.Each(func(i int, key, value []byte, at time.Time) {
		list = append(list, kafka.Message{Key: key, Value: value, Time: at, WriterData: i,
			Headers: []kafka.Header{{Key: protocol.HeaderKey, Value: strconv.AppendInt(nil, int64(i), 10)}}})
	})
	err = errors.Join(w.WriteMessages(ctx, list...), w.Close()) // Close waits until Completion has returned
	return protocol.At(base), err
}

func consume(ctx context.Context, r protocol.Request) (a protocol.Answer, err error) {
	rd := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{r.Server}, Topic: r.Topic, Partition: int(r.Partition), MaxBytes: 16 << 20, OffsetOutOfRangeError: true, MaxAttempts: 1,
		MaxWait: time.Second}) // which is how long Close takes, at the end of a log
	defer func() { err = errors.Join(err, rd.Close()) }()
	if r.From == "time" {
		err = rd.SetOffsetAt(ctx, time.UnixMilli(r.At))
	} else {
		err = rd.SetOffset(r.At)
	}
	for err == nil && len(a.Records) < r.Count {
		var m kafka.Message
		if m, err = rd.ReadMessage(ctx); err == nil {
			header := []byte(nil)
			if len(m.Headers) == 1 && m.Headers[0].Key == protocol.HeaderKey {
				header = m.Headers[0].Value
			}
			a.Records = append(a.Records, protocol.Read(m.Offset, m.Time, m.Key, m.Value, header))
		}
	}
	return a, err
}
