package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A server is a running bin/sluice serve.
type server struct {
	text, http string // where it listens
	cmd        *exec.Cmd
	log        *tail
	ended      chan struct{} // closed when it has ended; then err is set
	err        error
}

var readyLine = regexp.MustCompile(`ready: text ([^\s,]+), http ([^\s,]+)`)

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

// start runs the server in a process group of its own: Ctrl-C in the terminal goes to this program, which
// then stops the server once, in order.
func start(s settings) (*server, error) {
	for _, addr := range []string{s.listen, s.http} {
		if err := portIsFree(addr); err != nil {
			return nil, err
		}
	}
	srv := &server{log: &tail{}, ended: make(chan struct{})}
	srv.cmd = exec.Command(s.bin, "serve", "--data", s.data, "--listen", s.listen, "--http", s.http, "--kafka", "")
	srv.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	srv.cmd.Stderr = srv.log
	out, err := srv.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := srv.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan []string, 1)
	go func() { // ends with the server; stop waits for it
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil && len(ready) == 0 {
				ready <- m
			}
		}
		srv.err = srv.cmd.Wait()
		close(srv.ended)
	}()
	select {
	case m := <-ready:
		srv.text, srv.http = m[1], m[2]
		return srv, nil
	case <-srv.ended:
		return nil, fmt.Errorf("the server did not start: %s", srv.log.last())
	case <-time.After(time.Minute):
		return nil, errors.Join(errors.New("the server was not ready within a minute"), srv.stop())
	}
}

// stop asks the server to end, waits until everything is on disk, and ends it after a minute all the same.
func (s *server) stop() error {
	select {
	case <-s.ended:
		return nil // whoever waits for ended has said so
	default:
	}
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		if s.err != nil {
			err = fmt.Errorf("the server ended with %w: %s", s.err, s.log.last())
		}
	case <-time.After(time.Minute):
		err = errors.Join(err, errors.New("the server did not end within a minute and was killed"), s.cmd.Process.Kill())
		<-s.ended
	}
	return err
}

// run starts a client command against the server and waits for it. Ctrl-C reaches it through ctx.
func (s *server) run(ctx context.Context, bin string, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, bin, append(args, "--server", s.text)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	errs := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.ended:
		return fmt.Errorf("the server ended during %q: %s", strings.Join(args, " "), s.log.last())
	default:
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", bin, strings.Join(args, " "), err, errs.last())
	}
	return nil
}

// A tail keeps the end of what is written to it, for an error message. Any goroutine.
type tail struct {
	mu struct {
		sync.Mutex
		buf []byte
	}
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.buf = append(t.mu.buf, p...)
	if over := len(t.mu.buf) - 4096; over > 0 {
		t.mu.buf = t.mu.buf[over:]
	}
	return len(p), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.mu.buf)), "\n")
	return lines[len(lines)-1]
}
