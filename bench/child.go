package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	rawRequest = 1024 // bytes to the raw servers
	rawAnswer  = 16   // and back
)

// childEnv says that this process is a raw server, and which: a flag would not do, for the tests of this
// package start their own binary, whose flags are those of package testing.
const childEnv = "SLUICE_BENCH_CHILD"

// specEnv is what a child needs to know: the file of a pipeline, the folder whose files are sent, the crowd.
const specEnv = "SLUICE_BENCH_SPEC"

// runChild serves, or consumes, until its standard input ends, so that it never outlives the one that started it.
func runChild(kind string) error {
	spec := os.Getenv(specEnv)
	if kind == "crowd" {
		return runCrowd(spec, os.Stdin, os.Stdout)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serve, finish := serveEcho, func() error { return nil }
	switch kind {
	case "pipeline":
		p, err := newPipeline(spec)
		if err != nil {
			return err
		}
		serve, finish = p.serve, p.close
	case "files":
		f, err := newFileSender(spec)
		if err != nil {
			return err
		}
		serve = f.serve
	case "fan":
		f, err := newFan(spec)
		if err != nil {
			return err
		}
		serve = f.serve
	}
	fmt.Printf("listening %s\n", ln.Addr())
	var wg sync.WaitGroup
	wg.Go(func() { // ends when the listener is closed
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	_, err = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(err, ln.Close())
	wg.Wait() // the load has closed its connections by then
	return errors.Join(err, finish())
}

// serveEcho is the least a server can do: read a request whole, write an answer.
func serveEcho(c net.Conn) {
	defer closeQuietly(c)
	in, out := make([]byte, rawRequest), make([]byte, rawAnswer)
	for {
		if _, err := io.ReadFull(c, in); err != nil {
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// closeQuietly is for a connection whose other side has gone: what Close says is of no interest.
func closeQuietly(c io.Closer) {
	_ = c.Close() // nothing was written that is not answered
}

// A proc is a server in a process of its own.
type proc struct {
	addr  string
	dir   string // its data; removed when it has stopped
	cmd   *exec.Cmd
	end   func() error  // asks it to end
	ended chan struct{} // closed when it has ended; then exit is set
	exit  error

	status int // that it ends with when it is told to
}

// startProc starts a server and waits until it says where it listens. ready finds the address in a line
// of its standard output. A server that ends before is an error with the last line it printed.
func startProc(ctx context.Context, cmd *exec.Cmd, ready func(string) string) (*proc, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr lastLine
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proc{cmd: cmd, ended: make(chan struct{})}
	addr := make(chan string, 1)
	go func() { // joined by stop, through ended: the pipe ends with the process
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if a := ready(lines.Text()); a != "" {
				select {
				case addr <- a:
				default: // it says it twice
				}
			}
		}
		p.exit = cmd.Wait()
		close(p.ended)
	}()
	select {
	case p.addr = <-addr:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended before it was ready: %w: %s", cmd.Path, p.exit, stderr.text())
	case <-time.After(30 * time.Second):
		err = fmt.Errorf("%s was not ready after 30 s: %s", cmd.Path, stderr.text())
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.kill()
	return nil, err
}

func (p *proc) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// stop ends the server, waits for it, removes its data, and tells the CPU time that it took.
func (p *proc) stop() (time.Duration, error) {
	err := p.end()
	select {
	case <-p.ended:
		if p.cmd.ProcessState.ExitCode() != p.status {
			err = errors.Join(err, p.exit)
		}
	case <-time.After(30 * time.Second):
		p.kill()
		err = errors.Join(err, fmt.Errorf("%s did not end within 30 s and was killed", p.cmd.Path))
	}
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	s := p.cmd.ProcessState
	return s.UserTime() + s.SystemTime(), err
}

// startRaw starts this program again as one of the raw servers.
func startRaw(ctx context.Context, kind, spec string) (*proc, error) {
	p, _, err := startSelf(ctx, kind, spec, listening)
	return p, err
}

// listening finds the address in a child's line.
func listening(line string) string {
	addr, _ := strings.CutPrefix(line, "listening ")
	if addr == line {
		return ""
	}
	return addr
}

// startSelf starts this program again as one of its children, and hands over its standard input, whose end ends it.
func startSelf(ctx context.Context, kind, spec string, ready func(string) string) (*proc, io.Writer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+kind, specEnv+"="+spec)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	p, err := startProc(ctx, cmd, ready)
	if err != nil {
		return nil, nil, err
	}
	p.end = func() error {
		if err := in.Close(); !errors.Is(err, os.ErrClosed) { // it may have ended by itself
			return err
		}
		return nil
	}
	return p, in, nil
}

// lastLine keeps the last line written to it, for an error message.
type lastLine struct {
	mu struct {
		sync.Mutex
		buf []byte
	}
}

func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.buf = append(l.mu.buf, p...)
	if over := len(l.mu.buf) - 4096; over > 0 {
		l.mu.buf = l.mu.buf[over:]
	}
	return len(p), nil
}

func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.mu.buf)), "\n")
	return lines[len(lines)-1]
}
