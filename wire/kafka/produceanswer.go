package kafka

import "bytes"

// ProduceResult is the answer for one partition. Neighbours with the same topic become one topic in the answer.
type ProduceResult struct {
	Topic         []byte
	Index         int32
	Code          Code
	Base          int64  // offset of the first record; -1 with an error
	LogAppendTime int64  // Unix ms; -1: the records have their own times
	LogStart      int64  // the log's first offset; -1: not known
	Message       string // of an error; told from version 8 on, and cut at 1,024 bytes; "": none
}

// versions in which fields came to the answer
const (
	produceLogStart = 5
	produceMessage  = 8
)

// AppendProduceResponse appends the whole frame, its 4 bytes of size included. It allocates nothing but growth of dst.
func AppendProduceResponse(dst []byte, version int16, correlation int32, results []ProduceResult) []byte {
	flexible := Flexible(Produce, version)
	start := len(dst)
	dst = beginFrame(dst, correlation, flexible)
	topics := 0
	for i := range results {
		if i == 0 || !bytes.Equal(results[i].Topic, results[i-1].Topic) {
			topics++
		}
	}
	dst = appendCount(dst, topics, flexible)
	for len(results) > 0 {
		n := 1
		for n < len(results) && bytes.Equal(results[n].Topic, results[0].Topic) {
			n++
		}
		dst = appendString(dst, results[0].Topic, flexible)
		dst = appendCount(dst, n, flexible)
		for i := range results[:n] {
			dst = appendProduceResult(dst, version, &results[i], flexible)
		}
		dst = appendTags(dst, flexible)
		results = results[n:]
	}
	dst = appendInt32(dst, 0) // throttle
	return endFrame(appendTags(dst, flexible), start)
}

func appendProduceResult(dst []byte, version int16, r *ProduceResult, flexible bool) []byte {
	dst = appendInt32(dst, r.Index)
	dst = appendInt16(dst, int16(r.Code))
	dst = appendInt64(dst, r.Base)
	dst = appendInt64(dst, r.LogAppendTime)
	if version >= produceLogStart {
		dst = appendInt64(dst, r.LogStart)
	}
	if version >= produceMessage {
		dst = appendCount(dst, 0, flexible) // errors of single records: a batch is taken or refused whole
		dst = appendMessage(dst, r.Message, flexible)
	}
	return appendTags(dst, flexible)
}
