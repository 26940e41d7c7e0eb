package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/pprof"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Consumer reads one partition. One goroutine at a time may use it; each loop over Records has a connection of its own.
type Consumer struct {
	c     *Client
	topic string
	opt   ConsumerOptions

	started bool   // pos says where to go on; else From
	pos     uint64 // the next offset to yield
	epoch   int64  // of the last record that was yielded; -1: not known
	end     uint64 // of the log, when last heard
	moved   bool   // Seek was called
	stored  bool   // the Store was asked

	reader batch.Reader
	raw    batch.Record
	shared []Header // ShareBytes: of the record yielded last
	arena  []byte   // what yielded records point into; filled once, never again
}

// Consumer makes a consumer for "topic" or "topic/3". It connects when its records are asked for; a topic that is not there
// then is an *Error with NoTopic, with Follow too.
func (c *Client) Consumer(topic string, o ConsumerOptions) (*Consumer, error) {
	if _, _, err := text.ParseTopic([]byte(topic)); err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Consumer{c: c, topic: topic, opt: o, epoch: -1}, nil
}

// Records yields the records from the Consumer's position on, in order, none left out and none twice, also across lost
// connections and across loops: a loop that was left is continued by the next one behind the last record it yielded.
//
// It ends at the end of the log (without Follow), at Limit, or after it has yielded an error: *GapError, *FencedError,
// *OutOfRangeError, another *Error, ctx's error, or what kept it from the server for longer than Options.Retry allows. A
// loop body that gets an error and calls Seek goes on from there in the same loop: stepping over a gap is the caller's
// decision, each time.
//
// A Record stays valid for ever, unless ShareBytes is set.
func (c *Consumer) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		left := c.opt.Limit
		if left == 0 {
			left = -1
		}
		if err := c.restore(ctx); err != nil {
			yield(Record{}, err)
			return
		}
		c.begin()
		f := newFetcher(c.c, c.topic, c.opt)
		defer f.drop()
		for c.session(ctx, f, &left, yield) {
		}
	}
}

// Position is the offset of the next record to be yielded, and false before it is known: until the first answer, where
// the start was not given as an offset.
func (c *Consumer) Position() (uint64, bool) { return c.pos, c.started }

// End is the end of the log as it was last heard of; 0 before.
func (c *Consumer) End() uint64 { return c.end }

// Seek makes next the offset of the next record to be yielded, in the loop that runs and in later ones.
func (c *Consumer) Seek(next uint64) {
	c.pos, c.started, c.moved = next, true, true
	c.epoch = -1 // the records before the new place were not read
}

// Commit saves in the Store that all records before next are processed: r.Offset+1 after record r, as Kafka's groups
// count. The next run starts there. Records that were yielded and not committed come again: at least once.
func (c *Consumer) Commit(ctx context.Context, next uint64) error {
	if c.opt.Store == nil {
		return errors.New("commit: the consumer has no Store")
	}
	p := Position{Next: next, Epoch: -1}
	if next == c.pos {
		p.Epoch = c.epoch
	}
	if err := checkPosition(p); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return c.opt.Store.Save(ctx, p)
}

// restore asks the Store, once, where an earlier run stopped.
func (c *Consumer) restore(ctx context.Context) error {
	if c.opt.Store == nil || c.stored || c.started {
		return nil
	}
	p, ok, err := c.opt.Store.Load(ctx)
	if err != nil {
		return err
	}
	if err := checkPosition(p); ok && err != nil {
		return fmt.Errorf("consumer: the Store's %w", err)
	}
	c.stored = true
	if ok {
		c.pos, c.epoch, c.started = p.Next, p.Epoch, true
	}
	return nil
}

// begin takes From for the position, where it is one and there is no other.
func (c *Consumer) begin() {
	if offset, ok := c.opt.From.offset(); ok && !c.started {
		c.pos, c.started = offset, true
	}
}

// session fetches from one place on, and reports whether to go on from another.
func (c *Consumer) session(outer context.Context, f *fetcher, left *int64, yield func(Record, error) bool) (again bool) {
	ctx, cancel := context.WithCancel(outer)
	f.begin(c.opt.From, c.started, c.pos, c.epoch)
	c.moved = false
	joined, over := make(chan struct{}), false
	go pprof.Do(ctx, pprof.Labels("sluice-client", "fetch "+c.topic), func(ctx context.Context) {
		defer close(joined)
		f.run(ctx)
	})
	defer func() {
		if !over { // else it ends by itself, and its connection is good for what follows
			cancel()
		}
		<-joined
		f.rest()
		cancel()
	}()
	for p := range f.ready {
		over = p.err != nil
		more, err := false, cmp.Or(p.err, outer.Err())
		if err == nil {
			more, err = c.piece(p, left, yield)
		}
		if err != nil {
			return yield(Record{}, c.gap(err)) && c.moved
		}
		if c.moved || !more {
			return c.moved
		}
		f.free <- p // there is room: it came from there
	}
	if err := outer.Err(); err != nil { // else a loop that was cancelled would look like one that came to the end
		yield(Record{}, err)
	}
	return false
}

