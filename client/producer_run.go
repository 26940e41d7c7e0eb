package client

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"time"
)

// link is a Producer's connection and the goroutine that reads its answers.
type link struct {
	k    *conn
	gone chan struct{} // closed when the reader has returned

	// Guarded by the Producer's lock.
	dead   bool  // the reader returns
	err    error // why
	useful bool  // it has had an answer
	// The server has refused a request as it is stopping. That answer closes the connection, and it comes in the order of
	// the requests: those behind it were not looked at.
	stopping bool
}

// run is the goroutine that owns the connection: it connects, writes batches, and decides what becomes of them when
// the connection is lost. Answers are the reader's; the two never settle a batch at the same time, as run does it only
// while nothing is in flight or after it has joined the reader. So callbacks come one by one, in order.
func (p *Producer) run() {
	defer close(p.ended)
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	for {
		switch step := p.decide(); step.do {
		case doSend:
			p.send(step.batch)
		case doConnect:
			p.connect()
		case doBury:
			p.bury()
		case doRetry:
			p.retry()
		case doFail:
			p.failAll(step.err)
		case doRest:
			p.rest(rest, step.until)
		case doEnd:
			p.end()
			return
		}
	}
}

type deed uint8

const (
	doRest    deed = iota // until something changes, or until `until`
	doSend                // batch
	doConnect             // there is something to send
	doBury                // the link is dead
	doRetry               // what was held, nothing is in flight any more
	doFail                // all that is not sent
	doEnd                 // nothing is left, or Close gave up
)

type step struct {
	do    deed
	batch *outgoing
	until time.Time
	err   error
}

// decide says what run does next.
func (p *Producer) decide() step {
	s := &p.s
	s.Lock()
	defer s.Unlock()
	s.resting = restNot
	switch {
	case p.ctx.Err() != nil:
		return step{do: doEnd}
	case s.link != nil && s.link.dead:
		return step{do: doBury}
	case s.stopped != nil && len(s.flying) > 0: // outcomes come in order
		return p.restLocked(restNot, time.Time{})
	case s.stopped != nil && (len(s.held) > 0 || len(s.queue) > 0 || s.open != nil):
		return step{do: doFail, err: p.stopError()}
	case len(s.held) > 0 && len(s.flying) == 0:
		return step{do: doRetry}
	case len(s.held) > 0:
		return p.restLocked(restNot, time.Time{})
	case !p.pendingLocked():
		if s.closing && len(s.flying) == 0 {
			return step{do: doEnd}
		}
		return p.restLocked(restIdle, time.Time{})
	case time.Now().Before(s.trouble.notBefore):
		return p.restLocked(restNot, s.trouble.notBefore)
	case s.link == nil:
		return step{do: doConnect}
	case s.numbers.hole && !p.closeHoleLocked():
		return p.restLocked(restNot, time.Time{})
	case len(s.flying) >= p.inFlightLocked():
		return p.restLocked(restNot, time.Time{})
	}
	return p.chooseLocked()
}

// inFlightLocked is MaxInFlight, but 1 until a refusal or a lost connection is overcome: if the second of two requests
// got through where the first was refused, the first could not be tried again. With sequences it is 1 before the first
// success, and then as many as the server knows again.
func (p *Producer) inFlightLocked() int {
	n := &p.s.numbers
	if !p.s.trouble.since.IsZero() || n.on && !n.proven {
		return 1
	}
	if n.on {
		return min(p.opt.MaxInFlight, int(p.s.link.k.hello.Sequences))
	}
	return p.opt.MaxInFlight
}

// restLocked notes which calls end the rest. What they change they change under the lock, so nothing comes unseen
// between this look and the rest.
func (p *Producer) restLocked(r resting, until time.Time) step {
	p.s.resting = r
	return step{do: doRest, until: until}
}

// pendingLocked tells whether there is anything to send, now or after its linger.
func (p *Producer) pendingLocked() bool {
	return p.s.open != nil || len(p.s.queue) > 0 || p.pingDueLocked()
}

// pingDueLocked: with AckNone, a flush is answered by a PING behind all that was sent.
func (p *Producer) pingDueLocked() bool {
	s := &p.s
	return p.opt.Ack == AckNone && s.flushTo > s.answered && s.settled >= s.flushTo && len(s.flying) == 0
}

