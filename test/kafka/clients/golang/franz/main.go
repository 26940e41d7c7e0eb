package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafkadrivers/protocol"
)

func main() { os.Exit(protocol.Serve(do, code)) }

func code(err error) int16 {
	if e := (*kerr.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func do(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	switch r.Op {
	case "version":
		return protocol.Version("github.com/twmb/franz-go"), nil
	case "produce", "stream":
		return produce(ctx, r)
	case "consume":
		return consume(ctx, r)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Server))
	if err != nil {
		return protocol.Answer{}, err
	}
	defer cl.Close()
	return admin(ctx, kadm.NewClient(cl), r)
}

func admin(ctx context.Context, adm *kadm.Client, r protocol.Request) (a protocol.Answer, err error) {
	switch r.Op {
	case "create":
		_, err = adm.CreateTopic(ctx, r.Partitions, 1, nil, r.Topic)
	case "delete":
		_, err = adm.DeleteTopic(ctx, r.Topic)
	case "grow":
		var got kadm.CreatePartitionsResponses
		if got, err = adm.UpdatePartitions(ctx, int(r.Partitions), r.Topic); err == nil {
			err = got.Error()
		}
	case "partitions":
		var got kadm.TopicDetails
		if got, err = adm.ListTopics(ctx, r.Topic); err == nil {
			err, a.Count = got[r.Topic].Err, len(got[r.Topic].Partitions)
		}
	case "config":
		var got kadm.ResourceConfigs
		if got, err = adm.DescribeTopicConfigs(ctx, r.Topic); err == nil {
			rc, e := got.On(r.Topic, nil)
			err, a.Count = errors.Join(e, rc.Err), len(rc.Configs)
		}
	case "offset":
		var got kadm.ListedOffsets
		switch r.From {
		case "earliest":
			got, err = adm.ListStartOffsets(ctx, r.Topic)
		case "latest":
			got, err = adm.ListEndOffsets(ctx, r.Topic)
		default:
			got, err = adm.ListOffsetsAfterMilli(ctx, r.At, r.Topic)
		}
		if o, ok := got.Lookup(r.Topic, r.Partition); err == nil && ok {
			a, err = protocol.At(o.Offset), o.Err
		}
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	return a, err
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

var acks = map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}

func produce(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	set := []kgo.Opt{
		kgo.SeedBrokers(r.Server), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(acks[r.Acks]),
		kgo.ProducerBatchCompression(codecs[r.Codec]), kgo.ProducerBatchMaxBytes(64 << 20), kgo.BrokerMaxWriteBytes(100 << 20),
		kgo.AllowAutoTopicCreation(),
	}
	if !r.Idempotent {
		set = append(set, kgo.DisableIdempotentWrite())
	}
	if r.Op == "stream" {
		set = append(set, kgo.ProducerBatchMaxBytes(32<<10)) // as others have it, so that there are many batches
	}
	cl, err := kgo.NewClient(set...)
	if err != nil {
		return protocol.Answer{}, err
	}
	defer cl.Close()
	base, failed := int64(-1), error(nil)
	r.Each(func(i int, key, value []byte, at time.Time) {
		rec := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: key, Value: value, Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: protocol.HeaderKey, Value: strconv.AppendInt(nil, int64(i), 10)}}}
		cl.Produce(ctx, rec, func(rec *kgo.Record, err error) { // one at a time, in the order of the records
			switch {
			case err != nil && failed == nil:
				failed = err
			case err == nil && i == r.First && r.Acks != "0":
				base = rec.Offset
			}
			if err == nil && r.Op == "stream" {
				protocol.Tell(i, rec.Offset)
			}
		})
	})
	if err := cl.Flush(ctx); err != nil {
		return protocol.Answer{}, err
	}
	return protocol.At(base), failed
}

func consume(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	from := kgo.NoResetOffset().At(r.At)
	if r.From == "time" {
		from = kgo.NewOffset().AfterMilli(r.At)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Server), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: from}}))
	if err != nil {
		return protocol.Answer{}, err
	}
	defer cl.Close()
	var a protocol.Answer
	for len(a.Records) < r.Count {
		got := cl.PollFetches(ctx)
		if err := got.Err(); err != nil {
			return a, err
		}
		for _, rec := range got.Records() {
			header := []byte(nil)
			if len(rec.Headers) == 1 && rec.Headers[0].Key == protocol.HeaderKey {
				header = rec.Headers[0].Value
			}
			a.Records = append(a.Records, protocol.Read(rec.Offset, rec.Timestamp, rec.Key, rec.Value, header))
		}
	}
	a.Records = a.Records[:r.Count]
	return a, nil
}
