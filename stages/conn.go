package stages

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"sluice/sched"
	"sluice/wire/text"
)

// conn is one connection: what its reader and its responder share. The reader
// turns requests into commands, in order; the responder answers them, in the
// same order. Both end by themselves, the reader last.
type conn struct {
	srv   *Server
	nc    net.Conn
	kafka *kafkaConn    // what only a connection of the Kafka protocol has; nil: it speaks text
	gone  chan struct{} // closed when the responder has returned

	// Commands travel in a ring: free -> reader -> stages -> completed -> responder
	// -> free. There are at most in_flight of them, so none of these channels is
	// ever full, and no stage waits for a connection.
	free      chan *command
	completed chan *command
	back      chan *command // what the responder itself sent to a stage

	signal  chan struct{} // something the responder waits for may have happened
	barrier chan struct{} // the reader may parse on: a change of the catalog is done

	ended  atomic.Int64 // Unix nanoseconds: since when the client's stream has ended; 0: it has not
	broken atomic.Bool  // it was reset: nobody is left to take an answer

	// What the tick looks at. The times are Unix nanoseconds; 0: it is not so.
	lineSince  atomic.Int64                // a request's line is half received
	frameSince atomic.Int64                // a payload is
	writeSince atomic.Int64                // an answer is stuck
	sent       atomic.Bool                 // stored by the responder and the tick: not all that was sent is known to have arrived
	input      atomicInput                 // stored by the reader
	keeps      atomic.Pointer[frameMemory] // stored by the reader: what the client holds some of while it owes the rest of a request
	evicted    atomic.Bool                 // stored by the tick: that was wanted by others, and it is to let go of it
	tick       struct {                    // touched by the tick only
		at        inputState
		idleSince time.Time
		silent    bool
		over      bool // the connection is being closed
		evicted   bool
		pinsSince time.Time
	}

	reader    reader
	responder responder
}

func newConn(s *Server, nc net.Conn, speaks protocol) *conn {
	n := s.conf.Conn.InFlight
	c := &conn{
		srv: s, nc: nc, gone: make(chan struct{}),
		free: make(chan *command, n), completed: make(chan *command, n), back: make(chan *command, 1),
		signal: make(chan struct{}, 1), barrier: make(chan struct{}, 1),
	}
	if speaks == speaksKafka {
		c.kafka = new(kafkaConn)
	}
	c.reader = newReader(c)
	c.responder = newResponder(c, n)
	return c
}

// protocol is what a connection's bytes mean.
type protocol int

const (
	speaksText protocol = iota
	speaksKafka
)

// wake makes the responder look again at what it waits for. It never blocks.
func (c *conn) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// end says that the client's stream has ended. What waits for records learns of it.
func (c *conn) end() {
	if c.ended.CompareAndSwap(0, time.Now().UnixNano()) {
		c.wake()
	}
}

// read is the reader's goroutine. It owns the connection's end.
func (c *conn) read(ctx context.Context) error {
	sending := c.reader.run(ctx)
	<-c.gone
	if sending {
		linger(c.nc)
	}
	// Nothing is lost with this error: all answers left before, and the peer has
	// seen the end of the stream or is not there any more.
	_ = c.nc.Close()
	c.unholdAll()
	c.srv.conns.remove(c)
	return nil
}

const (
	lingerBytes = 64 << 10
	lingerTime  = time.Second
)

// linger lets the last answer arrive: closing a socket with unread bytes would
// reset it, and the peer would lose what it has not read yet.
func linger(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil && nc.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		var rest [4 << 10]byte
		for n := 0; n < lingerBytes; {
			k, err := nc.Read(rest[:])
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

// abort makes every read and write of the connection fail at once, and whoever waits
// for something else look at why.
func (c *conn) abort() {
	// A socket that can't take a deadline is closed already.
	_ = c.nc.SetDeadline(time.Unix(1, 0))
	c.wake()
}

// budgets names the server's memory for STATS.
type budget struct {
	name  string
	bytes *sched.Bytes
}

// simple errors that need nothing but themselves
var (
	errDropped      = &text.Error{Code: text.CodeNoTopic, Skip: -1, Text: "the topic was dropped"}
	errEvicted      = &text.Error{Code: text.CodeOverloaded, Skip: -1, Close: true, Text: "other requests wait for the memory that this one holds, and it comes too slowly: send it again, faster or in smaller parts"}
	errShuttingDown = &text.Error{Code: text.CodeShuttingDown, Skip: -1, Close: true, Text: "the server is stopping"}
)
