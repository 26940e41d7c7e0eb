package oracle

import (
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// A request is one of the generators' products: the same for both brokers, but for the ids of topics.
type request struct {
	key     kafka.Key
	version int16
	byID    bool    // topics are named by ids
	parts   remarks // of a Produce: what is special about the records
	make    func(ids map[string][16]byte) kmsg.Request
}

// generators make requests, the first ones more often.
var generators = []func(rng *rand.Rand) request{
	produce, produce, produce, produce, fetch, fetch, fetch, listOffsets, epochEnds, metadata, createTopics, createPartitions, deleteTopics, describeConfigs, alterConfigs, producerID, apiVersions,
}

func generate(rng *rand.Rand) request {
	return generators[rng.IntN(len(generators))](rng)
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// version is a served one, which the other broker has too.
func version(rng *rand.Rand, key kafka.Key) int16 {
	for {
		v := int16(rng.IntN(20))
		if kafka.Serves(key, v) && (key != kafka.OffsetForLeaderEpoch || v >= 3) {
			return v
		}
	}
}

// fixed is a request that has no ids in it.
func fixed(req kmsg.Request, v int16) request {
	req.SetVersion(v)
	return request{key: kafka.Key(req.Key()), version: v, make: func(map[string][16]byte) kmsg.Request { return req }}
}

func topic(rng *rand.Rand, name string) string {
	if rng.IntN(12) == 0 {
		return pick(rng, "unknown", "bad name", "")
	}
	return name
}

func partition(rng *rand.Rand) int32 {
	if rng.IntN(8) == 0 {
		return pick[int32](rng, -1, 3, 99, 1<<30)
	}
	return rng.Int32N(3)
}

func produce(rng *rand.Rand) request {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = pick[int16](rng, -1, 1, 1, 1, 1, 0, -2, 2), 1000
	if rng.IntN(16) == 0 {
		req.TransactionID = kmsg.StringPtr("tx")
	}
	r := fixed(req, version(rng, kafka.Produce))
	r.parts = remarks{}
	t := kmsg.ProduceRequestTopic{Topic: topic(rng, "produce")}
	for range 1 + rng.IntN(3) {
		p := pick(rng, parts...)
		if rng.IntN(2) == 0 {
			p = parts[0]
		}
		if p.what == "zstd" && r.version < 7 {
			p.what = "early zstd"
		}
		tp := kmsg.ProduceRequestTopicPartition{Partition: partition(rng), Records: p.make(rng)}
		if _, there := r.parts[placeOf(t.Topic, tp.Partition)]; there && rng.IntN(8) > 0 {
			continue
		}
		t.Partitions = append(t.Partitions, tp)
		r.parts.note(placeOf(t.Topic, tp.Partition), p.what)
	}
	req.Topics = append(req.Topics, t)
	if req.Acks == 0 {
		r.parts[""] = "acks=0"
	}
	return r
}

func fetch(rng *rand.Rand) request {
	v := version(rng, kafka.Fetch)
	req := kmsg.NewPtrFetchRequest()
	req.Version = v
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = rng.Int32N(3), pick[int32](rng, 0, 1, 1<<20), pick[int32](rng, 1<<20, 1<<20, 100, 0, -1)
	req.IsolationLevel = int8(rng.IntN(2))
	if rng.IntN(10) == 0 {
		req.SessionID, req.SessionEpoch = 12345+rng.Int32N(9), pick[int32](rng, 1, 7)
	}
	name := topic(rng, "fetch")
	t, seen := kmsg.FetchRequestTopic{Topic: name}, map[int32]bool{}
	for range 1 + rng.IntN(3) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = partition(rng)
		p.FetchOffset = pick[int64](rng, 0, 0, 1, 3, 5, 6, 30, -1, -2, 1<<40)
		p.CurrentLeaderEpoch = pick[int32](rng, -1, -1, -1, 0, 1, 9, -2)
		p.PartitionMaxBytes = pick[int32](rng, 1<<20, 100, 0, -1)
		p.LastFetchedEpoch = pick[int32](rng, -1, -1, -1, -1, -1, -1, 0, 9)
		if !seen[p.Partition] || rng.IntN(8) == 0 {
			t.Partitions = append(t.Partitions, p)
		}
		seen[p.Partition] = true
	}
	return request{key: kafka.Fetch, version: v, byID: v >= 13, make: func(ids map[string][16]byte) kmsg.Request {
		req, t := *req, t
		t.TopicID = idOf(ids, name)
		req.Topics = []kmsg.FetchRequestTopic{t}
		return &req
	}}
}

// idOf is the topic's id at a broker; a topic that is not there has one that nobody knows.
func idOf(ids map[string][16]byte, name string) [16]byte {
	if id, ok := ids[name]; ok {
		return id
	}
	return [16]byte{1, 2, 3}
}

func listOffsets(rng *rand.Rand) request {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, int8(rng.IntN(2))
	t := kmsg.ListOffsetsRequestTopic{Topic: topic(rng, "fetch")}
	for range 1 + rng.IntN(2) {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition = partition(rng)
		p.Timestamp = pick[int64](rng, -1, -2, -3, -4, -5, -6, -7, 0, 999, 1000, 1001, 1002, 5000)
		p.CurrentLeaderEpoch = pick[int32](rng, -1, -1, -1, 0, 1, 9, -2)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return fixed(req, version(rng, kafka.ListOffsets))
}

func epochEnds(rng *rand.Rand) request {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = pick[int32](rng, -1, -1, -1, -1, -1, 5)
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = partition(rng), pick[int32](rng, -1, -1, -1, 0, 0, 1, -2), pick[int32](rng, -1, 0, 1, 9)
	req.Topics = append(req.Topics, kmsg.OffsetForLeaderEpochRequestTopic{
		Topic: topic(rng, "fetch"), Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p},
	})
	return fixed(req, version(rng, kafka.OffsetForLeaderEpoch))
}

func metadata(rng *rand.Rand) request {
	v := version(rng, kafka.Metadata)
	names := []string{topic(rng, "produce"), topic(rng, "fetch")}[:rng.IntN(3)]
	byID := v >= 12 && rng.IntN(2) == 0
	auto := rng.IntN(2) == 0
	return request{key: kafka.Metadata, version: v, byID: byID, make: func(ids map[string][16]byte) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = v, auto
		for _, name := range names {
			t := kmsg.NewMetadataRequestTopic()
			if t.Topic = &name; byID {
				t.Topic, t.TopicID = nil, idOf(ids, name)
			}
			req.Topics = append(req.Topics, t)
		}
		return req
	}}
}
