package stages

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/sched"
	"sluice/wire/text"
)

// conn is one connection: what its reader and its responder share. The reader
// turns requests into commands, in order; the responder answers them, in the
// same order. Both end by themselves, the reader last.
type conn struct {
	srv  *Server
	nc   net.Conn
	gone chan struct{} // closed when the responder has returned

	// Commands travel in a ring: free -> reader -> stages -> completed -> responder
	// -> free. There are at most in_flight of them, so none of these channels is
	// ever full, and no stage waits for a connection.
	free      chan *command
	completed chan *command
	back      chan *command // what the responder itself sent to a stage

	signal  chan struct{} // something the responder waits for may have happened
	barrier chan struct{} // the reader may parse on: a change of the catalog is done

	ended      atomic.Bool  // the client's stream has ended
	broken     atomic.Bool  // it was reset: nobody is left to take an answer
	frameSince atomic.Int64 // Unix nanoseconds; 0: no request is half received
	writeSince atomic.Int64 // Unix nanoseconds; 0: no answer is stuck

	reader    reader
	responder responder
}

func newConn(s *Server, nc net.Conn) *conn {
	n := s.conf.Conn.InFlight
	c := &conn{
		srv: s, nc: nc, gone: make(chan struct{}),
		free: make(chan *command, n), completed: make(chan *command, n), back: make(chan *command, 1),
		signal: make(chan struct{}, 1), barrier: make(chan struct{}, 1),
	}
	c.reader = newReader(c)
	c.responder = newResponder(c, n)
	return c
}

// wake makes the responder look again at what it waits for. It never blocks.
func (c *conn) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// read is the reader's goroutine. It owns the connection's end.
func (c *conn) read(ctx context.Context) error {
	sending := c.reader.run(ctx)
	<-c.gone
	if sending {
		c.linger()
	}
	// Nothing is lost with this error: all answers left before, and the peer has
	// seen the end of the stream or is not there any more.
	_ = c.nc.Close()
	c.srv.conns.remove(c)
	return nil
}

const (
	lingerBytes = 64 << 10
	lingerTime  = time.Second
)

// linger lets the last answer arrive: closing a socket with unread bytes would
// reset it, and the peer would lose what it has not read yet.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil && c.nc.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		var rest [4 << 10]byte
		for n := 0; n < lingerBytes; {
			k, err := c.nc.Read(rest[:])
			if err != nil {
				break
			}
			n += k
		}
	}
}

// respond is the responder's goroutine.
func (c *conn) respond(ctx context.Context) error {
	defer close(c.gone)
	c.responder.run(ctx)
	return nil
}

// connections is the registry of those that are open.
type connections struct {
	sync.Mutex
	open  map[*conn]struct{}
	stats *stats
}

func newConnections(s *stats) *connections {
	return &connections{open: make(map[*conn]struct{}), stats: s}
}

func (cs *connections) add(c *conn) {
	cs.Lock()
	defer cs.Unlock()
	cs.open[c] = struct{}{}
	cs.stats.connections.Store(int64(len(cs.open)))
}

func (cs *connections) remove(c *conn) {
	cs.Lock()
	defer cs.Unlock()
	delete(cs.open, c)
	cs.stats.connections.Store(int64(len(cs.open)))
}

func (cs *connections) count() int {
	cs.Lock()
	defer cs.Unlock()
	return len(cs.open)
}

// each calls f for every open connection. f must not block.
func (cs *connections) each(f func(*conn)) {
	cs.Lock()
	defer cs.Unlock()
	for c := range cs.open {
		f(c)
	}
}

// expire closes the connections whose request or answer is stuck. A tick calls
// it: a deadline on each read and write would cost a timer operation apiece.
func (cs *connections) expire(now time.Time, conf ConnConfig) {
	late := func(since int64, limit time.Duration) bool {
		return since != 0 && now.UnixNano()-since > int64(limit)
	}
	cs.each(func(c *conn) {
		if late(c.frameSince.Load(), conf.FrameTimeout) || late(c.writeSince.Load(), conf.WriteTimeout) {
			c.abort()
		}
	})
}

// abort makes every read and write of the connection fail at once.
func (c *conn) abort() {
	// A socket that can't take a deadline is closed already.
	_ = c.nc.SetDeadline(time.Unix(1, 0))
}

// budgets names the server's memory for STATS.
type budget struct {
	name  string
	bytes *sched.Bytes
}

// simple errors that need nothing but themselves
var (
	errDropped      = &text.Error{Code: text.CodeNoTopic, Skip: -1, Text: "the topic was dropped"}
	errShuttingDown = &text.Error{Code: text.CodeShuttingDown, Skip: -1, Close: true, Text: "the server is stopping"}
)
