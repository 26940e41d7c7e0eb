package stages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// topicAsked is a topic of a CreateTopics, with the defaults that clients send.
func topicAsked(name string, change func(*kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsRequestTopic {
	ask := kmsg.NewCreateTopicsRequestTopic()
	ask.Topic, ask.NumPartitions, ask.ReplicationFactor = name, -1, -1
	if change != nil {
		change(&ask)
	}
	return ask
}

func createRequest(version int16, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.Topics = version, topics
	return req
}

func config(name, value string) func(*kmsg.CreateTopicsRequestTopic) {
	return func(c *kmsg.CreateTopicsRequestTopic) {
		c.Configs = append(c.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
}

// assigned gives partitions their replicas one by one.
func assigned(replicas ...[]int32) func(*kmsg.CreateTopicsRequestTopic) {
	return func(c *kmsg.CreateTopicsRequestTopic) {
		for i, r := range replicas {
			c.ReplicaAssignment = append(c.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: r})
		}
	}
}

// What CreateTopics makes, and what it refuses, each with its code and its reason.
func TestKafkaCreateTopics(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.Topic.Partitions, c.MaxPartitions = 3, 40 })
	c := dialKafka(t, s)
	null := func(c *kmsg.CreateTopicsRequestTopic) {
		c.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "sync"}}
	}
	number := func(n int32) func(*kmsg.CreateTopicsRequestTopic) {
		return func(c *kmsg.CreateTopicsRequestTopic) { c.NumPartitions = n }
	}
	for _, k := range []struct {
		name       string
		change     func(*kmsg.CreateTopicsRequestTopic)
		code       kafka.Code
		why        string
		partitions int
	}{
		{"default", nil, 0, "", 3},
		{"two", number(2), 0, "", 2},
		{"one", func(c *kmsg.CreateTopicsRequestTopic) { c.NumPartitions, c.ReplicationFactor = 1, 1 }, 0, "", 1},
		{"one", nil, kafka.TopicAlreadyExists, "exists already", 0},
		{"one", number(-7), kafka.TopicAlreadyExists, "exists already", 0},
		{"", nil, kafka.InvalidTopic, "no name", 0},
		{"a/b", nil, kafka.InvalidTopic, "a character", 0},
		{"__consumer_offsets", nil, kafka.InvalidTopic, "__", 0},
		{"p0", number(0), kafka.InvalidPartitions, "0 is no number", 0},
		{"p2", number(-2), kafka.InvalidPartitions, "-2 is no number", 0},
		{"many", number(1025), kafka.InvalidPartitions, "1025 is out of bounds", 0},
		{"full", number(39), kafka.PolicyViolation, "at most 40 partitions", 0},
		{"r3", func(c *kmsg.CreateTopicsRequestTopic) { c.ReplicationFactor = 3 }, kafka.InvalidReplicationFactor, "one broker", 0},
		{"r0", func(c *kmsg.CreateTopicsRequestTopic) { c.ReplicationFactor = 0 }, kafka.InvalidReplicationFactor, "one broker", 0},
		{"assigned", assigned([]int32{0}, []int32{0}), 0, "", 2},
		{"elsewhere", assigned([]int32{0}, []int32{1}), kafka.InvalidReplicaAssignment, "broker 0", 0},
		{"twofold", assigned([]int32{0, 1}), kafka.InvalidReplicaAssignment, "broker 0", 0},
		{"gap", func(c *kmsg.CreateTopicsRequestTopic) {
			assigned([]int32{0}, []int32{0})(c)
			c.ReplicaAssignment[1].Partition = 2
		}, kafka.InvalidReplicaAssignment, "from 0 to 1", 0},
		{"again", func(c *kmsg.CreateTopicsRequestTopic) {
			assigned([]int32{0}, []int32{0})(c)
			c.ReplicaAssignment[1].Partition = 0
		}, kafka.InvalidReplicaAssignment, "once", 0},
		{"both", func(c *kmsg.CreateTopicsRequestTopic) { assigned([]int32{0})(c); c.NumPartitions = 1 }, kafka.InvalidRequest, "one of them", 0},
		{"segment", config("segment.bytes", "65536"), 0, "", 3},
		{"never", config("flush.ms", "9223372036854775807"), 0, "", 3},
		{"none", config("flush.messages", "9223372036854775807"), 0, "", 3},
		{"own", config("ack", "synced"), 0, "", 3},
		{"plain", config("cleanup.policy", "delete"), 0, "", 3},
		{"compact", config("cleanup.policy", "compact"), kafka.InvalidConfig, "cleanup.policy=compact is not supported yet", 0},
		{"retention", config("retention.ms", "1000"), kafka.InvalidConfig, "retention.ms=1000 is not supported yet", 0},
		{"later", config("retention.records", "1000"), kafka.InvalidConfig, "not supported yet", 0},
		{"unknown", config("colour", "red"), kafka.InvalidConfig, "no topic has such a setting", 0},
		{"bounds", config("segment.bytes", "1"), kafka.InvalidConfig, "out of bounds", 0},
		{"no-config", config("partitions", "2"), kafka.InvalidConfig, "no config", 0},
		{"null", null, kafka.InvalidConfig, "no value", 0},
		{"twice", func(c *kmsg.CreateTopicsRequestTopic) { config("sync", "data")(c); config("sync", "data")(c) }, kafka.InvalidConfig, "given twice", 0},
	} {
		got := c.ask(createRequest(7, topicAsked(k.name, k.change))).(*kmsg.CreateTopicsResponse).Topics[0]
		made := s.catalog.all()[k.name]
		switch {
		case got.Topic != k.name || kafka.Code(got.ErrorCode) != k.code || (got.ErrorMessage == nil) != (k.code == 0):
			t.Errorf("%s: %+v, want code %v", k.name, got, k.code)
		case k.code != 0 && (!strings.Contains(*got.ErrorMessage, k.why) || k.code != kafka.TopicAlreadyExists && made != nil):
			t.Errorf("%s: %s; want %q", k.name, *got.ErrorMessage, k.why)
		case k.code == 0 && (made == nil || len(made.parts) != k.partitions || int(got.NumPartitions) != k.partitions || got.ReplicationFactor != 1 || got.TopicID != made.id || len(got.Configs) == 0):
			t.Errorf("%s: %+v; want %d partitions", k.name, got, k.partitions)
		}
	}
	if counted := s.stats.kafka.snapshot(); counted.Errors["CreateTopics"] != 24 || counted.Codes["INVALID_CONFIG"] != 8 {
		t.Errorf("counted are %v, %v", counted.Errors, counted.Codes)
	}
	if conf := s.catalog.all()["never"].conf.Load(); conf.Flush != Forever {
		t.Errorf("flush.ms is %v", conf.Flush)
	}
	if conf := s.catalog.all()["segment"].conf.Load(); conf.SegmentBytes != 65536 {
		t.Errorf("segment.bytes is %v", conf.SegmentBytes)
	}
}

