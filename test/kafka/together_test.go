package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"sluice/test/kafka/clients"
)

// codecNumbers are the codecs as the attributes of a batch have them.
var codecNumbers = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// plain is what a client sent as it was, though it was to be compressed.
type plain string

func (p plain) Error() string { return string(p) }

// compressed proves that records are stored with a codec: a client that is not sure of its broker sends plain ones without a word.
func compressed(ctx context.Context, b broker, topic string, partition int32, from, count int64, codec string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for count > 0 {
		got := cl.PollFetches(ctx)
		if err := got.Err(); err != nil {
			return err
		}
		for _, r := range got.Records() {
			n := r.Attrs.CompressionType()
			if n == 0 && codec != "none" {
				return plain(fmt.Sprintf("record %d is stored plain, and %s was asked for", r.Offset, codec))
			}
			if int(n) >= len(codecNumbers) || codecNumbers[n] != codec {
				return fmt.Errorf("record %d is stored with codec %d, and %s was asked for", r.Offset, n, codec)
			}
			count--
		}
	}
	return nil
}

// gather copies the batches of logs into one topic, as they are stored, and tells how many records there are.
func gather(ctx context.Context, b broker, to string, logs []string) (records int64, err error) {
	// Of a version in which topics go by their names.
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr()), kgo.MaxVersions(kversion.V2_8_0()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	for _, from := range logs {
		for at := int64(0); ; {
			stored, end, err := fetch(ctx, cl, from, at)
			if err != nil {
				return 0, fmt.Errorf("%s from %d: %w", from, at, err)
			}
			for len(stored) > 0 {
				size := 12 + int(binary.BigEndian.Uint32(stored[8:]))
				batch := slices.Clone(stored[:size])
				at = int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:])) + 1
				records += int64(binary.BigEndian.Uint32(batch[57:]))
				binary.BigEndian.PutUint64(batch, 0) // as a producer sends it; no checksum covers it
				if err := produceBatch(ctx, cl, to, batch); err != nil {
					return 0, fmt.Errorf("a batch of %s: %w", from, err)
				}
				stored = stored[size:]
			}
			if at >= end {
				break
			}
		}
	}
	return records, nil
}

// fetch gives whole batches from an offset on, and the end of the log.
func fetch(ctx context.Context, cl *kgo.Client, topic string, at int64) (stored []byte, end int64, err error) {
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = at, 16<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.FetchRequestTopicPartition{part}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.Topics = 16<<20, []kmsg.FetchRequestTopic{t}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, 0, err
	}
	p := resp.Topics[0].Partitions[0]
	return p.RecordBatches, p.HighWatermark, kerr.ErrorForCode(p.ErrorCode)
}

func produceBatch(ctx context.Context, cl *kgo.Client, topic string, batch []byte) error {
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{part}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, int32(limit.Milliseconds()), []kmsg.ProduceRequestTopic{t}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// together is the last row of the matrix.
const together = "read what all of them wrote"

// readAll has a client read the topic into which everything was gathered.
func (tr *trial) readAll(ctx context.Context, records int64) error {
	return tr.consumed(ctx, clients.Request{Topic: "all", From: "offset", Count: int(records)}, 0)
}
