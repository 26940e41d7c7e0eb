package crash

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/test/crash/witness"
	"sluice/test/process"
)

// An injection is strace, attached to a running server, which spoils its calls on some files.
type injection struct {
	t     *testing.T
	cmd   *exec.Cmd
	trace string
	said  chan string // lines of its stderr; closed when it has ended
}

// inject spoils what expr says ("fdatasync:error=EIO") of the calls on these files or directories, from now on. Only those
// calls are in the trace.
func inject(t *testing.T, s *process.Server, expr string, paths ...string) *injection {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("skipped: there is no strace on this machine to spoil system calls with")
	}
	i := &injection{t: t, trace: filepath.Join(t.TempDir(), "trace"), said: make(chan string, 100)}
	calls, _, _ := strings.Cut(expr, ":")
	args := []string{"-f", "-y", "-s", "16", "-e", "signal=none", "-o", i.trace, "-e", "trace=" + calls, "-e", "inject=" + expr, "-p", strconv.Itoa(s.Cmd.Process.Pid)}
	for _, p := range paths {
		real, err := filepath.EvalSymlinks(p) // the kernel names files so
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-P", real)
	}
	i.cmd = exec.Command(strace, args...)
	errs, err := i.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go i.listen(errs) // ends with strace; end joins it
	t.Cleanup(func() { i.end() })
	var said strings.Builder
	for {
		select {
		case line, ok := <-i.said:
			if !ok {
				t.Skipf("skipped: this machine allows no tracing of a running process: %s", said.String())
			}
			if said.WriteString(line); strings.Contains(line, "attached") {
				return i
			}
		case <-time.After(witness.Limit):
			t.Fatalf("strace did not attach: %s", said.String())
		}
	}
}

func (i *injection) listen(errs io.Reader) {
	defer close(i.said)
	b := make([]byte, 4096)
	for {
		n, err := errs.Read(b)
		if err != nil {
			return
		}
		select {
		case i.said <- string(b[:n]):
		default: // nobody reads it any more
		}
	}
}

// end lets the server go, and gives the calls on the files that were made while it was watched, a line each.
func (i *injection) end() []string {
	i.t.Helper()
	if i.cmd.ProcessState == nil {
		_ = i.cmd.Process.Signal(syscall.SIGINT) // it ends by itself when the server has ended
		for range i.said {
		}
		_ = i.cmd.Wait() // ended by a signal
	}
	b, err := os.ReadFile(i.trace)
	if err != nil {
		i.t.Fatal(err)
	}
	var calls []string
	for line := range bytes.Lines(b) {
		if madeCall.Match(line) {
			calls = append(calls, string(bytes.TrimSpace(line)))
		}
	}
	return calls
}

// madeCall is where a call begins. Where one goes on (<... write resumed>), and what a dying thread leaves (???(), is none.
var madeCall = regexp.MustCompile(`^\d+ +\w+\(`)
