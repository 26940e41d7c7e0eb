package client

import (
	"context"
	"errors"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// fetchMax bounds the bytes of one FETCH answer: a batch is never larger, and more is taken from no server.
const fetchMax = batch.MaxSize

// piece is the answer to one FETCH: whole stored batches.
type piece struct {
	buf       []byte // reused
	b         []byte // the batches, a part of buf
	from      uint64 // the offset that was asked for, resolved; the first batch may begin before it
	next, end uint64 // behind the last batch; the end of the log
	err       error  // instead of all that: nothing more comes
}

// fetcher brings pieces, ahead of the loop that decodes them. While run runs, its goroutine owns every field but the
// channels; before and after, the loop does.
type fetcher struct {
	c     *Client
	topic string
	opt   ConsumerOptions

	pieces []*piece    // Prefetch+1 of them: that is the bound on memory
	free   chan *piece // has room for all
	ready  chan *piece // as well

	from    []byte // where the next FETCH starts: the user's words at first, then an offset
	known   bool   // from is an offset
	next    uint64 // that offset
	stop    uint64 // without Follow: the end as it was at first
	bounded bool   // stop is known
	epoch   int64  // of the last record before next; -1: not known

	k       *conn
	release func() bool // ends that k is closed with the run's ctx; false: it was. Nil: nothing has bound them
	fresh   bool        // nothing was asked on k: the server may be another than the one before
	asked   bool        // a FETCH for `next` is under way on k
	line    []byte

	since   time.Time // of the first failure without a success after it; zero: there is none
	attempt int
}

func newFetcher(c *Client, topic string, o ConsumerOptions) *fetcher {
	f := &fetcher{c: c, topic: topic, opt: o}
	for range o.Prefetch + 1 {
		f.pieces = append(f.pieces, new(piece))
	}
	return f
}

// begin makes the fetcher ready for a run from next on, or from `from` if that is not known.
func (f *fetcher) begin(from From, known bool, next uint64, epoch int64) {
	f.from, f.known, f.next, f.epoch = from.append(f.from[:0]), known, next, epoch
	f.since, f.attempt = time.Time{}, 0
	f.free, f.ready = make(chan *piece, len(f.pieces)), make(chan *piece, len(f.pieces))
	for _, p := range f.pieces {
		f.free <- p
	}
}

// rest keeps the connection for the next run, if this one has left it with nothing under way.
func (f *fetcher) rest() {
	if f.release != nil && (!f.release() || f.asked) {
		f.drop()
	}
	f.release = nil
}

// run fetches until the end (without Follow), an error that a new connection can't mend, or the end of ctx.
// It never waits for `ready`: there is room for every piece there is.
func (f *fetcher) run(ctx context.Context) {
	defer close(f.ready)
	for !f.bounded || f.next < f.stop {
		var p *piece
		select {
		case p = <-f.free:
		case <-ctx.Done():
			return
		}
		if p.err = f.fill(ctx, p); p.err != nil {
			f.ready <- p
			return
		}
		f.ready <- p
	}
}

// fill brings one piece that holds something, or says why there is none. A lost connection is made again.
func (f *fetcher) fill(ctx context.Context, p *piece) error {
	for {
		err := f.try(ctx, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			f.since, f.attempt = time.Time{}, 0
			if len(p.b) > 0 || f.bounded && f.next >= f.stop {
				return nil
			}
			continue // nothing new within Wait
		}
		if final(err) {
			return err
		}
		f.drop()
		if err := f.pause(ctx, err); err != nil {
			return err
		}
	}
}

// final tells whether another connection, or another moment, can't change the answer.
func final(err error) bool {
	var e *Error
	return errors.As(err, &e) && !noEffect(e.Code)
}

// pause waits before the next try; it returns err once Retry.For is over.
func (f *fetcher) pause(ctx context.Context, err error) error {
	r := f.c.opt.Retry
	now := time.Now()
	if f.since.IsZero() {
		f.since = now
	}
	wait := backoff(r, f.attempt)
	f.attempt++
	if now.Sub(f.since)+wait > r.For {
		return err
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fetcher) drop() {
	if f.k != nil {
		f.k.close()
		f.k = nil
	}
	if f.release != nil {
		f.release()
		f.release = nil
	}
	f.asked = false
}

// try sends a FETCH, unless one is under way, and reads its answer into p.
func (f *fetcher) try(ctx context.Context, p *piece) error {
	if f.k == nil {
		k, err := f.c.connect(ctx)
		if err != nil {
			return err
		}
		f.k, f.fresh = k, true
		k.resetWhenClosed()
	}
	if f.release == nil {
		f.release = f.k.closeWith(ctx)
	}
	if err := f.ask(); err != nil {
		return err
	}
	f.asked = false
	a, err := f.k.answer(f.wait())
	if err != nil {
		return err
	}
	if a.Kind == text.AnswerErr {
		return f.refused(a)
	}
	if err := f.head(p, a); err != nil {
		return err
	}
	return f.body(p, int(a.N))
}

// refused gives an OUT_OF_RANGE the offset it is about.
func (f *fetcher) refused(a *text.Answer) error {
	err := answerError("fetch", f.topic, a)
	var out *OutOfRangeError
	if errors.As(err, &out) && f.known {
		out.Offset = f.next
	}
	return err
}

// wait is how long the server may hold a FETCH. The first does not wait: it turns "newest" into an offset at once, and
// what comes after that answer can't be missed, whatever happens to the connection.
func (f *fetcher) wait() time.Duration {
	if f.opt.Follow && f.known {
		return f.opt.Wait
	}
	return 0
}

// ask sends the FETCH for `next`, if none is under way.
func (f *fetcher) ask() error {
	if f.asked {
		return nil
	}
	l := append(append(f.line[:0], "FETCH "...), f.topic...)
	l = append(l, ' ')
	if f.known {
		l = Offset(f.next).append(l)
	} else {
		l = append(l, f.from...)
	}
	l = text.AppendUint(l, "bytes", uint64(f.opt.FetchBytes))
	if w := f.wait(); w > 0 {
		l = text.AppendStr(l, "wait", w.String())
	}
	if f.fresh && f.epoch >= 0 { // did the log diverge while nobody looked? On one connection it can't
		l = text.AppendInt(l, "epoch", f.epoch)
	}
	f.line = text.AppendEOL(l)
	if err := f.k.write(f.line); err != nil {
		return err
	}
	f.asked, f.fresh = true, false
	return nil
}

// head reads the line of a DATA answer.
func (f *fetcher) head(p *piece, a *text.Answer) error {
	if a.Kind != text.AnswerData {
		return protocolError("DATA was due, not %v", a.Kind)
	}
	fs := fieldsOf(a)
	p.from, p.next, p.end = fs.uint("from"), fs.uint("next"), fs.uint("end")
	if err := fs.err(); err != nil {
		return err
	}
	limit := max(f.opt.FetchBytes, fetchMax)
	switch {
	case a.N > int64(limit):
		return protocolError("DATA of %d bytes, at most %d can be right", a.N, limit)
	case f.known && p.from != f.next:
		return protocolError("offset %d was asked for, the answer is from %d", f.next, p.from)
	case p.next < p.from || a.N == 0 && p.next != p.from || a.N > 0 && p.next == p.from || p.end < p.next:
		return protocolError("DATA of %d bytes from %d to %d of %d", a.N, p.from, p.next, p.end)
	case a.N == 0 && p.from < p.end && !f.opt.Follow:
		return protocolError("no data at offset %d of %d", p.from, p.end)
	}
	f.known, f.next = true, p.next
	if !f.opt.Follow && (!f.bounded || p.end < f.stop) { // a power cut may have taken the end as it was at first
		f.bounded, f.stop = true, p.end
	}
	return nil
}

// body reads the batches. After an error none of it was taken.
func (f *fetcher) body(p *piece, n int) error {
	// A batch may be larger than FetchBytes, and is then alone; its room is not kept for the smaller ones that follow.
	if most := f.opt.FetchBytes; cap(p.buf) < n || n <= most && cap(p.buf) > most {
		p.buf = make([]byte, max(n, min(most, 2*n)))
	}
	p.b = p.buf[:n]
	ahead := f.askAhead(n)
	err := f.k.payload(p.b)
	if err == nil && n > 0 {
		f.epoch = lastEpoch(p.b)
	}
	if err != nil {
		f.next, p.b = p.from, nil
		return err
	}
	if ahead != nil { // what is here is good all the same
		f.drop()
	}
	return nil
}

// askAhead sends the next FETCH before the bytes of this one are read, where another piece is free: the server works on
// it meanwhile. Never without one, or an answer that nobody takes would hold the server's memory.
func (f *fetcher) askAhead(n int) error {
	if n == 0 || len(f.free) == 0 || f.bounded && f.next >= f.stop {
		return nil
	}
	return f.ask()
}

// lastEpoch is the epoch of the last of the batches in b; -1, if they are damaged, which the loop will find.
func lastEpoch(b []byte) int64 {
	for {
		h, err := batch.ParseHeader(b)
		if err != nil || h.Size > len(b) {
			return -1
		}
		if b = b[h.Size:]; len(b) == 0 {
			return int64(h.Epoch)
		}
	}
}
