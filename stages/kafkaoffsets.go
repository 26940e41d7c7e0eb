package stages

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaListOffsets answers which offset a time, or a log's start or end, has.
func (r *responder) kafkaListOffsets(_ context.Context, _ *command, req *kmsg.ListOffsetsRequest) kmsg.Response {
	return req.ResponseKind()
}

// kafkaEpochEnds answers where the log's epochs end.
func (r *responder) kafkaEpochEnds(_ context.Context, _ *command, req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	return req.ResponseKind()
}
