package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"sluice/disk"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// textChunk is how many bytes of batches are read at a time to be sent as text.
const textChunk = 256 << 10

// textRoom is how much text is gathered before it leaves, at most.
const textRoom = 64 << 10

// mark is a record's boundary up to which the client has everything, and how much of
// the text behind it. From there the text can be made again.
type mark struct {
	offset uint64
	left   limits
	sent   int // bytes
}

// read answers with records up to the end as it is now.
func (r *responder) read(ctx context.Context, cmd *command) {
	d := &r.delivery
	end := cmd.part.log.Next()
	left := newLimits(&cmd.read)
	d.mark = mark{d.offset, left, 0}
	for ended := false; !ended && r.err == nil; {
		var e *text.Error
		for e == nil && r.err == nil && (d.skip > 0 || d.offset < end && !left.reached) {
			e = r.textStep(ctx, cmd, end, &left)
		}
		ended = r.endText(cmd, e, end, &left)
	}
}

// tail sends records as they come, until its limit, the client's next request, or the
// end of the topic.
func (r *responder) tail(ctx context.Context, cmd *command) {
	left := newLimits(&cmd.read)
	r.delivery.mark = mark{r.delivery.offset, left, 0}
	var wait waiter
	defer wait.end()
	if e := wait.begin(r, cmd.part, 0); e != nil {
		r.failRead(cmd, e)
		return
	}
	for ended := false; !ended && r.err == nil; {
		var e *text.Error
		for e == nil && r.err == nil && (r.delivery.skip > 0 || !left.reached) {
			wait.renew()
			e = r.tailStep(ctx, cmd, &left, &wait)
		}
		ended = r.endText(cmd, e, cmd.part.log.Next(), &left)
	}
}

func (r *responder) tailStep(ctx context.Context, cmd *command, left *limits, wait *waiter) *text.Error {
	d := &r.delivery
	switch {
	case d.skip > 0: // in the middle of a record: first to its end
	case cmd.part.dropped.Load():
		return errDropped
	case r.c.srv.draining(): // before interrupted: a drain ends the input too
		return errShuttingDown
	case cmd.read.interrupted.Load():
		left.reached = true
		return nil
	case d.offset == cmd.part.log.Next():
		if r.pushText(left) {
			r.letGo()
			wait.wait(ctx)
		}
		return nil
	}
	if !cmd.read.raw {
		return r.textStep(ctx, cmd, 1<<63, left)
	}
	e := r.locate(cmd, r.c.srv.conf.Readers.Chunk)
	if e == nil && left.records >= 0 && d.x.Next-d.offset > uint64(left.records-left.sent) {
		e = r.locateUpTo(cmd, d.offset+uint64(left.records-left.sent)-1)
	}
	if e == nil {
		e = r.frame(ctx, cmd)
	}
	if e == nil {
		left.take(int64(d.x.Next-d.offset), 0)
		d.offset = d.x.Next
	}
	return e
}

// endText ends the answer of a READ or TAIL. False: the client took only a part of what
// came before, so that the rest is to be made again.
func (r *responder) endText(cmd *command, e *text.Error, end uint64, left *limits) bool {
	if r.err != nil {
		return true
	}
	if e == nil && r.leased() { // the last line leaves together with the last records
		records := len(r.out)
		r.readEnd(cmd, end)
		if sent := r.push(part{0, records}); sent < records {
			r.rollBack(sent, left)
			return false
		}
		return true
	}
	switch {
	case !r.pushText(left):
		return false
	case e == nil:
		r.readEnd(cmd, end)
	case r.delivery.skip > 0:
		r.cutOff(cmd, e)
	default:
		r.unlease()
		r.failRead(cmd, e)
	}
	return true
}

func (r *responder) readEnd(cmd *command, end uint64) {
	b := text.AppendUint(text.AppendOK(r.out), "next", r.delivery.offset)
	b = text.AppendUint(b, "end", end)
	r.out = text.AppendEOL(text.AppendInt(b, "epoch", int64(cmd.part.log.Epoch())))
}

// textStep sends the records of the next batches, up to before end.
func (r *responder) textStep(ctx context.Context, cmd *command, end uint64, left *limits) *text.Error {
	d := &r.delivery
	if !r.pushText(left) {
		return nil
	}
	r.letGo()
	r.flush() // now, since it may take long, and nothing is held
	b, e := r.load(ctx, cmd)
	if e != nil {
		return e
	}
	for at := d.x.From; len(b) > 0 && d.offset < end && (d.skip > 0 || !left.reached); {
		h, err := batch.Verify(b)
		if err == nil && h.BaseOffset != at {
			err = fmt.Errorf("its base offset is %d, not %d", h.BaseOffset, at)
		}
		if err != nil {
			return r.suspect(cmd, at, err)
		}
		if whole, e := r.sendBatch(ctx, cmd, h, b[:h.Size], end, left); e != nil || !whole {
			return e
		}
		at, b = h.Next(), b[h.Size:]
	}
	return nil
}

// suspect is called where bytes that had been checked are not right any more; who reads
// text has no checksum to see that. The next look at them checks them again, and finds
// out from where to where they are damaged. Should it find nothing, that is told.
func (r *responder) suspect(cmd *command, at uint64, why error) *text.Error {
	d := &r.delivery
	d.x.Doubt()
	if d.suspected == at+1 {
		return readError(cmd, &disk.CorruptError{From: at, Next: d.x.Next, Where: cmd.part.String(), Why: why.Error()})
	}
	d.suspected = at + 1
	return nil
}

