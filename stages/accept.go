package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"sluice/wire/text"
)

// acceptor takes connections and starts a reader and a responder for each. In:
// the listening socket. Out: connections. Ends when the socket is closed.
type acceptor struct {
	srv *Server
	in  net.Listener
}

// Run accepts until the listener is closed. A lack of descriptors makes it wait
// a little: trying again at once would keep a core busy with failing.
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
			a.srv.log.Warn("connections can't be accepted", zap.Error(err), zap.Duration("next try in", pause))
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
			pause = min(2*pause, most)
		}
	}
}

func (a *acceptor) admit(nc net.Conn) {
	s := a.srv
	if limit := s.conf.MaxConnections; int64(s.conns.count()) >= limit {
		refuseConnection(nc, &text.Error{Code: text.CodeOverloaded, Skip: -1, Text: fmt.Sprintf("there are %d connections already (max_connections)", limit)})
		s.stats.errors[text.CodeOverloaded].Add(1)
		return
	}
	c := newConn(s, nc)
	s.conns.add(c)
	s.connGroup.Go("reader", c.read)
	s.connGroup.Go("responder", c.respond)
}

// refuseConnection answers before any request. The socket's buffer takes the one
// line, so this can't block; a client that is gone already misses nothing.
func refuseConnection(nc net.Conn, e *text.Error) {
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write(text.AppendError(nil, e, 0))
	_ = nc.Close()
}

func fromLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
