package stages

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
	"sluice/wire/text"
)

// kafkaNode is the number under which clients know this server: broker, controller, leader
// and only replica of everything.
const kafkaNode = 0

// apiVersions tells what is served. A client whose version is not hears of the versions of
// this request alone, which is what Kafka tells it too.
func (r *responder) apiVersions(req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := &kmsg.ApiVersionsResponse{Version: max(req.Version, 0)}
	resp.Default()
	for _, v := range kafka.Served() {
		if req.Version >= 0 || v.Key == kafka.ApiVersions {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: int16(v.Key), MinVersion: v.Min, MaxVersion: v.Max})
		}
	}
	switch {
	case req.Version < 0:
		resp.ErrorCode = int16(kafka.UnsupportedVersion)
	case req.Version >= 5 && (req.ClusterID == nil) != (req.NodeID < 0):
		resp.ErrorCode = int16(kafka.InvalidRequest)
	case req.Version >= 5 && req.ClusterID != nil && (*req.ClusterID != r.c.srv.store.ClusterID() || req.NodeID != kafkaNode):
		resp.ErrorCode = int16(kafka.RebootstrapRequired) // it believes to talk to another server, which was at this address before
	}
	if resp.ErrorCode != 0 {
		r.c.srv.stats.kafka.failed(kafka.ApiVersions, kafka.Code(resp.ErrorCode))
	}
	return resp
}

// coordinatorsMost bounds an answer that is much larger than what asks for it.
const coordinatorsMost = 1000

// findCoordinator says that there is none: there are neither groups nor transactions. It is an
// error that clients try again, since librdkafka's consumers ask also where they assign
// themselves their partitions, and would tell any other one in place of the records.
func findCoordinator(req *kmsg.FindCoordinatorRequest) kmsg.Response {
	const code = int16(kafka.CoordinatorNotAvailable)
	why := "this server has neither consumer groups nor transactions yet: assign partitions to the consumer"
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if req.Version < 4 {
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID = code, &why, -1
	}
	for _, key := range req.CoordinatorKeys[:min(len(req.CoordinatorKeys), coordinatorsMost)] {
		resp.Coordinators = append(resp.Coordinators, kmsg.FindCoordinatorResponseCoordinator{Key: key, NodeID: -1, ErrorCode: code, ErrorMessage: &why})
	}
	return resp
}

// metadata tells where the server is, and which topics it has. Where the client allows it,
// and the configuration does, it makes those that are asked for by name: at once, so that
// nobody has to ask again.
func (r *responder) metadata(ctx context.Context, req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	host, port := r.c.kafkaAddress()
	cluster := r.c.srv.store.ClusterID()
	resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: kafkaNode, Host: host, Port: port}}
	resp.ClusterID, resp.ControllerID = &cluster, kafkaNode
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		all := r.c.srv.catalog.all()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			resp.Topics = append(resp.Topics, metadataOf(all[name]))
		}
		return resp
	}
	create := r.c.srv.conf.AutoCreate && (req.Version < 4 || req.AllowAutoTopicCreation)
	for ask := range eachOnce(ctx, r, req.Topics, func(t *kmsg.MetadataRequestTopic) string { return topicKey(t.Topic, t.TopicID) }) {
		resp.Topics = append(resp.Topics, r.topicMetadata(ask, req.Version, create))
	}
	return resp
}

// eachOnce goes through what a request names: each thing once, since an answer is larger than what asks
// for it, and with it how often it is named. It ends early when nobody waits for the answer any more.
func eachOnce[T any, K comparable](ctx context.Context, r *responder, asked []T, key func(*T) K) iter.Seq2[*T, int] {
	return func(yield func(*T, int) bool) {
		times := make(map[K]int, len(asked))
		for i := range asked {
			times[key(&asked[i])]++
		}
		for i := range asked {
			k := key(&asked[i])
			n := times[k]
			if n == 0 {
				continue // it had its turn
			}
			times[k] = 0
			if r.over(ctx) || !yield(&asked[i], n) {
				return
			}
		}
	}
}

// namedTwice refuses what a request names more than once, where nobody can tell what is meant.
func namedTwice(times int) *kafkaError {
	if times < 2 {
		return nil
	}
	return &kafkaError{kafka.InvalidRequest, "the request names it more than once"}
}

// topicKey tells topics of a request apart, named ones from those of which the id is given.
func topicKey(name *string, id [16]byte) string {
	if name != nil {
		return "/" + *name
	}
	return string(id[:])
}

// topicMetadata is what is told of one topic that was asked for.
func (r *responder) topicMetadata(ask *kmsg.MetadataRequestTopic, version int16, create bool) kmsg.MetadataResponseTopic {
	var e *text.Error
	t, code := r.c.srv.catalog.byID(ask.TopicID), kafka.UnknownTopicID
	switch {
	case ask.Topic != nil:
		t, e = r.topicNamed(*ask.Topic, create)
		if e != nil {
			code = adminError(e).code
		}
	case version < 12: // Kafka's brokers can't yet find a topic by its id there, and no client asks
		t, code = nil, kafka.InvalidRequest
	}
	if t != nil {
		return metadataOf(t)
	}
	r.c.srv.stats.kafka.failed(kafka.Metadata, code)
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID, m.ErrorCode = ask.Topic, ask.TopicID, int16(code)
	return m
}

// topicNamed finds a topic, and makes it where that is allowed.
func (r *responder) topicNamed(name string, create bool) (*topic, *text.Error) {
	if t := r.c.srv.catalog.all()[name]; t != nil {
		return t, nil
	}
	if err := text.CheckTopic([]byte(name)); err != nil {
		return nil, &text.Error{Code: text.CodeBadTopic, Skip: -1, Text: err.Error()}
	}
	if !create {
		return nil, noTopic([]byte(name), 0)
	}
	if e := r.control(opEnsure, &adminRequest{topic: name}); e != nil {
		return nil, e
	}
	t := r.c.srv.catalog.all()[name]
	if t == nil {
		return nil, noTopic([]byte(name), 0) // dropped again meanwhile
	}
	return t, nil
}

// kafkaReplicas is who has a partition: this server. Answers share it.
var kafkaReplicas = []int32{kafkaNode}

func metadataOf(t *topic) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID = &t.name, t.id
	m.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.parts))
	for i, p := range t.parts {
		m.Partitions[i] = kmsg.MetadataResponseTopicPartition{
			Partition: p.id, Leader: kafkaNode, LeaderEpoch: p.log.LeaderEpoch(), Replicas: kafkaReplicas, ISR: kafkaReplicas,
		}
		if p.broken != nil { // clients wait until it has a leader again, as for a disk that Kafka has lost
			m.Partitions[i] = kmsg.MetadataResponseTopicPartition{
				Partition: p.id, Leader: -1, LeaderEpoch: -1, Replicas: kafkaReplicas, OfflineReplicas: kafkaReplicas,
				ErrorCode: int16(kafka.LeaderNotAvailable),
			}
		}
	}
	return m
}
