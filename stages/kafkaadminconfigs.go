package stages

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// topicKafkaConfigs are the settings of a topic under the names and in the units of Kafka, where
// it has them. ack, flush.bytes and sync are sluice's own.
var topicKafkaConfigs = []struct {
	name, broker string // broker: as one of all topics that have none of their own, where tools ask for it
	kind         kmsg.ConfigType
	value        func(*TopicConfig) string
}{
	{"ack", "", kmsg.ConfigTypeString, func(c *TopicConfig) string { return c.Ack.String() }},
	{"flush.bytes", "", kmsg.ConfigTypeLong, func(c *TopicConfig) string { return strconv.FormatInt(c.FlushBytes, 10) }},
	{"flush.messages", "", kmsg.ConfigTypeLong, func(c *TopicConfig) string { return strconv.FormatInt(c.FlushMessages, 10) }},
	{"flush.ms", "", kmsg.ConfigTypeLong, func(c *TopicConfig) string {
		if c.Flush == Forever {
			return kafkaNever
		}
		return strconv.FormatInt(int64(c.Flush/time.Millisecond), 10)
	}},
	{"index.interval.bytes", "", kmsg.ConfigTypeInt, func(c *TopicConfig) string { return strconv.FormatInt(c.IndexInterval, 10) }},
	{"max.message.bytes", "message.max.bytes", kmsg.ConfigTypeInt, func(c *TopicConfig) string { return strconv.FormatInt(c.MaxBatch, 10) }},
	{"segment.bytes", "log.segment.bytes", kmsg.ConfigTypeLong, func(c *TopicConfig) string { return strconv.FormatInt(c.SegmentBytes, 10) }},
	{"sync", "", kmsg.ConfigTypeString, func(c *TopicConfig) string { return string(c.Sync) }},
}

// kafkaNever is how Kafka's settings say that a limit is none.
const kafkaNever = "9223372036854775807"

// kafkaFixed are settings of Kafka of which one value is what sluice does. Tools ask for them,
// and give them when they make topics.
var kafkaFixed = []struct {
	name, broker string // as above
	kind         kmsg.ConfigType
	value        string
}{
	{"cleanup.policy", "", kmsg.ConfigTypeList, "delete"},
	{"compression.type", "compression.type", kmsg.ConfigTypeString, "producer"},
	{"message.timestamp.type", "", kmsg.ConfigTypeString, "CreateTime"},
	{"min.insync.replicas", "min.insync.replicas", kmsg.ConfigTypeInt, "1"},
	{"retention.bytes", "log.retention.bytes", kmsg.ConfigTypeLong, "-1"},
	{"retention.ms", "log.retention.ms", kmsg.ConfigTypeLong, "-1"},
	{"segment.ms", "", kmsg.ConfigTypeLong, kafkaNever},
	{"unclean.leader.election.enable", "", kmsg.ConfigTypeBoolean, "false"},
}

func isFixed(name string) bool {
	for _, f := range kafkaFixed {
		if f.name == name {
			return true
		}
	}
	return false
}

var errPartitionsConfig = &kafkaError{kafka.InvalidConfig, "the number of partitions is no config: CreateTopics has a place of its own for it, and CreatePartitions raises it"}

// settingOf is the value of a topic's setting as CREATE and ALTER take it; empty: it changes nothing.
func settingOf(name string, value *string) (string, *kafkaError) {
	if value == nil || *value == "" {
		return "", &kafkaError{kafka.InvalidConfig, name + " has no value"}
	}
	for _, f := range kafkaFixed {
		if f.name != name {
			continue
		}
		if *value != f.value {
			return "", &kafkaError{kafka.InvalidConfig, fmt.Sprintf("%s=%s is not supported yet: leave it out, or use %s", name, *value, f.value)}
		}
		return "", nil
	}
	switch {
	case name == "partitions":
		return "", errPartitionsConfig
	case *value == kafkaNever && name == "flush.ms":
		return "forever", nil
	case *value == kafkaNever && (name == "flush.messages" || name == "flush.bytes"):
		return "none", nil
	}
	return *value, nil
}

// topicConfigs are the settings of a topic.
func topicConfigs(s *Server, t *topic) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	own, server, builtIn := t.conf.Load(), s.conf.Topic, DefaultTopic()
	for _, c := range topicKafkaConfigs {
		source := kmsg.ConfigSourceDefaultConfig
		switch _, explicit := t.settings[c.name]; {
		case explicit:
			source = kmsg.ConfigSourceDynamicTopicConfig
		case c.value(&server) != c.value(&builtIn):
			source = kmsg.ConfigSourceStaticBrokerConfig
		}
		help, _ := Find(TopicSettings(), c.name)
		all = append(all, kafkaConfig(c.name, c.value(own), c.kind, source, help.Help))
		all[len(all)-1].ReadOnly = slices.Contains(setAtCreation, c.name)
	}
	for _, f := range kafkaFixed {
		all = append(all, kafkaConfig(f.name, f.value, f.kind, kmsg.ConfigSourceDefaultConfig, ""))
	}
	slices.SortFunc(all, byName)
	return all
}

