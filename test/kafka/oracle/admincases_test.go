package oracle

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// createTopics makes some, and validates more. Few partitions: there are thousands of requests.
func createTopics(rng *rand.Rand) request {
	req := kmsg.NewPtrCreateTopicsRequest()
	name := pick(rng, "made"+strconv.Itoa(rng.IntN(40)), "admin", "bad name", "", "..")
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, pick[int32](rng, 1, 1, 2, -1, 0, -2), pick[int16](rng, 1, 1, -1, 0, 2, -2)
	if rng.IntN(4) == 0 {
		t.NumPartitions, t.ReplicationFactor = pick[int32](rng, -1, -1, 1), -1
		for i := range int32(1 + rng.IntN(2)) {
			t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{
				Partition: pick(rng, i, i, 0, 7), Replicas: pick(rng, []int32{0}, []int32{0}, []int32{}),
			})
		}
	}
	req.Topics = append(req.Topics, t)
	if rng.IntN(8) == 0 {
		req.Topics = append(req.Topics, t)
	}
	// The other one makes topics of any name, and of some odd sizes; what comes next would be about those.
	odd := !strings.HasPrefix(name, "made") || sizes(t.NumPartitions, t.ReplicationFactor) != ""
	req.ValidateOnly = odd || rng.IntN(2) == 0
	return fixed(req, version(rng, kafka.CreateTopics))
}

func createPartitions(rng *rand.Rand) request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly = true
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic(rng, "admin"), pick[int32](rng, 3, 4, 2, 1, 0, -1)
	if rng.IntN(4) == 0 {
		for range 1 + rng.IntN(2) {
			t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: pick(rng, []int32{0}, []int32{0}, []int32{}, []int32{9})})
		}
	}
	req.Topics = append(req.Topics, t)
	if rng.IntN(8) == 0 {
		req.Topics = append(req.Topics, t)
	}
	return fixed(req, version(rng, kafka.CreatePartitions))
}

// deleteTopics takes away what createTopics may have made.
func deleteTopics(rng *rand.Rand) request {
	v := version(rng, kafka.DeleteTopics)
	name, twice := pick(rng, "made"+strconv.Itoa(rng.IntN(40)), "unknown"), rng.IntN(8) == 0
	if twice { // the other one takes it away
		name = "unknown"
	}
	byID, both := v >= 6 && rng.IntN(4) == 0, v >= 6 && rng.IntN(8) == 0
	if both {
		name = "unknown" // as above
	}
	return request{key: kafka.DeleteTopics, version: v, make: func(map[string][16]byte) kmsg.Request {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version = v
		t := kmsg.NewDeleteTopicsRequestTopic()
		if t.Topic = &name; byID {
			t.Topic, t.TopicID = nil, [16]byte{9, 9}
		}
		req.TopicNames, req.Topics = []string{name}, []kmsg.DeleteTopicsRequestTopic{t}
		if both {
			other := kmsg.NewDeleteTopicsRequestTopic()
			other.Topic, other.TopicID = kmsg.StringPtr("none"), [16]byte{9, 9}
			req.Topics = append(req.Topics, other)
		}
		if twice {
			req.TopicNames, req.Topics = append(req.TopicNames, name), append(req.Topics, t)
		}
		return req
	}}
}

func describeConfigs(rng *rand.Rand) request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for range 1 + rng.IntN(2) {
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType = pick(rng, kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker)
		res.ResourceName = topic(rng, "admin")
		if res.ResourceType == kmsg.ConfigResourceTypeBroker {
			res.ResourceName = pick(rng, "0", "0", "7", "x", "")
		}
		if rng.IntN(2) == 0 {
			res.ConfigNames = []string{"max.message.bytes"}
		}
		req.Resources = append(req.Resources, res)
	}
	return fixed(req, version(rng, kafka.DescribeConfigs))
}

// alterConfigs only validates: what it changed, requests behind it would meet.
func alterConfigs(rng *rand.Rand) request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = true
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic(rng, "admin")
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = pick(rng, "max.message.bytes", "max.message.bytes", "colour"), pick(rng, kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete)
	if c.Op == kmsg.IncrementalAlterConfigOpSet {
		c.Value = kmsg.StringPtr("4096")
	}
	res.Configs = append(res.Configs, c)
	req.Resources = append(req.Resources, res)
	return fixed(req, version(rng, kafka.IncrementalAlterConfigs))
}

func producerID(rng *rand.Rand) request {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = 1000
	if rng.IntN(4) == 0 {
		req.TransactionalID = kmsg.StringPtr(pick(rng, "tx", ""))
	}
	return fixed(req, version(rng, kafka.InitProducerID))
}

func apiVersions(rng *rand.Rand) request {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = pick(rng, "oracle", "-"), "1"
	return fixed(req, version(rng, kafka.ApiVersions))
}
