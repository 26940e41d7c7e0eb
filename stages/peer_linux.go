package stages

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// peerState asks the kernel what it knows of the client, without reading what it sent.
func peerState(nc net.Conn) peer {
	info, err := tcpInfo(nc)
	switch {
	case err != nil:
		return peerGone // closed already
	case info == nil:
	case info.State == unix.BPF_TCP_CLOSE:
		return peerGone
	case info.State == unix.BPF_TCP_CLOSE_WAIT:
		return peerEnded
	}
	return peerThere
}

// peerOwes tells whether the client's machine has not acknowledged all that was sent; and
// whether it was asked, by a packet sent again or a probe of its window, and has answered
// nothing for so long.
func peerOwes(nc net.Conn, patience time.Duration) (owes, silent bool) {
	info, err := tcpInfo(nc)
	if err != nil || info == nil {
		return false, false
	}
	owes = info.Unacked > 0 || info.Notsent_bytes > 0
	asked := info.Retransmits > 0 || info.Probes > 0
	return owes, owes && asked && time.Duration(info.Last_ack_recv)*time.Millisecond > patience
}

// tcpInfo is nil for what is no TCP socket. Its error is that of a socket which is closed.
func tcpInfo(nc net.Conn) (info *unix.TCPInfo, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	err = raw.Control(func(fd uintptr) {
		if got, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil { // else it is no TCP
			info = got
		}
	})
	return info, err
}