// serverConfigs are what tools ask of a broker.
func serverConfigs(s *Server) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	add := func(name, value string, kind kmsg.ConfigType) {
		if name != "" {
			all = append(all, kafkaConfig(name, value, kind, kmsg.ConfigSourceStaticBrokerConfig, ""))
		}
	}
	node := strconv.Itoa(kafkaNode)
	add("auto.create.topics.enable", strconv.FormatBool(s.conf.AutoCreate), kmsg.ConfigTypeBoolean)
	add("broker.id", node, kmsg.ConfigTypeInt)
	add("default.replication.factor", "1", kmsg.ConfigTypeInt)
	add("delete.topic.enable", "true", kmsg.ConfigTypeBoolean)
	add("node.id", node, kmsg.ConfigTypeInt)
	add("num.partitions", strconv.FormatInt(s.conf.Topic.Partitions, 10), kmsg.ConfigTypeInt)
	for _, c := range topicKafkaConfigs {
		add(c.broker, c.value(&s.conf.Topic), c.kind)
	}
	for _, f := range kafkaFixed {
		add(f.broker, f.value, f.kind)
	}
	slices.SortFunc(all, byName)
	return all
}

func byName(a, b kmsg.DescribeConfigsResponseResourceConfig) int {
	return strings.Compare(a.Name, b.Name)
}

func kafkaConfig(name, value string, kind kmsg.ConfigType, source kmsg.ConfigSource, help string) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ConfigType, c.Source, c.ReadOnly = name, &value, kind, source, true
	if help != "" {
		c.Documentation = &help
	}
	return c
}

// createdConfigs are the settings of a topic that was made, as the answer to that tells them.
func createdConfigs(s *Server, t *topic) (all []kmsg.CreateTopicsResponseTopicConfig) {
	for _, c := range topicConfigs(s, t) {
		all = append(all, kmsg.CreateTopicsResponseTopicConfig{Name: c.Name, Value: c.Value, ReadOnly: c.ReadOnly, Source: int8(c.Source)})
	}
	return all
}

// describedMost bounds the topics whose settings one answer tells: each takes a hundred times what asks for it.
const describedMost = 10_000

var errDescribedMost = &kafkaError{kafka.PolicyViolation, fmt.Sprintf("one answer tells the settings of %d topics at most: ask for fewer at a time", describedMost)}

// describeConfigs tells the settings of topics and of the server.
func (r *responder) describeConfigs(ctx context.Context, req *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	helped := make(map[string]bool) // what each setting is for, once too
	for ask := range eachOnce(ctx, r, req.Resources, resourceOf) {
		answer := kmsg.NewDescribeConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = ask.ResourceType, ask.ResourceName
		configs, e := []kmsg.DescribeConfigsResponseResourceConfig(nil), errDescribedMost
		if len(resp.Resources) < describedMost {
			configs, e = r.configsOf(ask)
		}
		answer.ErrorCode, answer.ErrorMessage = r.fields(kafka.DescribeConfigs, e)
		for _, c := range configs {
			if len(ask.ConfigNames) > 0 && !slices.Contains(ask.ConfigNames, c.Name) {
				continue
			}
			if c.Documentation != nil && (!req.IncludeDocumentation || helped[c.Name]) {
				c.Documentation = nil
			} else if c.Documentation != nil {
				helped[c.Name] = true
			}
			if req.IncludeSynonyms {
				c.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{{Name: c.Name, Value: c.Value, Source: c.Source}}
			}
			answer.Configs = append(answer.Configs, c)
		}
		resp.Resources = append(resp.Resources, answer)
	}
	return resp
}

// resource is what has settings.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

func resourceOf(ask *kmsg.DescribeConfigsRequestResource) resource {
	return resource{ask.ResourceType, ask.ResourceName}
}

func (r *responder) configsOf(ask *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, *kafkaError) {
	name := ask.ResourceName
	switch ask.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if t := r.c.srv.catalog.all()[name]; t != nil {
			return topicConfigs(r.c.srv, t), nil
		}
		return nil, unknownTopic(name)
	case kmsg.ConfigResourceTypeBroker:
		switch name {
		case strconv.Itoa(kafkaNode):
			return serverConfigs(r.c.srv), nil
		case "": // what all brokers share and was changed while they ran: nothing is
			return nil, nil
		}
		return nil, &kafkaError{kafka.InvalidRequest, fmt.Sprintf("there is no broker %s: the only one is %d", name, kafkaNode)}
	}
	return nil, &kafkaError{kafka.InvalidRequest, fmt.Sprintf("there are settings of topics and of the broker, not of a resource of type %d", int8(ask.ResourceType))}
}
