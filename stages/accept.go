package stages

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"sluice/wire/text"
)

// acceptor takes connections and starts a reader and a responder for each. In:
// the listening socket. Out: connections. Ends when the socket is closed.
type acceptor struct {
	srv    *Server
	in     net.Listener
	speaks protocol  // those who connect there
	told   time.Time // when a failure was last told

	refusals chan struct{} // a place for each refused connection that is kept until its client has read why
}

// refusalsMost bounds the descriptors of those who are not let in.
const refusalsMost = 4

func newAcceptor(s *Server, in net.Listener, speaks protocol) *acceptor {
	return &acceptor{srv: s, in: in, speaks: speaks, refusals: make(chan struct{}, refusalsMost)}
}

// Run accepts until the listener is closed. A lack of descriptors, which the
// budget cannot rule out where somebody else uses them up, makes it wait a little,
// while clients wait in the backlog: trying again at once would keep a core busy
// with failing.
func (a *acceptor) Run(ctx context.Context) error {
	const first, most = 5 * time.Millisecond, time.Second
	pause := first
	for {
		nc, err := a.in.Accept()
		switch {
		case err == nil:
			pause = first
			a.admit(nc)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			a.tell(err)
			select {
			case <-time.After(pause):
			case <-a.srv.drain:
				return nil
			case <-ctx.Done():
				return nil
			}
			pause = min(2*pause, most)
		}
	}
}

// tell logs a failure, once a minute at most: each try is one.
func (a *acceptor) tell(err error) {
	if a.told.IsZero() || time.Since(a.told) > time.Minute {
		a.told = time.Now()
		a.srv.log.Warn("connections can't be accepted now; it is tried again every second, and those that are open are served", zap.Error(err))
	}
}

func (a *acceptor) admit(nc net.Conn) {
	s := a.srv
	if e := s.conns.refusal(nc.RemoteAddr()); e != nil {
		s.stats.failed(e)
		a.refuse(nc, e)
		return
	}
	c := newConn(s, nc, a.speaks)
	s.conns.add(c)
	s.connGroup.Go("reader", c.read)
	s.connGroup.Go("responder", c.respond)
}

// refuse answers before any request. The socket's buffer takes the one line, so this
// can't block. Of those that are refused at once few are sure to read the answer, as a
// close with their request unread resets the connection. The Kafka protocol has no answer
// before a request: a close is what its clients know, and try again.
func (a *acceptor) refuse(nc net.Conn, e *text.Error) {
	if a.speaks == speaksKafka {
		_ = nc.Close() // nothing was written
		return
	}
	// A client that is gone misses nothing.
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write(text.AppendError(nil, e, 0))
	select {
	case a.refusals <- struct{}{}:
		a.srv.connGroup.Go("refusal", func(context.Context) error {
			defer func() { <-a.refusals }()
			linger(nc)
			_ = nc.Close() // as above
			return nil
		})
	default:
		_ = nc.Close() // as above
	}
}

func fromLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
