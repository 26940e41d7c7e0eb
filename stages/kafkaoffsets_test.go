package stages

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/wire/kafka"
)

// listed is what ListOffsets, or OffsetForLeaderEpoch, says of one partition.
type listed struct {
	code         kafka.Code
	offset, time int64
	epoch        int32
}

func (c *kafkaSession) listOffset(version int16, topic string, index, epoch int32, at int64) listed {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = version
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = index, epoch, at
	req.Topics = append(req.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}})
	got := c.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return listed{kafka.Code(got.ErrorCode), got.Offset, got.Timestamp, got.LeaderEpoch}
}

func (c *kafkaSession) epochEnd(version int16, topic string, index, leader, epoch int32) listed {
	c.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = version
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = index, leader, epoch
	req.Topics = append(req.Topics, kmsg.OffsetForLeaderEpochRequestTopic{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}})
	got := c.ask(req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
	return listed{kafka.Code(got.ErrorCode), got.EndOffset, 0, got.LeaderEpoch}
}

// Offsets are found by where the log begins and ends, by times, also those of records within batches and in files that are not in memory,
// and by the highest time.
func TestKafkaListOffsets(t *testing.T) {
	mem := fstest.NewMem()
	s := startServerOn(t, mem, kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t partitions=2 segment.bytes=16KiB\n")
	text.want("OK")
	for i := range 40 { // times rise by 10; the highest is that of record 25
		at := 1000 + 10*i
		if i == 25 {
			at = 5000
		}
		text.send("MSG t/1 1024 time=%d\n%s\n", at, strings.Repeat("x", 1024))
		text.want("OK first=* next=* ack=written synced=*")
	}
	for _, cold := range []bool{false, true} {
		for version := int16(1); version <= 8; version++ {
			epoch := int32(-1)
			if version >= 4 {
				epoch = 0
			}
			for _, l := range []struct {
				at   int64
				want listed
			}{
				{-1, listed{0, 40, -1, epoch}}, {-2, listed{0, 0, -1, epoch}}, {1000, listed{0, 0, 1000, epoch}}, {0, listed{0, 0, 1000, epoch}},
				{1001, listed{0, 1, 1010, epoch}}, {1240, listed{0, 24, 1240, epoch}}, {1241, listed{0, 25, 5000, epoch}}, {5000, listed{0, 25, 5000, epoch}},
				{5001, listed{0, -1, -1, -1}}, {-3, listed{0, 25, 5000, epoch}}, {-4, listed{0, 0, -1, epoch}}, {-5, listed{kafka.UnsupportedVersion, -1, -1, -1}},
			} {
				if l.at == -3 && version < 7 || l.at == -4 && version < 8 {
					l.want = listed{kafka.UnsupportedVersion, -1, -1, -1}
				}
				mem.SetCold(cold)
				if got := c.listOffset(version, "t", 1, -1, l.at); got != l.want {
					t.Errorf("version %d, cold %v, at %d: %+v, want %+v", version, cold, l.at, got, l.want)
				}
			}
		}
	}
	for _, e := range []struct {
		topic        string
		index, epoch int32
		at           int64
		want         listed
	}{
		{"t", 0, -1, -1, listed{0, 0, -1, 0}}, {"t", 0, 0, -3, listed{0, -1, -1, -1}}, {"t", 0, 0, 7, listed{0, -1, -1, -1}}, {"t", 0, 1, -1, listed{kafka.UnknownLeaderEpoch, -1, -1, -1}},
		{"t", 0, -2, -1, listed{kafka.FencedLeaderEpoch, -1, -1, -1}},
		{"t", 2, -1, -1, listed{kafka.UnknownTopicOrPartition, -1, -1, -1}}, {"t", -1, -1, -1, listed{kafka.UnknownTopicOrPartition, -1, -1, -1}}, {"u", 0, -1, -1, listed{kafka.UnknownTopicOrPartition, -1, -1, -1}},
	} {
		if got := c.listOffset(8, e.topic, e.index, e.epoch, e.at); got != e.want {
			t.Errorf("%s/%d at %d: %+v, want %+v", e.topic, e.index, e.at, got, e.want)
		}
	}
}

// A partition that ListOffsets names twice is refused, once, wherever the request names it; the others are answered.
func TestKafkaListOffsetsNamedTwice(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	text.send("CREATE t partitions=3\nCREATE u\n")
	text.want("OK", "OK")
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 8
	for _, topic := range []struct {
		name  string
		parts []int32
	}{{"t", []int32{0, 1, 0}}, {"u", []int32{0}}, {"t", []int32{1, 2}}} {
		asked := kmsg.ListOffsetsRequestTopic{Topic: topic.name}
		for _, index := range topic.parts {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = index, latestOffset
			asked.Partitions = append(asked.Partitions, p)
		}
		req.Topics = append(req.Topics, asked)
	}
	var got []string
	for _, topic := range c.ask(req).(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range topic.Partitions {
			got = append(got, fmt.Sprintf("%s/%d %v %d", topic.Topic, p.Partition, kafka.Code(p.ErrorCode), p.Offset))
		}
	}
	want := []string{"t/0 INVALID_REQUEST -1", "t/1 INVALID_REQUEST -1", "t/2 NONE 0", "u/0 NONE 0"}
	if !slices.Equal(got, want) {
		t.Errorf("answered are %q, want %q", got, want)
	}
}

// I3, R11: of a log whose records a power cut took a client hears at once, before anything is appended: its epoch is an old one, and ends where
// the log does; and so it stays when others have taken their offsets.
func TestI3KafkaClientsNoticeWhatAPowerCutTook(t *testing.T) {
	mem := fstest.NewMem()
	s := startServerOn(t, mem, kafkaConf())
	text := dial(t, s)
	text.send("MSG t 1 ack=synced\na\n")
	text.want("OK first=0 next=1 ack=synced synced=1")
	text.send("MSG t 1\nb\nMSG t 1\nc\n")
	text.want("OK first=1 next=2 ack=written synced=1", "OK first=2 next=3 ack=written synced=1")
	crashed := mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	s = startServerOn(t, crashed, kafkaConf())
	text, c := dial(t, s), dialKafka(t, s)
	code := func(epoch int32, offset int64) kafka.Code {
		req := fetchRequest(s, 12, wants{}, fromPartition{"t", 0, offset, 0})
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		return kafka.Code(c.ask(req).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
	}
	for _, appended := range []int64{0, 5} {
		for i := range appended {
			text.send("MSG t 1\nd\n")
			text.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", 1+i, 2+i))
		}
		if got := []kafka.Code{code(0, 3), code(1, 1+appended), code(2, 0), code(-1, 7)}; fmt.Sprint(got) != "[FENCED_LEADER_EPOCH NONE UNKNOWN_LEADER_EPOCH OFFSET_OUT_OF_RANGE]" {
			t.Errorf("%d appended: %v", appended, got)
		}
		for version := int16(2); version <= 4; version++ {
			for _, e := range []struct {
				leader, epoch int32
				want          listed
			}{
				{-1, 0, listed{0, 1, 0, 0}}, {1, 0, listed{0, 1, 0, 0}}, {0, 0, listed{kafka.FencedLeaderEpoch, -1, 0, -1}}, {2, 0, listed{kafka.UnknownLeaderEpoch, -1, 0, -1}},
				{1, 2, listed{0, -1, 0, -1}}, {1, -1, listed{0, -1, 0, -1}},
			} {
				if got := c.epochEnd(version, "t", 0, e.leader, e.epoch); got != e.want {
					t.Errorf("%d appended, version %d, epoch %d of %d: %+v, want %+v", appended, version, e.epoch, e.leader, got, e.want)
				}
			}
			if got := c.epochEnd(version, "t", 9, -1, 0); got.code != kafka.UnknownTopicOrPartition {
				t.Errorf("version %d: %+v", version, got)
			}
		}
	}
}