// piece yields the records of one piece. It reports false if the loop is to end.
func (c *Consumer) piece(p *piece, left *int64, yield func(Record, error) bool) (bool, error) {
	if !c.started {
		c.pos, c.started = p.from, true
	}
	c.end = p.end
	for b := p.b; len(b) > 0; {
		h, err := c.open(b, p.next)
		if err != nil {
			return false, err
		}
		if !c.batch(h, left, yield) || c.moved {
			return false, nil
		}
		b = b[h.Size:]
	}
	if c.pos != p.next {
		return false, protocolError("the batches end at %d, the answer says %d", c.pos, p.next)
	}
	return true, nil
}

// open proves the batch at the front of b, whose batches end at next, and makes it ready to be read. Nothing checks bytes
// between the server's disk and here but this.
func (c *Consumer) open(b []byte, next uint64) (batch.Header, error) {
	if c.pos >= next {
		return batch.Header{}, protocolError("behind offset %d, where the answer says that it ends, it has %d bytes", next, len(b))
	}
	h, err := batch.ParseHeader(b)
	if err != nil || !c.due(h, b, next) {
		return h, c.misplaced(h, b, next, err)
	}
	if _, err = batch.Verify(b[:h.Size]); err == nil {
		err = c.reader.Reset(b[:h.Size], c.opt.MaxDecoded)
	}
	if err != nil {
		return h, c.damaged(h, err)
	}
	return h, nil
}

// due tells whether the batch at the front of b is the one that holds the position. Its base is not in its checksum: only
// its neighbours show that it is right, where they are here.
func (c *Consumer) due(h batch.Header, b []byte, next uint64) bool {
	if h.Size > len(b) || h.BaseOffset > c.pos || h.Next() <= c.pos {
		return false
	}
	return h.BaseOffset == c.pos || h.Next() == behind(h, b, next)
}

// behind is where the records behind the batch at the front of b begin: h's own end, if that cannot be told.
func behind(h batch.Header, b []byte, next uint64) uint64 {
	if h.Size == len(b) {
		return next
	}
	if g, err := batch.ParseHeader(b[h.Size:]); err == nil {
		return g.BaseOffset
	}
	return h.Next()
}

// misplaced makes the error of a header that is damaged, with the next place where the answer goes on for sure: at this
// batch, which only comes too late; at the one behind it; or not before its end.
func (c *Consumer) misplaced(h batch.Header, b []byte, next uint64, err error) error {
	on := next
	if err == nil {
		err = fmt.Errorf("offset %d was due, the batch has %d to %d in %d of %d bytes", c.pos, h.BaseOffset, h.Next(), len(b), h.Size)
		if h.Size <= len(b) {
			_, bad := batch.Verify(b[:h.Size])
			switch at := behind(h, b, next); {
			case bad == nil && h.BaseOffset > c.pos && h.Next() == at && at <= next:
				on = h.BaseOffset
			case at > c.pos && at < next:
				on = at
			}
		}
	}
	return c.corrupt(c.pos, on, err)
}

// damaged makes the error of a batch that arrived, and can't be read.
func (c *Consumer) damaged(h batch.Header, why error) error {
	return c.corrupt(h.BaseOffset, h.Next(), why)
}

func (c *Consumer) corrupt(from, next uint64, why error) error {
	text := why.Error()
	if f, ok := errors.AsType[*batch.Fault](why); ok {
		text = f.Why // without its place in what was fetched, which nobody knows
	}
	text = fmt.Sprintf("the records [%d, %d) arrived damaged: %s", from, next, text)
	return &CorruptError{Err: Error{Op: "fetch", Topic: c.topic, Code: Corrupt, Text: text}, From: from, Next: next}
}

// gap makes a GapError of an error that tells where there are records again. What does not lead on is none: a range
// that leaves out the position, or a place behind the end.
func (c *Consumer) gap(err error) error {
	var damaged *CorruptError
	var outside *OutOfRangeError
	switch {
	case errors.As(err, &damaged) && !c.started:
		return &GapError{From: damaged.From, Next: damaged.Next, Why: err}
	case errors.As(err, &damaged) && damaged.From <= c.pos && c.pos < damaged.Next:
		return &GapError{From: c.pos, Next: damaged.Next, Why: err}
	case errors.As(err, &outside) && c.started && c.pos < outside.Oldest:
		return &GapError{From: c.pos, Next: outside.Oldest, Why: err}
	}
	return err
}
