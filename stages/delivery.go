package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// This file and the two beside it are the responder's part of READ, FETCH and TAIL.
// A read is located, then sent: stored batches by sendfile (deliveryraw.go), or their
// records as text (deliverytext.go). What memory has, the responder does itself, so
// that a hot read costs no hop; the rest is the reader pool's.

// delivery is the state of the read under way, of which a connection has one at most:
// so waiting and sending need no goroutine of their own. It is the responder's, but
// for the time that the reader pool has the command.
type delivery struct {
	part   *partition // whose cursor it is
	cursor disk.Cursor
	offset uint64      // of the next record to send
	x      disk.Extent // the batches that it is in
	pinned bool

	// What the pool is asked, and its answer.
	limit int64      // opLocate: bytes
	at    int64      // opPin, opRead: from there on, in the extent
	space []byte     // opRead
	first disk.Timed // opResolve, opNewest
	fault error

	suspected uint64 // base of the last batch that was found damaged, and one more; 0: none

	// Text that the client has taken a part of.
	mark mark
	skip int // bytes of it to be passed over while it is made again
}

func (r *responder) deliver(ctx context.Context, cmd *command) {
	d := &r.delivery
	cmd.delivery = d
	if d.part != cmd.part {
		d.part, d.cursor = cmd.part, disk.Cursor{}
	}
	d.skip, d.suspected = 0, 0
	defer r.letGo()
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
	q, d, log := &cmd.read, &r.delivery, cmd.part.log
	end := log.Next()
	switch q.from.Kind {
	case text.FromOffset:
		d.offset = uint64(q.from.Value)
	case text.FromOldest:
		d.offset = log.Oldest()
	case text.FromNewest:
		d.offset = end
	case text.FromLast:
		d.offset = max(log.Oldest(), end-min(end, uint64(q.from.Value)))
	case text.FromTime:
		var err error
		if d.first, err = log.FirstAt(q.from.Value, false); errors.Is(err, disk.ErrCold) {
			err = r.cold(cmd, opResolve)
		}
		d.offset = d.first.Offset
		if err != nil {
			return readError(cmd, err)
		}
	}
	if e := fenced(log, q, d.offset); e != nil {
		return e
	}
	if d.offset < log.Oldest() || d.offset > log.Next() { // which may have moved while a time was looked up
		return readError(cmd, disk.ErrOutOfRange)
	}
	return nil
}

// fenced refuses a reader whose last record is not in this log: a power cut, or another
// master, took it after it was read. It comes before OUT_OF_RANGE, which would not say
// so; and says up to where the log is the one that was read.
func fenced(log *disk.Log, q *readRequest, offset uint64) *text.Error {
	if q.epoch < 0 {
		return nil
	}
	have, end := log.EpochEnd(int32(min(q.epoch, math.MaxInt32)))
	if have < 0 || int64(have) == q.epoch && offset <= end { // -1: the log has only later ones, so there is nothing to compare
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
			Text: fmt.Sprintf("the records [%d, %d) can't be read, at %s: %s; go on at next to step over them, or restore the file from a copy", corrupt.From, corrupt.Next, corrupt.Where, corrupt.Why),
		}
	}
	e := &text.Error{Code: text.CodeLogFailed, Skip: -1, Text: fmt.Sprintf("the log can't be read there now: %v; look at the disk, and ask again", err)}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		e.Code, e.Text = text.CodeOverloaded, fmt.Sprintf("the server can open no more files: %v; ask again", err)
	}
	return e
}

// cold has the reader pool do what would have to wait for the disk. What is written
// so far leaves first, unless it lies in the lease that the pool reads into. The pin is
// given up: readers of the pool wait for pins, so whoever has one never waits for them.
func (r *responder) cold(cmd *command, do op) error {
	r.unpin()
	if r.lease == nil {
		r.flush()
	}
	if r.err != nil {
		return r.err
	}
	cmd.op = do
	r.ask(cmd, r.c.srv.readers.in)
	err := r.delivery.fault
	if errors.Is(err, errGone) || errors.Is(err, context.Canceled) { // nobody is there to be answered
		r.err = cmp.Or(r.err, err)
	}
	return err
}

