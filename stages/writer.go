package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// writer is the only stage that changes the end of the logs that belong to it
// (I1). In: appends from the connections. Out: answers to the responders,
// commands that wait for a sync to the flushers, work to the roller, news to
// the notifier. Ends when its inbox is closed and all it took is written.
type writer struct {
	in        chan *command
	spares    chan spare // from the roller, to stalled logs; one place a log
	roller    chan<- *command
	notifier  chan<- *command
	admission *admission
	stats     *stats
	linger    time.Duration

	run struct { // touched by the Run goroutine only
		gather  []byte // preallocated; only [0, end of the gathered bytes) has a meaning
		touched []*partition
		stalled int
		timer   *time.Timer
	}
}

// spare tells a writer that a stalled log has its spare segment, or why there
// is none.
type spare struct {
	part *partition
	err  error
}

// passMax is how many commands a writer takes up before it writes: enough to
// share one write among many connections, few enough that the first of them
// does not wait for the last.
const passMax = 512

func newWriter(c WriterConfig, maxLogs int64, roller, notifier chan<- *command, a *admission, s *stats) *writer {
	w := &writer{
		in: make(chan *command, c.Queue), spares: make(chan spare, maxLogs),
		roller: roller, notifier: notifier, admission: a, stats: s, linger: c.Linger,
	}
	w.run.gather = make([]byte, c.Buffer)
	w.run.timer = time.NewTimer(time.Hour)
	w.run.timer.Stop()
	return w
}

// Run takes what is already waiting, then writes once for each log.
func (w *writer) Run(context.Context) error {
	for {
		cmd, ok := w.receive()
		if !ok {
			return nil
		}
		if cmd != nil {
			w.take(cmd)
			w.fill()
		}
		for _, p := range w.run.touched {
			p.w.listed = false
			if !p.w.closed { // forgotten in this very pass: its files are somebody else's now
				w.pass(p)
			}
		}
		w.run.touched = w.run.touched[:0]
	}
}

// receive waits for a command, or for a spare where a log is stalled; then the
// command is nil. After the inbox is closed it goes on until no log is stalled.
func (w *writer) receive() (*command, bool) {
	if w.run.stalled == 0 {
		for len(w.spares) > 0 {
			<-w.spares // for a log that was dropped meanwhile
		}
		cmd, ok := <-w.in
		return cmd, ok
	}
	select {
	case cmd, ok := <-w.in:
		if ok {
			return cmd, true
		}
		w.resume(<-w.spares)
	case s := <-w.spares:
		w.resume(s)
	}
	return nil, true
}

// fill takes the commands that are already there, and waits for more only
// where linger says so.
func (w *writer) fill() {
	if w.linger > 0 {
		w.run.timer.Reset(w.linger)
		defer w.run.timer.Stop()
	}
	for range passMax {
		select {
		case cmd, ok := <-w.in:
			if !ok {
				return
			}
			w.take(cmd)
			continue
		default:
		}
		if w.linger == 0 {
			return
		}
		select {
		case cmd, ok := <-w.in:
			if !ok {
				return
			}
			w.take(cmd)
		case <-w.run.timer.C:
			return
		}
	}
}

func (w *writer) take(cmd *command) {
	p := cmd.part
	switch {
	case cmd.op == opForget:
		w.forget(p)
		cmd.done()
	case p.w.closed:
		cmd.fail(errDropped)
	default:
		if e := w.admission.refusal(); e != nil && !sched.Planted("append-when-full") {
			cmd.fail(e)
			return
		}
		p.w.pending.push(cmd)
		w.touch(p)
	}
}

func (w *writer) touch(p *partition) {
	if !p.w.listed && !p.w.stalled {
		p.w.listed = true
		w.run.touched = append(w.run.touched, p)
	}
}

// forget refuses what the dropped log has not taken yet, and all that follows.
func (w *writer) forget(p *partition) {
	p.w.closed = true
	if p.w.stalled {
		p.w.stalled = false
		p.waitsForSpare.Store(false)
		w.run.stalled--
	}
	p.w.pending.take().fail(errDropped)
	p.log.Forgo()
}

// resume lets a stalled log go on: with its spare, or by refusing what waited
// for it.
func (w *writer) resume(s spare) {
	p := s.part
	if !p.w.stalled { // dropped meanwhile
		return
	}
	p.w.stalled = false
	w.run.stalled--
	if s.err != nil && p.log.Err() == nil { // a failed log says so itself, in Append
		w.noteFull(s.err)
		for p.w.pending.head != nil {
			w.refuse(p, 1, fmt.Errorf("%w: %w", errNotReady, s.err))
		}
		return
	}
	w.touch(p)
}

// pass appends all that is pending for one log, as far as a spare segment is
// there when one is full.
func (w *writer) pass(p *partition) {
	var sync list
	wrote, rolled := false, false
	for p.w.pending.head != nil && !p.w.stalled {
		if w.known(p, &sync) {
			continue
		}
		n, bytes := w.choose(p)
		if n == 0 {
			if rolled = p.log.Roll(); !rolled {
				w.stall(p)
			}
			continue
		}
		wrote = w.append(p, n, bytes, &sync) || wrote
	}
	if wrote && p.watched.Load() > 0 {
		p.advance.send(w.notifier)
	}
	if head := sync.take(); head != nil {
		p.flusher.in <- head
	} else if rolled || wrote && p.flushDue() {
		p.flusher.request(p) // a full segment is sealed, and the next spare made, only once it is synced
	}
	if p.log.MaintenanceDue() {
		p.maintain.send(w.roller)
	}
}

