package stages

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/wire/text"
)

// connections is the registry of those that are open.
type connections struct {
	sync.Mutex
	open  map[*conn]struct{}
	from  map[netip.Prefix]int64 // open ones by client; nil where nobody counts them
	stats *stats

	most, mostFrom int64 // in all, and from one address; fixed before the first
}

func newConnections(s *stats, most, mostFrom int64) *connections {
	cs := &connections{open: make(map[*conn]struct{}), stats: s, most: most, mostFrom: mostFrom}
	if mostFrom != None {
		cs.from = make(map[netip.Prefix]int64)
	}
	return cs
}

// client is what connections of one client have in common: the address, or the network
// where everybody has 2^64 addresses. ok is false for what has none.
func client(a net.Addr) (p netip.Prefix, ok bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return p, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

// refusal is the answer to one connection too many, else nil. The acceptor calls it;
// nobody else adds any.
func (cs *connections) refusal(a net.Addr) *text.Error {
	cs.Lock()
	defer cs.Unlock()
	if int64(len(cs.open)) >= cs.most {
		return overloaded("there are %d connections already (max_connections, or as many as the limit of open files allows)", cs.most)
	}
	if p, ok := client(a); ok && cs.from[p] >= cs.mostFrom {
		return overloaded("there are %d connections from %v already (max_connections_per_address)", cs.mostFrom, p)
	}
	return nil
}

func overloaded(format string, args ...any) *text.Error {
	return &text.Error{Code: text.CodeOverloaded, Skip: -1, Text: fmt.Sprintf(format, args...)}
}

func (cs *connections) add(c *conn) {
	cs.Lock()
	defer cs.Unlock()
	cs.open[c] = struct{}{}
	cs.countLocked(c, 1)
}

func (cs *connections) remove(c *conn) {
	cs.Lock()
	defer cs.Unlock()
	delete(cs.open, c)
	cs.countLocked(c, -1)
}

func (cs *connections) countLocked(c *conn, by int64) {
	cs.stats.connections.Store(int64(len(cs.open)))
	if c.kafka != nil {
		cs.stats.kafka.connections.Add(by)
	}
	if cs.from == nil {
		return
	}
	p, ok := client(c.nc.RemoteAddr())
	if !ok {
		return
	}
	if cs.from[p] += by; cs.from[p] == 0 {
		delete(cs.from, p)
	}
}

// each calls f for every open connection. f must not block.
func (cs *connections) each(f func(*conn)) {
	cs.Lock()
	defer cs.Unlock()
	for c := range cs.open {
		f(c)
	}
}

// expire closes the connections that take too long. A tick calls it: deadlines of their
// own would cost each read and write a timer operation, and each idle connection a timer.
func (cs *connections) expire(now time.Time, conf ConnConfig) {
	cs.each(func(c *conn) {
		if c.tick.over {
			return
		}
		if !c.tick.evicted && c.inTheWay(now, conf.FrameTimeout/frameSteps) {
			c.tick.evicted = true
			cs.stats.closed[closedOverloaded].Add(1)
			c.evict()
		}
		why, over := c.overdue(now, conf)
		if over {
			c.tick.over = true
			cs.stats.closed[why].Add(1)
			c.abort()
			c.wake()
		}
	})
}

// A closing is why the server closed a connection by itself.
type closing int

const (
	closedHeader closing = iota
	closedFrame
	closedWrite
	closedIdle
	closedVanished

	// Of the Kafka protocol, which has no answer for these.
	closedMalformed  // a frame that is not what it says
	closedOversized  // a frame above its limit
	closedUnserved   // a key or version that is not served
	closedOverloaded // no memory for a request now, or what it has of it is needed by others
	closedUnanswered // a failed Produce with acks=0

	closings
)

var closingNames = [closings]string{
	"header", "frame", "write", "idle", "vanished", "malformed", "oversized", "unserved", "overloaded", "unanswered",
}

// overdue tells whether, and why, the connection is to be closed. The tick calls it.
func (c *conn) overdue(now time.Time, conf ConnConfig) (why closing, over bool) {
	late := func(since int64, limit time.Duration) bool {
		return since != 0 && now.UnixNano()-since > int64(limit)
	}
	switch {
	case late(c.lineSince.Load(), conf.HeaderTimeout):
		return closedHeader, true
	case late(c.frameSince.Load(), conf.FrameTimeout):
		return closedFrame, true
	case late(c.writeSince.Load(), conf.WriteTimeout) && c.responder.sender.stuck(now):
		return closedWrite, true
	case c.silent(conf.PeerTimeout):
		c.broken.Store(true)
		return closedVanished, true
	case c.pins(now, conf.FrameTimeout/frameSteps):
		return closedOverloaded, true
	}
	at := c.input.Load()
	moved := at != c.tick.at
	c.tick.at = at
	if at == inputBusy {
		return closedVanished, !moved && c.vanished()
	}
	begun := c.lineSince.Load() != 0 || c.frameSince.Load() != 0 // a request, whose time is another one
	if moved || begun || !at.idle(c) || c.tick.idleSince.IsZero() {
		c.tick.idleSince = now
	}
	return closedIdle, conf.IdleTimeout != Forever && now.Sub(c.tick.idleSince) > conf.IdleTimeout
}

// inputState is what the reader tells the tick, which is the one to find idle and vanished
// clients: how many commands the connection has taken, times 2^16, and how many exist of
// which the reader holds none. So it differs whenever a request came in between.
type inputState uint64

type atomicInput struct{ v atomic.Uint64 }

func (a *atomicInput) Load() inputState   { return inputState(a.v.Load()) }
func (a *atomicInput) Store(s inputState) { a.v.Store(uint64(s)) }

// inputBusy says that the reader is at work, or waits for anybody but its client. It does
// not see then that the client is gone.
const inputBusy inputState = 1<<64 - 1

// idle tells whether the reader waits for its client, and nothing is under way.
func (i inputState) idle(c *conn) bool { return i != inputBusy && len(c.free) == int(i&0xffff) }

// vanished asks the kernel of a client that the reader does not hear: since all its commands
// are under way, or there is no memory for more. Were it not for this, one that sent many
// a FETCH with a long wait and died would hold its connection until the last is over. A
// stream that has ended makes those waits short, as it does where the reader sees the end.
func (c *conn) vanished() bool {
	switch peerState(c.nc) {
	case peerGone:
		c.broken.Store(true)
		return true
	case peerEnded:
		c.end()
	}
	return false
}