// load brings the next batches into a lease, and has the answers go into the rest of it:
// a second lease could wait for the first ones of others for ever.
func (r *responder) load(ctx context.Context, cmd *command) ([]byte, *text.Error) {
	d := &r.delivery
	if e := r.locate(cmd, min(textChunk, r.c.srv.conf.Readers.Chunk)); e != nil {
		return nil, e
	}
	size := int(d.x.Size)
	if err := r.borrow(ctx, size+min(textRoom, size+4*answerMax)); err != nil {
		return nil, &text.Error{Code: text.CodeTooLarge, Skip: -1, Text: fmt.Sprintf("memory.read has no room for this batch: %v", err)}
	}
	b := r.lease.B[:size]
	n, err := 0, error(nil)
	if !d.pinned {
		err = d.x.Pin(0, false)
	}
	if err == nil {
		n, err = r.readCached(b)
	}
	r.unpin()
	if errors.Is(err, disk.ErrCold) {
		d.at, d.space = int64(n), b[n:]
		if err = r.cold(cmd, opRead); err == nil {
			n = size
		}
	}
	if n < size {
		return nil, r.readFailed(cmd, err)
	}
	r.c.srv.stats.read(size)
	r.base = r.lease.B[size:cap(r.lease.B)]
	r.out = r.base[:0]
	return b, nil
}

// sendBatch writes one batch's records as text. Not whole: the client took only a part,
// and the text is to be made again from the mark on.
func (r *responder) sendBatch(ctx context.Context, cmd *command, h batch.Header, b []byte, end uint64, left *limits) (whole bool, _ *text.Error) {
	d, rec := &r.delivery, &r.record
	err := r.decode(ctx, h, b)
	for err == nil && (d.skip > 0 || !left.reached) && r.records.Next(rec) && rec.Offset < end {
		if rec.Offset < d.offset {
			continue
		}
		if !left.fits(rec) {
			left.reached = true
			break
		}
		if !r.sendRecord(rec, left) {
			return false, nil
		}
		d.offset = rec.Offset + 1
		left.take(1, int64(len(rec.Key)+len(rec.Value)))
		if cmd.verb == text.VerbTail && cmd.read.interrupted.Load() {
			left.reached = true
		}
	}
	err = cmp.Or(err, r.records.Err())
	r.undecode()
	if err != nil {
		return false, readError(cmd, &disk.CorruptError{From: h.BaseOffset, Next: h.Next(), Where: cmd.part.String(), Why: err.Error()})
	}
	return true, nil
}

// decode opens the batch in r.records. Memory for a compressed one comes out of a
// budget of its own, in steps, as few batches need the most that is allowed; undecode
// gives back what was paid, whatever the error.
func (r *responder) decode(ctx context.Context, h batch.Header, b []byte) error {
	if h.Codec() == batch.None {
		return r.records.Reset(b, batch.MaxSize)
	}
	budget := r.c.srv.decodeMemory
	for limit := int64(1 << 20); ; limit *= 4 {
		if err := budget.Reserve(ctx, limit); err != nil {
			return err
		}
		r.paid = limit
		err := r.records.Reset(b, int(limit))
		if !errors.Is(err, batch.ErrDecodedTooLarge) || limit >= batch.MaxSize {
			return err
		}
		r.undecode()
	}
}

func (r *responder) undecode() {
	if r.paid > 0 {
		r.records = batch.Reader{} // its decode buffer is no longer paid for
		r.c.srv.decodeMemory.Free(r.paid)
		r.paid = 0
	}
}

// sendRecord writes one REC. A large one goes to the socket from where it lies. False as
// sendBatch.
func (r *responder) sendRecord(rec *batch.Record, left *limits) bool {
	if len(r.out)+2*answerMax+len(rec.Key)+len(rec.Value) > cap(r.base) && !r.pushText(left) {
		return false
	}
	r.out = r.passOver(text.AppendRecordHead(r.out, rec), len(r.out))
	if !r.sendBody(rec.Key, left) || !r.sendBody(rec.Value, left) {
		return false
	}
	r.out = r.passOver(text.AppendEOL(r.out), len(r.out))
	return r.err == nil
}

// passOver takes out what the client has already of the text from at on.
func (r *responder) passOver(out []byte, at int) []byte {
	n := min(r.delivery.skip, len(out)-at)
	if n == 0 {
		return out
	}
	r.delivery.skip -= n
	return out[:at+copy(out[at:], out[at+n:])]
}

func (r *responder) sendBody(b []byte, left *limits) bool {
	d := &r.delivery
	n := min(d.skip, len(b))
	d.skip -= n
	b = b[n:]
	if len(b) <= cap(r.out)-len(r.out)-answerMax {
		r.out = append(r.out, b...)
		return true
	}
	line := len(r.out)
	if sent := r.push(part{0, line}); sent < line {
		r.rollBack(sent, left)
		return false
	}
	d.mark.sent += line
	if n = r.offer(b); n < len(b) {
		r.rollBack(n, left)
		return false
	}
	d.mark.sent += n
	return true
}

// pushText sends the text in the lease, at a record's boundary. False: a part of it.
func (r *responder) pushText(left *limits) bool {
	d := &r.delivery
	if !r.leased() {
		return true
	}
	if all := len(r.out); all > 0 {
		if sent := r.push(part{0, all}); sent < all {
			r.rollBack(sent, left)
			return false
		}
	}
	d.mark = mark{d.offset, *left, d.skip}
	return true
}

// rollBack goes back to the mark: n more bytes behind it have left.
func (r *responder) rollBack(n int, left *limits) {
	d := &r.delivery
	d.mark.sent += n
	d.offset, *left, d.skip = d.mark.offset, d.mark.left, d.mark.sent
}
