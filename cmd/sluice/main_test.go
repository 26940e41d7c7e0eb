package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test where a process is needed: SLUICE_BIN, or one that is built on first use.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("SLUICE_BIN"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "sluice-test")
	if err != nil {
		return "", err
	}
	built = dir
	bin := filepath.Join(dir, "sluice")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return bin, nil
})

var built string // to be removed

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a temporary directory: whoever cleans those finds what is left
	}
	os.Exit(code)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sluice runs a command line inside the test and returns the status and both outputs.
func sluice(t *testing.T, in string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(args, streams{strings.NewReader(in), &o, &e})
	return status, o.String(), e.String()
}

// fine runs a command line that must succeed, and returns its output.
func fine(t *testing.T, in string, args ...string) string {
	t.Helper()
	status, out, errs := sluice(t, in, args...)
	if status != exitFine {
		t.Fatalf("sluice %s: status %d: %s%s", strings.Join(args, " "), status, errs, out)
	}
	return out
}

// process is a running `sluice`.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	stderr bytes.Buffer // may be read once the process has ended
}

var readyLine = regexp.MustCompile(`^sluice \S+ ready: text (127\.0\.0\.1:\d+), http (127\.0\.0\.1:\d+|none), kafka (127\.0\.0\.1:\d+|none), data (.+), \d+ logs in \S+$`)

// serve starts a server process in dir and waits until it is ready. It is killed with the test, if it still runs.
func serve(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := start(t, append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0"}, args...)...)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		_ = p.cmd.Wait() // its status says less than its stderr
		t.Fatalf("the server said nothing: %s", p.stderr.String())
	}
	m := readyLine.FindStringSubmatch(lines.Text())
	if m == nil || m[4] != dir {
		t.Fatalf("the ready line is %q", lines.Text())
	}
	p.addr = m[1]
	return p
}

// start prepares a process.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	bin, err := binary()
	must(t, err)
	p := &process{t: t, cmd: exec.Command(bin, args...)}
	p.cmd.Stderr = &p.stderr
	t.Cleanup(func() {
		if p.cmd.Process != nil && p.cmd.ProcessState == nil {
			p.kill()
		}
	})
	return p
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(s))
}

func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed
}

// status waits for the end of the process.
func (p *process) status() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // some take all there is of Go's sources
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() }) // it may have ended just now
	defer stop()
	_ = p.cmd.Wait() // the status is what counts
	if ctx.Err() != nil {
		p.t.Fatalf("%v did not end: %s", p.cmd.Args, p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}
