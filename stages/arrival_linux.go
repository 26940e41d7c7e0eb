package stages

import (
	"cmp"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// widen has the kernel make room for n bytes that lie in the client's socket. The client hears of it when something is read: as much
// as the buffer has room for.
func (in *input) widen(n int) error {
	if in.raw == nil {
		return nil
	}
	if err := cmp.Or(in.lowWater(n+socketSlack), in.lowWater(1)); err != nil { // the room stays
		return err
	}
	in.r.makeRoom(true)
	in.r.hold()
	return in.control(func(fd int) error {
		k, err := unix.Read(fd, in.r.buf[in.r.w:])
		if in.r.w += max(k, 0); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return nil // whatever is wrong shows later
		}
		return os.NewSyscallError("read", err)
	})
}

// socketSlack is what the kernel keeps free behind them: it opens the window for whole packets only, which on the loopback have 64 KiB.
const socketSlack = 512 << 10

// await waits until n bytes from the client lie in its socket, and tells how many do. They are fewer where the kernel takes no
// more. Error: also that no more will come.
func (in *input) await(n int) (got int, err error) {
	if in.raw == nil {
		return 0, nil
	}
	if err := in.lowWater(n); err != nil { // so that nobody is woken before
		return 0, err
	}
	var failed error
	err = in.raw.Read(func(fd uintptr) (ready bool) {
		ready, got, failed = arrived(int(fd), n)
		return ready
	})
	return got, cmp.Or(err, failed, in.lowWater(1))
}

// lowWater is how many bytes make the socket ready to be read from.
func (in *input) lowWater(n int) (err error) {
	return in.control(func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, n))
	})
}

func (in *input) control(f func(fd int) error) (err error) {
	return cmp.Or(in.raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// arrived tells whether n bytes lie in the socket, or no more of them will.
func arrived(fd, n int) (ready bool, got int, err error) {
	events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	ended, err := unix.Poll(events, 0) // first: what came before the end is counted then
	for errors.Is(err, unix.EINTR) {
		ended, err = unix.Poll(events, 0)
	}
	if err == nil {
		got, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
	}
	switch {
	case err != nil:
		return true, 0, os.NewSyscallError("poll", err)
	case got >= n:
		return true, got, nil
	case ended > 0:
		return true, got, io.EOF
	}
	full, err := crowded(fd)
	return full, got, err
}

// crowded tells whether the kernel takes no more into the socket: it then closes the window, as the bytes' packets need what room it
// gives. That the socket is ready says less: it is while the window is one packet, too.
func crowded(fd int) (bool, error) {
	used, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MEMINFO) // the first of its figures
	if err != nil {
		return true, os.NewSyscallError("getsockopt", err)
	}
	room, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return true, os.NewSyscallError("getsockopt", err)
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return true, os.NewSyscallError("getsockopt", err)
	}
	return used > room-max(room/8, 4*int(info.Rcv_mss)), nil
}