// One bad topic hurts no other; one named twice is answered once; nothing is made of what
// is only validated; and all that in every version.
func TestKafkaCreateTopicsTogether(t *testing.T) {
	s := startKafka(t, nil)
	c := dialKafka(t, s)
	for v := int16(2); v <= 7; v++ {
		a, b := fmt.Sprint("a", v), fmt.Sprint("b", v)
		req := createRequest(v, topicAsked(a, nil), topicAsked("..", nil), topicAsked("twice", nil), topicAsked(b, nil), topicAsked("twice", nil))
		for _, dry := range []bool{true, false} {
			req.ValidateOnly = dry
			var got []string
			for _, r := range c.ask(req).(*kmsg.CreateTopicsResponse).Topics {
				got = append(got, fmt.Sprint(r.Topic, " ", r.ErrorCode))
				if v >= 5 && r.Configs == nil {
					t.Errorf("version %d: configs are null", v)
				}
			}
			same(t, fmt.Sprintf("version %d, dry %v", v, dry), got, a+" 0", ".. 17", "twice 42", b+" 0")
			if made := s.catalog.has([]byte(a)) && s.catalog.has([]byte(b)); made == dry || s.catalog.has([]byte("twice")) {
				t.Errorf("version %d, dry %v: the topics are there: %v", v, dry, made)
			}
		}
	}
}

// partitionsRequest asks for a number of partitions in all.
func partitionsRequest(version int16, topic string, count int32, assign ...[]int32) *kmsg.CreatePartitionsRequest {
	req := kmsg.NewPtrCreatePartitionsRequest()
	ask := kmsg.NewCreatePartitionsRequestTopic()
	ask.Topic, ask.Count = topic, count
	for _, a := range assign {
		ask.Assignment = append(ask.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: a})
	}
	req.Version, req.Topics = version, []kmsg.CreatePartitionsRequestTopic{ask}
	return req
}

