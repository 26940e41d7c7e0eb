package stages

import (
	"context"
	"fmt"
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

	held atomic.Int64 // bytes of memory.requests, of all its requests
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
	held   int64 // bytes of memory.requests, for what is larger than most
}

// ownRequest is how many bytes of decoded request a command may keep for the next one,
// and what a request, or an answer, may take without leave of its budget.
const ownRequest = 8 << 10

// header is what an answer needs of the request's.
func (q *kafkaRequest) header() kafka.Header {
	return kafka.Header{Key: q.key, Version: q.version, Correlation: q.correlation}
}

// hold reserves memory for what a request is decoded into. Error: errNoMemory.
func (c *conn) hold(ctx context.Context, q *kafkaRequest, n int64) error {
	if n <= ownRequest {
		return nil
	}
	if budget := c.srv.requestMemory; !budget.TryReserve(n) {
		if !c.reader.takePlace() {
			return errNoMemory
		}
		ctx, cancel := c.requestTime(ctx)
		defer cancel()
		if budget.Reserve(ctx, n) != nil { // it is more than there is, the time is up, or a stop cut short
			return errNoMemory
		}
	}
	q.held += n
	c.kafka.held.Add(n)
	return nil
}

// requestTime bounds a wait for memory.requests. Those who hold it wait for their responders, and
// these may wait for their clients (pins), while the lease that this frame lies in is kept from others: of
// all those, half at most (takePlace). So the wait is as long as a frame may take to come.
func (c *conn) requestTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.srv.conf.Conn.FrameTimeout)
}

// unhold is the opposite of hold. What the request has grown to goes with it.
func (c *conn) unhold(q *kafkaRequest) {
	q.body = nil
	if q.held > 0 {
		c.srv.requestMemory.Free(q.held)
		c.kafka.held.Add(-q.held)
		q.held, q.produce, q.fetch = 0, kafkaProduce{}, kafkaFetch{}
	}
}

// unholdAll is unhold for the requests of a connection that has ended without answering them.
func (c *conn) unholdAll() {
	if c.kafka != nil {
		c.srv.requestMemory.Free(c.kafka.held.Swap(0))
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
		if answer := r.carryOut(ctx, cmd); r.err == nil {
			r.out = kafka.AppendResponse(r.out, q.header(), answer)
		}
	}
	r.c.unhold(q) // before the client is waited for
	r.leave()
	if q.waited {
		q.waited = false
		r.c.barrier <- struct{}{}
	}
}

// leave sends an answer that is larger than most at once, and pays for it meanwhile: its
// client may take its time. It does not wait for room, as others do who don't read either.
func (r *responder) leave() {
	n, budget := int64(cap(r.out)), r.c.srv.answerMemory
	switch {
	case n <= ownRequest || r.err != nil:
		return
	case !budget.TryReserve(n):
		r.c.srv.stats.closed[closedOverloaded].Add(1)
		r.err = errNoMemory
		return
	}
	r.flush()
	budget.Free(n)
}

// carryOut does what neither appends nor fetches. Where the connection ends meanwhile, r.err
// says so, and the answer is not whole.
func (r *responder) carryOut(ctx context.Context, cmd *command) kmsg.Response {
	switch req := cmd.kafka.body.(type) {
	case *kmsg.ListOffsetsRequest:
		return r.kafkaListOffsets(ctx, cmd, req)
	case *kmsg.OffsetForLeaderEpochRequest:
		return r.kafkaEpochEnds(req)
	case *kmsg.InitProducerIDRequest:
		return r.kafkaInitProducerID(req)
	case *kmsg.ApiVersionsRequest: // of a version that is not served, has version -1; its answer has version 0
		return r.apiVersions(req)
	case *kmsg.MetadataRequest:
		return r.metadata(ctx, req)
	case *kmsg.FindCoordinatorRequest:
		return findCoordinator(req)
	case *kmsg.CreateTopicsRequest:
		return r.createTopics(ctx, req)
	case *kmsg.CreatePartitionsRequest:
		return r.createPartitions(ctx, req)
	case *kmsg.DeleteTopicsRequest:
		return r.deleteTopics(ctx, req)
	case *kmsg.DescribeConfigsRequest:
		return r.describeConfigs(ctx, req)
	case *kmsg.IncrementalAlterConfigsRequest:
		return r.alterConfigs(ctx, req)
	}
	panic(fmt.Sprintf("BUG: nobody carries out %T", cmd.kafka.body))
}

// over tells whether nobody waits for the answer any more. What does one thing after the other
// asks before each: a request may name a hundred thousand things, and a stop waits for it.
func (r *responder) over(ctx context.Context) bool {
	switch {
	case r.err != nil:
	case ctx.Err() != nil:
		r.err = context.Cause(ctx)
	case r.c.broken.Load():
		r.err = errGone
	}
	return r.err != nil
}

// kafkaPartition finds the partition that a client names, or nil.
func (s *Server) kafkaPartition(topic []byte, index int32) *partition {
	if index < 0 {
		return nil
	}
	return s.catalog.find(topic, index)
}
