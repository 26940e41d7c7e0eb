package client

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Producer appends records to one partition, over one connection, in batches. Any goroutine may use it.
//
// The log has the records of one goroutine in the order of its calls. A record that failed is missing from it, or, if
// its outcome is unknown, perhaps there. A failure that provably had no effect is tried again as Options.Retry says, but
// never once a record behind it is in the log, or may be: then it fails instead, so that the order holds.
type Producer struct {
	c     *Client
	topic string
	opt   ProducerOptions
	most  int // bytes of a batch before compression, so that it is at most MaxBatchBytes after

	wake  chan struct{}   // one place: run has something to look at
	ctx   context.Context // ends when Close gives up
	abort context.CancelFunc
	ended chan struct{} // closed when run has returned

	s producerState
}

// producerState is what the callers, run and the reader share. A lock is what fits here: an Append copies its record
// into the open batch, and a channel between it and the batch would cost more than the copy.
type producerState struct {
	sync.Mutex
	open   *outgoing   // takes records
	queue  []*outgoing // full, or to be sent again; in order, all before open
	flying []*outgoing // sent on the link and without an answer; in order, all before queue
	held   []*outgoing // refused without effect, to be sent again once nothing is flying; all before flying

	free    []*outgoing
	waiters []*waiter // free ones
	used    int       // bytes of buffers in open, queue, flying and held
	space   chan struct{}

	accepted, settled uint64 // records
	flushTo           uint64 // records before it do not linger
	answered          uint64 // AckNone: records before it were carried out or refused, or are known to be unknown
	flushes           []flush

	link    *link // nil: connect first
	numbers numbers
	resting resting
	trouble trouble

	closing bool
	stopped error // StopOnError: the first failure
	owed    error // the first failure of a record that nobody waited for
	missed  int   // records that failed so
}

type flush struct {
	target uint64
	done   chan struct{}
}

// resting says what run waits for, so that an Append signals only when that matters.
type resting uint8

const (
	restNot  resting = iota // for nothing that an Append does, or it does not rest
	restIdle                // for the first record
	restFull                // for a full batch, or the end of its linger
)

// Producer starts a producer for "topic" or "topic/3". It connects when it has something to send.
func (c *Client) Producer(topic string, o ProducerOptions) (*Producer, error) {
	if _, _, err := text.ParseTopic([]byte(topic)); err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	o, err := o.withDefaults(int(min(c.hello.MaxBatch, batch.MaxSize)))
	if err != nil {
		return nil, err
	}
	p := &Producer{c: c, topic: topic, opt: o, most: o.MaxBatchBytes, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if o.Codec != None {
		p.most -= growth(o.MaxBatchBytes)
		p.opt.BatchBytes = min(o.BatchBytes, p.most)
	}
	p.s.numbers.on = o.Sequences == SequencesAuto && o.Ack != AckNone && c.hello.Sequences > 0
	p.ctx, p.abort = context.WithCancel(context.Background())
	go pprof.Do(p.ctx, pprof.Labels("sluice-client", "producer "+topic), func(context.Context) { p.run() })
	return p, nil
}

// Append sends a record and waits for its outcome. The record's bytes are copied before it waits.
// ctx bounds the wait for room, and then the wait for the answer: if it ends after the record was accepted, the record
// stays on its way, and the error is ErrUnknown.
func (p *Producer) Append(ctx context.Context, r Record) (Result, error) {
	w := p.waiter()
	if err := p.accept(ctx, &r, nil, w); err != nil {
		return Result{}, err
	}
	select {
	case o := <-w.got:
		p.s.Lock()
		p.s.waiters = append(p.s.waiters, w)
		p.s.Unlock()
		return o.r, o.err
	case <-ctx.Done():
		return Result{}, unknown("append", p.topic, ctx.Err()) // w is left to its answer
	}
}

// Send takes a record over, and returns; ctx bounds the wait for room. The record's bytes are copied before it returns.
//
// done is called once, with what became of the record, in the order of the records; on a goroutine of the Producer,
// which does nothing else meanwhile: it must be quick, and must not call the Producer. Without done, a failure is told
// by the next Flush or Close. An error returned by Send itself means that the record was not taken, and done is not called.
func (p *Producer) Send(ctx context.Context, r Record, done func(Result, error)) error {
	return p.accept(ctx, &r, done, nil)
}

// accept copies the record into the open batch, and opens one if need be.
func (p *Producer) accept(ctx context.Context, r *Record, done func(Result, error), w *waiter) error {
	size := batch.HeaderSize + sizeOf(r)
	if size > p.most {
		return fmt.Errorf("append %s: %w: it needs %d bytes in a batch of at most %d (MaxBatchBytes)",
			p.topic, ErrTooLarge, size, p.most)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append %s: not sent: %w", p.topic, err)
	}
	s := &p.s
	s.Lock()
	for {
		if err := p.takesLocked(); err != nil {
			s.Unlock()
			return err
		}
		if s.open != nil && (s.open.records == 0 || s.open.size()+size-batch.HeaderSize <= p.opt.BatchBytes) {
			break
		}
		p.sealLocked()
		if p.openLocked(max(size, p.opt.BatchBytes)) {
			break
		}
		full := p.fullLocked()
		s.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
			return fmt.Errorf("append %s: not sent, no room: %w", p.topic, ctx.Err())
		}
		s.Lock()
	}
	s.open.add(r, done, w)
	s.accepted++
	if s.open.size() >= p.opt.BatchBytes {
		p.sealLocked()
	}
	if s.resting == restIdle {
		p.wakeLocked()
	}
	s.Unlock()
	return nil
}