// chooseLocked takes what is to be sent next out of the queue, or the open batch if it need not linger.
func (p *Producer) chooseLocked() step {
	s := &p.s
	if p.pingDueLocked() {
		return step{do: doSend, batch: &outgoing{ping: true, sent: s.settled, frame: []byte("PING\n")}}
	}
	if len(s.queue) > 0 {
		b := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		return step{do: doSend, batch: b}
	}
	b := s.open
	lingers := p.opt.Linger > 0 && !s.closing && s.flushTo <= s.accepted-uint64(b.records)
	if until := b.opened.Add(p.opt.Linger); lingers && time.Now().Before(until) {
		return p.restLocked(restFull, until)
	}
	s.open = nil
	return step{do: doSend, batch: b}
}

func (p *Producer) rest(timer *time.Timer, until time.Time) {
	var after <-chan time.Time
	if !until.IsZero() {
		timer.Reset(time.Until(until))
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-p.wake:
	case <-after:
	case <-p.ctx.Done():
	}
}

func (p *Producer) connect() {
	k, err := p.c.connect(p.ctx)
	if err == nil {
		release := k.closeWith(p.ctx)
		if err = p.identify(k); err != nil {
			k.close()
		}
		release()
	}
	if err != nil {
		p.again(err)
		return
	}
	l := &link{k: k, gone: make(chan struct{})}
	p.s.Lock()
	p.s.link = l
	p.s.Unlock()
	release := k.closeWith(p.ctx) // so that a Close that gave up ends a write that hangs
	go pprof.Do(p.ctx, pprof.Labels("sluice-client", "answers "+p.topic), func(context.Context) {
		defer close(l.gone)
		defer release()
		p.read(l)
	})
}

// send writes one batch. It is in flight before its first byte is: the answer may be faster than the end of Write.
func (p *Producer) send(b *outgoing) {
	b.encode(p.opt.Codec, p.topic, p.opt.Ack)
	s, l := &p.s, p.s.link // only run changes the link
	answered := p.opt.Ack != AckNone || b.ping
	s.Lock()
	b.writing = true
	p.numberLocked(b)
	if answered {
		s.flying = append(s.flying, b)
		p.deadlineLocked(l, len(s.flying) == 1)
	}
	s.Unlock()
	b.stamp()
	err := l.k.write(b.frame)
	s.Lock()
	b.writing = false
	if b.settled {
		p.releaseLocked(b)
	}
	s.Unlock()
	if err != nil {
		p.unsent(b, err, answered)
	} else if !answered {
		p.finish(b, Result{Ack: AckNone}, nil)
	}
}

// deadlineLocked starts the clock for the oldest request in flight, and stops it when there is none. It runs under the
// lock so that starting and stopping can't overtake each other.
func (p *Producer) deadlineLocked(l *link, changed bool) {
	if !changed {
		return
	}
	var at time.Time
	if len(p.s.flying) > 0 {
		at = time.Now().Add(l.k.timeout)
	}
	if err := l.k.nc.SetReadDeadline(at); err != nil {
		l.k.close() // it is closed already, or unfit: the reader will say so
	}
}

// unsent handles a Write that failed: the server can't have the request whole, so it has no effect. Its answer may
// already be there though (a refusal of its length, say), so the reader gets a moment to find it.
func (p *Producer) unsent(b *outgoing, err error, answered bool) {
	s, l := &p.s, p.s.link
	s.Lock()
	if l.k.nc.SetReadDeadline(time.Now().Add(min(time.Second, l.k.timeout))) != nil {
		l.k.close()
	}
	s.Unlock()
	<-l.gone
	s.Lock()
	defer s.Unlock()
	if n := len(s.flying); answered {
		if n == 0 || s.flying[n-1] != b { // it was answered, and settled or held
			return
		}
		s.flying = s.flying[:n-1]
	}
	if b.ping {
		return // the next look finds it due again
	}
	b.why = fmt.Errorf("send: %w", err)
	s.queue = slices.Insert(s.queue, 0, b)
}

