package stages

import (
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// kafkaError is why a request, or a part of it, failed; the zero value: it did not.
type kafkaError struct {
	code kafka.Code
	text string
}

// kafkaCodes is what the errors of the stages are called by Kafka. Where clients try again by
// themselves is chosen with care: what may be well soon is retriable (56), what never will
// be is not.
var kafkaCodes = [...]kafka.Code{
	text.CodeBadCommand:   kafka.InvalidRequest,
	text.CodeTooLarge:     kafka.MessageTooLarge,
	text.CodeBadFrame:     kafka.InvalidRequest,
	text.CodeBadTopic:     kafka.InvalidTopic,
	text.CodeNoTopic:      kafka.UnknownTopicOrPartition,
	text.CodeBadBatch:     kafka.InvalidRecord,
	text.CodeBadCRC:       kafka.CorruptMessage,
	text.CodeOutOfRange:   kafka.OffsetOutOfRange,
	text.CodeCorrupt:      kafka.InvalidRecord,     // stored ones, of a read: of CORRUPT_MESSAGE franz-go says nothing, and asks for ever
	text.CodeRefused:      kafka.KafkaStorageError, // until a clean start: as where the disk is full
	text.CodeFenced:       kafka.FencedLeaderEpoch,
	text.CodeDiskFull:     kafka.KafkaStorageError, // room may be made, and clients shall keep their records until then
	text.CodeLogFailed:    kafka.KafkaStorageError,
	text.CodeUnknown:      kafka.KafkaStorageError, // tried again, records may be there twice, but for idempotent producers
	text.CodeOverloaded:   kafka.KafkaStorageError,
	text.CodeTimeout:      kafka.RequestTimedOut,
	text.CodeShuttingDown: kafka.NotLeaderOrFollower,
	text.CodeDenied:       kafka.ClusterAuthorization,
	text.CodeExists:       kafka.TopicAlreadyExists,
	text.CodeBadSetting:   kafka.InvalidConfig,
}

// kafkaErrorOf is the error as Kafka's clients know it.
func kafkaErrorOf(e *text.Error) kafkaError {
	if int(e.Code) >= len(kafkaCodes) || kafkaCodes[e.Code] == kafka.NoError {
		return kafkaError{kafka.UnknownServerError, e.Text}
	}
	return kafkaError{kafkaCodes[e.Code], e.Text}
}

// failed counts an error, and returns it as answers hold it.
func (r *responder) failed(key kafka.Key, code kafka.Code) int16 {
	r.c.srv.stats.kafka.failed(key, code)
	return int16(code)
}

// produceError is kafkaErrorOf for an append, whose batch was found good before: what a
// writer refuses for itself is its place in the row of its producer's.
func produceError(e *text.Error) kafkaError {
	switch e.Code {
	case text.CodeFenced:
		return kafkaError{kafka.InvalidProducerEpoch, e.Text}
	case text.CodeBadBatch:
		return kafkaError{kafka.OutOfOrderSequenceNumber, e.Text}
	}
	return kafkaErrorOf(e)
}
