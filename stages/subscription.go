package stages

import (
	"context"
	"fmt"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// limits counts what READ and TAIL may still send.
type limits struct {
	records, bytes int64 // -1: no limit
	sent, sentSize int64
	reached        bool
}

func newLimits(q *readRequest) limits {
	return limits{records: q.limit, bytes: q.bytes, reached: q.limit == 0}
}

// fits tells whether the record stays inside the limit of bytes. The first one
// always does, or a reader could stand still for ever.
func (l *limits) fits(rec *batch.Record) bool {
	return l.bytes < 0 || l.sent == 0 || l.sentSize+int64(len(rec.Key)+len(rec.Value)) <= l.bytes
}

func (l *limits) take(records, size int64) {
	l.sent += records
	l.sentSize += size
	l.reached = l.records >= 0 && l.sent >= l.records
}

// waiter is the wait of one request for news: of one log, or of several.
type waiter struct {
	r       *responder
	subs    []subscription // those that are subscribed
	timer   *time.Timer    // nil: no end but the client's
	began   time.Time
	limit   time.Duration
	counted bool // among stats.subscribers
	over    bool // the time is up
	eof     bool
}

// begin subscribes to one log, the first time it is called. limit 0 is for ever.
func (w *waiter) begin(r *responder, p *partition, limit time.Duration) *text.Error {
	if w.r != nil {
		return nil
	}
	if !w.start(r, limit) {
		return &text.Error{Code: text.CodeOverloaded, Skip: -1, Text: fmt.Sprintf("max_subscribers (%d) requests wait for records already", r.c.srv.conf.MaxSubscribers)}
	}
	r.subs[0].part = p
	w.listen(r.subs[:])
	return nil
}

// start begins the time of a wait. False: too many wait already, so that this one may not subscribe.
func (w *waiter) start(r *responder, limit time.Duration) bool {
	s := r.c.srv
	w.r, w.limit = r, limit
	if w.counted = s.stats.subscribers.Add(1) <= s.conf.MaxSubscribers; !w.counted {
		s.stats.subscribers.Add(-1)
	}
	if limit > 0 {
		if r.timer == nil {
			r.timer = time.NewTimer(limit)
		} else {
			r.timer.Reset(limit)
		}
		w.timer, w.began = r.timer, time.Now()
	}
	return w.counted
}

// listen subscribes to the log of each; start comes before. They stay where they are until end.
func (w *waiter) listen(subs []subscription) {
	w.subs = subs
	for i := range subs {
		subs[i].conn = w.r.c
		subs[i].part.subscribe(&subs[i])
	}
}

// renew takes back a wake-up that is not needed: what it is about is looked at now.
func (w *waiter) renew() {
	if w.r != nil {
		select {
		case <-w.r.c.signal:
		default:
		}
	}
}

// wait returns when the log may have news, the time is up, the client is gone, or the
// server stops. It waits for nothing that others wait for as well: each wake-up of
// thousands of followers would take the lock of a channel that all of them share.
// Whoever stops the server, or a connection, wakes it.
func (w *waiter) wait(ctx context.Context) {
	c := w.r.c
	switch {
	case ctx.Err() != nil:
		w.over, w.r.err = true, context.Cause(ctx)
		return
	case c.broken.Load():
		w.over, w.r.err = true, errGone
		return
	case c.srv.draining():
		w.over = true
		return
	}
	w.r.flush()
	if w.timer == nil {
		<-c.signal
		return
	}
	if at := c.ended.Load(); at != 0 && !w.eof {
		w.eof = true
		left := c.srv.conf.Conn.afterEOF - time.Since(time.Unix(0, at)) // once for all that were pipelined
		w.timer.Reset(min(left, w.limit-time.Since(w.began)))
	}
	select {
	case <-c.signal:
	case <-w.timer.C:
		w.over = true
	}
}

func (w *waiter) end() {
	if w.r == nil {
		return
	}
	for i := range w.subs {
		w.subs[i].part.unsubscribe(&w.subs[i])
		w.subs[i].part = nil // or a dropped log stays in memory
	}
	if w.counted {
		w.r.c.srv.stats.subscribers.Add(-1)
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}
