//go:build !linux

package stages

import "golang.org/x/sys/unix"

// Files go through a buffer where there is no sendfile of Linux's kind.
const haveSendfile = false

func sendBytes(fd int, b []byte, _ bool) (int, error) { return unix.Write(fd, b) }

func sendFile(int, int, int64, int) (int, error) { return 0, unix.ENOSYS }

func noSendfile(error) bool { return true }

func unacknowledged(int) int { return -1 }
