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

// listen is net.Listen for connections whose clients may vanish. Probes find those that
// owe nothing. One with bytes on their way is not probed but sent them again, for a
// quarter of an hour; the user timeout bounds that. But it also ends a client that is
// there and takes nothing, and write_timeout says how long that may last: where that is
// longer, there is no user timeout.
func listen(address string, conf ConnConfig) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: probes(conf.PeerTimeout)}
	if conf.WriteTimeout <= conf.PeerTimeout {
		lc.Control = setUserTimeout(conf.PeerTimeout)
	}
	return lc.Listen(context.Background(), "tcp", address)
}
