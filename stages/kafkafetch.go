package stages

import (
	"context"
	"errors"
	"time"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/kafka"
)

// This file is Kafka's Fetch up to where its answer is known; kafkafetchsend.go sends it. As a FETCH it is carried out by the responder in
// its turn, but it has many partitions. One after the other is located, and of each the extent is kept, but not its file.

// fetchMost is how many bytes of records one answer has, at most, however much its client takes: as many as Apache's brokers give.
const fetchMost = 55 << 20

// fetchPiece is how many of one partition, if a chunk is not more: what the reader pool brings into memory at a time, and what clients ask
// for by default.
const fetchPiece = 1 << 20

// kafkaFetch is a Fetch between the reader, which takes it from its frame, and its turn.
type kafkaFetch struct {
	req   kafka.FetchRequest // a view into
	own   []byte             // or
	lease *sched.Buf         // of memory.requests
}

// decodeFetch takes a Fetch out of its frame, of which it keeps nothing.
func (p *parser) decodeFetch(ctx context.Context, q *kafkaRequest, h kafka.Header) error {
	f, c, body := &q.fetch, p.c, h.Body
	if n := len(body); n <= ownRequest {
		f.own = append(f.own[:0], body...)
		body = f.own
	} else {
		c.letFetchGo(f) // one that proved to be malformed
		if f.lease = c.requestLease(ctx, n); f.lease == nil {
			return errNoMemory
		}
		c.kafka.held.Add(int64(cap(f.lease.B)))
		copy(f.lease.B, body)
		body = f.lease.B
	}
	return f.req.Parse(h.Version, body)
}

// requestLease is hold for a buffer; nil: there is none.
func (c *conn) requestLease(ctx context.Context, n int) *sched.Buf {
	budget := c.srv.requestMemory
	lease := budget.TryLease(n)
	if lease == nil && c.reader.takePlace() {
		ctx, cancel := c.requestTime(ctx)
		defer cancel()
		lease, _ = budget.Lease(ctx, n) // an error means what it does in hold
	}
	return lease
}

// letFetchGo gives back what a large request was copied into.
func (c *conn) letFetchGo(f *kafkaFetch) {
	if f.lease != nil {
		c.kafka.held.Add(-int64(cap(f.lease.B)))
		f.lease.Release()
		f.lease = nil
	}
}

// kafkaFetch answers with the records that are there, or, while those are too few, waits for more.
func (r *responder) kafkaFetch(ctx context.Context, cmd *command) {
	if r.c.kafka.fetches == nil {
		r.c.kafka.fetches = newFetchState(r.c.srv.fetchMemory)
	}
	if !r.c.kafka.fetches.take(cmd.kafka, r.c.srv.catalog) {
		r.c.srv.stats.closed[closedOverloaded].Add(1)
		r.err = errNoMemory // what it holds goes with the connection
		return
	}
	r.c.letFetchGo(&cmd.kafka.fetch) // what may wait for long holds no budget that others can't do without
	cmd.delivery = &r.delivery
	defer r.letGo()
	if r.c.kafka.fetches.refused == kafka.NoError {
		r.gather(ctx, cmd)
	}
	if r.err == nil {
		r.sendFetch(ctx, cmd)
	}
	r.c.kafka.fetches.settle()
}

// gather locates what the answer consists of, and waits until that is enough.
func (r *responder) gather(ctx context.Context, cmd *command) {
	var wait waiter
	defer wait.end()
	for first := true; r.err == nil; first = false {
		wait.renew()
		if r.locateAll(cmd, first) || wait.over {
			return
		}
		if wait.r == nil { // subscribed, it looks again: a write before that has woken nobody
			r.await(&wait)
			continue
		}
		r.letGo()
		wait.wait(ctx)
	}
}

// await subscribes to all partitions. Where too many wait already it waits too, but nobody wakes it: an answer at once would only
// bring the next request at once.
func (r *responder) await(wait *waiter) {
	f := r.c.kafka.fetches
	if !wait.start(r, time.Duration(f.req.MaxWaitMillis)*time.Millisecond) {
		return
	}
	f.subs = f.subs[:0]
	for i := range f.parts {
		f.subs = append(f.subs, subscription{part: f.parts[i].part})
	}
	wait.listen(f.subs)
}

// locateAll locates what is news, which at first is all, and tells whether that is an answer: with an error, with as much as was asked for,
// or because more than that can't be had by waiting.
func (r *responder) locateAll(cmd *command, first bool) bool {
	f := r.c.kafka.fetches
	ready := len(f.parts) == 0 || f.req.MaxWaitMillis <= 0
	for k := range f.parts {
		i := (k + f.session.first) % len(f.parts)
		p := &f.parts[i]
		if first {
			p.check()
		}
		if first || p.moved() {
			r.locatePart(cmd, i)
		}
		ready = ready || p.code != kafka.NoError || p.full || p.parted
	}
	return ready || f.size >= int64(min(f.req.MinBytes, f.req.MaxBytes))
}

