package stages

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/wire/kafka"
)

// FuzzKafkaAdmin sends any body of the requests that are about topics. The server answers
// what its client can read, or closes the connection, and goes on to serve the next one; it
// never has more partitions than it may.
func FuzzKafkaAdmin(f *testing.F) {
	keys := []kafka.Key{kafka.Metadata, kafka.FindCoordinator, kafka.ApiVersions, kafka.CreateTopics, kafka.DeleteTopics, kafka.DescribeConfigs, kafka.CreatePartitions}
	for _, req := range []kmsg.Request{
		named(1, true, "a", "b"), named(13, true, "a", "a"), &kmsg.ApiVersionsRequest{Version: 5, NodeID: -1},
		createRequest(7, topicAsked("t", config("segment.bytes", "65536")), topicAsked("u", assigned([]int32{0}))), createRequest(2, topicAsked("t", nil)),
		partitionsRequest(0, "t", 3), partitionsRequest(3, "t", 3, []int32{0}),
		&kmsg.DeleteTopicsRequest{Version: 1, TopicNames: []string{"t"}}, &kmsg.DeleteTopicsRequest{Version: 6, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{1}}}},
		describe(4, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}),
	} {
		for i, key := range keys {
			if int16(key) == req.Key() {
				f.Add(byte(i), req.GetVersion(), req.AppendTo(nil))
			}
		}
	}
	conf := noTicks()
	conf.Listen, conf.HTTP, conf.Kafka, conf.Disk.Reserve = anyPort, "", anyPort, 0
	conf.MaxPartitions, conf.Topic.SegmentBytes = 20, 16<<10
	s, err := startOn(fstest.NewMem(), conf, testLogger(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, which byte, version int16, body []byte) {
		key := keys[int(which)%len(keys)]
		if !kafka.Serves(key, version) {
			return
		}
		req := kmsg.RequestForKey(int16(key))
		req.SetVersion(version)
		frame := binary.BigEndian.AppendUint16(make([]byte, 4, 64+len(body)), uint16(key))
		frame = binary.BigEndian.AppendUint16(frame, uint16(version))
		frame = append(frame, 0, 0, 0, 1, 0xff, 0xff) // correlation 1, no client id
		if req.IsFlexible() {
			frame = append(frame, 0)
		}
		frame = append(frame, body...)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		c := dialKafka(t, s)
		c.write(frame)
		_, decoding := kafka.Decode(kafka.Header{Key: key, Version: version, Body: body}, nil)
		if decoding != nil {
			c.ended()
		} else {
			c.receive(req)
		}
		if n := s.partitions(); n > conf.MaxPartitions {
			t.Errorf("there are %d partitions", n)
		}
		c = dialKafka(t, s)
		c.ask(named(13, false, "a"))
	})
}