func (p *Producer) takesLocked() error {
	switch {
	case p.s.stopped != nil:
		return p.stopError()
	case p.s.closing:
		return fmt.Errorf("append %s: producer: %w", p.topic, ErrClosed)
	}
	return nil
}

// stopError names the cause as text only: an unknown outcome before this record is none of this record.
func (p *Producer) stopError() error {
	return fmt.Errorf("append %s: %w: %v", p.topic, ErrStopped, p.s.stopped)
}

// sealLocked ends the open batch: it takes no more records and may be sent.
func (p *Producer) sealLocked() {
	s := &p.s
	if s.open == nil {
		return
	}
	s.queue = append(s.queue, s.open)
	s.open = nil
	if s.resting == restFull {
		p.wakeLocked()
	}
}

// openLocked opens a batch with room for that many bytes, if MaxBuffered allows.
func (p *Producer) openLocked(room int) bool {
	s := &p.s
	if s.used > 0 && s.used+room > p.opt.MaxBuffered {
		return false
	}
	var o *outgoing
	if n := len(s.free); n > 0 && room <= p.opt.BatchBytes {
		o, s.free = s.free[n-1], s.free[:n-1]
	} else {
		o = newOutgoing(room)
	}
	o.room = room
	s.used += room
	s.open = o
	return true
}

// fullLocked gives a channel that is closed when there may be room again.
func (p *Producer) fullLocked() <-chan struct{} {
	if p.s.space == nil {
		p.s.space = make(chan struct{})
	}
	return p.s.space
}

func (p *Producer) roomLocked() {
	if p.s.space != nil {
		close(p.s.space)
		p.s.space = nil
	}
}

func (p *Producer) wakeLocked() {
	p.s.resting = restNot
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (p *Producer) waiter() *waiter {
	p.s.Lock()
	defer p.s.Unlock()
	if n := len(p.s.waiters); n > 0 {
		w := p.s.waiters[n-1]
		p.s.waiters = p.s.waiters[:n-1]
		return w
	}
	return &waiter{got: make(chan outcome, 1)}
}

// Flush waits until every record accepted before it has its outcome; it does not let them linger. It returns the first
// failure of a record sent without a callback that no Flush has told yet. It is not the server's FLUSH, which is
// Client.Flush. With AckNone it asks the server whether all was carried out, and tells of what was refused.
func (p *Producer) Flush(ctx context.Context) error {
	s := &p.s
	s.Lock()
	f := flush{target: s.accepted, done: make(chan struct{})}
	if p.flushedLocked(f.target) {
		defer s.Unlock()
		return p.owedLocked()
	}
	s.flushTo = f.target
	s.flushes = append(s.flushes, f)
	p.wakeLocked()
	s.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return fmt.Errorf("flush %s: %w", p.topic, ctx.Err())
	}
	s.Lock()
	defer s.Unlock()
	return p.owedLocked()
}

func (p *Producer) flushedLocked(target uint64) bool {
	return p.s.settled >= target && (p.opt.Ack != AckNone || p.s.answered >= target)
}

// owedLocked takes the failure that nobody has been told.
func (p *Producer) owedLocked() error {
	err, n := p.s.owed, p.s.missed
	p.s.owed, p.s.missed = nil, 0
	if n > 1 {
		return fmt.Errorf("%d records failed, the first: %w", n, err)
	}
	return err
}

// Close takes no more records, waits until all that were accepted have their outcome, and ends the Producer. It returns
// what Flush would. If ctx ends first, records in flight fail with ErrUnknown and those behind them with ErrClosed.
// When it returns, no goroutine of the Producer is left and no callback will be called.
func (p *Producer) Close(ctx context.Context) error {
	s := &p.s
	s.Lock()
	if s.closing {
		s.Unlock()
		<-p.ended
		return fmt.Errorf("close %s: producer: %w", p.topic, ErrClosed)
	}
	s.closing = true
	s.flushTo = s.accepted
	p.roomLocked() // those who wait for room are told
	p.wakeLocked()
	s.Unlock()
	var gaveUp error
	select {
	case <-p.ended:
	case <-ctx.Done():
		gaveUp = fmt.Errorf("close %s: %w", p.topic, ctx.Err())
	}
	p.abort()
	<-p.ended
	s.Lock()
	defer s.Unlock()
	return errors.Join(gaveUp, p.owedLocked())
}

// trouble counts failures that are tried again.
type trouble struct {
	since     time.Time // of the first one without a success after it; zero: there is none
	attempt   int
	notBefore time.Time // when to try next
}
