package stages

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk/fstest"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// setting is a part of an IncrementalAlterConfigs.
func setting(name string, op kmsg.IncrementalAlterConfigOp, value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op = name, op
	if value != "" {
		c.Value = &value
	}
	return c
}

// alter changes settings of one resource.
func (c *kafkaSession) alter(version int16, kind kmsg.ConfigResourceType, name string, dry bool, configs ...kmsg.IncrementalAlterConfigsRequestResourceConfig) kafka.Code {
	c.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = version, dry
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name, Configs: configs}}
	answer := c.ask(req).(*kmsg.IncrementalAlterConfigsResponse)
	if len(answer.Resources) != 1 || answer.Resources[0].ResourceName != name || answer.Resources[0].ResourceType != kind {
		c.t.Fatalf("%+v", answer)
	}
	code := kafka.Code(answer.Resources[0].ErrorCode)
	if why := answer.Resources[0].ErrorMessage; (why != nil) != (code != 0) {
		c.t.Errorf("%v, and why: %v", code, why)
	}
	return code
}

// A client of Kafka changes a topic's settings, each topic's all or none, and takes them back to the server's; so they are
// behind a restart.
func TestKafkaAlterConfigs(t *testing.T) {
	mem, conf := fstest.NewMem(), kafkaConf()
	s := startServerOn(t, mem, conf)
	w, c := dial(t, s), dialKafka(t, s)
	w.send("CREATE t flush.messages=7\n")
	w.want("OK")
	const set, del, add = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend
	topic, broker := kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	was := *s.catalog.all()["t"].conf.Load()
	good := setting("max.message.bytes", set, "2000")
	for _, k := range []struct {
		kind    kmsg.ConfigResourceType
		name    string
		configs []kmsg.IncrementalAlterConfigsRequestResourceConfig
		dry     bool
		code    kafka.Code
	}{
		{topic, "none", nil, false, kafka.UnknownTopicOrPartition},
		{broker, "0", nil, false, kafka.InvalidRequest},
		{topic, "t", nil, false, 0},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}, true, 0},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, good}, false, kafka.InvalidRequest},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("segment.bytes", set, "65536")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("retention.ms", set, "1000")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("colour", set, "red")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("colour", del, "")}, true, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("ack", set, "")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("partitions", set, "2")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("partitions", del, "")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("cleanup.policy", add, "compact")}, false, kafka.InvalidConfig},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, setting("ack", 9, "synced")}, false, kafka.InvalidRequest},
		{topic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{setting("retention.ms", set, "-1"), setting("cleanup.policy", del, "")}, false, 0},
	} {
		for v := range int16(2) {
			if got := c.alter(v, k.kind, k.name, k.dry, k.configs...); got != k.code {
				t.Errorf("version %d, %s %+v: %v, want %v", v, k.name, k.configs, got, k.code)
			}
		}
		if now := *s.catalog.all()["t"].conf.Load(); now != was {
			t.Fatalf("%s %+v changed it to %+v", k.name, k.configs, now)
		}
	}
	if code := c.alter(1, topic, "t", false, good, setting("flush.ms", set, kafkaNever), setting("flush.messages", del, ""), setting("ack", set, "synced")); code != 0 {
		t.Error(code)
	}
	want := was
	want.MaxBatch, want.Flush, want.FlushMessages, want.Ack = 2000, Forever, None, text.AckSynced
	if now := *s.catalog.all()["t"].conf.Load(); now != want {
		t.Errorf("it is %+v, want %+v", now, want)
	}
	var got []string
	for _, c := range c.ask(describe(4, kmsg.DescribeConfigsRequestResource{ResourceType: topic, ResourceName: "t", ConfigNames: []string{"ack", "flush.messages", "segment.bytes"}})).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		got = append(got, fmt.Sprintf("%s=%s %d %v", c.Name, *c.Value, c.Source, c.ReadOnly))
	}
	same(t, "described", got, "ack=synced 1 false", fmt.Sprintf("flush.messages=%d 5 false", None), fmt.Sprintf("segment.bytes=%d 5 true", was.SegmentBytes))
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conf.Topic.FlushMessages, want.FlushMessages = 9, 9
	if now := *startServerOn(t, mem, conf).catalog.all()["t"].conf.Load(); now != want {
		t.Errorf("behind a restart it is %+v, want %+v", now, want)
	}
}