func TestKafkaCreatePartitions(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.MaxPartitions = 20 })
	w, c := dial(t, s), dialKafka(t, s)
	w.send("CREATE t partitions=2\nMSG t/1 1\nx\n")
	w.want("OK", "OK first=0 next=1 ack=written synced=*")
	for _, k := range []struct {
		req  *kmsg.CreatePartitionsRequest
		code kafka.Code
		why  string
		now  int
	}{
		{partitionsRequest(0, "t", 3), 0, "", 3},
		{partitionsRequest(1, "t", 4), 0, "", 4},
		{partitionsRequest(2, "t", 5), 0, "", 5},
		{partitionsRequest(3, "t", 7, []int32{0}, []int32{0}), 0, "", 7},
		{partitionsRequest(3, "t", 7), kafka.InvalidPartitions, "7 partitions already", 7},
		{partitionsRequest(3, "t", 6), kafka.InvalidPartitions, "7 partitions already", 7},
		{partitionsRequest(3, "t", -1), kafka.InvalidPartitions, "7 partitions already", 7},
		{partitionsRequest(3, "t", 1025), kafka.InvalidPartitions, "out of bounds", 7},
		{partitionsRequest(3, "t", 21), kafka.PolicyViolation, "at most 20", 7},
		{partitionsRequest(3, "none", 2), kafka.UnknownTopicOrPartition, "no topic", 7},
		{partitionsRequest(3, "t", 8, []int32{1}), kafka.InvalidReplicaAssignment, "broker 0", 7},
		{partitionsRequest(3, "t", 9, []int32{0}), kafka.InvalidReplicaAssignment, "2 new partitions", 7},
	} {
		for _, dry := range []bool{true, false} {
			before := len(s.catalog.all()["t"].parts)
			k.req.ValidateOnly = dry
			got := c.ask(k.req).(*kmsg.CreatePartitionsResponse).Topics[0]
			if kafka.Code(got.ErrorCode) != k.code || k.code != 0 && !strings.Contains(*got.ErrorMessage, k.why) {
				t.Errorf("%+v, dry %v: %+v", k.req.Topics, dry, got)
			}
			if now := len(s.catalog.all()["t"].parts); dry && now != before || !dry && now != k.now {
				t.Errorf("%+v, dry %v: %d partitions", k.req.Topics, dry, now)
			}
		}
	}
	twice := partitionsRequest(3, "t", 9)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	if got := c.ask(twice).(*kmsg.CreatePartitionsResponse).Topics; len(got) != 1 || kafka.Code(got[0].ErrorCode) != kafka.InvalidRequest {
		t.Errorf("named twice: %+v", got)
	}
	// What follows on the same connection meets the new partitions.
	grow, produce := partitionsRequest(3, "t", 8), produceRequest(9, 1, toPartition{"t", 7, recordBatch(t, "x")}, toPartition{"t", 1, recordBatch(t, "y")})
	c.send(grow, produce)
	c.receive(grow)
	if got := results(c.receive(produce)); !slices.Equal(got, []produced{{"t", 7, 0, 0}, {"t", 1, 0, 1}}) {
		t.Errorf("%+v", got)
	}
}

// Topics go by name, and by id in the version that has ids, which is never another topic's
// of that name.
func TestKafkaDeleteTopics(t *testing.T) {
	s := startKafka(t, nil)
	c := dialKafka(t, s)
	create := func(names ...string) {
		var asked []kmsg.CreateTopicsRequestTopic
		for _, name := range names {
			asked = append(asked, topicAsked(name, nil))
		}
		c.ask(createRequest(7, asked...))
	}
	remove := func(req *kmsg.DeleteTopicsRequest) (got []string) {
		for _, r := range c.ask(req).(*kmsg.DeleteTopicsResponse).Topics {
			name := "-"
			if r.Topic != nil {
				name = *r.Topic
			}
			got = append(got, name+" "+strconv.Itoa(int(r.ErrorCode)))
		}
		return got
	}
	for v := int16(1); v <= 5; v++ {
		create("a", "b")
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TopicNames = v, []string{"a", "none", "twice", "b", "twice"}
		same(t, fmt.Sprint("version ", v), remove(req), "a 0", "none 3", "twice 42", "b 0")
		if n := len(s.catalog.all()); n != 0 {
			t.Errorf("version %d left %d topics", v, n)
		}
	}
	create("a", "b", "c")
	gone := s.catalog.all()["c"].id
	w := dial(t, s)
	w.send("DROP c\nCREATE c\n")
	w.want("OK", "OK")
	a, none := "a", "none"
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	req.Topics = []kmsg.DeleteTopicsRequestTopic{
		{Topic: &a}, {Topic: &none}, {TopicID: s.catalog.all()["b"].id}, {TopicID: gone}, {}, {Topic: &a, TopicID: gone},
	}
	same(t, "by id", remove(req), "a 42", "none 3", "b 0", "- 100", "- 42")
	req.Topics = req.Topics[:1]
	same(t, "by name", remove(req), "a 0")
	if all := s.catalog.all(); len(all) != 1 || all["c"] == nil {
		t.Errorf("left are %v", all)
	}
}

// A topic whose id is given to DROP is that one, or none: the name may have changed hands.
func TestDropByID(t *testing.T) {
	s := startServer(t, nil)
	w := dial(t, s)
	w.send("CREATE t\n")
	w.want("OK")
	old := s.catalog.all()["t"].id
	w.send("DROP t\nCREATE t\n")
	w.want("OK", "OK")
	drop := func(id disk.TopicID) *text.Error {
		return s.controller.ask(opDrop, &adminRequest{topic: "t", id: id})
	}
	if e := drop(old); e == nil || !s.catalog.has([]byte("t")) {
		t.Errorf("the topic that had the name before was dropped: %v", e)
	}
	if e := drop(s.catalog.all()["t"].id); e != nil || s.catalog.has([]byte("t")) {
		t.Errorf("dropping it: %v", e)
	}
}

