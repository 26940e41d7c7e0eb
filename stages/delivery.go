package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"sluice/disk"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// This file is the responder's part of READ, FETCH and TAIL: at most one of
// them is under way on a connection, so waiting and sending need no goroutine
// of their own. The reader pool brings the bytes, a chunk at a time.

func (r *responder) deliver(ctx context.Context, cmd *command) {
	defer r.releaseChunk(cmd)
	if e := r.begin(cmd); e != nil {
		r.failRead(cmd, e)
		return
	}
	switch {
	case cmd.verb == text.VerbFetch:
		r.fetch(ctx, cmd)
	case cmd.verb == text.VerbRead:
		r.read(ctx, cmd)
	default:
		r.tail(ctx, cmd)
	}
}

func (r *responder) failRead(cmd *command, e *text.Error) {
	cmd.err, cmd.close = e, e.Close
	r.refuse(cmd)
}

// begin turns `from` into an offset.
func (r *responder) begin(cmd *command) *text.Error {
	q, log := &cmd.read, cmd.part.log
	end := log.Next()
	switch q.from.Kind {
	case text.FromOffset:
		q.offset = uint64(q.from.Value)
	case text.FromOldest:
		q.offset = log.Oldest()
	case text.FromNewest:
		q.offset = end
	case text.FromLast:
		q.offset = max(log.Oldest(), end-min(end, uint64(q.from.Value)))
	case text.FromTime:
		cmd.op = opResolve
		r.ask(cmd, r.c.srv.readers.in)
		if q.fault != nil {
			return readError(cmd, q.fault)
		}
	}
	if e := fenced(log, q); e != nil {
		return e
	}
	if q.offset < log.Oldest() || q.offset > log.Next() { // which may have moved while a time was looked up
		return readError(cmd, disk.ErrOutOfRange)
	}
	return nil
}

// fenced refuses a reader whose last record is not in this log: a power cut, or another
// master, took it after it was read. It comes before OUT_OF_RANGE, which would not say
// so; and says up to where the log is the one that was read.
func fenced(log *disk.Log, q *readRequest) *text.Error {
	if q.epoch < 0 {
		return nil
	}
	have, end := log.EpochEnd(int32(min(q.epoch, math.MaxInt32)))
	if have < 0 || int64(have) == q.epoch && q.offset <= end { // -1: the log has only later ones, so there is nothing to compare
		return nil
	}
	return &text.Error{
		Code: text.CodeFenced, Skip: -1, Fields: []text.Field{{Name: "epoch", Value: strconv.Itoa(int(have))}, {Name: "end", Value: strconv.FormatUint(end, 10)}},
		Text: fmt.Sprintf("the log has diverged from what was read: its epoch %d ends at %d, and what lies behind may be other records than those, or none; read again from there", have, end),
	}
}

// readError is the answer to a read that failed.
func readError(cmd *command, err error) *text.Error {
	num := func(n uint64) string { return strconv.FormatUint(n, 10) }
	p, corrupt := cmd.part, new(disk.CorruptError)
	switch {
	case p.dropped.Load():
		return errDropped
	case errors.Is(err, disk.ErrOutOfRange):
		oldest, next := p.log.Oldest(), p.log.Next()
		return &text.Error{
			Code: text.CodeOutOfRange, Skip: -1, Fields: []text.Field{{Name: "oldest", Value: num(oldest)}, {Name: "next", Value: num(next)}},
			Text: fmt.Sprintf("the log holds offsets from %d to before %d", oldest, next),
		}
	case errors.As(err, &corrupt):
		return &text.Error{
			Code: text.CodeCorrupt, Skip: -1, Fields: []text.Field{{Name: "from", Value: num(corrupt.From)}, {Name: "next", Value: num(corrupt.Next)}},
			Text: fmt.Sprintf("%v: go on at next to step over it", err),
		}
	}
	return &text.Error{
		Code: text.CodeCorrupt, Skip: -1, Fields: []text.Field{{Name: "from", Value: num(cmd.read.offset)}, {Name: "next", Value: num(cmd.read.offset)}},
		Text: fmt.Sprintf("the log can't be read here now: %v; look at the disk, and ask again", err),
	}
}

