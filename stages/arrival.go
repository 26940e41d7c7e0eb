package stages

import (
	"context"
	"time"

	"sluice/sched"
)

// frameMemory is a budget of requests: from where their payload begins to arrive until a writer has taken them over. A client
// that sends slowly has the use of it for as long as that takes. So half-received requests may hold half of it, and what finds
// that half taken stays in its client's socket until it is whole: then nobody's client is waited for while it is held.
type frameMemory struct {
	*sched.Bytes              // all of it
	arriving     *sched.Bytes // the part of it that half-received requests hold
}

func newFrameMemory(total int64) *frameMemory {
	return &frameMemory{Bytes: sched.NewBytes(total), arriving: sched.NewBytes(total / 2)}
}

// socketMost is how much of a request is left in its socket, if the kernel takes that: the batches of most clients, which are a
// megabyte at most. What is larger waits for its turn.
const socketMost = 2 << 20

// leaseFor takes memory for one request, of which the client owes some bytes yet. Large ones come out of a budget of their own.
func (r *reader) leaseFor(ctx context.Context, n, owed int) (*sched.Buf, error) {
	m := r.c.srv.appendMemory
	if n > largeFrame {
		m = r.c.srv.largeMemory
	}
	if owed > 0 {
		if err := r.admit(ctx, m, n, owed); err != nil {
			return nil, err
		}
		r.c.keeps.Store(m)
	}
	r.lent.from, r.lent.bytes = m, placeOf(m, n)
	return m.Lease(ctx, n)
}

const largeFrame = 256 << 10

// admit returns when there is a place for a request of n bytes among the half-received ones, or when the rest of it is here.
func (r *reader) admit(ctx context.Context, m *frameMemory, n, owed int) error {
	place := placeOf(m, n)
	if m.arriving.TryReserve(place) {
		r.place = place
		return nil
	}
	whole, err := r.inSocket(m, place, owed)
	if whole || err != nil || r.place > 0 {
		return err
	}
	if err := m.arriving.Reserve(ctx, place); err != nil {
		return err
	}
	r.place = place
	return nil
}

// placeOf is how much of the half a request of n bytes takes: all of it, if it is larger than that.
func placeOf(m *frameMemory, n int) int64 {
	_, most := m.arriving.Used()
	return min(int64(sched.LeaseSize(n)), most)
}

// takePlace tells whether the reader may wait for somebody else than writers: with memory lent for a request it may if that finds a
// place again among the half-received ones.
func (r *reader) takePlace() bool {
	m := r.lent.from
	if m == nil {
		return true
	}
	if !m.arriving.TryReserve(r.lent.bytes) {
		return false
	}
	r.place = r.lent.bytes
	r.c.keeps.Store(m)
	return true
}

// inSocket waits for what is owed where it costs none of this memory: in the client's socket. Otherwise than whole, it returns when
// there is a place by now, or the socket takes no more.
func (r *reader) inSocket(m *frameMemory, place int64, owed int) (whole bool, err error) {
	r.c.input.Store(r.parser.state())
	defer func() {
		r.c.input.Store(inputBusy)
		r.c.frameSince.Store(0)
	}()
	before := r.w - r.r
	if err := r.input.widen(min(owed, socketMost)); err != nil {
		return false, err
	}
	owed -= r.w - r.r - before
	for due := 0; due < min(owed, socketMost); {
		due = min(due+frameStep, owed)
		r.c.frameSince.Store(time.Now().UnixNano())
		got, err := r.input.await(due)
		if err != nil || got >= owed {
			return err == nil, err
		}
		if m.arriving.TryReserve(place) {
			r.place = place
			return false, nil
		}
		if got < due {
			break
		}
	}
	return owed <= 0, nil
}

// leavePlace is for a request that is whole, or never will be.
func (r *reader) leavePlace() {
	m := r.c.keeps.Load()
	if m == nil {
		return
	}
	r.c.keeps.Store(nil)
	m.arriving.Free(r.place)
	r.place = 0
}

// inTheWay tells whether others wait for memory that the client holds while it owes the rest of a request, and has not sent a part
// of it within a share of its time. The tick calls it.
func (c *conn) inTheWay(now time.Time, share time.Duration) bool {
	m, since := c.keeps.Load(), c.frameSince.Load()
	return m != nil && (m.Wanted() || m.arriving.Wanted()) && since != 0 && now.UnixNano()-since > int64(share)
}

// pins tells whether others wait for memory.requests while the client's requests hold some, and its responder waits for it to take the
// answers before them: for a share of the time that it has, however much it takes meanwhile. The tick calls it.
func (c *conn) pins(now time.Time, share time.Duration) bool {
	if c.kafka == nil || c.kafka.held.Load() == 0 || c.writeSince.Load() == 0 || !c.srv.requestMemory.Wanted() {
		c.tick.pinsSince = time.Time{}
		return false
	}
	if c.tick.pinsSince.IsZero() {
		c.tick.pinsSince = now
	}
	return now.Sub(c.tick.pinsSince) > share
}

// evict has the reader give up the request at hand. Its client is told, so only the reading ends. The tick calls it.
func (c *conn) evict() {
	c.evicted.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // a socket that can't take a deadline is closed already
}
