package batch

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetched decodes a batch as a Kafka client does that has fetched it.
func fetched(b []byte, control bool) ([]*kgo.Record, error) {
	resp := kmsg.NewFetchResponseTopicPartition()
	resp.RecordBatches = b
	p, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: control}, &resp, kgo.DefaultDecompressor(), nil)
	return p.Records, p.Err
}

func fromKafka(records []*kgo.Record) (entries []entry) {
	for _, r := range records {
		e := entry{time: r.Timestamp.UnixMilli(), key: r.Key, value: r.Value}
		for _, h := range r.Headers {
			e.headers = append(e.headers, RecordHeader{h.Key, h.Value})
		}
		entries = append(entries, e)
	}
	return entries
}

// parsedByKmsg reads an uncompressed batch with the generated code of another implementation.
func parsedByKmsg(b []byte) (kb kmsg.RecordBatch, entries []entry, offsets []uint64, err error) {
	if err := kb.ReadFrom(b); err != nil {
		return kb, nil, nil, err
	}
	rest := kb.Records
	for range kb.NumRecords {
		length, pos := varint32(rest, 0)
		if pos < 0 || int(length) > len(rest)-pos {
			return kb, nil, nil, errors.New("a record is cut off")
		}
		var r kmsg.Record
		if err := r.ReadFrom(rest[:pos+int(length)]); err != nil {
			return kb, nil, nil, err
		}
		rest = rest[pos+int(length):]
		e := entry{time: kb.FirstTimestamp + r.TimestampDelta64, key: r.Key, value: r.Value}
		for _, h := range r.Headers {
			e.headers = append(e.headers, RecordHeader{h.Key, h.Value})
		}
		entries = append(entries, e)
		offsets = append(offsets, uint64(kb.FirstOffset)+uint64(r.OffsetDelta))
	}
	if len(rest) != 0 {
		return kb, nil, nil, errors.New("bytes are left over")
	}
	return kb, entries, offsets, nil
}

func TestOursReadByKafka(t *testing.T) {
	for name, want := range map[string][]entry{
		"golden": goldenEntries, "one null": {{}}, "mixed": mixed(3000), "back in time": {{time: 10}, {time: -10}, {time: 1 << 42}},
		"incompressible": {{value: noise(200_000)}}, "zeros": {{value: make([]byte, 500_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			plain := build(t, None, want...)
			kb, entries, _, err := parsedByKmsg(plain)
			if err != nil {
				t.Fatal(err)
			}
			wantEntries(t, entries, want)
			h, err := ParseHeader(plain)
			if err != nil {
				t.Fatal(err)
			}
			wantSameHeader(t, h, kb)
			for _, codec := range []Codec{None, LZ4} {
				b := build(t, codec, want...)
				SetBase(b, 500, 3)
				records, err := fetched(b, false)
				if err != nil {
					t.Fatal(codec, err)
				}
				wantEntries(t, fromKafka(records), want)
				for i, r := range records {
					if r.Offset != int64(500+i) || r.LeaderEpoch != 3 {
						t.Fatalf("record %d has offset %d, epoch %d", i, r.Offset, r.LeaderEpoch)
					}
				}
			}
		})
	}
}

func wantSameHeader(t testing.TB, h Header, kb kmsg.RecordBatch) {
	t.Helper()
	theirs := Header{
		BaseOffset: uint64(kb.FirstOffset), Size: int(kb.Length) + 12, Epoch: kb.PartitionLeaderEpoch, CRC: uint32(kb.CRC), Attributes: kb.Attributes,
		LastOffsetDelta: kb.LastOffsetDelta, BaseTime: kb.FirstTimestamp, MaxTime: kb.MaxTimestamp,
		ProducerID: kb.ProducerID, ProducerEpoch: kb.ProducerEpoch, BaseSequence: kb.FirstSequence, Count: kb.NumRecords,
	}
	if h != theirs || kb.Magic != 2 {
		t.Fatalf("header is\n%+v, for kmsg it is\n%+v", h, theirs)
	}
}

// A kafka is a fake cluster on loopback; captured are the batches that producers sent to it, as they were.
type kafka struct {
	addrs    []string
	mu       sync.Mutex
	captured [][]byte
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k := &kafka{addrs: c.ListenAddrs()}
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				k.captured = append(k.captured, bytes.Clone(p.Records))
			}
		}
		return nil, nil, false
	})
	return k
}

func (k *kafka) batches() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.captured
}

