package stages

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// What ListOffsets asks for in place of a time.
const (
	latestOffset   = -1
	earliestOffset = -2
	newestRecord   = -3 // the one with the highest time; since version 7
	earliestLocal  = -4 // all are here; since version 8
)

// kafkaListOffsets answers which offset a time, or a log's start or end, has.
func (r *responder) kafkaListOffsets(ctx context.Context, cmd *command, req *kmsg.ListOffsetsRequest) kmsg.Response {
	cmd.delivery = &r.delivery
	answer := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range together(req.Topics) {
		to := kmsg.NewListOffsetsResponseTopic()
		to.Topic = t.Topic
		for p, times := range eachOnce(ctx, r, t.Partitions, func(p *kmsg.ListOffsetsRequestTopicPartition) int32 { return p.Partition }) {
			one := kmsg.NewListOffsetsResponseTopicPartition()
			one.Partition, one.Offset, one.Timestamp = p.Partition, -1, -1
			if times > 1 { // nobody can tell which time is meant
				one.ErrorCode = int16(kafka.InvalidRequest)
			} else {
				r.listOffset(cmd, req.Version, t.Topic, p, &one)
			}
			r.failed(kafka.ListOffsets, kafka.Code(one.ErrorCode))
			to.Partitions = append(to.Partitions, one)
		}
		answer.Topics = append(answer.Topics, to)
	}
	return answer
}

// together is what a request asks of each topic, also where it names one at several places.
func together(topics []kmsg.ListOffsetsRequestTopic) []kmsg.ListOffsetsRequestTopic {
	at := make(map[string]int, len(topics))
	out := topics[:0]
	for _, t := range topics {
		i, there := at[t.Topic]
		if !there {
			at[t.Topic] = len(out)
			out = append(out, t)
			continue
		}
		out[i].Partitions = append(out[i].Partitions, t.Partitions...)
	}
	return out
}

// listOffset answers for one partition; where there is nothing to tell, to stays as it is.
func (r *responder) listOffset(cmd *command, version int16, topic string, p *kmsg.ListOffsetsRequestTopicPartition, to *kmsg.ListOffsetsResponseTopicPartition) {
	part, code := r.c.srv.atEpoch(topic, p.Partition, p.CurrentLeaderEpoch)
	if to.ErrorCode = int16(code); code != kafka.NoError {
		return
	}
	first, e := disk.Timed{Time: -1}, (*text.Error)(nil)
	switch at := p.Timestamp; {
	case at == latestOffset:
		first.Offset = part.log.Next()
	case at == earliestOffset, at == earliestLocal && version >= 8:
		first.Offset = part.log.Oldest()
	case at < earliestOffset && (at != newestRecord || version < 7):
		to.ErrorCode = int16(kafka.UnsupportedVersion)
		return
	default:
		cmd.part = part
		if first, e = r.lookUpTime(cmd, at); e == nil && first.Time == disk.NoTime {
			return
		}
	}
	if e != nil {
		to.ErrorCode = int16(kafkaErrorOf(e).code)
		return
	}
	to.Offset, to.Timestamp, to.LeaderEpoch = int64(first.Offset), first.Time, part.log.EpochAt(first.Offset)
}

// lookUpTime finds the first record at or after a time, or the newest.
func (r *responder) lookUpTime(cmd *command, at int64) (first disk.Timed, _ *text.Error) {
	do, err := opNewest, disk.ErrCold
	if at != newestRecord {
		do = opResolve
		first, err = cmd.part.log.FirstAt(at, false)
	}
	if errors.Is(err, disk.ErrCold) {
		cmd.read.from.Value = at
		err = r.cold(cmd, do)
		first = r.delivery.first
	}
	if err != nil {
		return first, readError(cmd, err)
	}
	return first, nil
}

// atEpoch finds a partition for a client that knows the leader's epoch; -1: it does not.
func (s *Server) atEpoch(topic string, index, epoch int32) (*partition, kafka.Code) {
	part := s.catalog.find([]byte(topic), index)
	switch {
	case part == nil:
		return nil, kafka.UnknownTopicOrPartition
	case part.broken != nil:
		return nil, kafkaErrorOf(part.broken).code
	}
	return part, epochCode(part.log, epoch)
}

// kafkaEpochEnds answers where epochs end: by that a client finds out up to where the log is the one that it has read.
func (r *responder) kafkaEpochEnds(req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	answer := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range req.Topics {
		to := kmsg.NewOffsetForLeaderEpochResponseTopic()
		to.Topic = t.Topic
		for _, p := range t.Partitions {
			end := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			end.Partition, end.LeaderEpoch, end.EndOffset = p.Partition, -1, -1
			part, code := r.c.srv.atEpoch(t.Topic, p.Partition, p.CurrentLeaderEpoch)
			if end.ErrorCode = r.failed(kafka.OffsetForLeaderEpoch, code); code == kafka.NoError {
				end.LeaderEpoch, end.EndOffset = epochEnd(part.log, p.LeaderEpoch)
			}
			to.Partitions = append(to.Partitions, end)
		}
		answer.Topics = append(answer.Topics, to)
	}
	return answer
}

// epochEnd is the largest epoch up to that one, and where it ends; -1 where the log can't know: clients then take it that nothing of theirs
// is there. An epoch older than all that is there ends where those begin.
func epochEnd(log *disk.Log, epoch int32) (have int32, end int64) {
	if epoch < 0 || epoch > log.LeaderEpoch() {
		return -1, -1
	}
	have, at := log.EpochEnd(epoch)
	if have < 0 {
		have = epoch
	}
	return have, int64(at)
}