// locate finds the batches to send next, at most limit bytes or the first alone if it
// is larger, and pins their file. None: the offset is the log's end.
func (r *responder) locate(cmd *command, limit int64) *text.Error {
	d, log := &r.delivery, cmd.part.log
	r.unpin()
	if d.offset == log.Next() {
		d.x = disk.Extent{From: d.offset, Next: d.offset}
		return nil
	}
	err := log.Locate(&d.x, d.offset, limit, &d.cursor, false)
	if errors.Is(err, disk.ErrCold) {
		d.limit = limit
		err = r.cold(cmd, opLocate)
	}
	if err != nil {
		return readError(cmd, err)
	}
	d.pinned = true
	return nil
}

// locateUpTo has what was located end with the batch that holds the offset last, which is in it.
func (r *responder) locateUpTo(cmd *command, last uint64) *text.Error {
	d := &r.delivery
	offset, pos, from := d.offset, d.x.Pos, d.x.From
	d.offset = last
	e := r.locate(cmd, 1)
	d.offset = offset
	d.x.Size += d.x.Pos - pos
	d.x.Pos, d.x.From = pos, from
	return e
}

// pin takes the file of the batches again, for the bytes from at on, if it was let go.
func (r *responder) pin(cmd *command, at int64) error {
	d := &r.delivery
	if d.pinned {
		return nil
	}
	err := d.x.Pin(at, false)
	if errors.Is(err, disk.ErrCold) {
		d.at = at
		err = r.cold(cmd, opPin)
	}
	d.pinned = err == nil
	return err
}

// borrow leases memory to read the extent into. The pin is given up before a wait: those
// who have that memory may be waiting for the pool, and so for pins.
func (r *responder) borrow(ctx context.Context, n int) (err error) {
	if r.lease = r.c.srv.readMemory.TryLease(n); r.lease == nil {
		r.unpin()
		r.lease, err = r.c.srv.readMemory.Lease(ctx, n)
	}
	return err
}

func (r *responder) unpin() {
	// Its error is that of a close. What was read is good; if the close was the log's,
	// the log has failed, and has said so.
	_ = r.delivery.x.Release()
	r.delivery.pinned = false
}

// letGo gives up all that the responder holds.
func (r *responder) letGo() {
	r.unpin()
	r.undecode()
	r.records, r.record = batch.Reader{}, batch.Record{} // they look into the lease, or what was decoded
	r.unlease()
}

// park is letGo for when the client takes no more: what lies in the lease and can't be
// made again moves to own memory.
func (r *responder) park() {
	if r.leased() {
		var rest []byte
		switch done := r.sender.done; {
		case len(r.out) == 0: // what is sent lies elsewhere
		case done < r.again.from:
			rest = r.out[done:r.again.from]
		case done >= r.again.to:
			rest = r.out[done:]
		}
		r.out = r.own[:copy(r.own[:], rest)]
	}
	r.letGo()
}

// unlease gives the lease back. What answers are left move to own memory.
func (r *responder) unlease() {
	if r.lease == nil {
		return
	}
	r.base = r.own[:]
	r.out = r.base[:copy(r.base, r.out)]
	r.lease.Release()
	r.lease = nil
}

// leased tells whether the answers lie in the lease.
func (r *responder) leased() bool { return &r.base[0] != &r.own[0] }

// push sends what lies in the lease: bytes of the log in out[again.from:again.to], and
// answers around them. It returns how many of those bytes have left. If that is not all
// of them, the client took no more for a while: everything was let go, and in out is
// what must go before the next of them.
func (r *responder) push(again part) int {
	r.again = again
	if n := r.offer(r.out); n < len(r.out) || !r.leased() {
		return min(max(n-again.from, 0), again.to-again.from)
	}
	r.out = r.base[:0]
	return again.to - again.from
}

// offer sends as much of b as the client takes before there is a wait for it, in which
// everything is let go.
func (r *responder) offer(b []byte) int {
	n, _, err := r.sender.write(b, false)
	r.err = cmp.Or(r.err, err)
	return n
}

// cutOff ends a connection whose client has a part of what cannot be finished.
func (r *responder) cutOff(cmd *command, e *text.Error) {
	if r.err != nil {
		return
	}
	r.c.srv.stats.failed(e)
	r.c.srv.readers.cut.Add(1)
	if e != errDropped { // which is somebody's wish, and may cut off thousands
		r.c.srv.log.Warn("a reader is cut off in the middle of an answer that can't be finished", zap.Stringer("log", cmd.part), zap.Stringer("reader", r.c.nc.RemoteAddr()), zap.Error(e))
	}
	r.err = errCutOff
}

var errCutOff = errors.New("the answer can't be finished")