func describe(version int16, resources ...kmsg.DescribeConfigsRequestResource) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.Resources = version, resources
	return req
}

// The settings of a topic have Kafka's names, units and sources.
func TestKafkaDescribeConfigs(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.Topic.MaxBatch = 2 << 20 })
	w, c := dial(t, s), dialKafka(t, s)
	w.send("CREATE t partitions=2 segment.bytes=64KiB flush.ms=forever ack=synced\n")
	w.want("OK")
	want := []string{
		"ack=synced 1", "cleanup.policy=delete 5", "compression.type=producer 5", "flush.bytes=9223372036854775807 5", "flush.messages=9223372036854775807 5",
		"flush.ms=9223372036854775807 1", "index.interval.bytes=4096 5", "max.message.bytes=2097152 4", "message.timestamp.type=CreateTime 5",
		"min.insync.replicas=1 5", "retention.bytes=-1 5", "retention.ms=-1 5", "segment.bytes=65536 1", "segment.ms=9223372036854775807 5", "sync=data 5",
		"unclean.leader.election.enable=false 5",
	}
	told := func(r kmsg.DescribeConfigsResponseResource) (got []string) {
		for _, c := range r.Configs {
			got = append(got, fmt.Sprintf("%s=%s %d", c.Name, *c.Value, c.Source))
		}
		return got
	}
	topic, broker := kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	for v := int16(1); v <= 4; v++ {
		req := describe(v, kmsg.DescribeConfigsRequestResource{ResourceType: topic, ResourceName: "t"},
			kmsg.DescribeConfigsRequestResource{ResourceType: broker, ResourceName: "0", ConfigNames: []string{"num.partitions", "auto.create.topics.enable", "none"}})
		req.IncludeSynonyms, req.IncludeDocumentation = v%2 == 0, v >= 3
		answer := c.ask(req).(*kmsg.DescribeConfigsResponse)
		same(t, fmt.Sprint("version ", v), told(answer.Resources[0]), want...)
		same(t, fmt.Sprint("version ", v, ", broker"), told(answer.Resources[1]), "auto.create.topics.enable=true 4", "num.partitions=1 4")
		segment := answer.Resources[0].Configs[12]
		if !segment.ReadOnly || (len(segment.ConfigSynonyms) == 1) != req.IncludeSynonyms || (segment.Documentation != nil) != req.IncludeDocumentation || v >= 3 && segment.ConfigType != kmsg.ConfigTypeLong {
			t.Errorf("version %d: %+v", v, segment)
		}
	}
	for _, k := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code kafka.Code
	}{
		{topic, "none", kafka.UnknownTopicOrPartition},
		{broker, "", 0},
		{broker, "1", kafka.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "0", kafka.InvalidRequest},
		{99, "t", kafka.InvalidRequest},
	} {
		ask := kmsg.DescribeConfigsRequestResource{ResourceType: k.kind, ResourceName: k.name}
		got := c.ask(describe(4, ask, ask)).(*kmsg.DescribeConfigsResponse).Resources
		if len(got) != 1 || kafka.Code(got[0].ErrorCode) != k.code || len(got[0].Configs) != 0 {
			t.Errorf("%+v: %+v", k, got)
		}
	}
}

// Each setting of a topic is one that Kafka's clients can see, and give back as they saw it.
func TestKafkaConfigsAreTheSettings(t *testing.T) {
	s := startKafka(t, nil)
	c := dialKafka(t, s)
	ask := topicAsked("copy", nil)
	w := dial(t, s)
	w.send("CREATE t segment.bytes=64KiB flush.ms=5s flush.bytes=1MiB flush.messages=7 ack=synced index.interval.bytes=1KiB max.message.bytes=32KiB\n")
	w.want("OK")
	seen := map[string]bool{}
	for _, f := range c.ask(describe(4, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"})).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		seen[f.Name] = true
		config(f.Name, *f.Value)(&ask)
	}
	for _, name := range topicSettingNames() {
		if name != "partitions" && !seen[name] {
			t.Errorf("%s is not told", name)
		}
	}
	if got := c.ask(createRequest(7, ask)).(*kmsg.CreateTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		t.Fatalf("%+v: %s", got, *got.ErrorMessage)
	}
	if one, other := *s.catalog.all()["t"].conf.Load(), *s.catalog.all()["copy"].conf.Load(); one != other {
		t.Errorf("the copy has %+v, want %+v", other, one)
	}
}
