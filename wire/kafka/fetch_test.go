package kafka

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchRequest is a request of up to 3 topics, the same for the same n.
func fetchRequest(n uint64, version int16) *kmsg.FetchRequest {
	rng, flexible := seeded(n), version >= 12
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, rng.Int32(), rng.Int32(), rng.Int32(), rng.Int32()
	req.IsolationLevel, req.SessionID, req.SessionEpoch, req.Rack = int8(rng.IntN(2)), rng.Int32(), rng.Int32(), word(rng)
	for range rng.IntN(4) {
		topic := kmsg.FetchRequestTopic{Topic: word(rng), TopicID: [16]byte{byte(rng.Uint32())}}
		for range rng.IntN(4) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = rng.Int32(), rng.Int32(), rng.Int64()
			p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = rng.Int32(), rng.Int64(), rng.Int32()
			tagged(rng, &p.UnknownTags, flexible)
			topic.Partitions = append(topic.Partitions, p)
		}
		tagged(rng, &topic.UnknownTags, flexible)
		req.Topics = append(req.Topics, topic)
	}
	for range rng.IntN(3) {
		topic := kmsg.FetchRequestForgottenTopic{Topic: word(rng), TopicID: [16]byte{byte(rng.Uint32())}}
		for range rng.IntN(3) {
			topic.Partitions = append(topic.Partitions, rng.Int32())
		}
		tagged(rng, &topic.UnknownTags, flexible)
		req.ForgottenTopics = append(req.ForgottenTopics, topic)
	}
	if rng.IntN(4) == 0 {
		req.ClusterID = kmsg.StringPtr(word(rng)) // a tag that some know
	}
	tagged(rng, &req.UnknownTags, flexible)
	return req
}

// wantFetch holds what we read of a request against what kmsg has read of its bytes.
func wantFetch(t *testing.T, got *FetchRequest, want *kmsg.FetchRequest) {
	t.Helper()
	if got.MaxWaitMillis != want.MaxWaitMillis || got.MinBytes != want.MinBytes || got.MaxBytes != want.MaxBytes ||
		got.Isolation != want.IsolationLevel || got.SessionID != want.SessionID || got.SessionEpoch != want.SessionEpoch {
		t.Fatalf("read %+v, want %+v", got, want)
	}
	walk, n := *got, 0
	var p FetchPartition
	for _, topic := range want.Topics {
		for _, w := range topic.Partitions {
			if !walk.Next(&p) {
				t.Fatalf("no partition %d", n)
			}
			n++
			if string(p.Topic) != topic.Topic || p.ID != topic.TopicID || p.Index != w.Partition || p.LeaderEpoch != w.CurrentLeaderEpoch ||
				p.Offset != w.FetchOffset || p.LastFetchedEpoch != w.LastFetchedEpoch || p.MaxBytes != w.PartitionMaxBytes {
				t.Fatalf("read %+v, want %q %x %+v", p, topic.Topic, topic.TopicID, w)
			}
		}
	}
	if walk.Next(&p) || got.Partitions != n {
		t.Fatalf("%d partitions, want %d", got.Partitions, n)
	}
	n = 0
	var f ForgottenPartition
	for _, topic := range want.ForgottenTopics {
		for _, w := range topic.Partitions {
			if !walk.NextForgotten(&f) || string(f.Topic) != topic.Topic || f.ID != topic.TopicID || f.Index != w {
				t.Fatalf("forgotten %+v, want %q %d", f, topic.Topic, w)
			}
			n++
		}
	}
	if walk.NextForgotten(&f) || got.Forgotten != n {
		t.Fatalf("%d forgotten, want %d", got.Forgotten, n)
	}
}

// readFetch has kmsg read a body.
func readFetch(version int16, body []byte) (*kmsg.FetchRequest, error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = version
	return req, req.ReadFrom(body)
}

