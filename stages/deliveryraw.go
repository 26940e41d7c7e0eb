package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"sluice/disk"
	"sluice/wire/text"
)

// smallFrame is how many bytes are read and sent together with the lines around them.
// Above it the copy costs more than the system calls that it saves.
const smallFrame = 16 << 10

// pieceMax is what one sendfile is asked for: so long does a connection have a thread,
// and a permit, to itself.
const pieceMax = 256 << 10

// fetch answers with whole batches, once enough of them are there.
func (r *responder) fetch(ctx context.Context, cmd *command) {
	q, d, log := &cmd.read, &r.delivery, cmd.part.log
	limit := r.c.srv.conf.Readers.Chunk
	if q.bytes >= 0 {
		limit = min(q.bytes, limit)
	}
	enough := min(max(q.min, 1), limit)
	var wait waiter
	defer wait.end()
	for r.err == nil {
		wait.renew()
		end := log.Next()
		if e := r.locate(cmd, limit); e != nil {
			r.failRead(cmd, e)
			return
		}
		if d.x.Size >= enough || d.x.Next < end || q.min == 0 || q.wait <= 0 || wait.over {
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
		if d.x.Next == log.Next() {
			r.unpin()
			wait.wait(ctx)
		}
	}
	if e := r.frame(ctx, cmd); e != nil {
		r.failRead(cmd, e)
	}
}

// frame sends the batches that were located as a DATA frame.
func (r *responder) frame(ctx context.Context, cmd *command) *text.Error {
	d := &r.delivery
	if r.err != nil {
		return nil
	}
	r.c.srv.stats.read(int(d.x.Size))
	r.room(2 * answerMax)
	if d.x.Size <= smallFrame && (d.pinned || d.x.Size == 0) { // room may have had to wait for the client
		if sent, e := r.small(ctx, cmd); sent || e != nil {
			return e
		}
	}
	r.out = r.frameHead(r.out, cmd)
	r.extent(ctx, cmd, 0)
	r.out = text.AppendEOL(r.out) // it leaves with what comes next
	return nil
}

func (r *responder) frameHead(b []byte, cmd *command) []byte {
	x, log := &r.delivery.x, cmd.part.log
	b = text.AppendDataHead(b, int(x.Size))
	b = text.AppendUint(b, "from", r.delivery.offset)
	b = text.AppendUint(b, "next", x.Next)
	b = text.AppendUint(b, "end", max(x.Next, log.Next()))
	b = text.AppendUint(b, "synced", log.Durable())
	b = text.AppendInt(b, "epoch", int64(log.Epoch()))
	return text.AppendEOL(b)
}

// small sends the frame with one write. Not sent: it can't be done that way now, for want
// of memory or because the bytes are not in the page cache any more.
func (r *responder) small(ctx context.Context, cmd *command) (sent bool, _ *text.Error) {
	x := &r.delivery.x
	size := int(x.Size)
	if need := len(r.out) + answerMax + size + 2; need > cap(r.base) {
		if r.lease = r.c.srv.readMemory.TryLease(need); r.lease == nil {
			return false, nil
		}
		r.base = r.lease.B
		r.out = append(r.base[:0], r.out...)
	}
	before := len(r.out)
	r.out = r.frameHead(r.out, cmd)
	at := len(r.out)
	if n, err := r.readCached(r.out[at : at+size]); n < size {
		r.out = r.out[:before]
		r.unlease()
		if errors.Is(err, disk.ErrCold) {
			return false, nil
		}
		return false, r.readFailed(cmd, err)
	}
	r.out = text.AppendEOL(r.out[:at+size])
	if !r.leased() {
		return true, nil
	}
	gone := r.push(part{at, at + size})
	r.unlease()
	if gone < size {
		r.extent(ctx, cmd, int64(gone))
		r.out = text.AppendEOL(r.out)
	}
	return true, nil
}

// readCached reads the extent, or as much of it as is in memory.
func (r *responder) readCached(b []byte) (int, error) {
	x := &r.delivery.x
	if len(b) == 0 {
		return 0, nil
	}
	n, err := x.File().ReadCached(disk.ByReader, b, x.Pos)
	if n < len(b) && errors.Is(err, io.EOF) {
		err = r.delivery.short(int64(n))
	}
	return n, err
}

// readFailed is the answer where the bytes of the extent could not be read. If some are
// not there any more, looking at it again tells which.
func (r *responder) readFailed(cmd *command, err error) *text.Error {
	if d := &r.delivery; errors.Is(err, io.ErrUnexpectedEOF) {
		r.unlease() // the pool may be waiting for those who wait for memory
		d.limit = d.x.Size
		if found := r.cold(cmd, opLocate); found != nil {
			err = found
		}
	}
	return readError(cmd, err)
}

// extent sends what is written, and behind it the bytes of the extent from at on. While
// the client takes no more, nothing is held; should they be gone then, or damaged, the
// connection is cut, since the frame's length was promised.
func (r *responder) extent(ctx context.Context, cmd *command, at int64) {
	d := &r.delivery
	r.transmit(r.out, d.x.Size > at)
	r.out = r.base[:0]
	for at < d.x.Size && r.err == nil {
		if err := r.pin(cmd, at); err != nil {
			r.cutOff(cmd, readError(cmd, err))
			return
		}
		n, err := r.piece(ctx, cmd, at, int(min(pieceMax, d.x.Size-at)))
		if at += int64(n); err != nil {
			r.cutOff(cmd, readError(cmd, err))
			return
		}
	}
}

// piece sends up to size bytes of the extent, from at on. Its error is about the file;
// that of the socket is in r.err.
func (r *responder) piece(ctx context.Context, cmd *command, at int64, size int) (n int, err error) {
	x := &r.delivery.x
	fd, ok := x.File().Fd()
	if !ok || !haveSendfile || r.sender.raw == nil {
		return r.copyPiece(ctx, cmd, at, size)
	}
	n, parked, err := r.sender.sendfile(fd, x.Pos+at, size)
	r.c.srv.readers.sendfile.Add(int64(n))
	switch {
	case n == 0 && noSendfile(err):
		return r.copyPiece(ctx, cmd, at, size)
	case errors.Is(err, syscall.EIO):
		return n, fmt.Errorf("sendfile: %w", err)
	case err != nil:
		r.err = err
	case !parked && n < size:
		return n, r.delivery.short(at + int64(n))
	}
	return n, nil
}

// copyPiece is piece by way of memory, for files that the kernel can't send.
func (r *responder) copyPiece(ctx context.Context, cmd *command, at int64, size int) (int, error) {
	if err := r.borrow(ctx, size); err != nil {
		return 0, err
	}
	defer r.unlease()
	if err := r.pin(cmd, at); err != nil {
		return 0, err
	}
	x := &r.delivery.x
	r.c.srv.readers.permits <- struct{}{}
	n, err := x.File().ReadAt(disk.ByReader, r.lease.B, x.Pos+at)
	<-r.c.srv.readers.permits
	if n < size {
		if errors.Is(err, io.EOF) {
			err = r.delivery.short(at + int64(n))
		}
		return 0, err
	}
	return r.offer(r.lease.B), nil
}

// short says that the file ends within the extent: somebody has cut it. All of its
// bytes are checked again by the next who reads them.
func (d *delivery) short(at int64) error {
	d.x.Doubt()
	return fmt.Errorf("the file ends at %d, with %d bytes of records missing: %w", d.x.Pos+at, d.x.Size-at, io.ErrUnexpectedEOF)
}
