package oracle

import (
	"strings"

	"sluice/wire/kafka"
)

// anyKey stands for every key in a difference, as anything does for every word.
const (
	anyKey   kafka.Key = -1
	anything           = "anything"
)

// refusal stands for every code that is one.
const refusal = "a refusal"

func fits(want, got string) bool {
	return want == anything || want == got || want == refusal && got != "NONE" && got == strings.ToUpper(got)
}

// A difference is one that is known, and why it is.
type difference struct {
	key          kafka.Key
	what         string // in the request
	ours, theirs string
	why          string
}

const (
	loose     = "kfake does not look for bytes behind the last field, and takes null for an empty array; we close the connection, as for any malformed frame"
	giveUp    = "Apache Kafka: INVALID_RECORD too. Clients give up on it; CORRUPT_MESSAGE they send again"
	unseen    = "kfake does not look at it"
	inRecords = "kfake does not look at the records; nobody could read the batch"
	takenOver = "the epoch before that was refused, as its first sequence number was not 0; kfake has taken it over all the same"
)

// differences, in the order of the table; the first that fits counts.
var differences = []difference{
	{anyKey, goesOn, "closed", anything, loose},
	{anyKey, nullThere, "closed", anything, loose},

	{kafka.Produce, "acks=0", "closed", "no answer", "a partition was refused: the end of the connection is all that can tell; Apache Kafka: the same"},
	{kafka.Produce, namedTwice, anything, "nothing", "we carry out both, in order, and answer both; kfake answers one"},
	{kafka.Produce, "null", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "empty", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "cut off", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "two batches", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "left over", "INVALID_RECORD", "CORRUPT_MESSAGE", "Apache Kafka cuts it off without a word; no client sends it"},
	{kafka.Produce, "magic", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "base offset", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "count", "INVALID_RECORD", "CORRUPT_MESSAGE", giveUp},
	{kafka.Produce, "count 0", "INVALID_RECORD", "NONE", "kfake takes a batch of no records; Apache Kafka: INVALID_RECORD too"},
	{kafka.Produce, "count and delta", "INVALID_RECORD", "NONE", inRecords},
	{kafka.Produce, "record", "INVALID_RECORD", "NONE", inRecords},
	{kafka.Produce, "unknown attribute", "INVALID_RECORD", "NONE", "kfake and Apache Kafka do not look at it; what it will mean is not known"},
	{kafka.Produce, "no sequence", "INVALID_RECORD", "NONE", unseen + "; Apache Kafka: INVALID_RECORD too"},
	{kafka.Produce, "early zstd", "UNSUPPORTED_COMPRESSION_TYPE", "NONE", unseen + "; Apache Kafka: as we"},
	{kafka.Produce, "codec", "UNSUPPORTED_COMPRESSION_TYPE", "CORRUPT_MESSAGE", "it is unknown, not damaged; Apache Kafka: UNKNOWN_SERVER_ERROR"},
	{kafka.Produce, "time type", "INVALID_TIMESTAMP", "NONE", "the server sets it, the client does not; Apache Kafka clears the bit, and we store what was sent or nothing"},
	{kafka.Produce, "transactional", "INVALID_TXN_STATE", "INVALID_PRODUCER_ID_MAPPING", "there is no transaction that it could belong to"},
	{kafka.Produce, changedBatch, refusal, anything, "one of the above"},
	{kafka.Produce, refusedEpoch, "NONE", "INVALID_PRODUCER_EPOCH", takenOver},
	{kafka.Produce, refusedEpoch, "OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", takenOver},

	{kafka.Fetch, "several partitions", anything, "nothing", "kfake leaves out the partitions behind the one that fills the answer; clients expect all that they asked for"},
	{kafka.Fetch, namedTwice, anything, anything, "we answer both"},
	{kafka.Fetch, lastFetched, anything, anything, "kfake does not look at it; it goes before the offset, as in Apache Kafka"},

	{kafka.ListOffsets, namedTwice, "nothing", "INVALID_REQUEST", "both are refused, which kfake tells twice and we once; Apache Kafka: as we"},
	{kafka.ListOffsets, anything, anything, "UNSUPPORTED_VERSION", "two things are wrong, the partition or its epoch and the time, and kfake looks at the time first"},
	{kafka.OffsetForLeaderEpoch, "end of epoch -1", "-1", "0", "no record has that epoch; Apache Kafka: -1 too"},
	{kafka.OffsetForLeaderEpoch, "replica", anything, anything, "there are no replicas, so who claims to be one is answered as a consumer"},

	{kafka.Metadata, idAndName, anything, anything, "we go by the name, and kfake by the id; no client gives both"},
	{kafka.Metadata, anything, "INVALID_TOPIC_EXCEPTION", "UNKNOWN_TOPIC_OR_PARTITION", "no topic can have that name; Apache Kafka: as we"},
	{kafka.Metadata, "all topics, in version 0", anything, "nothing", "no topics meant all of them then, and kfake forgot"},
	{kafka.CreateTopics, anything, "INVALID_TOPIC_EXCEPTION", anything, "no topic can have that name; kfake takes any; Apache Kafka: as we"},
	{kafka.CreateTopics, "partitions -2", anything, "NONE", "kfake takes any negative number for its default; Apache Kafka: as we"},
	{kafka.CreateTopics, "replicas 0 or -2", "INVALID_REPLICATION_FACTOR", anything, "kfake takes any negative number for its default, and 0 for none; Apache Kafka: as we"},
	{kafka.CreatePartitions, "as many as there are", "INVALID_PARTITIONS", anything, "nothing would be done; Apache Kafka: as we"},
	{kafka.DeleteTopics, namedTwice, anything, anything, "INVALID_REQUEST, answered once; kfake takes the topic away; Apache Kafka: as we"},
	{kafka.DeleteTopics, idAndName, anything, "INVALID_REQUEST", "kfake refuses all topics of the request for it, as Apache Kafka does; we that one"},
	{kafka.IncrementalAlterConfigs, unknownSetting, "INVALID_CONFIG", "NONE", "kfake takes any; Apache Kafka: as we"},
	{kafka.IncrementalAlterConfigs, otherValue, "INVALID_CONFIG", "NONE", unseen + "; Apache Kafka: as we"},
	{kafka.DescribeConfigs, otherType, "INVALID_REQUEST", "NONE", "only topics and the broker have settings; Apache Kafka: INVALID_REQUEST too"},
	{kafka.DescribeConfigs, namedTwice, "nothing", anything, "we answer once"},
	{kafka.InitProducerID, "transactional", "INVALID_REQUEST", anything, "transactions are not there yet, and a client that wants them is told so"},
	{kafka.ApiVersions, "client's name", "NONE", "INVALID_REQUEST", "it begins or ends with a dash; who calls itself what is no reason to send a client away"},
	{kafka.ApiVersions, "malformed", "closed", "answered", "the header ends early, and kfake reads nothing behind it"},
}

// explain finds the line for a difference, or nil.
func explain(key kafka.Key, about remarks, at, ours, theirs string) *difference {
	what := about.at(at)
	for i := range differences {
		d := &differences[i]
		if (d.key == key || d.key == anyKey) && fits(d.what, what) && fits(d.ours, orNothing(ours)) && fits(d.theirs, orNothing(theirs)) {
			return d
		}
	}
	return nil
}
