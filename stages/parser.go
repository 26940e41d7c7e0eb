package stages

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// parser turns requests into commands without allocating, and puts neighbouring
// MSGs of one log into one record batch. It runs on the reader's goroutine: a
// goroutine of its own cost a wake-up for every request and won nothing. In:
// lines and payloads from the reader. Out: appends to the log's writer, all
// else to the responder, which carries it out in its turn.
type parser struct {
	r       *reader
	c       *conn
	req     *text.Request // nil while nothing is half received
	made    int           // commands that exist
	seq     uint64        // of the next command
	num     uint64        // of the request at hand, from 1
	counted uint64        // requests that STATS knows of
	tail    *command
	spare   *command // reserved for the next request; nil: none

	group struct { // MSGs that travel as one command; cmd == nil: none
		cmd     *command
		builder batch.Builder
		limit   int // bytes of the batch
	}
}

// groupMax bounds the answers that one command stands for.
const groupMax = 1024

func (p *parser) init(r *reader) { p.r, p.c = r, r.c }

// request carries out one line, and the payload behind it. An error ends the
// connection's input.
func (p *parser) request(ctx context.Context, line []byte) error {
	p.num++
	p.begin()
	if e := text.Parse(line, p.req); e != nil {
		if text.LooksLikeHTTP(line) {
			return errAbrupt // a web page must not reach the server of the person who views it
		}
		return p.skipAndRefuse(ctx, e)
	}
	switch p.req.Verb {
	case text.VerbMsg, text.VerbBatch:
		return p.append(ctx)
	}
	p.flush()
	return p.other()
}

// append takes a MSG or BATCH.
func (p *parser) append(ctx context.Context) error {
	size := p.req.Payload()
	if limit := p.c.srv.conf.MaxBatchBytes; size > limit {
		return p.tooLarge(limit)
	}
	part := p.target()
	if part == nil {
		e := p.missing(p.req.Topic, p.req.Partition)
		e.Skip = size
		return p.skipAndRefuse(ctx, e)
	}
	ack := p.req.Ack
	if ack == text.AckDefault {
		ack = part.topic.conf.Load().Ack
	}
	if ack == text.AckReplicated {
		return p.skipAndRefuse(ctx, &text.Error{Code: text.CodeBadCommand, Skip: size, Text: "ack=replicated is not supported yet: use none, written or synced"})
	}
	if p.req.Verb == text.VerbBatch {
		return p.batch(ctx, part, ack, int(size))
	}
	return p.msg(ctx, part, ack, int(size))
}

// target finds the partition. For one that the first append creates it is a partition
// that has a topic and its settings, and no log: create makes the real one, once the
// payload has proved to be whole. nil: there is none, and none is made.
func (p *parser) target() *partition {
	name, id := p.req.Topic, p.req.Partition
	if part := p.c.srv.catalog.find(name, id); part != nil {
		return part
	}
	conf := &p.c.srv.conf
	if !conf.AutoCreate || int64(id) >= conf.Topic.Partitions || p.c.srv.catalog.has(name) {
		return nil
	}
	return &partition{topic: &topic{name: string(name), conf: newTopicConf(conf.Topic)}, id: id}
}

// create makes the topic of a partition that target made up, and returns its real one.
func (p *parser) create(part *partition) (*partition, *text.Error) {
	if part.log != nil {
		return part, nil
	}
	p.flush()
	if e := p.c.srv.controller.ask(opEnsure, &adminRequest{topic: part.topic.name}); e != nil {
		return nil, e
	}
	name := []byte(part.topic.name)
	if real := p.c.srv.catalog.find(name, part.id); real != nil {
		return real, nil
	}
	return nil, noTopic(name, part.id) // dropped again meanwhile
}

// missing says why there is no such partition.
func (p *parser) missing(name []byte, id int32) *text.Error {
	t := p.c.srv.catalog.all()[string(name)]
	if t == nil || int(id) < len(t.parts) { // the second: somebody has just made it
		return noTopic(name, id)
	}
	return &text.Error{Code: text.CodeNoTopic, Skip: -1, Text: fmt.Sprintf("the last partition of topic %s is %d: name one up to that, or ALTER it to have more", name, len(t.parts)-1)}
}

func noTopic(name []byte, id int32) *text.Error {
	return &text.Error{Code: text.CodeNoTopic, Skip: -1, Text: "there is no topic " + string(text.AppendTopic(nil, name, id)) + ": CREATE it first, or name one that TOPICS lists"}
}

