package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// patience is far beyond what a start or a stop takes; it only ends a run that has failed.
const patience = 3 * time.Minute

// Server is a running `sluice serve`.
type Server struct {
	Text, HTTP, Kafka string // where it listens; HTTP and Kafka are "none" where it was told so
	Cmd               *exec.Cmd

	log   logBuffer
	ended chan struct{} // closed when it has ended; then err is set
	err   error
}

var readyLine = regexp.MustCompile(`^sluice \S+ ready: text (\S+), http (\S+), kafka (\S+), data `)

// Start runs bin serve on free ports, with args behind, and returns once it is ready.
func Start(bin string, args ...string) (*Server, error) {
	return StartCommand(exec.Command(bin, append([]string{"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0"}, args...)...))
}

// StartCommand runs a command that becomes a server, and returns once it is ready. The command's output is taken.
func StartCommand(cmd *exec.Cmd) (*Server, error) {
	s := &Server{Cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = &s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan []string, 1)
	go func() { // ends with the process; Wait joins it
		defer close(s.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil && s.Text == "" {
				s.Text, s.HTTP, s.Kafka = m[1], m[2], m[3]
				close(ready)
			}
		}
		_, err := io.Copy(io.Discard, out) // if a line was too long; the process must not block on its output
		s.err = errors.Join(cmd.Wait(), lines.Err(), err)
	}()
	select {
	case <-ready:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("the server did not start: %w\n%s", s.err, s.Log())
	case <-time.After(patience):
		s.Kill()
		return nil, fmt.Errorf("the server was not ready within %v\n%s", patience, s.Log())
	}
}

// Signal sends sig to the process, which may have ended.
func (s *Server) Signal(sig os.Signal) error { return s.Cmd.Process.Signal(sig) }

// Ended is closed when the process has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Wait waits for the end and returns the exit status; -1 after a signal. It kills a server that does not end.
func (s *Server) Wait() (int, error) {
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.Kill()
		return -1, fmt.Errorf("the server had not ended after %v\n%s", patience, s.Log())
	}
	var exit *exec.ExitError
	if s.err != nil && !errors.As(s.err, &exit) {
		return -1, s.err
	}
	return s.Cmd.ProcessState.ExitCode(), nil
}

// Stop ends the server as SIGTERM does, and tells of an exit status that is not 0.
func (s *Server) Stop() error {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server had ended before it was stopped: %w", err)
	}
	status, err := s.Wait()
	if err == nil && status != 0 {
		err = fmt.Errorf("the server ended with status %d (%w)", status, s.err)
	}
	return err
}

// Kill ends the process as a crash would, with what it started, and joins it. It may be called twice.
func (s *Server) Kill() {
	select {
	case <-s.ended: // its number may belong to somebody else by now
		return
	default:
	}
	_ = syscall.Kill(-s.Cmd.Process.Pid, syscall.SIGKILL) // it may end at this moment by itself
	<-s.ended
}

// Log is what the server has written to stderr.
func (s *Server) Log() string { return s.log.String() }

// logBuffer keeps what is written to it. Any goroutine.
type logBuffer struct {
	mu struct {
		sync.Mutex
		b []byte
	}
}

// logMax bounds what is kept; a server that says more is in trouble, and its first words tell why.
const logMax = 1 << 20

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.b = append(l.mu.b, p[:min(len(p), logMax-len(l.mu.b))]...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.mu.b)
}
