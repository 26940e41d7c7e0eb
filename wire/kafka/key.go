package kafka

import "strconv"

// Key says which API a request is for.
type Key int16

// The APIs that are served.
const (
	Produce                 Key = 0
	Fetch                   Key = 1
	ListOffsets             Key = 2
	Metadata                Key = 3
	FindCoordinator         Key = 10
	ApiVersions             Key = 18
	CreateTopics            Key = 19
	DeleteTopics            Key = 20
	InitProducerID          Key = 22
	OffsetForLeaderEpoch    Key = 23
	DescribeConfigs         Key = 32
	CreatePartitions        Key = 37
	IncrementalAlterConfigs Key = 44
)

// VersionRange is a row of what ApiVersions tells: the versions [Min, Max], both included as in the protocol.
type VersionRange struct {
	Key      Key
	Min, Max int16
}

// api is what we know of a key beside what is told.
type api struct {
	VersionRange
	served   int16 // the first version that is carried out
	flexible int16 // the first version with compact lengths and tags
	name     string
}

// apis, by key. Produce is told from 0 on, though versions without record batches are closed upon: librdkafka before 2.11.1
// takes a broker without version 0 for one that knows neither gzip, snappy nor lz4, and then sends plain without a word. So is
// FindCoordinator, though nothing is coordinated yet: librdkafka takes it for the sign of a broker that knows lz4.
var apis = [...]api{
	{VersionRange{Produce, 0, 11}, 3, 9, "Produce"},
	{VersionRange{Fetch, 4, 16}, 4, 12, "Fetch"},
	{VersionRange{ListOffsets, 1, 8}, 1, 6, "ListOffsets"},
	{VersionRange{Metadata, 0, 13}, 0, 9, "Metadata"},
	{VersionRange{FindCoordinator, 0, 5}, 0, 3, "FindCoordinator"},
	{VersionRange{ApiVersions, 0, 5}, 0, 3, "ApiVersions"},
	{VersionRange{CreateTopics, 2, 7}, 2, 5, "CreateTopics"},
	{VersionRange{DeleteTopics, 1, 6}, 1, 4, "DeleteTopics"},
	{VersionRange{InitProducerID, 0, 5}, 0, 2, "InitProducerId"},
	{VersionRange{OffsetForLeaderEpoch, 2, 4}, 2, 4, "OffsetForLeaderEpoch"},
	{VersionRange{DescribeConfigs, 1, 4}, 1, 4, "DescribeConfigs"},
	{VersionRange{CreatePartitions, 0, 3}, 0, 2, "CreatePartitions"},
	{VersionRange{IncrementalAlterConfigs, 0, 1}, 0, 1, "IncrementalAlterConfigs"},
}

func lookup(k Key) *api {
	for i := range apis {
		if apis[i].Key == k {
			return &apis[i]
		}
	}
	return nil
}

// String is the key as Kafka names it; "key 99" for one that is not served.
func (k Key) String() string {
	if a := lookup(k); a != nil {
		return a.name
	}
	return "key " + strconv.Itoa(int(k))
}

// Served is what ApiVersions tells, by key. The caller may keep and change it.
func Served() []VersionRange {
	out := make([]VersionRange, len(apis))
	for i := range apis {
		out[i] = apis[i].VersionRange
	}
	return out
}

// Serves tells whether requests of that key and version are carried out. Produce is told with more than that; see apis.
func Serves(k Key, v int16) bool {
	a := lookup(k)
	return a != nil && a.served <= v && v <= a.Max
}

// Flexible tells whether that version of a served key has compact lengths and tags.
func Flexible(k Key, v int16) bool {
	a := lookup(k)
	return a != nil && v >= a.flexible
}