func (k *kafka) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.addrs...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func toKafka(entries []entry) []*kgo.Record {
	out := make([]*kgo.Record, len(entries))
	for i, e := range entries {
		out[i] = &kgo.Record{Topic: "t", Timestamp: time.UnixMilli(e.time), Key: e.key, Value: e.value}
		for _, h := range e.headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return out
}

// What a real producer sends, with every codec, passes Check and is read as it was sent.
func TestKafkaProducerReadByUs(t *testing.T) {
	want := append(append(mixed(3000), goldenEntries...), entry{value: noise(100_000)}, entry{value: make([]byte, 100_000)})
	for _, c := range []struct {
		codec  Codec
		option kgo.CompressionCodec
	}{
		{None, kgo.NoCompression()}, {Gzip, kgo.GzipCompression()}, {Snappy, kgo.SnappyCompression()},
		{LZ4, kgo.Lz4Compression()}, {Zstd, kgo.ZstdCompression()},
	} {
		t.Run(c.codec.String(), func(t *testing.T) {
			k := startKafka(t)
			cl := k.client(t, kgo.ProducerBatchCompression(c.option), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()),
				kgo.ProducerLinger(10*time.Millisecond))
			if err := cl.ProduceSync(context.Background(), toKafka(want)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if len(k.batches()) == 0 {
				t.Fatal("no batch captured")
			}
			var got []entry
			var r Reader
			compressed := 0
			for _, b := range k.batches() {
				h, err := Check(b, 1<<20)
				if err != nil || h.Size != len(b) {
					t.Fatalf("%+v, %d bytes: %v", h, len(b), err)
				}
				if h.Codec() != None {
					compressed++
				}
				var kb kmsg.RecordBatch
				if err := kb.ReadFrom(b); err != nil {
					t.Fatal(err)
				}
				wantSameHeader(t, h, kb)
				entries, _, err := walkWith(&r, b, 8<<20)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, entries...)
			}
			wantEntries(t, got, want)
			if (compressed > 0) != (c.codec != None) {
				t.Errorf("%d compressed batches", compressed)
			}
		})
	}
}

// What we build is taken by a broker over the wire, and read back by a consumer.
func TestOursThroughKafka(t *testing.T) {
	for _, codec := range []Codec{None, LZ4} {
		t.Run(codec.String(), func(t *testing.T) {
			k := startKafka(t)
			want := mixed(500)
			cl := k.client(t, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			produceRaw(t, cl, build(t, codec, want[:100]...))
			produceRaw(t, cl, build(t, codec, want[100:]...))
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			var got []*kgo.Record
			for len(got) < len(want) {
				fetches := cl.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					t.Fatal(err)
				}
				got = append(got, fetches.Records()...)
			}
			wantEntries(t, fromKafka(got), want)
			for i, r := range got {
				if r.Offset != int64(i) {
					t.Fatalf("record %d has offset %d", i, r.Offset)
				}
			}
		})
	}
}

func produceRaw(t *testing.T, cl *kgo.Client, b []byte) {
	t.Helper()
	// By name: from version 13 on a topic goes by its id, which this test has no use for.
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = 1, 5000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "t"
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(context.Background(), cl)
	if err != nil || len(meta.Topics) != 1 {
		t.Fatal(meta, err)
	}
	topic.TopicID = meta.Topics[0].TopicID
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(context.Background(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// Batches that only a server has: transactional ones are refused from a client, but read; control
// records are records like others here; with LogAppendTime every record has the batch's time.
func TestServersBatches(t *testing.T) {
	plain := build(t, None, mixed(10)...)
	for name, c := range map[string]struct {
		attributes byte
		control    bool
	}{"log append time": {attrLogAppendTime, false}, "transactional": {attrTransactional, false}, "control": {attrTransactional | attrControl, true}} {
		b := resum(at(at(plain, atAttributes+1, c.attributes), atProducer, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0, 9))
		if _, err := Verify(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Check(b, MaxSize); err == nil {
			t.Errorf("%s: a client may not send it", name)
		}
		theirs, err := fetched(b, c.control)
		if err != nil || len(theirs) != 10 {
			t.Fatal(name, len(theirs), err)
		}
		ours, _, err := walk(b, 0)
		if err != nil {
			t.Fatal(name, err)
		}
		wantEntries(t, ours, fromKafka(theirs))
		h, err := ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if c.attributes == attrLogAppendTime && (ours[0].time != h.MaxTime || ours[9].time != h.MaxTime) {
			t.Errorf("%s: times are %d and %d, want %d", name, ours[0].time, ours[9].time, h.MaxTime)
		}
		if h.ProducerID != 7 || h.ProducerEpoch != 1 || h.BaseSequence != 9 {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// The idempotent producer, which is the default of most clients, is taken and read like any other.
func TestIdempotentProducer(t *testing.T) {
	k := startKafka(t)
	cl := k.client(t)
	want := mixed(20)
	if err := cl.ProduceSync(context.Background(), toKafka(want)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b := k.batches()[0]
	h, err := Check(b, MaxSize)
	if err != nil || h.ProducerID < 0 {
		t.Fatal(h, err)
	}
	var got []entry
	for _, b := range k.batches() {
		entries, _, err := walk(b, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entries...)
	}
	wantEntries(t, got, want)
}
