package system

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var sluice string // the binary

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if sluice = os.Getenv("SLUICE_BIN"); sluice == "" {
			dir, err := os.MkdirTemp("", "sluice-system-")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			sluice = filepath.Join(dir, "sluice")
			if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", sluice, "sluice/cmd/sluice").CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// limit ends a test that hangs; it is far above what any step takes on a slow machine.
const limit = 2 * time.Minute

// A server is a running `sluice serve`.
type server struct {
	t    *testing.T
	addr string
	http string
	cmd  *exec.Cmd
	err  bytes.Buffer // its standard error; read it after the end
	done chan error
}

var readyLine = regexp.MustCompile(`^sluice \S+ ready: text ([^\s,]+), http ([^\s,]+), data `)

// serve starts a server on free ports, and fails the test if it does not become ready.
func serve(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s, ready := launch(t, data, args...)
	select {
	case line, ok := <-ready:
		if !ok {
			t.Fatalf("the server ended before it was ready: %v\n%s", <-s.done, s.err.String())
		}
		m := readyLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("the ready line is %q", line)
		}
		s.addr, s.http = m[1], m[2]
	case <-time.After(limit):
		t.Fatal("the server did not become ready")
	}
	return s
}

// launch starts a server; ready gets the first line it prints, or is closed when there is none.
func launch(t *testing.T, data string, args ...string) (*server, <-chan string) {
	t.Helper()
	s := &server{t: t, done: make(chan error, 1)}
	s.cmd = exec.Command(sluice, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	s.cmd.Stderr = &s.err
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() { // ends with the process, which the cleanup ends
		br := bufio.NewReader(out)
		if line, err := br.ReadString('\n'); err == nil {
			ready <- strings.TrimSuffix(line, "\n")
		}
		close(ready)
		_, _ = io.Copy(io.Discard, br) // a pipe that ended has ended
		s.done <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill() // it may have ended already
		}
	})
	return s, ready
}

// stop sends the signal and returns the exit status, -1 for a process that was killed.
func (s *server) stop(sig syscall.Signal) int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	return s.wait()
}

func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		s.t.Fatal("the server did not end")
		return -1
	}
}

// A result is what a client command did.
type result struct {
	out, err string
	status   int
}

// run runs a client command against the server with the text as its standard input.
func (s *server) run(in string, args ...string) result {
	s.t.Helper()
	return run(s.t, in, append(args, "--server", s.addr)...)
}

func run(t *testing.T, in string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, sluice, args...)
	cmd.Stdin = strings.NewReader(in)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ok runs a client command that must succeed, and returns its standard output.
func (s *server) ok(in string, args ...string) string {
	s.t.Helper()
	r := s.run(in, args...)
	if r.status != 0 {
		s.t.Fatalf("sluice %s: exit status %d\n%s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return r.out
}

// talk sends bytes over a connection of its own, as a person with nc would, and returns all answers.
func (s *server) talk(text string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		s.t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(got)
}
