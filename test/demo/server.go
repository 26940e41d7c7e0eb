package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"sluice/test/process"
)

// A server is a running bin/sluice serve. Ctrl-C in the terminal goes to this program, which then stops the server once, in order.
type server struct{ *process.Server }

// portIsFree says in one sentence why an address cannot be listened on, before a server says it in its own way.
func portIsFree(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("something listens on %s already, perhaps an earlier run; stop it, or take other ports: make run LISTEN=127.0.0.1:2774 HTTP=127.0.0.1:2775", addr)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln.Close()
}

// start runs the server once its ports are found free.
func start(s settings) (server, error) {
	for _, addr := range []string{s.listen, s.http} {
		if err := portIsFree(addr); err != nil {
			return server{}, err
		}
	}
	srv, err := process.StartCommand(exec.Command(s.bin, "serve", "--data", s.data, "--listen", s.listen, "--http", s.http, "--kafka", ""))
	return server{srv}, err
}

// stop asks the server to end, and waits until everything is on disk.
func (s server) stop() error {
	select {
	case <-s.Ended():
		return nil // whoever waits for that has said so
	default:
	}
	err := s.Stop()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, lastLine(s.Log()))
	}
	return err
}

// run starts a client command against the server and waits for it. Ctrl-C reaches it through ctx.
func (s server) run(ctx context.Context, bin string, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, bin, append(args, "--server", s.Text)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.Ended():
		return fmt.Errorf("the server ended during %q: %s", strings.Join(args, " "), lastLine(s.Log()))
	default:
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", bin, strings.Join(args, " "), err, lastLine(errs.String()))
	}
	return nil
}

// lastLine is what a program said when it gave up.
func lastLine(log string) string {
	log = strings.TrimSpace(log)
	return log[strings.LastIndex(log, "\n")+1:]
}
