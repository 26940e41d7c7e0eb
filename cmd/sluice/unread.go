package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// untilUnread ends the context once nobody can read what is written to out: behind "tail | grep -m 1" the reader has
// left, and a follower may have nothing to write for days, which is when it would find out. stop comes before the context
// is given up; it joins what watches. A write to a pipe without readers fails from now on, instead of ending the process:
// unread knows that error, so that it makes no difference who was first.
func untilUnread(parent context.Context, out io.Writer) (ctx context.Context, stop func() error, err error) {
	ctx, cancel := context.WithCancel(parent)
	f, ok := out.(*os.File)
	if !ok {
		return ctx, func() error { cancel(); return nil }, nil
	}
	signal.Ignore(syscall.SIGPIPE)
	wake, bell, err := os.Pipe()
	if err != nil {
		cancel()
		return nil, nil, err
	}
	joined := make(chan error, 1)
	go func() {
		left, err := readersLeft(int32(f.Fd()), int32(wake.Fd()))
		if left {
			cancel()
		}
		joined <- err
	}()
	return ctx, func() error {
		defer cancel()
		err := bell.Close() // which the goroutine hears
		return errors.Join(err, <-joined, wake.Close())
	}, nil
}

// readersLeft waits until out has no reader any more, or the other end of wake is closed. Files and terminals always have one.
func readersLeft(out, wake int32) (bool, error) {
	watched := []unix.PollFd{{Fd: out}, {Fd: wake, Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(watched, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, os.NewSyscallError("poll", err)
		case watched[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return true, nil
		default:
			return false, nil
		}
	}
}

// unread tells whether err is that of writing to a pipe that nobody reads.
func unread(err error) bool {
	file, ok := errors.AsType[*fs.PathError](err) // a connection's error is of another type
	return ok && errors.Is(file, syscall.EPIPE)
}
