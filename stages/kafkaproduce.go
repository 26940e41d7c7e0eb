package stages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"sluice/sched"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// kafkaProduce is a Produce under way. Its reader fills in the results of what it refuses
// itself, whoever has done with an append that one's, and the last of them all sends the
// request to the responder.
type kafkaProduce struct {
	acks    int16
	results []kafka.ProduceResult // of the partitions, in the order of the request
	names   []byte                // of the topics: the frame may be gone before the answer
	left    atomic.Int32          // appends under way, and one for the reader
}

// partsMost bounds the appends of one connection that are under way: who produces to more
// partitions than that waits for the writers.
const partsMost = 128

// resultSize is what a partition takes until it is answered: its result, its bytes on the wire,
// and a sentence about what is wrong with it.
const resultSize = 256

// produce takes a Produce. There is one lease for all of it, and each batch goes to its
// writer as a view; so the reader waits for nobody but writers, and briefly for memory.requests, while it holds memory.
func (p *parser) produce(ctx context.Context, size int) error {
	buf, err := p.r.leaseFor(ctx, size, frameSize+size-(p.r.w-p.r.r))
	if err != nil {
		return err
	}
	defer buf.Release()
	p.r.r += frameSize
	if err := p.r.into(buf.B); err != nil {
		return err
	}
	p.r.onTime()
	h, err := kafka.ParseHeader(buf.B)
	if err != nil {
		return p.cut(closedMalformed)
	}
	in, q := &p.c.kafka.produce, p.storage(h)
	defer func() { *in = kafka.ProduceRequest{} }() // it looks into the lease
	if err := in.Parse(h.Version, h.Body); err != nil {
		return p.cut(closedMalformed) // before anything is appended
	}
	if err := p.c.hold(ctx, q, int64(in.Partitions)*resultSize+2*namesSize(*in)); err != nil {
		return p.cut(closedOverloaded)
	}
	p.r.leavePlace()
	q.produce.begin(*in)
	head := p.take()
	head.op = opKafka
	p.appendParts(head, in, buf)
	head.finishPart() // the reader's own
	return nil
}

// namesSize is how many bytes the names of the topics have.
func namesSize(in kafka.ProduceRequest) (n int64) {
	var part kafka.ProducePartition
	var last []byte
	for in.Next(&part) {
		if !bytes.Equal(part.Topic, last) {
			n += int64(len(part.Topic))
			last = part.Topic
		}
	}
	return n
}

// begin makes a result for each partition.
func (q *kafkaProduce) begin(in kafka.ProduceRequest) {
	q.acks = in.Acks
	q.left.Store(1)
	q.results, q.names = slices.Grow(q.results[:0], in.Partitions), q.names[:0]
	var part kafka.ProducePartition
	var name []byte
	for in.Next(&part) {
		if len(q.results) == 0 || !bytes.Equal(part.Topic, name) {
			at := len(q.names)
			q.names = append(q.names, part.Topic...)
			name = q.names[at:]
		}
		q.results = append(q.results, kafka.ProduceResult{Topic: name, Index: part.Index, Base: -1, LogAppendTime: -1, LogStart: -1})
	}
}

// appendParts sends each partition's batch to its writer, in order. One that is refused
// stops no other.
func (p *parser) appendParts(head *command, in *kafka.ProduceRequest, buf *sched.Buf) {
	var part kafka.ProducePartition
	for i := int32(0); in.Next(&part); i++ {
		to, records, e := p.check(head.kafka, in, &part)
		if e.code != kafka.NoError {
			result := &head.kafka.produce.results[i]
			result.Code, result.Message = e.code, e.text
			continue
		}
		cmd := p.part()
		*cmd = command{
			conn: p.c, op: opAppend, verb: text.VerbBatch, part: to, ack: p.c.srv.conf.KafkaProtocol.level(in.Acks),
			buf: buf, bytes: part.Records, records: records, head: head, index: i,
		}
		buf.Retain()
		head.kafka.produce.left.Add(1)
		to.writer.in <- cmd
	}
}

// part is a command for one partition, which may have to be waited for.
func (p *parser) part() *command {
	k := p.c.kafka
	if k.parts == nil {
		k.parts = make(chan *command, partsMost)
	}
	select {
	case cmd := <-k.parts:
		return cmd
	default:
	}
	if k.made < partsMost {
		k.made++
		return new(command)
	}
	return <-k.parts
}

// check finds the partition, and proves its batch as Kafka would, with Kafka's codes.
func (p *parser) check(q *kafkaRequest, in *kafka.ProduceRequest, part *kafka.ProducePartition) (to *partition, records int, e kafkaError) {
	if in.Acks < -1 || in.Acks > 1 {
		return nil, 0, kafkaError{kafka.InvalidRequiredAcks, "acks is none of 0, 1 and -1, which is all"}
	}
	if to = p.c.srv.kafkaPartition(part.Topic, part.Index); to == nil {
		return nil, 0, kafkaError{kafka.UnknownTopicOrPartition, ""}
	}
	h, code, err := kafka.CheckBatch(part.Records, q.version, int(to.topic.conf.Load().MaxBatch))
	if err != nil {
		return nil, 0, kafkaError{code, err.Error()}
	}
	return to, int(h.Count), kafkaError{}
}

// level is what an append waits for; 0 waits as 1 does, and is not answered.
func (c *KafkaConfig) level(acks int16) text.Ack {
	if acks == -1 {
		return c.AcksAll
	}
	return c.AcksOne
}

// partDone puts the outcome of an append into the request that it is a part of. Whichever
// stage has done with it calls this.
func (c *command) partDone() {
	head, k := c.head, c.conn.kafka
	result := &head.kafka.produce.results[c.index]
	if c.err != nil {
		e := produceError(c.err)
		result.Code, result.Message = e.code, e.text
	} else {
		result.Base, result.LogStart = int64(c.first), int64(c.part.log.Oldest())
	}
	k.parts <- c // which has a place for each
	head.finishPart()
}

// finishPart sends the request to the responder when nothing of it is under way any more.
func (c *command) finishPart() {
	if c.kafka.produce.left.Add(-1) == 0 {
		c.done()
	}
}

// produced answers a Produce. With acks=0 there is no answer, and a client learns that
// something failed by the end of its connection.
func (r *responder) produced(cmd *command) {
	q := &cmd.kafka.produce
	failed := false
	for i := range q.results {
		if code := q.results[i].Code; code != kafka.NoError {
			failed = true
			r.c.srv.stats.kafka.failed(kafka.Produce, code)
		}
	}
	switch {
	case q.acks != 0:
		r.room(min(len(q.results)*resultSize, len(r.own)))
		r.out = kafka.AppendProduceResponse(r.out, cmd.kafka.version, cmd.kafka.correlation, q.results)
	case failed:
		r.c.srv.stats.closed[closedUnanswered].Add(1)
		r.flush() // what came before
		r.err = cmp.Or(r.err, errUnanswered)
	}
}

// errUnanswered ends a connection whose client wants no answers, behind a failure.
var errUnanswered = errors.New("a Produce with acks=0 failed")