// chunk has the reader pool bring whole batches from q.offset on: at most limit
// bytes, or one batch if that is larger. An empty chunk is the log's end. room is
// what the same lease gives to the answers: a second lease could wait for the
// first ones of others for ever.
func (r *responder) chunk(ctx context.Context, cmd *command, limit, room int) *text.Error {
	q := &cmd.read
	r.releaseChunk(cmd)
	if q.offset == cmd.part.log.Next() {
		q.chunk = disk.Chunk{Next: q.offset}
		return nil
	}
	cmd.op = opRead
	for {
		var err error
		if q.buf, err = r.c.srv.readMemory.Lease(ctx, limit+room); err != nil {
			return &text.Error{Code: text.CodeTooLarge, Skip: -1, Text: fmt.Sprintf("memory.read has no room for this batch: %v", err)}
		}
		q.space = q.buf.B[room:]
		r.ask(cmd, r.c.srv.readers.in)
		need := new(disk.BufferError)
		if !errors.As(q.fault, &need) {
			break
		}
		r.releaseChunk(cmd)
		limit = need.Need
	}
	if q.fault != nil {
		return readError(cmd, q.fault)
	}
	if room > 0 {
		r.flush()
		r.base = q.buf.B[:room:room]
		r.out = r.base[:0]
	}
	return nil
}

// textChunk is chunk for records that are sent as text.
func (r *responder) textChunk(ctx context.Context, cmd *command) *text.Error {
	size := int(r.c.srv.conf.Readers.Chunk)
	return r.chunk(ctx, cmd, size-size/4, size/4)
}

// releaseChunk gives the lease back; answers that lie in it leave first.
func (r *responder) releaseChunk(cmd *command) {
	if cmd.read.buf == nil {
		return
	}
	if &r.base[0] != &r.own[0] {
		r.flush()
		r.base = r.own[:]
		r.out = r.base[:0]
	}
	cmd.read.buf.Release()
	cmd.read.buf = nil
}

// fetch answers with one chunk of stored batches.
func (r *responder) fetch(ctx context.Context, cmd *command) {
	q, log := &cmd.read, cmd.part.log
	limit := int(r.c.srv.conf.Readers.Chunk)
	if q.bytes >= 0 {
		limit = int(min(q.bytes, int64(limit)))
	}
	enough := int(min(max(q.min, 1), int64(limit)))
	var wait waiter
	defer wait.end()
	for {
		end := log.Next()
		if e := r.chunk(ctx, cmd, limit, 0); e != nil {
			r.failRead(cmd, e)
			return
		}
		if len(q.chunk.Bytes) >= enough || q.chunk.Next < end || q.min == 0 || q.wait <= 0 || wait.over {
			break
		}
		if e := wait.begin(r, cmd.part, q.wait); e != nil {
			r.failRead(cmd, e)
			return
		}
		if cmd.part.dropped.Load() { // looked at once subscribed: a drop before that has woken nobody
			r.failRead(cmd, errDropped)
			return
		}
		if q.chunk.Next == log.Next() {
			r.releaseChunk(cmd)
			wait.wait(ctx)
		}
	}
	r.frame(cmd)
}

// frame sends the chunk as a DATA frame.
func (r *responder) frame(cmd *command) {
	q, log := &cmd.read, cmd.part.log
	r.room(2 * answerMax)
	b := text.AppendDataHead(r.out, len(q.chunk.Bytes))
	b = text.AppendUint(b, "from", q.offset)
	b = text.AppendUint(b, "next", q.chunk.Next)
	b = text.AppendUint(b, "end", max(q.chunk.Next, log.Next()))
	b = text.AppendUint(b, "synced", log.Durable())
	b = text.AppendInt(b, "epoch", int64(log.Epoch()))
	r.out = text.AppendEOL(b)
	r.write(q.chunk.Bytes)
	r.out = text.AppendEOL(r.out)
}

// read answers with records up to the end as it is now.
func (r *responder) read(ctx context.Context, cmd *command) {
	q := &cmd.read
	end := cmd.part.log.Next()
	left := newLimits(q)
	for q.offset < end && !left.reached {
		if e := r.textChunk(ctx, cmd); e != nil {
			r.failRead(cmd, e)
			return
		}
		if e := r.sendRecords(ctx, cmd, end, &left); e != nil {
			r.failRead(cmd, e)
			return
		}
		if r.err != nil {
			return
		}
	}
	r.readEnd(cmd, end)
}

func (r *responder) readEnd(cmd *command, end uint64) {
	b := text.AppendUint(text.AppendOK(r.out), "next", cmd.read.offset)
	b = text.AppendUint(b, "end", end)
	r.out = text.AppendEOL(text.AppendInt(b, "epoch", int64(cmd.part.log.Epoch())))
}

