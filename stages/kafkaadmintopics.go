package stages

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// createTopics makes topics. One that can't be made hurts no other.
func (r *responder) createTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for ask, times := range eachOnce(ctx, r, req.Topics, func(t *kmsg.CreateTopicsRequestTopic) string { return t.Topic }) {
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic, answer.Configs = ask.Topic, []kmsg.CreateTopicsResponseTopicConfig{} // null is for those who may not see them
		made, e := (*topic)(nil), namedTwice(times)
		if e == nil {
			made, e = r.createTopic(ask, req.ValidateOnly)
		}
		if e == nil {
			answer.TopicID, answer.NumPartitions, answer.ReplicationFactor = made.id, int32(made.conf.Load().Partitions), 1
			if !req.ValidateOnly && len(resp.Topics) < describedMost { // of topics that are not made any number would fit into a request, and these are larger than what asks for them
				answer.Configs = createdConfigs(r.c.srv, made)
			}
		}
		answer.ErrorCode, answer.ErrorMessage = r.fields(kafka.CreateTopics, e)
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

func (r *responder) createTopic(ask *kmsg.CreateTopicsRequestTopic, dry bool) (*topic, *kafkaError) {
	if err := text.CheckTopic([]byte(ask.Topic)); err != nil {
		return nil, &kafkaError{kafka.InvalidTopic, err.Error()}
	}
	if r.c.srv.catalog.has([]byte(ask.Topic)) { // before anything else is looked at, as Kafka does
		return nil, &kafkaError{kafka.TopicAlreadyExists, "topic " + ask.Topic + " exists already"}
	}
	var settings [][2]string
	n, e := partitionsAsked(ask)
	if e != nil {
		return nil, e
	}
	if n != 0 {
		settings = append(settings, [2]string{"partitions", strconv.Itoa(n)})
	}
	for _, c := range ask.Configs {
		value, e := settingOf(c.Name, c.Value)
		if e != nil {
			return nil, e
		}
		if slices.ContainsFunc(settings, func(s [2]string) bool { return s[0] == c.Name }) {
			return nil, &kafkaError{kafka.InvalidConfig, c.Name + " is given twice"}
		}
		if value != "" {
			settings = append(settings, [2]string{c.Name, value})
		}
	}
	admin := &adminRequest{topic: ask.Topic, settings: settings, dry: dry}
	if e := r.control(opCreate, admin); e != nil {
		return nil, adminError(e)
	}
	return admin.made, nil
}

// partitionsAsked is how many partitions a topic shall have; 0: as many as the server's
// default says.
func partitionsAsked(ask *kmsg.CreateTopicsRequestTopic) (int, *kafkaError) {
	switch assigned := len(ask.ReplicaAssignment); {
	case assigned > 0 && (ask.NumPartitions != -1 || ask.ReplicationFactor != -1):
		return 0, &kafkaError{kafka.InvalidRequest, "partitions and replicas are given as numbers and one by one: give one of them"}
	case assigned > 0:
		seen := make(map[int32]bool, assigned)
		for _, a := range ask.ReplicaAssignment {
			if a.Partition < 0 || int(a.Partition) >= assigned || seen[a.Partition] || !onlyHere(a.Replicas) {
				return 0, &kafkaError{kafka.InvalidReplicaAssignment, fmt.Sprintf("give each partition from 0 to %d once, on broker %d, which is the only one", assigned-1, kafkaNode)}
			}
			seen[a.Partition] = true
		}
		return assigned, nil
	case ask.ReplicationFactor != -1 && ask.ReplicationFactor != 1:
		return 0, &kafkaError{kafka.InvalidReplicationFactor, fmt.Sprintf("there is one broker: use a replication factor of 1, or -1, not %d", ask.ReplicationFactor)}
	case ask.NumPartitions == 0 || ask.NumPartitions < -1:
		return 0, &kafkaError{kafka.InvalidPartitions, fmt.Sprintf("%d is no number of partitions: use 1 or more, or -1 for the server's default", ask.NumPartitions)}
	}
	return max(int(ask.NumPartitions), 0), nil
}

func onlyHere(replicas []int32) bool { return slices.Equal(replicas, kafkaReplicas) }

// createPartitions adds partitions to topics.
func (r *responder) createPartitions(ctx context.Context, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for ask, times := range eachOnce(ctx, r, req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) string { return t.Topic }) {
		e := namedTwice(times)
		if e == nil {
			e = r.growTopic(ask, req.ValidateOnly)
		}
		answer := kmsg.NewCreatePartitionsResponseTopic()
		answer.Topic = ask.Topic
		answer.ErrorCode, answer.ErrorMessage = r.fields(kafka.CreatePartitions, e)
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

func (r *responder) growTopic(ask *kmsg.CreatePartitionsRequestTopic, dry bool) *kafkaError {
	t := r.c.srv.catalog.all()[ask.Topic]
	if t == nil {
		return unknownTopic(ask.Topic)
	}
	more := int(ask.Count) - len(t.parts)
	switch {
	case more <= 0: // to a client that asks for what is there already, something is not as it thinks
		return &kafkaError{kafka.InvalidPartitions, fmt.Sprintf("the topic has %d partitions already, and %d were asked for in all: use a larger number", len(t.parts), ask.Count)}
	case ask.Assignment != nil && (len(ask.Assignment) != more || slices.ContainsFunc(ask.Assignment, func(a kmsg.CreatePartitionsRequestTopicAssignment) bool { return !onlyHere(a.Replicas) })):
		return &kafkaError{kafka.InvalidReplicaAssignment, fmt.Sprintf("assign each of the %d new partitions to broker %d, which is the only one, or none", more, kafkaNode)}
	}
	count := [2]string{"partitions", strconv.Itoa(int(ask.Count))}
	if e := r.control(opAlter, &adminRequest{topic: ask.Topic, settings: [][2]string{count}, dry: dry}); e != nil {
		return adminError(e)
	}
	return nil
}

// deleteTopics removes topics, by name or, in newer versions, by id.
func (r *responder) deleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	asked := req.Topics
	for i := range req.TopicNames {
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &req.TopicNames[i]})
	}
	for ask, times := range eachOnce(ctx, r, asked, func(t *kmsg.DeleteTopicsRequestTopic) string { return topicKey(t.Topic, t.TopicID) }) {
		answer := kmsg.NewDeleteTopicsResponseTopic()
		answer.Topic, answer.TopicID = ask.Topic, ask.TopicID
		e := namedTwice(times)
		if e == nil {
			e = r.deleteTopic(&answer)
		}
		answer.ErrorCode, answer.ErrorMessage = r.fields(kafka.DeleteTopics, e)
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// deleteTopic removes the topic that the answer names, and puts into it what it does not yet.
func (r *responder) deleteTopic(answer *kmsg.DeleteTopicsResponseTopic) *kafkaError {
	id := disk.TopicID(answer.TopicID)
	var t *topic
	switch {
	case (answer.Topic == nil) == id.IsZero():
		return &kafkaError{kafka.InvalidRequest, "name the topic, or its id: one of them"}
	case answer.Topic != nil:
		if t = r.c.srv.catalog.all()[*answer.Topic]; t == nil {
			return unknownTopic(*answer.Topic)
		}
	default:
		if t = r.c.srv.catalog.byID(id); t == nil {
			return &kafkaError{kafka.UnknownTopicID, "there is no topic with this id: it was dropped, or made on another server"}
		}
	}
	answer.Topic, answer.TopicID = &t.name, t.id
	if e := r.control(opDrop, &adminRequest{topic: t.name, id: t.id}); e != nil {
		return adminError(e)
	}
	return nil
}

// fields are the error as answers hold it, and counts it; nil: there is none.
func (r *responder) fields(key kafka.Key, e *kafkaError) (code int16, message *string) {
	if e == nil {
		return 0, nil
	}
	r.c.srv.stats.kafka.failed(key, e.code)
	return int16(e.code), &e.text
}

func unknownTopic(name string) *kafkaError {
	return &kafkaError{kafka.UnknownTopicOrPartition, "there is no topic " + name}
}

// adminError is kafkaErrorOf for what changes topics: a limit that is reached there will not
// go away by trying again.
func adminError(e *text.Error) *kafkaError {
	known := kafkaErrorOf(e)
	switch {
	case e.Code == text.CodeOverloaded:
		known.code = kafka.PolicyViolation
	case e.Code == text.CodeBadSetting && e.Fields[0].Value == "partitions":
		known.code = kafka.InvalidPartitions
	}
	return &known
}
