package stages

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long bytes on their way to a client may go without an answer
// of its machine. Connections inherit it from the listening socket.
func setUserTimeout(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		}); e != nil {
			return e
		}
		return err
	}
}

// peerState asks the kernel what it knows of the client, without reading what it sent.
func peerState(nc net.Conn) peer {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return peerThere
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peerGone // closed already
	}
	state := peerThere
	if err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		switch {
		case err != nil: // no TCP; then nobody knows
		case info.State == unix.BPF_TCP_CLOSE:
			state = peerGone
		case info.State == unix.BPF_TCP_CLOSE_WAIT:
			state = peerEnded
		}
	}); err != nil {
		return peerGone
	}
	return state
}
