package oracle

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// remarks are what is special in a request, by place in its answer; "" is for all of it.
type remarks map[string]string

// at is what is special at a finding's place.
func (r remarks) at(finding string) string {
	place := finding[:max(strings.LastIndexByte(finding, ' '), 0)]
	if what := r[place]; what != "" {
		return what
	}
	return r[""]
}

// note remarks on a place. Of one that is named twice that is what counts, at the second.
func (r remarks) note(place, what string) {
	for _, there := r[place]; there; _, there = r[place] {
		place, what = place+"'", namedTwice
	}
	r[place] = what
}

// noteBoth is note where the first one is refused for the second.
func (r remarks) noteBoth(place, what string) {
	if _, there := r[place]; there {
		r[place] = namedTwice
	}
	r.note(place, what)
}

const (
	goesOn         = "bytes behind the last field"
	nullThere      = "null where it may not be"
	namedTwice     = "named twice"
	idAndName      = "a topic's id and its name"
	lastFetched    = "last fetched epoch"
	refusedEpoch   = "behind a refused epoch"
	unknownSetting = "a setting that there is not"
	otherValue     = "a value that can't be"
	otherType      = "settings of something else"
	changedBatch   = "bytes of a batch" // any of those that have names in parts, or none
)

// remarksOf says what is special in a frame that is not malformed, be it made so or changed.
func remarksOf(h kafka.Header, names map[[16]byte]string) remarks {
	r := remarks{}
	switch h.Key {
	case kafka.Produce:
		r.produce(h)
		return r
	case kafka.Fetch:
		r.fetch(h, names)
		return r
	}
	req, err := kafka.Decode(h, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	switch req := req.(type) {
	case *kmsg.ListOffsetsRequest:
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				r.noteBoth(placeOf(t.Topic, p.Partition), "")
			}
		}
	case *kmsg.OffsetForLeaderEpochRequest:
		r.epochEnds(req)
	case *kmsg.InitProducerIDRequest:
		if req.TransactionalID != nil {
			r[""] = "transactional"
		}
	case *kmsg.ApiVersionsRequest:
		r[""] = "client's name"
	default:
		r.admin(req)
	}
	return r
}

func (r remarks) produce(h kafka.Header) {
	var req kafka.ProduceRequest
	if err := req.Parse(h.Version, h.Body); err != nil {
		panic("BUG: " + err.Error())
	}
	for p := (kafka.ProducePartition{}); req.Next(&p); {
		r.note(placeOf(string(p.Topic), p.Index), changedBatch)
	}
	if req.Acks == 0 {
		r[""] = "acks=0"
	}
}

func (r remarks) fetch(h kafka.Header, names map[[16]byte]string) {
	var req kafka.FetchRequest
	if err := req.Parse(h.Version, h.Body); err != nil {
		panic("BUG: " + err.Error())
	}
	for p := (kafka.FetchPartition{}); req.Next(&p); {
		name := string(p.Topic)
		if p.ID != ([16]byte{}) {
			name = cmp.Or(names[p.ID], "id")
		}
		what := ""
		if p.LastFetchedEpoch >= 0 {
			what = lastFetched
		}
		r.note(placeOf(name, p.Index), what)
	}
	for place, what := range r {
		if what == "" && len(r) > 1 {
			r[place] = "several partitions"
		}
	}
	if req.SessionID != 0 || req.SessionEpoch != -1 {
		r[""] = "session"
	}
}

func (r remarks) epochEnds(req *kmsg.OffsetForLeaderEpochRequest) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			what := ""
			switch {
			case req.ReplicaID >= 0:
				what = "replica"
			case p.LeaderEpoch < 0:
				what = "end of epoch -1"
			}
			r.note(placeOf(t.Topic, p.Partition), what)
		}
	}
}

func (r remarks) admin(req kmsg.Request) {
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		if req.Version == 0 && len(req.Topics) == 0 {
			r[""] = "all topics, in version 0"
		}
		for _, t := range req.Topics {
			r.noteBoth(placeOfTopic(t.Topic), "")
			if t.TopicID != ([16]byte{}) && t.Topic != nil {
				r[""] = idAndName
			}
		}
	case *kmsg.CreateTopicsRequest:
		for _, t := range req.Topics {
			r.noteBoth(placeOfTopic(&t.Topic), sizes(t.NumPartitions, t.ReplicationFactor))
		}
	case *kmsg.CreatePartitionsRequest:
		for _, t := range req.Topics {
			what := ""
			if t.Count == topics[t.Topic] {
				what = "as many as there are"
			}
			r.noteBoth(placeOfTopic(&t.Topic), what)
		}
	case *kmsg.DeleteTopicsRequest:
		for _, t := range req.Topics {
			r.noteBoth(placeOfTopic(t.Topic), "")
			if t.TopicID != ([16]byte{}) && t.Topic != nil {
				r[""] = idAndName
			}
		}
		for _, name := range req.TopicNames {
			r.noteBoth(placeOfTopic(&name), "")
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		for _, res := range req.Resources {
			what := resourceType(res.ResourceType)
			for _, c := range res.Configs {
				switch {
				case c.Name != "max.message.bytes":
					what = unknownSetting
				case c.Op == kmsg.IncrementalAlterConfigOpSet && (c.Value == nil || *c.Value != "4096"):
					what = otherValue
				}
			}
			r.noteBoth(placeOfTopic(&res.ResourceName), what)
		}
	case *kmsg.DescribeConfigsRequest:
		for _, res := range req.Resources {
			r.noteBoth(placeOfTopic(&res.ResourceName), resourceType(res.ResourceType))
		}
	}
}

func resourceType(kind kmsg.ConfigResourceType) string {
	if kind == kmsg.ConfigResourceTypeTopic || kind == kmsg.ConfigResourceTypeBroker {
		return fmt.Sprintf("type %d", kind)
	}
	return otherType
}

// sizes tells of numbers that only one of the brokers minds.
func sizes(partitions int32, replicas int16) string {
	switch {
	case partitions < -1:
		return "partitions -2"
	case replicas < -1 || replicas == 0:
		return "replicas 0 or -2"
	}
	return ""
}

// placeOf is how the answer's places name a partition.
func placeOf(topic string, partition int32) string {
	return placeOfTopic(&topic) + "/" + strconv.Itoa(int(partition))
}

func placeOfTopic(name *string) string {
	switch {
	case name == nil:
		return "/id"
	case *name == "":
		return "/?"
	}
	return "/" + *name
}