// stall parks the log until the roller has woken it, or has a spare for it, or says
// why not. The writer goes on with its other logs meanwhile.
func (w *writer) stall(p *partition) {
	p.flusher.request(p) // the spare's name is free only when the segment before is synced and sealed
	w.park(p)
}

// park is stall for what needs no sync.
func (w *writer) park(p *partition) {
	p.w.stalled = true
	w.run.stalled++
	p.waitsForSpare.Store(true)
	p.maintain.send(w.roller)
}

// choose says what the next write holds: n commands from the front of pending,
// and their bytes. One command is written from where it lies; several are
// gathered. A command that straddles two segments is cut between its batches.
// n = 0: the active segment has no room.
func (w *writer) choose(p *partition) (n int, bytes []byte) {
	room, empty := p.log.Room()
	total := 0
	for cmd := p.w.pending.head; cmd != nil; cmd = cmd.next {
		next := total + len(cmd.bytes)
		if int64(next) > room || n > 0 && (next > len(w.run.gather) || p.log.Judge(cmd.bytes, true).Judgement != disk.Fresh) {
			break // what is not fresh is looked at again once this is in the log
		}
		total = next
		n++
	}
	head := p.w.pending.head
	switch n {
	case 0:
		if bytes = wholeBatches(head.bytes, room, empty); len(bytes) > 0 {
			n = 1
		}
		return n, bytes
	case 1:
		return 1, head.bytes
	}
	end := 0
	for range n {
		end += copy(w.run.gather[end:], head.bytes)
		head = head.next
	}
	return n, w.run.gather[:end]
}

// wholeBatches returns as many batches from the front of b as fit into room; an
// empty segment takes one that never would.
func wholeBatches(b []byte, room int64, empty bool) []byte {
	end := 0
	for end < len(b) {
		size, err := batch.Size(b[end:])
		if err != nil {
			panic(fmt.Sprintf("BUG: checked batches are not whole: %v", err))
		}
		if int64(end+size) > room && (end > 0 || !empty) {
			break
		}
		end += size
	}
	return b[:end]
}

// append writes the bytes of the first n pending commands and passes on those
// that are whole. It reports whether the log has a new end.
func (w *writer) append(p *partition, n int, bytes []byte, sync *list) bool {
	first, next, err := p.log.Append(bytes)
	if errors.Is(err, disk.ErrAsleep) {
		w.stall(p)
		return false
	}
	if err != nil {
		w.noteFull(err)
		w.refuse(p, n, err)
		return false
	}
	durable := p.log.Durable()
	w.stats.appended(n, next-first, len(bytes))
	p.w.unmarked += int64(len(bytes))
	if n == 1 && len(bytes) < len(p.w.pending.head.bytes) { // cut between its batches: more to come
		cmd := p.w.pending.head
		if !cmd.begun {
			cmd.begun, cmd.first = true, first
		}
		cmd.bytes = cmd.bytes[len(bytes):]
		cmd.records -= int(next - first)
		return true
	}
	for range n {
		cmd := p.w.pending.pop()
		if !cmd.begun {
			cmd.first = first
		}
		first += uint64(cmd.records)
		w.appended(cmd, first, durable, sync)
	}
	return true
}

// appended passes on a command whose records the log has, up to end: to its
// responder, or, where it waits for a sync, to the list of those.
func (w *writer) appended(cmd *command, end, durable uint64, sync *list) {
	p := cmd.part
	cmd.end, cmd.durable, cmd.reached = end, durable, text.AckWritten
	cmd.releaseBuf()
	if sched.Planted("ack-before-sync") {
		cmd.reached = cmd.ack
		cmd.done()
		p.flusher.request(p)
		return
	}
	switch wanted := cmd.ack == text.AckSynced; {
	case durable >= cmd.end && (wanted || p.topic.conf.Load().Sync == SyncDsync):
		cmd.reached = text.AckSynced
		cmd.done()
	case wanted:
		cmd.op = opSync
		sync.push(cmd)
	default:
		cmd.done()
	}
}

// noteFull makes a disk that has no room refuse what comes next, before it is tried.
func (w *writer) noteFull(err error) {
	if errors.Is(err, disk.ErrNoSpace) {
		w.admission.room.met()
	}
}

// refuse answers the first n pending commands after a failed append (I6).
func (w *writer) refuse(p *partition, n int, err error) {
	for range n {
		cmd := p.w.pending.pop()
		cmd.fail(appendError(p, err, cmd.begun))
	}
}

// errNotReady: nothing of an append was written, since the file that it needs could not be made.
var errNotReady = errors.New("the log's next file could not be made")

// appendError says what a failed append means for a command: whether nothing of
// it is in the log, or nobody can tell.
func appendError(p *partition, err error, begun bool) *text.Error {
	e := &text.Error{Skip: -1}
	switch {
	case begun:
		e.Code, e.Text = text.CodeUnknown, fmt.Sprintf("a part of the request was written before this: %v", err)
	case errors.Is(err, disk.ErrFailed):
		e.Code, e.Text = text.CodeLogFailed, fmt.Sprintf("%s takes no appends: %v", p, err)
	case errors.Is(err, disk.ErrNoSpace):
		e.Code, e.Text = text.CodeDiskFull, fmt.Sprintf("nothing was appended: make room on the disk and try again (%v)", err)
	case errors.Is(err, errNotReady): // for want of descriptors or rights, and not of room
		e.Code, e.Text = text.CodeOverloaded, fmt.Sprintf("nothing was appended: try again (%v)", err)
	default:
		e.Code, e.Text = text.CodeUnknown, fmt.Sprintf("the write failed, and the records may be there, once: %v", err)
	}
	return e
}
