package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestServeDrainsOnTheFirstSignal(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := t.TempDir()
		p := serve(t, dir)
		fine(t, "a\nb\n", "append", "t", "--server", p.addr)
		p.signal(s)
		if got := p.status(); got != exitFine {
			t.Fatalf("status %d after %v: %s", got, s, p.stderr.String())
		}
		again := serve(t, dir)
		if got := fine(t, "", "read", "t", "--server", again.addr); got != "a\nb\n" {
			t.Fatalf("after a restart the log has %q", got)
		}
		again.kill()
	}
}

func TestServeStopsOnRequest(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	shutdown(t, p.addr)
	if got := p.status(); got != exitFine {
		t.Fatalf("status %d: %s", got, p.stderr.String())
	}
}

// Whatever the log is written to that is no terminal gets one JSON object a line.
func TestServeLogsJSON(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	p.signal(syscall.SIGTERM)
	if got := p.status(); got != exitFine {
		t.Fatalf("status %d", got)
	}
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running := serve(t, dir)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--data", dir}, exitFailure, "in use"},
		{[]string{"--data", t.TempDir(), "--listen", running.addr}, exitFailure, "setting listen"},
		{[]string{"--data", t.TempDir(), "--kafka", running.addr}, exitFailure, "the Kafka protocol can't listen (setting kafka; empty for none): listen tcp " + running.addr},
		{[]string{"--set", "stages.writer.queue=0"}, exitUsage, "--set stages.writer.queue: stages.writer.queue: 0 is out of bounds: from 1 to"},
		{[]string{"--set", "stages.writer.queu=0"}, exitUsage, "did you mean stages.writer.queue?"},
		{[]string{"--listen", "nowhere"}, exitUsage, "--listen"},
		{[]string{"--data", dir, "--set", "data=x"}, exitUsage, "given twice"},
		{[]string{"--config", dir + "/none.yaml"}, exitFailure, "none.yaml"},
		{[]string{"--set", "data"}, exitUsage, "NAME=VALUE"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"--bogus"}, exitUsage, "bogus"},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--http", "", "--kafka", ""}, c.args...)
		status, _, errs := sluice(t, "", args...)
		if status != c.status || !strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "sluice: serve: ") {
			t.Errorf("%v: status %d, %q; want %d and %q", c.args, status, errs, c.status, c.want)
		}
	}
}

// The first signal waits for a client that does not take its answer; the second does not wait at all.
func TestServeEndsOnTheSecondSignal(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "", "--kafka", "")
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.cmd.Stderr = nil
	log, err := p.cmd.StderrPipe()
	must(t, err)
	must(t, p.cmd.Start())
	ready, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	m := readyLine.FindStringSubmatch(strings.TrimSpace(ready))
	if m == nil || m[2] != "none" || m[3] != "none" {
		t.Fatalf("%q", ready)
	}
	const record, records = 64 << 10, 512 // 32 MiB, more than the sockets hold
	fine(t, strings.Repeat(strings.Repeat("x", record)+"\n", records), "append", "t", "--server", m[1])
	slow, err := net.Dial("tcp", m[1])
	must(t, err)
	defer slow.Close()
	_, err = slow.Write([]byte("READ t 0\n"))
	must(t, err)
	_, err = io.ReadFull(slow, make([]byte, record)) // it has begun
	must(t, err)

	p.signal(syscall.SIGTERM)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "second signal ends the process") {
			p.signal(syscall.SIGTERM)
			break
		}
	}
	rest, err := io.ReadAll(log)
	must(t, err)
	if got := p.status(); got != exitFailure || !strings.Contains(string(rest), "sluice: serve: ended at once by a second signal") {
		t.Fatalf("status %d: %s", got, rest)
	}
}

// A6, with the binary: it is killed five times, and then refuses appends and answers reads, until it is stopped.
func TestA6ServeThatIsKilledOverAndOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 5 {
		p := serve(t, dir)
		fine(t, "x\n", "append", "t", "--server", p.addr)
		p.kill()
	}
	p := serve(t, dir)
	status, _, errs := sluice(t, "x\n", "append", "t", "--server", p.addr)
	if status != exitFailure || !strings.Contains(errs, "died within") {
		t.Fatalf("status %d: %s", status, errs)
	}
	if got := fine(t, "", "read", "t", "--server", p.addr); got != "x\nx\nx\nx\nx\n" {
		t.Fatalf("it reads %q", got)
	}
	p.signal(syscall.SIGTERM)
	if got := p.status(); got != exitFine {
		t.Fatalf("status %d: %s", got, p.stderr.String())
	}
	p = serve(t, dir)
	fine(t, "x\n", "append", "t", "--server", p.addr)
	p.kill()
}

// A terminal sees a start that takes its time, and nothing is left of that; whatever else stderr is sees nothing.
func TestOpeningIsDrawn(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if showOpening(&out) != nil {
		t.Error("drawn for no terminal")
	}
	draw := drawOpening(&out)
	for n := range 1000 {
		draw(n+1, 1000)
	}
	if got := out.String(); !strings.HasPrefix(got, "\ropening 1 of 1000 logs") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
	out.Reset()
	if drawOpening(&out)(1, 1); out.Len() != 0 {
		t.Errorf("a start of one log draws %q", out.String())
	}
}
