package stages

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// The files kafka*.go are what a connection of the Kafka protocol does otherwise than one
// of the text protocol: what its bytes mean, and what its answers look like. All else of
// it is the same: buffers, commands and their order, leases, deadlines, sending.

// kafkaConn is what only a connection of the Kafka protocol has.
type kafkaConn struct {
	produce kafka.ProduceRequest // the reader's
	made    int                  // the reader's: how many parts exist
	parts   chan *command        // appends of one partition each that are not in use; nil until the first
	fetches *fetchState          // the responder's; nil until the first

	held atomic.Int64 // bytes of memory.receive, of all its requests
}

// kafkaRequest is one request, from its parsing to its answer. Its storage stays with the
// command and is used again, unless it has grown.
type kafkaRequest struct {
	key         kafka.Key
	version     int16
	correlation int32

	produce kafkaProduce
	fetch   kafkaFetch
	body    kmsg.Request // of all other requests

	waited bool  // by the reader: what follows may depend on what this does to the catalog
	held   int64 // bytes of memory.receive, for what is larger than most
}

// ownRequest is how many bytes of decoded request a command may keep for the next one,
// and what a request may take without leave of the budget.
const ownRequest = 8 << 10

// header is what an answer needs of the request's.
func (q *kafkaRequest) header() kafka.Header {
	return kafka.Header{Key: q.key, Version: q.version, Correlation: q.correlation}
}

// hold reserves memory for what a request is decoded into. It does not wait for it: who
// waits may hold a buffer of the same budget.
func (c *conn) hold(q *kafkaRequest, n int64) bool {
	if n <= ownRequest {
		return true
	}
	if !c.srv.receiveMemory.TryReserve(n) {
		return false
	}
	q.held += n
	c.kafka.held.Add(n)
	return true
}

// unhold is the opposite of hold. What the request has grown to goes with it.
func (c *conn) unhold(q *kafkaRequest) {
	q.body = nil
	if q.held > 0 {
		c.srv.receiveMemory.Free(q.held)
		c.kafka.held.Add(-q.held)
		q.held, q.produce, q.fetch = 0, kafkaProduce{}, kafkaFetch{}
	}
}

// unholdAll is unhold for the requests of a connection that has ended without answering them.
func (c *conn) unholdAll() {
	if c.kafka != nil {
		c.srv.receiveMemory.Free(c.kafka.held.Swap(0))
		if c.kafka.fetches != nil {
			c.kafka.fetches.useOwn()
		}
	}
}

// answerKafka answers one request, which may take its time.
func (r *responder) answerKafka(ctx context.Context, cmd *command) {
	q := cmd.kafka
	switch q.key {
	case kafka.Produce:
		r.produced(cmd)
	case kafka.Fetch:
		r.kafkaFetch(ctx, cmd)
	default:
		r.out = kafka.AppendResponse(r.out, q.header(), r.carryOut(ctx, cmd))
	}
	r.c.unhold(q)
	if q.waited {
		q.waited = false
		r.c.barrier <- struct{}{}
	}
}

// carryOut does what neither appends nor fetches.
func (r *responder) carryOut(ctx context.Context, cmd *command) kmsg.Response {
	switch body := cmd.kafka.body.(type) {
	case *kmsg.ListOffsetsRequest:
		return r.kafkaListOffsets(ctx, cmd, body)
	case *kmsg.OffsetForLeaderEpochRequest:
		return r.kafkaEpochEnds(ctx, cmd, body)
	case *kmsg.InitProducerIDRequest:
		return r.kafkaInitProducerID(cmd, body)
	default:
		return r.kafkaAdmin(ctx, cmd, body)
	}
}

// kafkaPartition finds the partition that a client names, or nil.
func (s *Server) kafkaPartition(topic []byte, index int32) *partition {
	if index < 0 {
		return nil
	}
	return s.catalog.find(topic, index)
}
