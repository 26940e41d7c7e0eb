package stages

import (
	"context"
	"net"
	"time"
)

// peer is what the kernel knows of a client that is not being read from.
type peer int

const (
	peerThere peer = iota
	peerEnded      // its stream has ended: it has closed its half, or all of it
	peerGone       // the connection is reset
)

// probes is how the kernel finds out that a client's machine is gone: it asks after a
// third of the patience without a word, then three times in what is left.
func probes(patience time.Duration) net.KeepAliveConfig {
	idle := max(patience/3, time.Second).Truncate(time.Second) // the kernel counts seconds
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: max((patience-idle)/3, time.Second).Truncate(time.Second), Count: 3}
}

// listen is net.Listen for connections whose clients may vanish. Probes find those to
// which nothing is on its way. One with bytes on their way is not probed but sent them
// again, for a quarter of an hour: silent bounds that. The kernel's TCP_USER_TIMEOUT would
// too, but it also ends who is there and reads slowly: it counts until a whole packet fits
// the window again.
func listen(address string, conf ConnConfig) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: probes(conf.PeerTimeout)}
	return lc.Listen(context.Background(), "tcp", address)
}

// silent tells whether bytes are on their way to a client whose machine has answered
// nothing for so long. A window that stays closed is an answer. The tick calls it; it asks
// the kernel only of connections that something was sent to, since all of it had arrived.
func (c *conn) silent(patience time.Duration) bool {
	if !c.sent.Load() {
		return false
	}
	c.sent.Store(false) // before the kernel is asked: what is sent from now on is for the next tick
	owed, silent := peerOwes(c.nc, patience)
	if owed {
		c.sent.Store(true)
	}
	before := c.tick.silent // twice: at the first time a probe may just have left, behind a long pause
	c.tick.silent = silent
	return silent && before
}
