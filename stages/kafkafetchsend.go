package stages

import (
	"context"

	"sluice/wire/kafka"
)

// This file sends the answer to a Fetch: small pieces, and between them records, from file to socket. All of it can be made again
// from any byte on, so that nothing is held while the client takes no more.

// sendFetch sends the answer to what was located.
func (r *responder) sendFetch(ctx context.Context, cmd *command) {
	f := r.c.kafka.fetches
	f.answer()
	r.failed(kafka.Fetch, f.refused)
	for i := range f.results {
		r.failed(kafka.Fetch, f.results[i].Code)
	}
	size := kafka.FetchResponseSize(f.version, f.results)
	r.c.srv.stats.read(int(f.size))
	if size <= smallFrame && r.smallFetch(ctx, cmd, size) {
		return
	}
	r.fetchFrom(ctx, cmd, size, 0)
}

// answer fills in the results: of all partitions, or, as a session goes on, of those with news.
func (f *fetchState) answer() {
	f.results, f.of = f.results[:0], f.of[:0]
	if f.refused != kafka.NoError {
		return
	}
	for i := range f.parts {
		p := &f.parts[i]
		res := p.result()
		if f.session.id != 0 && !f.session.tell(p, &res) {
			continue
		}
		f.results, f.of = append(f.results, res), append(f.of, int32(i))
	}
	f.session.turn(f.parts)
}

func (p *fetchPart) result() kafka.FetchResult {
	res := kafka.FetchResult{Topic: p.Topic, ID: p.ID, Index: p.Index, Code: p.code, HighWatermark: -1, LogStart: -1, DivergingEnd: -1, Size: int32(p.size)}
	if p.part != nil {
		res.HighWatermark, res.LogStart = int64(max(p.part.log.Next(), p.next)), int64(p.part.log.Oldest())
	}
	if p.parted {
		res.DivergingEpoch, res.DivergingEnd = p.have, int64(p.until)
	}
	return res
}

// appendHead appends what stands before all partitions.
func (f *fetchState) appendHead(b []byte, size int) []byte {
	session := f.session.id
	if f.refused != kafka.NoError {
		session = 0
	}
	return kafka.AppendFetchHead(b, f.version, f.correlation, int32(size), f.refused, session, f.results)
}

// smallFetch sends the answer with one write, records and all. False: it can't be done that way now, for want of memory or because the
// bytes are not in the page cache any more; nothing is sent then.
func (r *responder) smallFetch(ctx context.Context, cmd *command, size int) bool {
	f := r.c.kafka.fetches
	if need := len(r.out) + size; need > cap(r.base) {
		if r.lease = r.c.srv.readMemory.TryLease(need); r.lease == nil {
			return false
		}
		r.base = r.lease.B
		r.out = append(r.base[:0], r.out...)
	}
	before := len(r.out)
	b := f.appendHead(r.out, size)
	for i := range f.results {
		b = kafka.AppendFetchPartition(b, f.version, f.results, i)
		n := int(f.results[i].Size)
		if n > 0 && !r.copyExtent(int(f.of[i]), b[len(b):len(b)+n]) {
			r.out = r.out[:before]
			r.unlease()
			return false
		}
		b = kafka.AppendFetchPartitionEnd(b[:len(b)+n], f.version, f.results, i)
	}
	r.out = b
	if !r.leased() {
		return true
	}
	gone := r.push(part{before, len(b)})
	r.unlease()
	if gone < size {
		r.fetchFrom(ctx, cmd, size, gone)
	}
	return true
}

// copyExtent fills b with a part's records, if they are in memory.
func (r *responder) copyExtent(i int, b []byte) bool {
	d := &r.delivery
	if r.loadPart(i); !d.pinned {
		if d.x.Pin(0, false) != nil {
			return false // the long way asks the reader pool, and says what is wrong
		}
		d.pinned = true
	}
	n, _ := r.readCached(b) // likewise
	return n == len(b)
}

// fetchFrom sends the answer from that byte on.
func (r *responder) fetchFrom(ctx context.Context, cmd *command, size, from int) {
	f := r.c.kafka.fetches
	r.delivery.skip = from
	r.piecesGo()
	r.out = r.passOver(f.appendHead(r.out, size), len(r.out))
	for i := 0; i < len(f.results) && r.err == nil; i++ {
		r.piecesGo()
		r.out = r.passOver(kafka.AppendFetchPartition(r.out, f.version, f.results, i), len(r.out))
		r.fetchRecords(ctx, cmd, int(f.of[i]))
		r.out = r.passOver(kafka.AppendFetchPartitionEnd(r.out, f.version, f.results, i), len(r.out))
	}
}

// pieceRoom is more than most partitions need before and behind their records.
const pieceRoom = 320

// piecesGo makes room for a partition's pieces. Those before leave together with what follows, so that something must.
func (r *responder) piecesGo() {
	if len(r.out)+pieceRoom > cap(r.base) {
		r.transmit(r.out, true)
		r.out = r.base[:0]
	}
}

func (r *responder) fetchRecords(ctx context.Context, cmd *command, i int) {
	d := &r.delivery
	size := int(r.c.kafka.fetches.parts[i].size)
	done := min(d.skip, size)
	d.skip -= done
	if done == size {
		return
	}
	r.loadPart(i)
	cmd.part = r.c.kafka.fetches.parts[i].part
	r.extent(ctx, cmd, int64(done))
}
