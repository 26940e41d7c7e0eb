package stages

import (
	"context"
	"time"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// responder is the last stage of a connection: it puts finished commands back
// into the order of their requests, answers them, and carries out what is no
// append when its turn comes. In: commands, from the reader and from whoever
// finished them. Out: the socket, and the commands back to the reader. A slow
// client blocks its responder and nobody else. Ends behind the answer that
// closes the connection, or when the socket takes no more.
type responder struct {
	c    *conn
	ring []*command // finished, by seq; its length is a power of two
	next uint64     // seq of the next answer

	sender sender
	own    [2 << 10]byte
	base   []byte // what out grows in: own, or a part of the lease
	out    []byte // answers on their way to the socket
	err    error  // of the socket; sticky

	timer    *time.Timer     // of a FETCH that waits; made when first needed
	subs     [1]subscription // of a FETCH or TAIL that waits
	delivery delivery        // the read under way; there is one at most

	// What a read holds. Before the responder waits for its client, park gives it up.
	lease *sched.Buf // of memory.read
	paid  int64      // of memory.decode, for records
	// The part of out that is bytes of a log, so that they can be made again; what
	// lies around it is kept.
	again part

	records batch.Reader
	record  batch.Record
}

// part is the bytes [from, to) of out.
type part struct{ from, to int }

// answerMax is more than most answers' lines have; a longer one makes out outgrow
// its base until the next one leaves.
const answerMax = 160

func newResponder(c *conn, inFlight int64) responder {
	return responder{c: c, ring: make([]*command, inFlight)}
}

// init comes first, once the responder is where it stays.
func (r *responder) init() {
	r.base = r.own[:]
	r.out = r.base[:0]
	r.sender.init(r.c, r.park)
}

func (r *responder) run(ctx context.Context) {
	r.init()
	mask := uint64(len(r.ring) - 1)
	for {
		cmd := r.receive()
		r.ring[cmd.seq&mask] = cmd
		for head := r.ring[r.next&mask]; head != nil; head = r.ring[r.next&mask] {
			r.ring[r.next&mask] = nil
			r.next++
			r.answer(ctx, head)
			if head.close || r.err != nil {
				r.flush()
				if r.err != nil {
					r.c.abort() // the reader may be waiting for this client
				}
				return
			}
			r.c.free <- head
		}
	}
}

// receive takes the next finished command; before it waits, the answers leave.
func (r *responder) receive() *command {
	select {
	case cmd := <-r.c.completed:
		return cmd
	default:
	}
	r.flush()
	return <-r.c.completed
}

// answer writes the answer of one command, which may take its time.
func (r *responder) answer(ctx context.Context, cmd *command) {
	r.room(answerMax)
	if cmd.op == opKafka {
		r.answerKafka(ctx, cmd)
		return
	}
	if cmd.op == opNone && cmd.part != nil {
		if cmd.err = cmd.part.broken; cmd.part.dropped.Load() {
			cmd.err = errDropped // since the parser has found it
		}
	}
	if cmd.err != nil {
		r.refuse(cmd)
		return
	}
	switch cmd.verb {
	case text.VerbMsg, text.VerbBatch:
		r.appended(cmd)
	case text.VerbRead, text.VerbFetch, text.VerbTail:
		r.deliver(ctx, cmd)
	case text.VerbPing:
		r.out = text.AppendEOL(text.AppendUint(text.AppendOK(r.out), "pong", 1))
	case text.VerbHello:
		r.hello()
	case text.VerbHead:
		r.head(cmd.part)
	case text.VerbFlush:
		cmd.op = opSync
		if r.send(cmd, cmd.part.flusher.in) {
			r.out = text.AppendEOL(text.AppendUint(text.AppendOK(r.out), "synced", cmd.durable))
		}
	case text.VerbCreate:
		r.change(cmd, opCreate)
	case text.VerbAlter:
		r.change(cmd, opAlter)
	case text.VerbDrop:
		r.change(cmd, opDrop)
	case text.VerbProducer:
		r.producer(cmd)
	case text.VerbTopics: // of what is published: the controller may be waiting for a disk, and then these are asked for
		r.data(r.c.srv.catalog.list())
	case text.VerbStats:
		r.data(r.c.srv.snapshot().render(cmd.admin.json))
	case text.VerbShutdown:
		r.shutdown(cmd)
	case text.VerbClose:
		r.ok()
	}
}

// send has a stage do the command's work, waits, and answers a failure. What is
// written so far leaves first.
func (r *responder) send(cmd *command, to chan<- *command) bool {
	r.flush()
	r.ask(cmd, to)
	if cmd.err != nil {
		r.refuse(cmd)
		return false
	}
	return true
}

// ask has a stage do the command's work, and waits.
func (r *responder) ask(cmd *command, to chan<- *command) {
	cmd.reply = r.c.back
	to <- cmd
	<-r.c.back
}

// change has the controller change the catalog, and answers. The parser waits for it.
func (r *responder) change(cmd *command, do op) {
	if cmd.err = r.control(do, cmd.admin); cmd.err != nil {
		r.refuse(cmd)
	} else {
		r.ok()
	}
	r.c.barrier <- struct{}{}
}

// control asks the controller, and waits. What is written so far leaves first.
func (r *responder) control(do op, what *adminRequest) *text.Error {
	r.flush()
	return r.c.srv.controller.ask(do, what)
}

// appended answers each MSG that the command stands for, or its BATCH.
func (r *responder) appended(cmd *command) {
	if cmd.ack == text.AckNone {
		return
	}
	// As it is now: what it was at the write may lie before that of an earlier
	// answer, which had waited for a sync, and a watermark must not go back.
	durable := max(cmd.durable, cmd.part.log.Durable())
	if cmd.msgs == 0 {
		r.room(answerMax)
		r.out = text.AppendAppended(r.out, cmd.first, cmd.end, cmd.reached, durable)
		return
	}
	for first := cmd.first; first < cmd.end; first++ {
		r.room(answerMax)
		r.out = text.AppendAppended(r.out, first, first+1, cmd.reached, durable)
	}
}

// refuse answers with the command's error, once for each MSG it stands for.
// Only where successes stay silent does the answer need the request's number.
func (r *responder) refuse(cmd *command) {
	for i := range uint64(max(cmd.msgs, 1)) {
		r.c.srv.stats.failed(cmd.err)
		req := uint64(0)
		if cmd.ack == text.AckNone {
			req = cmd.req + i
		}
		r.room(answerMax)
		r.out = text.AppendError(r.out, cmd.err, req)
	}
}

func (r *responder) ok() { r.out = text.AppendEOL(text.AppendOK(r.out)) }

func (r *responder) hello() {
	b := text.AppendStr(text.AppendOK(r.out), "server", "sluice")
	b = text.AppendStr(b, "version", Version)
	b = text.AppendUint(b, "protocol", 1)
	b = text.AppendStr(b, "node", r.c.srv.store.NodeID())
	b = text.AppendStr(b, "role", "master")
	b = text.AppendUint(b, "max_line", text.MaxLine)
	b = text.AppendInt(b, "max_batch", r.c.srv.conf.MaxBatchBytes)
	b = text.AppendUint(b, "sequences", disk.SequencesKept)
	r.out = text.AppendEOL(b)
}

func (r *responder) head(p *partition) {
	info := p.log.Info()
	b := text.AppendUint(text.AppendOK(r.out), "oldest", p.log.Oldest())
	b = text.AppendUint(b, "next", p.log.Next())
	b = text.AppendUint(b, "synced", p.log.Durable())
	b = text.AppendInt(b, "epoch", int64(p.log.Epoch()))
	b = text.AppendUint(b, "segment", info.ActiveBase)
	b = text.AppendInt(b, "segments", int64(info.Segments))
	b = text.AppendInt(b, "bytes", info.Bytes)
	b = text.AppendInt(b, "partitions", int64(r.c.srv.catalog.partitions(p.topic)))
	r.out = text.AppendEOL(b)
}

// data answers with a body that is not part of a log.
func (r *responder) data(body []byte) {
	r.out = text.AppendEOL(text.AppendDataHead(r.out, len(body)))
	r.write(body)
	r.out = text.AppendEOL(r.out)
}

func (r *responder) shutdown(cmd *command) {
	if !fromLoopback(r.c.nc.RemoteAddr()) {
		cmd.err = &text.Error{Code: text.CodeDenied, Skip: -1, Text: "SHUTDOWN is only taken from this machine: connect over loopback"}
		r.refuse(cmd)
		return
	}
	r.ok()
	r.flush()
	r.c.srv.requestStop()
}

// room makes place for n more bytes of answers. What has outgrown the base leaves:
// else a client that pipelines for ever could make it grow for ever.
func (r *responder) room(n int) {
	if len(r.out)+n > cap(r.base) {
		r.flush()
	}
}

// write sends what is waiting, then b.
func (r *responder) write(b []byte) {
	if len(b) <= cap(r.out)-len(r.out) {
		r.out = append(r.out, b...)
		return
	}
	r.flush()
	r.transmit(b, false)
}

func (r *responder) flush() {
	r.transmit(r.out, false)
	r.out = r.base[:0] // also when a long answer had outgrown it
}

// transmit sends all of b, which is nothing that a wait for the client would take away.
func (r *responder) transmit(b []byte, more bool) {
	for len(b) > 0 && r.err == nil {
		var n int
		n, _, r.err = r.sender.write(b, more)
		b = b[n:]
	}
}