// msg adds one message to the open group, or begins one.
func (p *parser) msg(ctx context.Context, part *partition, ack text.Ack, size int) error {
	// All that is needed of the line comes first: the payload may move the buffer.
	keyLen, valueLen := int(p.req.Key), int(p.req.Value)
	timed, ms := p.req.HasTime, p.req.Time
	need := batch.RecordSize(keyLen, valueLen)
	if limit := part.topic.conf.Load().MaxBatch; int64(batch.HeaderSize+need) > limit {
		return p.tooLarge(limit)
	}
	if !p.r.holds(size) {
		return p.largeMsg(ctx, part, ack, message{keyLen, valueLen, ms, timed})
	}
	payload, err := p.r.payload(size)
	if err != nil {
		return err
	}
	part, e := p.create(part)
	if e != nil {
		return p.refuse(e)
	}
	g := &p.group
	if g.cmd != nil && (g.cmd.part != part || g.cmd.ack != ack || g.cmd.msgs == groupMax || g.builder.Size()+need > g.limit) {
		p.flush()
	}
	if g.cmd == nil {
		buf, err := p.lease(ctx, part, need, 0)
		if err != nil {
			return err
		}
		p.open(part, ack, buf)
	}
	p.add(payload, message{keyLen, valueLen, ms, timed})
	return nil
}

// message is what a MSG line says of its payload.
type message struct {
	keyLen, valueLen int // -1: null
	ms               int64
	timed            bool // ms is the client's
}

// add puts a message into the open group.
func (p *parser) add(payload []byte, m message) {
	if !m.timed {
		m.ms = p.r.now.UnixMilli()
	}
	var key, value []byte
	if m.keyLen >= 0 {
		key = payload[:m.keyLen:m.keyLen]
	}
	if m.valueLen >= 0 {
		value = payload[max(m.keyLen, 0):]
	}
	p.group.builder.Add(m.ms, key, value, nil)
	p.group.cmd.msgs++
}

// largeMsg reads a message that the buffer does not hold straight into the lease
// of its batch: to the lease's end, from where the builder moves it down to its
// place. The room before it is what the header and the lengths need at most, so
// the builder never writes over what it has still to move.
func (p *parser) largeMsg(ctx context.Context, part *partition, ack text.Ack, m message) error {
	p.flush()
	need := batch.RecordSize(m.keyLen, m.valueLen)
	size := max(m.keyLen, 0) + max(m.valueLen, 0)
	buf, err := p.lease(ctx, part, need, p.owed(size))
	if err != nil {
		return err
	}
	b := buf.B[:batch.HeaderSize+need]
	payload := b[len(b)-size:]
	if err := p.r.payloadInto(payload); err != nil {
		buf.Release()
		return err
	}
	part, e := p.create(part)
	if e != nil {
		buf.Release()
		return p.refuse(e)
	}
	p.open(part, ack, buf)
	p.add(payload, m)
	return nil
}

// owed is how much of a payload of n bytes, and of the end of its line, has not been read yet.
func (p *parser) owed(n int) int { return n + 1 - (p.r.w - p.r.r) }

// lease takes memory for a group whose first record needs that many bytes, of which the client owes some. It has
// room for what is buffered already, so that a lone message takes little. A command
// is reserved before: a client that takes no answers must not sit on memory.
func (p *parser) lease(ctx context.Context, part *partition, need, owed int) (*sched.Buf, error) {
	if err := p.reserve(); err != nil {
		return nil, err
	}
	least := batch.HeaderSize + need
	limit := min(p.c.srv.conf.Conn.GroupBytes, part.topic.conf.Load().MaxBatch, int64(least+2*(p.r.w-p.r.r)))
	p.group.limit = max(least, int(limit))
	return p.r.leaseFor(ctx, p.group.limit, owed)
}

// open begins a group in buf, which lease has brought.
func (p *parser) open(part *partition, ack text.Ack, buf *sched.Buf) {
	cmd := p.take()
	cmd.op, cmd.verb, cmd.part, cmd.ack, cmd.buf = opAppend, text.VerbMsg, part, ack, buf
	p.group.cmd = cmd
	p.group.builder.Reset(buf.B[:0])
}

// flush sends the open group to its writer. The reader calls it before it waits
// for the client.
func (p *parser) flush() {
	p.c.srv.stats.requests.Add(int64(p.num - p.counted))
	p.counted = p.num
	cmd := p.group.cmd
	if cmd == nil {
		return
	}
	p.group.cmd = nil
	bytes, err := p.group.builder.Finish(batch.None)
	if err != nil {
		panic(fmt.Sprintf("BUG: a group can't be finished: %v", err))
	}
	cmd.bytes, cmd.records = bytes, cmd.msgs
	cmd.part.writer.in <- cmd
}

