package client

import (
	"slices"

	"sluice/wire/text"
)

// read takes the answers off a link until it ends.
func (p *Producer) read(l *link) {
	var err error
	for err == nil {
		var a *text.Answer
		if a, err = l.k.next(); err == nil {
			err = p.answer(l, a)
		}
	}
	l.k.close() // a write that hangs ends with it
	p.s.Lock()
	l.dead, l.err = true, err
	p.wakeLocked()
	p.s.Unlock()
}

// answer settles the oldest batch in flight. It returns an error if the connection can't be used any more.
func (p *Producer) answer(l *link, a *text.Answer) error {
	s := &p.s
	s.Lock()
	var b *outgoing
	if len(s.flying) > 0 {
		b = s.flying[0]
	}
	s.Unlock()
	switch {
	case a.Kind == text.AnswerErr && p.opt.Ack == AckNone:
		p.refusedNone(a)
		return nil
	case b == nil && a.Kind == text.AnswerErr:
		return answerError("append", p.topic, a) // the server says why it closes the connection
	case b == nil:
		return protocolError("an answer without a request")
	case b.ping:
		return p.ponged(l, b, a)
	case a.Kind == text.AnswerErr:
		p.refused(l, b, a)
		return nil
	}
	r, err := p.result(b, a)
	if err != nil {
		return err // the batch stays in flight: its outcome is unknown
	}
	p.settleHeld()
	p.landed(l, b, r, nil)
	return nil
}

// result reads the OK of a batch.
func (p *Producer) result(b *outgoing, a *text.Answer) (Result, error) {
	if a.Kind != text.AnswerOK {
		return Result{}, protocolError("OK was due, not %v", a.Kind)
	}
	f := fieldsOf(a)
	r := Result{Offset: f.uint("first"), Synced: f.uint("synced")}
	next := f.uint("next")
	level := f.str("ack")
	if err := f.err(); err != nil {
		return Result{}, err
	}
	if next-r.Offset != uint64(b.records) {
		return Result{}, protocolError("%d records were sent, the answer has the offsets %d to %d", b.records, r.Offset, next)
	}
	var err error
	if r.Ack, err = text.ParseAck(level); err != nil {
		return Result{}, protocolError("%v", err)
	}
	return r, nil
}

// refused handles an error answer: held to be tried again, or final.
func (p *Producer) refused(l *link, b *outgoing, a *text.Answer) {
	err := answerError("append", p.topic, a)
	s := &p.s
	s.Lock()
	l.stopping = a.Code == ShuttingDown
	again := p.againLocked(b, a)
	s.Unlock()
	if !again {
		p.settleHeld()
		p.landed(l, b, Result{}, err)
		return
	}
	s.Lock()
	defer s.Unlock()
	b.why = err
	p.landLocked(l)
	s.held = append(s.held, b)
	p.wakeLocked()
}

// againLocked judges a refusal: whether the batch is to be sent again.
func (p *Producer) againLocked(b *outgoing, a *text.Answer) bool {
	s, tries := &p.s, p.c.opt.Retry.For >= 0
	misplaced, absent := outOfOrder(b, a)
	switch {
	case misplaced && absent && len(s.held) == 0:
		// What it should follow has failed; or it was in the log, and a power cut or a DROP has taken it.
		b.doubt = false
		if !s.numbers.hole && p.opt.StopOnError {
			return false
		}
		s.numbers.hole, b.misplaced = true, true
		return true
	case misplaced && len(s.held) > 0:
		b.doubt = b.doubt && !absent
		return tries || s.held[0].misplaced // also without tries: it gets another number with the one that it followed
	case a.Code == Unknown && b.numbered:
		b.doubt = true
		return tries
	case a.Code == Unknown:
		return p.opt.OnUnknown == UnknownResend
	}
	s.numbers.fenced = s.numbers.fenced || a.Code == Fenced
	return noEffect(a.Code) && tries
}

// settleHeld fails what was refused before a batch that has its final outcome: sending it now would put it behind that.
func (p *Producer) settleHeld() {
	s := &p.s
	s.Lock()
	held := s.held
	s.held = nil
	s.Unlock()
	for _, b := range held {
		p.finish(b, Result{}, b.why)
	}
}

// landed settles a batch that is in flight, and takes it out of flight only then: run must not settle anything before.
func (p *Producer) landed(l *link, b *outgoing, r Result, err error) {
	err = p.failure(b, err)
	b.settle(r, err, p.opt.OnBatch)
	p.s.Lock()
	defer p.s.Unlock()
	p.landLocked(l)
	p.countLocked(b, err)
}

// landLocked takes the oldest batch out of flight.
func (p *Producer) landLocked(l *link) {
	p.s.flying = slices.Delete(p.s.flying, 0, 1)
	l.useful = true
	p.deadlineLocked(l, true)
}

// finish settles a batch that is not in flight.
func (p *Producer) finish(b *outgoing, r Result, err error) {
	err = p.failure(b, err)
	b.settle(r, err, p.opt.OnBatch)
	p.s.Lock()
	defer p.s.Unlock()
	p.countLocked(b, err)
}

// countLocked closes the books on a settled batch, and lets go of its memory unless Write has it still.
func (p *Producer) countLocked(b *outgoing, err error) {
	s := &p.s
	if b.ping {
		return
	}
	s.settled += uint64(b.records)
	switch {
	case err == nil:
		s.trouble = trouble{}
		s.numbers.proven = s.numbers.proven || b.numbered && b.epoch == s.numbers.epoch
	default:
		s.numbers.hole = s.numbers.hole || b.numbered
		p.oweLocked(b.owed, err)
		if p.opt.StopOnError && s.stopped == nil {
			s.stopped = err
		}
		if s.link == nil {
			s.answered = s.settled // AckNone: what was never sent needs no PING
		}
	}
	if b.settled = true; !b.writing {
		p.releaseLocked(b)
	}
	p.flushedAllLocked()
	p.wakeLocked()
}

// releaseLocked gives a batch's memory back.
func (p *Producer) releaseLocked(b *outgoing) {
	p.s.used -= b.room
	if cap(b.buf) <= 2*(headRoom+p.opt.BatchBytes) { // one grown by a large record goes back to the collector
		b.reset()
		p.s.free = append(p.s.free, b)
	}
	p.roomLocked()
}

// oweLocked keeps a failure that no callback and no Append tells, for Flush and Close.
func (p *Producer) oweLocked(records int, err error) {
	if records == 0 {
		return
	}
	if p.s.owed == nil {
		p.s.owed = err
	}
	p.s.missed += records
}

func (p *Producer) flushedAllLocked() {
	p.s.flushes = slices.DeleteFunc(p.s.flushes, func(f flush) bool {
		done := p.flushedLocked(f.target)
		if done {
			close(f.done)
		}
		return done
	})
}

// refusedNone notes a refusal with AckNone: the answer names a request whose records are long forgotten.
func (p *Producer) refusedNone(a *text.Answer) {
	p.s.Lock()
	defer p.s.Unlock()
	p.oweLocked(1, answerError("append", p.topic, a))
}

// ponged: all that was sent before the PING was carried out, or refused and noted.
func (p *Producer) ponged(l *link, b *outgoing, a *text.Answer) error {
	if a.Kind != text.AnswerOK {
		return protocolError("OK was due, not %v", a.Kind)
	}
	p.s.Lock()
	defer p.s.Unlock()
	p.landLocked(l)
	p.s.answered = max(p.s.answered, b.sent)
	p.flushedAllLocked()
	p.wakeLocked()
	return nil
}
