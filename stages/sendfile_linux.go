package stages

import (
	"errors"

	"golang.org/x/sys/unix"
)

const haveSendfile = true

// sendBytes is one write that never waits: the socket is in non-blocking mode. more
// says that what follows belongs to the same packet.
func sendBytes(fd int, b []byte, more bool) (int, error) {
	if !more {
		return unix.Write(fd, b)
	}
	return unix.SendmsgN(fd, b, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
}

// sendFile sends up to n bytes of a file from pos on. It never waits for the socket,
// but for the disk, should the bytes have left the page cache meanwhile. 0 without an
// error: the file ends before pos.
func sendFile(fd, file int, pos int64, n int) (int, error) {
	return unix.Sendfile(fd, file, &pos, n)
}

// noSendfile tells whether the error says that this kernel or file system can't do it.
func noSendfile(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)
}

// unacknowledged counts the bytes that the socket holds for its peer; -1: not known.
func unacknowledged(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return -1
	}
	return n
}