// batch takes whole record batches as the client made them.
func (p *parser) batch(ctx context.Context, part *partition, ack text.Ack, size int) error {
	p.flush()
	if err := p.reserve(); err != nil { // as lease does
		return err
	}
	buf, err := p.r.leaseFor(ctx, size, p.owed(size))
	if err != nil {
		return err
	}
	if err := p.r.payloadInto(buf.B); err != nil {
		buf.Release()
		return err
	}
	sum, err := batch.CheckAll(buf.B, int(part.topic.conf.Load().MaxBatch))
	if err != nil {
		buf.Release()
		return p.refuse(batchError(err, part))
	}
	if sum.Sequenced > 0 && sum.Batches > 1 {
		buf.Release()
		return p.refuse(errSequences)
	}
	part, e := p.create(part)
	if e != nil {
		buf.Release()
		return p.refuse(e)
	}
	cmd := p.take()
	cmd.op, cmd.verb, cmd.part, cmd.ack = opAppend, text.VerbBatch, part, ack
	cmd.buf, cmd.bytes, cmd.records = buf, buf.B, sum.Records
	part.writer.in <- cmd
	return nil
}

func batchError(err error, part *partition) *text.Error {
	e := &text.Error{Code: text.CodeBadBatch, Skip: -1, Text: err.Error()}
	var fault *batch.Fault
	if errors.As(err, &fault) && fault.Kind == batch.Checksum {
		e.Code = text.CodeBadCRC
	}
	return e
}

func (p *parser) tooLarge(limit int64) error {
	return p.refuse(&text.Error{
		Code: text.CodeTooLarge, Skip: -1, Close: true, Fields: []text.Field{{Name: "limit", Value: strconv.FormatInt(limit, 10)}},
		Text: "the payload is longer than the limit: send less at a time, or raise max.message.bytes of the topic and max_batch of the server",
	})
}

// skipAndRefuse reads over the payload that e names, then answers with e.
func (p *parser) skipAndRefuse(ctx context.Context, e *text.Error) error {
	if e.Skip >= 0 && !e.Close {
		if limit := p.c.srv.conf.MaxBatchBytes; e.Skip > limit {
			return p.tooLarge(limit)
		}
		p.flush()
		if err := p.r.skip(e.Skip); err != nil {
			return err
		}
	}
	return p.refuse(e)
}

// refuse answers the request at hand with e, in its turn.
func (p *parser) refuse(e *text.Error) error {
	p.flush()
	cmd, err := p.command()
	if err != nil {
		return err
	}
	cmd.verb, cmd.ack, cmd.err, cmd.close = p.req.Verb, p.req.Ack, e, e.Close
	p.c.completed <- cmd
	if e.Close {
		return errClosing
	}
	return nil
}

// evicted answers the request that kept others from memory. between: it was whole just before, and the next one's line has begun.
func (p *parser) evicted(between bool) error {
	switch {
	case p.c.kafka != nil:
		p.end()
		return errClosing
	case p.req == nil || between: // its answer is on its way
		return p.refuseUnparsed(errEvicted)
	}
	return p.refuse(errEvicted)
}

// refuseUnparsed answers what never became a request.
func (p *parser) refuseUnparsed(e *text.Error) error {
	p.flush()
	p.num++
	p.begin()
	p.req.Verb, p.req.Ack = 0, text.AckDefault
	return p.refuse(e)
}

// refuseUnread answers what the server, which is stopping, has not carried out. Its
// connection ends either way, and that is all that Kafka's clients can be told.
func (p *parser) refuseUnread() {
	if p.c.kafka != nil {
		p.end()
		return
	}
	_ = p.refuseUnparsed(errShuttingDown) // as above
}

// end tells the responder that nothing follows.
func (p *parser) end() {
	p.interrupt()
	p.c.end()
	cmd, err := p.command()
	if err != nil {
		return // the responder has ended already
	}
	cmd.op, cmd.close = opEnd, true
	p.c.completed <- cmd
}

// interrupt ends a TAIL: the client has sent something, or is gone.
func (p *parser) interrupt() {
	if p.tail != nil {
		p.tail.read.interrupted.Store(true)
		p.tail = nil
		p.c.wake()
	}
}