// moved tells whether the log is not as it was located.
func (p *fetchPart) moved() bool {
	return p.code == kafka.NoError && (p.part.log.Next() != p.end || p.part.dropped.Load())
}

// check compares the epochs that the client knows with those of the log.
func (p *fetchPart) check() {
	if p.code != kafka.NoError {
		return
	}
	log := p.part.log
	if p.code = epochCode(log, p.LeaderEpoch); p.code != kafka.NoError || p.LastFetchedEpoch < 0 {
		return
	}
	p.have, p.until = log.EpochEnd(p.LastFetchedEpoch)
	if p.have < 0 {
		p.have = p.LastFetchedEpoch // it is older than all that is there
	}
	p.parted = p.have < p.LastFetchedEpoch || p.Offset > int64(p.until)
}

// epochCode refuses a client whose idea of the leader's epoch is not this one's; -1 is none.
func epochCode(log *disk.Log, epoch int32) kafka.Code {
	switch leader := log.LeaderEpoch(); {
	case epoch < leader && epoch != -1:
		return kafka.FencedLeaderEpoch
	case epoch > leader:
		return kafka.UnknownLeaderEpoch
	}
	return kafka.NoError
}

// locatePart finds what is sent of one partition.
func (r *responder) locatePart(cmd *command, i int) {
	f, d := r.c.kafka.fetches, &r.delivery
	p := &f.parts[i]
	f.size -= p.size
	p.size, p.next, p.full = 0, 0, false
	if p.code != kafka.NoError || p.parted {
		return
	}
	log, at := p.part.log, uint64(p.Offset)
	p.end = log.Next()
	switch {
	case p.part.dropped.Load():
		p.code = f.gone()
		return
	case p.Offset < 0 || at < log.Oldest() || at > p.end:
		p.code = kafka.OffsetOutOfRange
		return
	case at == p.end:
		return
	}
	left := min(int64(f.req.MaxBytes), fetchMost) - f.size
	limit := max(min(int64(p.MaxBytes), left, max(r.c.srv.conf.Readers.Chunk, fetchPiece)), 0)
	if limit == 0 && f.size > 0 { // the disk need not be asked for what would not be sent
		p.full = true
		return
	}
	r.unload()
	f.loaded = i
	d.offset, d.cursor, cmd.part = at, p.cursor, p.part
	e := r.locate(cmd, limit)
	p.cursor = d.cursor
	switch {
	case e == nil && d.x.Size > limit && f.size > 0: // only the first may be larger, so that a reader comes past it
		p.full = true
		return
	case e != nil:
		p.code = f.code(e)
		return
	case f.version < 10:
		if p.code = r.beforeZstd(cmd); p.code != kafka.NoError {
			return
		}
	}
	p.size, p.next, p.full = d.x.Size, d.x.Next, d.x.Next < p.end
	f.size += p.size
}

// unload keeps the extent that is in the delivery, but not its file.
func (r *responder) unload() {
	r.unpin()
	if f := r.c.kafka.fetches; f.loaded >= 0 {
		f.parts[f.loaded].x = r.delivery.x
		f.loaded = -1
	}
}

// loadPart brings a part's extent into the delivery.
func (r *responder) loadPart(i int) {
	f := r.c.kafka.fetches
	if f.loaded == i {
		return
	}
	r.unload()
	r.delivery.x, f.loaded = f.parts[i].x, i
}

// beforeZstd cuts what was located before the first batch that clients of versions before 10 do not know how to decode.
func (r *responder) beforeZstd(cmd *command) kafka.Code {
	f, x := r.c.kafka.fetches, &r.delivery.x
	at, next := int64(0), x.From
	for at < x.Size {
		h, err := r.headerAt(x.Pos + at)
		if err != nil {
			return f.code(readError(cmd, err))
		}
		if h.Codec() == batch.Zstd {
			break
		}
		at, next = at+int64(h.Size), h.Next()
	}
	if at == 0 {
		return kafka.UnsupportedCompression
	}
	x.Size, x.Next = at, next
	return kafka.NoError
}

// headerAt reads the header of one batch of the extent.
func (r *responder) headerAt(pos int64) (batch.Header, error) {
	file, b := r.delivery.x.File(), r.c.kafka.fetches.head[:]
	if n, err := file.ReadCached(disk.ByReader, b, pos); n < len(b) {
		if !errors.Is(err, disk.ErrCold) {
			return batch.Header{}, err
		}
		r.c.srv.readers.permits <- struct{}{}
		n, err = file.ReadAt(disk.ByReader, b, pos)
		<-r.c.srv.readers.permits
		if n < len(b) {
			return batch.Header{}, err
		}
	}
	return batch.ParseHeader(b)
}