// tail sends records as they come, until its limit, the client's next request,
// or the end of the topic.
func (r *responder) tail(ctx context.Context, cmd *command) {
	q, log := &cmd.read, cmd.part.log
	left := newLimits(q)
	var wait waiter
	defer wait.end()
	if e := wait.begin(r, cmd.part, 0); e != nil {
		r.failRead(cmd, e)
		return
	}
	for !left.reached && r.err == nil {
		var e *text.Error
		switch {
		case cmd.part.dropped.Load():
			e = errDropped
		case r.c.srv.draining(): // before interrupted: a drain ends the input too
			e = errShuttingDown
		case q.interrupted.Load():
			left.reached = true
			continue
		case q.offset == log.Next():
			r.releaseChunk(cmd)
			wait.wait(ctx)
			continue
		case q.raw:
			e = r.chunk(ctx, cmd, int(r.c.srv.conf.Readers.Chunk), 0)
		default:
			e = r.textChunk(ctx, cmd)
		}
		if e == nil {
			e = r.sendTail(ctx, cmd, &left)
		}
		if e != nil {
			r.failRead(cmd, e)
			return
		}
	}
	r.readEnd(cmd, log.Next())
}

func (r *responder) sendTail(ctx context.Context, cmd *command, left *limits) *text.Error {
	q := &cmd.read
	if !q.raw {
		return r.sendRecords(ctx, cmd, q.chunk.Next, left)
	}
	r.frame(cmd)
	left.take(int64(q.chunk.Next-q.offset), 0)
	q.offset = q.chunk.Next
	return nil
}

// sendRecords writes the records of the chunk as text, up to before end.
func (r *responder) sendRecords(ctx context.Context, cmd *command, end uint64, left *limits) *text.Error {
	q := &cmd.read
	for b := q.chunk.Bytes; len(b) > 0 && q.offset < end && !left.reached; {
		h, err := batch.ParseHeader(b)
		if err != nil {
			return readError(cmd, err)
		}
		if e := r.sendBatch(ctx, cmd, h, b[:h.Size], end, left); e != nil || r.err != nil {
			return e
		}
		b = b[h.Size:]
	}
	return nil
}

// sendBatch writes one batch's records as text.
func (r *responder) sendBatch(ctx context.Context, cmd *command, h batch.Header, b []byte, end uint64, left *limits) *text.Error {
	paid, err := r.decode(ctx, h, b)
	if paid > 0 {
		defer func() {
			r.records = batch.Reader{} // its decode buffer is no longer paid for
			r.c.srv.decodeMemory.Free(paid)
		}()
	}
	for err == nil && !left.reached && r.records.Next(&r.record) && r.record.Offset < end {
		rec := &r.record
		if rec.Offset < cmd.read.offset {
			continue
		}
		if !left.fits(rec) {
			left.reached = true
			break
		}
		r.sendRecord(rec)
		cmd.read.offset = rec.Offset + 1
		left.take(1, int64(len(rec.Key)+len(rec.Value)))
		if r.err != nil || cmd.verb == text.VerbTail && cmd.read.interrupted.Load() {
			left.reached = true
		}
	}
	if err = cmp.Or(err, r.records.Err()); err != nil {
		return readError(cmd, &disk.CorruptError{From: h.BaseOffset, Next: h.Next(), Where: cmd.part.String(), Why: err.Error()})
	}
	return nil
}

// decode opens the batch in r.records. Memory for a compressed one comes out of a
// budget of its own, in steps, as few batches need the most that is allowed; what
// was paid is to be given back, whatever the error.
func (r *responder) decode(ctx context.Context, h batch.Header, b []byte) (paid int64, err error) {
	if h.Codec() == batch.None {
		return 0, r.records.Reset(b, batch.MaxSize)
	}
	budget := r.c.srv.decodeMemory
	for limit := int64(1 << 20); ; limit *= 4 {
		if err := budget.Reserve(ctx, limit); err != nil {
			return 0, err
		}
		err := r.records.Reset(b, int(limit))
		if !errors.Is(err, batch.ErrDecodedTooLarge) || limit >= batch.MaxSize {
			return limit, err
		}
		r.records = batch.Reader{}
		budget.Free(limit)
	}
}

// sendRecord writes one REC. A large one goes to the socket from where it lies.
func (r *responder) sendRecord(rec *batch.Record) {
	r.room(2*answerMax + len(rec.Key) + len(rec.Value))
	r.out = text.AppendRecordHead(r.out, rec)
	r.write(rec.Key)
	r.write(rec.Value)
	r.out = text.AppendEOL(r.out)
}
