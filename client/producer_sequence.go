package client

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// A Producer with an id numbers its records, and the server appends each number once: what is sent again is answered with
// the offsets it has already, and what has overtaken a record before it is refused. So a lost connection is overcome by
// sending again, without a record twice or out of order.
//
// A batch gets its number when it is first sent and keeps it, whatever becomes of the connection. Only when a numbered one
// fails for good is there a hole in the numbers, which nothing behind it could follow. Then the producer takes its next
// epoch, in which they begin at 0 again: the server refuses what may still arrive of the epoch before.

// numbers is the Producer's identity, guarded by its lock.
type numbers struct {
	on     bool // fixed: the server offers it, and nobody has asked to do without
	known  bool // the server has given an id
	id     int64
	epoch  int16
	next   int32 // of the next record to be sent for the first time
	proven bool  // a batch of this epoch is in the log. To a server that knows none yet any batch would do for the first
	hole   bool  // a numbered batch failed for good
	fenced bool  // somebody else goes on under this id
}

const maxSequence = math.MaxInt32 // 0 follows it

// numberLocked gives a batch its place among the producer's, unless it has one.
func (p *Producer) numberLocked(b *outgoing) {
	n := &p.s.numbers
	if !n.on || b.ping || b.numbered {
		return
	}
	b.numbered, b.id, b.epoch, b.sequence = true, n.id, n.epoch, n.next
	n.next = int32((int64(n.next) + int64(b.records)) & maxSequence)
}

// stamp writes the batch's number into its frame.
func (o *outgoing) stamp() {
	if o.numbered {
		batch.SetProducer(o.frame[o.line:len(o.frame)-1], o.id, o.epoch, o.sequence)
	}
}

// identify asks for an id on a connection that nothing else uses yet, if the Producer needs one.
func (p *Producer) identify(k *conn) error {
	p.s.Lock()
	need := p.s.numbers.on && !p.s.numbers.known
	p.s.Unlock()
	if p.s.numbers.on && k.hello.Sequences == 0 {
		return fmt.Errorf("the server takes no sequences any more: make a new Producer")
	}
	if !need {
		return nil
	}
	if err := k.write([]byte(text.VerbProducer.String() + "\n")); err != nil {
		return err
	}
	a, err := k.answer(0)
	if err != nil {
		return err
	}
	if a.Kind != text.AnswerOK {
		return answerError("producer", "", a)
	}
	f := fieldsOf(a)
	id, epoch := f.int("id"), f.int("epoch")
	if err := f.err(); err != nil {
		return err
	}
	if id < 0 || epoch < 0 || epoch > math.MaxInt16 {
		return protocolError("producer id %d with epoch %d", id, epoch)
	}
	p.s.Lock()
	defer p.s.Unlock()
	p.s.numbers = numbers{on: true, known: true, id: id, epoch: int16(epoch)}
	p.renumberLocked()
	return nil
}

// renumberLocked takes their numbers from all batches that wait; they get new ones.
func (p *Producer) renumberLocked() {
	for _, b := range p.s.queue {
		b.numbered = false
	}
}

// closeHoleLocked goes on behind a hole. What may be in the log under its old number must not get a new one: so all such
// batches are sent as they are first, one by one. False: nothing can be sent now.
func (p *Producer) closeHoleLocked() bool {
	n := &p.s.numbers
	switch {
	case len(p.s.flying) > 0:
		return false
	case slices.ContainsFunc(p.s.queue, func(b *outgoing) bool { return b.doubt }):
		return true
	}
	if n.fenced || n.epoch == math.MaxInt16 { // a new id, and so a new connection
		n.known = false
		p.s.link.k.close()
		return false
	}
	n.epoch++
	n.next, n.proven, n.hole = 0, false, false
	p.renumberLocked()
	return true
}

// outOfOrder tells whether a batch was refused for its number, and whether that means that it is not in the log: the server
// waits for an earlier one.
func outOfOrder(b *outgoing, a *text.Answer) (refused, absent bool) {
	due, ok := a.Int("sequence")
	if !b.numbered || a.Code != BadBatch || !ok {
		return false, false
	}
	return true, (int64(b.sequence)-due)&maxSequence < maxSequence/2
}

// failure is the error of a batch: that its outcome is unknown, if a sending of it before the last one had no answer.
func (p *Producer) failure(b *outgoing, err error) error {
	if err == nil || !b.doubt || errors.Is(err, ErrUnknown) {
		return err
	}
	return unknown("append", p.topic, err)
}