// What kmsg writes we read, and nothing that is cut off or goes on.
func TestFetchRequestOfKmsg(t *testing.T) {
	eachVersion(t, Fetch, func(t *testing.T, version int16) {
		for n := range uint64(rounds) {
			body := fetchRequest(n, version).AppendTo(nil)
			want, err := readFetch(version, body)
			if err != nil {
				t.Fatal(err)
			}
			var got FetchRequest
			if err := got.Parse(version, body); err != nil {
				t.Fatalf("request %d: %v", n, err)
			}
			wantFetch(t, &got, want)
			cut := seeded(n).IntN(len(body))
			if got.Parse(version, body[:cut:cut]) == nil || got.Parse(version, append(body, 0)) == nil {
				t.Fatalf("request %d is read whatever its length", n)
			}
		}
	})
}

// fetchResults are results with the records that belong to them.
func fetchResults(n uint64) (results []FetchResult, records [][]byte) {
	rng := seeded(n)
	for range rng.IntN(4) {
		topic, id := []byte(word(rng)), [16]byte{byte(rng.Uint32()), 1}
		for range 1 + rng.IntN(3)*rng.IntN(70) {
			b := make([]byte, rng.IntN(2)*rng.IntN(300)*rng.IntN(40))
			r := FetchResult{
				Topic: topic, ID: id, Index: rng.Int32(), Code: Code(rng.IntN(100) - 1), HighWatermark: rng.Int64(),
				LogStart: rng.Int64(), DivergingEpoch: -1, DivergingEnd: -1, Size: int32(len(b)),
			}
			if rng.IntN(4) == 0 {
				r.DivergingEpoch, r.DivergingEnd = rng.Int32(), rng.Int64()
			}
			results, records = append(results, r), append(records, b)
		}
	}
	return results, records
}

// ourFetchResponse puts a frame together as a server sends it.
func ourFetchResponse(dst []byte, version int16, h Header, code Code, session int32, results []FetchResult, records [][]byte) []byte {
	dst = AppendFetchHead(dst, version, h.Correlation, int32(FetchResponseSize(version, results)), code, session, results)
	for i := range results {
		dst = append(AppendFetchPartition(dst, version, results, i), records[i]...)
		dst = AppendFetchPartitionEnd(dst, version, results, i)
	}
	return dst
}

// kmsgFetchResponse is the same answer, made by kmsg.
func kmsgFetchResponse(version int16, code Code, session int32, results []FetchResult, records [][]byte) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version, resp.ErrorCode, resp.SessionID = version, int16(code), session
	for i, r := range results {
		if i == 0 || !bytes.Equal(results[i-1].Topic, r.Topic) && version < 13 || results[i-1].ID != r.ID && version >= 13 {
			resp.Topics = append(resp.Topics, kmsg.FetchResponseTopic{Topic: string(r.Topic), TopicID: r.ID})
		}
		topic := &resp.Topics[len(resp.Topics)-1]
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = r.Index, int16(r.Code), r.HighWatermark, r.HighWatermark, r.LogStart
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		p.PreferredReadReplica = -1
		p.RecordBatches = records[i]
		if r.DivergingEnd >= 0 {
			p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = r.DivergingEpoch, r.DivergingEnd
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	return resp
}

// What we put together is what kmsg writes, byte for byte, and as long as was told before.
func TestFetchResponseOfKmsg(t *testing.T) {
	eachVersion(t, Fetch, func(t *testing.T, version int16) {
		for n := range uint64(rounds) {
			results, records := fetchResults(n)
			h := Header{Key: Fetch, Version: version, Correlation: -5}
			got := ourFetchResponse([]byte("before"), version, h, 70, 9, results, records)
			want := AppendResponse([]byte("before"), h, kmsgFetchResponse(version, 70, 9, results, records))
			if !bytes.Equal(got, want) {
				t.Fatalf("answer %d is\n%x, want\n%x", n, got, want)
			}
			if size := FetchResponseSize(version, results); size != len(got)-len("before") {
				t.Fatalf("answer %d has %d bytes, but %d were told", n, len(got)-len("before"), size)
			}
		}
	})
}
