package kafka

import (
	"bytes"
	"math/bits"
)

// FetchResult is the answer for one partition. Neighbours of the same topic become one topic in the answer.
type FetchResult struct {
	Topic          []byte   // before version 13
	ID             [16]byte // from version 13 on
	Index          int32
	Code           Code
	HighWatermark  int64
	LogStart       int64
	DivergingEpoch int32 // told from version 12 on, if DivergingEnd >= 0
	DivergingEnd   int64 // the end of DivergingEpoch's offsets; -1: nothing diverges
	Size           int32 // bytes of the records, which the caller sends between AppendFetchPartition and AppendFetchPartitionEnd
}

// diverging is the size of a diverging epoch: epoch, offset, no tags.
const diverging = 4 + 8 + 1

func (r *FetchResult) diverges(flexible bool) bool { return flexible && r.DivergingEnd >= 0 }

// fetchTopic tells whether two results are of one topic.
func fetchTopic(version int16, a, b *FetchResult) bool {
	if version >= fetchByID {
		return a.ID == b.ID
	}
	return bytes.Equal(a.Topic, b.Topic)
}

// begins tells whether results[i] is the first of its topic.
func begins(version int16, results []FetchResult, i int) bool {
	return i == 0 || !fetchTopic(version, &results[i-1], &results[i])
}

// ends tells whether results[i] is the last of its topic.
func ends(version int16, results []FetchResult, i int) bool {
	return i == len(results)-1 || begins(version, results, i+1)
}

// FetchResponseSize is the size of the whole frame in bytes: its 4 bytes of size, all heads and ends, and the records.
func FetchResponseSize(version int16, results []FetchResult) int {
	flexible := Flexible(Fetch, version)
	size := fetchHeadSize(version, fetchTopics(version, results), flexible)
	for i := range results {
		r := &results[i]
		if begins(version, results, i) {
			size += fetchTopicSize(version, r, fetchNeighbours(version, results, i), flexible)
		}
		size += fetchResultSize(version, r, flexible) + int(r.Size)
	}
	return size
}

// AppendFetchHead appends what stands before all partitions. size is what FetchResponseSize gave. Without results this is the whole
// frame.
func AppendFetchHead(dst []byte, version int16, correlation, size int32, code Code, session int32, results []FetchResult) []byte {
	flexible := Flexible(Fetch, version)
	dst = appendInt32(dst, size-4)
	dst = appendTags(appendInt32(dst, correlation), flexible)
	dst = appendInt32(dst, 0) // throttle
	if version >= fetchSessions {
		dst = appendInt16(dst, int16(code))
		dst = appendInt32(dst, session)
	}
	dst = appendCount(dst, fetchTopics(version, results), flexible)
	if len(results) == 0 {
		dst = appendTags(dst, flexible)
	}
	return dst
}

// AppendFetchPartition appends what stands before the records of results[i], its topic's fields too where it is its first.
func AppendFetchPartition(dst []byte, version int16, results []FetchResult, i int) []byte {
	flexible := Flexible(Fetch, version)
	r := &results[i]
	if begins(version, results, i) {
		if version >= fetchByID {
			dst = append(dst, r.ID[:]...)
		} else {
			dst = appendString(dst, r.Topic, flexible)
		}
		dst = appendCount(dst, fetchNeighbours(version, results, i), flexible)
	}
	dst = appendInt32(dst, r.Index)
	dst = appendInt16(dst, int16(r.Code))
	dst = appendInt64(dst, r.HighWatermark)
	dst = appendInt64(dst, r.HighWatermark) // the last stable offset: nothing is in a transaction
	if version >= fetchLogStart {
		dst = appendInt64(dst, r.LogStart)
	}
	dst = appendCount(dst, 0, flexible) // aborted transactions
	if version >= fetchRack {
		dst = appendInt32(dst, -1) // preferred replica
	}
	return appendCount(dst, int(r.Size), flexible)
}

// AppendFetchPartitionEnd appends what stands behind the records of results[i]: its topic's end too where it is its last, and
// the frame's where it is the last of all.
func AppendFetchPartitionEnd(dst []byte, version int16, results []FetchResult, i int) []byte {
	if !Flexible(Fetch, version) {
		return dst
	}
	r := &results[i]
	if r.diverges(true) {
		dst = append(dst, 1, 0, diverging) // one tag, number 0, its size
		dst = appendInt64(appendInt32(dst, r.DivergingEpoch), r.DivergingEnd)
	}
	dst = append(dst, 0)
	if ends(version, results, i) {
		dst = append(dst, 0)
	}
	if i == len(results)-1 {
		dst = append(dst, 0)
	}
	return dst
}

// fetchTopics is how many topics the results become.
func fetchTopics(version int16, results []FetchResult) (n int) {
	for i := range results {
		if begins(version, results, i) {
			n++
		}
	}
	return n
}

// fetchNeighbours is how many results from i on are of one topic.
func fetchNeighbours(version int16, results []FetchResult, i int) int {
	n := 1
	for !ends(version, results, i+n-1) {
		n++
	}
	return n
}

// fetchHeadSize is the size of what stands before the topics and behind them.
func fetchHeadSize(version int16, topics int, flexible bool) int {
	size := 4 + 4 + 4 + countSize(topics, flexible)
	if version >= fetchSessions {
		size += 2 + 4
	}
	if flexible {
		size += 1 + 1
	}
	return size
}

// fetchTopicSize is the size of a topic's own fields.
func fetchTopicSize(version int16, r *FetchResult, partitions int, flexible bool) int {
	size := countSize(partitions, flexible)
	switch {
	case version >= fetchByID:
		size += len(r.ID)
	case flexible:
		size += countSize(len(r.Topic), true) + len(r.Topic)
	default:
		size += 2 + len(r.Topic)
	}
	if flexible {
		size++
	}
	return size
}

// fetchResultSize is the size of a partition's fields without its records.
func fetchResultSize(version int16, r *FetchResult, flexible bool) int {
	size := 4 + 2 + 8 + 8 + countSize(0, flexible) + countSize(int(r.Size), flexible)
	if version >= fetchLogStart {
		size += 8
	}
	if version >= fetchRack {
		size += 4
	}
	if flexible {
		size++
	}
	if r.diverges(flexible) {
		size += 2 + diverging
	}
	return size
}

// countSize is the size of what appendCount appends.
func countSize(n int, flexible bool) int {
	if !flexible {
		return 4
	}
	return (bits.Len32(uint32(n)+1) + 6) / 7
}
