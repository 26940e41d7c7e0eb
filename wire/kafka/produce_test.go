package kafka

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceRequest is a request of up to 3 topics, the same for the same n.
func produceRequest(n uint64, version int16) *kmsg.ProduceRequest {
	rng, flexible := seeded(n), version >= 9
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, int16(rng.IntN(3)-1), rng.Int32()
	if rng.IntN(3) == 0 {
		req.TransactionID = kmsg.StringPtr(word(rng))
	}
	for range rng.IntN(4) {
		topic := kmsg.ProduceRequestTopic{Topic: word(rng)}
		for range rng.IntN(4) {
			p := kmsg.ProduceRequestTopicPartition{Partition: rng.Int32N(9) - 1, Records: records(rng)}
			tagged(rng, &p.UnknownTags, flexible)
			topic.Partitions = append(topic.Partitions, p)
		}
		tagged(rng, &topic.UnknownTags, flexible)
		req.Topics = append(req.Topics, topic)
	}
	tagged(rng, &req.UnknownTags, flexible)
	return req
}

// wantProduce holds what we read of a request against what kmsg has.
func wantProduce(t *testing.T, got *ProduceRequest, want *kmsg.ProduceRequest) {
	t.Helper()
	if got.Acks != want.Acks || got.TimeoutMillis != want.TimeoutMillis || got.Transactional != (want.TransactionID != nil) {
		t.Fatalf("read %+v, want %+v", got, want)
	}
	walk, n := *got, 0
	var p ProducePartition
	for _, topic := range want.Topics {
		for _, w := range topic.Partitions {
			if !walk.Next(&p) {
				t.Fatalf("no partition %d", n)
			}
			n++
			if string(p.Topic) != topic.Topic || p.Index != w.Partition || !bytes.Equal(p.Records, w.Records) || (p.Records == nil) != (w.Records == nil) {
				t.Fatalf("read %+v, want %q %+v", p, topic.Topic, w)
			}
		}
	}
	if walk.Next(&p) || got.Partitions != n {
		t.Fatalf("%d partitions, want %d", got.Partitions, n)
	}
}

// What kmsg writes we read, and nothing that is cut off or goes on.
func TestProduceRequestOfKmsg(t *testing.T) {
	eachVersion(t, Produce, func(t *testing.T, version int16) {
		for n := range uint64(rounds) {
			want := produceRequest(n, version)
			body := want.AppendTo(nil)
			var got ProduceRequest
			if err := got.Parse(version, body); err != nil {
				t.Fatalf("request %d: %v", n, err)
			}
			wantProduce(t, &got, want)
			cut := seeded(n).IntN(len(body))
			if got.Parse(version, body[:cut:cut]) == nil || got.Parse(version, append(body, 0)) == nil {
				t.Fatalf("request %d is read whatever its length", n)
			}
		}
	})
}

func produceResults(n uint64) []ProduceResult {
	rng := seeded(n)
	var out []ProduceResult
	for range rng.IntN(4) {
		topic := []byte(word(rng))
		for range 1 + rng.IntN(3)*rng.IntN(70) {
			r := ProduceResult{
				Topic: topic, Index: rng.Int32(), Code: Code(rng.IntN(100) - 1), Base: rng.Int64() - rng.Int64(),
				LogAppendTime: rng.Int64(), LogStart: rng.Int64(),
			}
			if rng.IntN(2) == 0 {
				r.Message = word(rng)
			}
			out = append(out, r)
		}
	}
	return out
}

// kmsgProduceResponse is the same answer, made by kmsg.
func kmsgProduceResponse(version int16, results []ProduceResult) *kmsg.ProduceResponse {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = version
	for i, r := range results {
		if i == 0 || !bytes.Equal(results[i-1].Topic, r.Topic) {
			resp.Topics = append(resp.Topics, kmsg.ProduceResponseTopic{Topic: string(r.Topic)})
		}
		topic := &resp.Topics[len(resp.Topics)-1]
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset = r.Index, int16(r.Code), r.Base, r.LogAppendTime, r.LogStart
		if r.Message != "" {
			p.ErrorMessage = kmsg.StringPtr(r.Message)
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	return resp
}

// What we write is what kmsg writes, byte for byte.
func TestProduceResponseOfKmsg(t *testing.T) {
	eachVersion(t, Produce, func(t *testing.T, version int16) {
		for n := range uint64(rounds) {
			results := produceResults(n)
			got := AppendProduceResponse([]byte("before"), version, 77, results)
			h := Header{Key: Produce, Version: version, Correlation: 77}
			want := AppendResponse([]byte("before"), h, kmsgProduceResponse(version, results))
			if !bytes.Equal(got, want) {
				t.Fatalf("answer %d is\n%x, want\n%x", n, got, want)
			}
		}
	})
}

// A sentence is cut rather than let grow an answer.
func TestProduceMessageIsCut(t *testing.T) {
	short := AppendProduceResponse(nil, 11, 1, []ProduceResult{{Message: string(make([]byte, maxMessage))}})
	long := AppendProduceResponse(nil, 11, 1, []ProduceResult{{Message: string(make([]byte, 1<<20))}})
	if !bytes.Equal(short, long) {
		t.Fatalf("%d bytes, want %d", len(long), len(short))
	}
}