// bury ends a dead link: what was in flight has an unknown outcome.
func (p *Producer) bury() {
	s, l := &p.s, p.s.link
	<-l.gone
	l.k.close()
	s.Lock()
	s.link = nil
	flying, held := s.flying, s.held
	s.flying, s.held = nil, nil
	if p.opt.Ack == AckNone {
		p.lostNoneLocked(l.err)
		flying = nil // a PING
	}
	for _, b := range flying {
		b.doubt = b.numbered && !l.stopping || b.doubt
	}
	resend := (l.stopping || s.numbers.on) && p.c.opt.Retry.For >= 0
	if len(flying) == 0 || resend || p.opt.OnUnknown == UnknownResend {
		s.queue = slices.Concat(held, flying, s.queue)
		refused := len(s.queue) > 0 && s.queue[0].why != nil
		again := refused || len(flying) > 0 || !l.useful && p.pendingLocked()
		s.Unlock()
		if again { // a server that ends each connection at once must not be met without a pause
			p.again(l.err)
		}
		return
	}
	s.Unlock()
	for _, b := range held { // a record behind it may be in the log: it can't be sent again
		p.finish(b, Result{}, b.why)
	}
	for _, b := range flying {
		if l.stopping {
			p.finish(b, Result{}, fmt.Errorf("append %s: not carried out: %w", p.topic, l.err))
		} else {
			p.finish(b, Result{}, unknown("append", p.topic, l.err))
		}
	}
}

// lostNoneLocked: with AckNone nobody can tell how much of what was sent was carried out.
func (p *Producer) lostNoneLocked(err error) {
	s := &p.s
	if lost := s.settled - s.answered; lost > 0 {
		p.oweLocked(int(lost), unknown("append", p.topic, err))
	}
	s.answered = s.settled
	p.flushedAllLocked()
}

// retry puts back what was refused without effect, after a pause unless it needs nothing but a new number.
func (p *Producer) retry() {
	s := &p.s
	s.Lock()
	b := s.held[0]
	s.queue = slices.Concat(s.held, s.queue)
	s.held = nil
	trouble := !b.misplaced
	b.misplaced = false
	s.Unlock()
	if trouble {
		p.again(b.why)
	}
}

// again sets the pause before the next try, or fails all that waits once Retry.For is over.
func (p *Producer) again(err error) {
	r := p.c.opt.Retry
	s := &p.s
	s.Lock()
	now := time.Now()
	if s.trouble.since.IsZero() {
		s.trouble.since = now
	}
	pause := backoff(r, s.trouble.attempt)
	s.trouble.attempt++
	s.trouble.notBefore = now.Add(pause)
	spent := now.Sub(s.trouble.since)
	s.Unlock()
	if spent+pause > r.For {
		p.failAll(fmt.Errorf("append %s: not sent, gave up after %v: %w", p.topic, spent.Round(time.Millisecond), err))
	}
}

// failAll fails everything that is not in flight, in order.
func (p *Producer) failAll(err error) {
	s := &p.s
	s.Lock()
	all := slices.Concat(s.held, s.queue)
	if s.open != nil {
		all = append(all, s.open)
	}
	s.held, s.queue, s.open = nil, nil, nil
	s.trouble = trouble{}
	s.Unlock()
	for _, b := range all {
		p.finish(b, Result{}, err)
	}
}

// end joins the reader and settles what is left, which is nothing unless Close gave up.
func (p *Producer) end() {
	s := &p.s
	if l := s.link; l != nil {
		l.k.close()
		<-l.gone
	}
	s.Lock()
	flying, held := s.flying, s.held
	s.flying, s.held = nil, nil
	if p.opt.Ack == AckNone {
		p.lostNoneLocked(p.ctx.Err())
	}
	s.Unlock()
	for _, b := range held {
		p.finish(b, Result{}, b.why)
	}
	for _, b := range flying {
		p.finish(b, Result{}, unknown("append", p.topic, errors.New("the producer was closed before the answer")))
	}
	s.Lock()
	s.link = nil
	s.Unlock()
	p.failAll(fmt.Errorf("append %s: not sent: producer: %w", p.topic, ErrClosed))
}
