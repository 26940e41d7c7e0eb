package main

import (
	"encoding/json"
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
	p := serve(t, t.TempDir(), "--kafka", "127.0.0.1:1")
	p.signal(syscall.SIGTERM)
	if got := p.status(); got != exitFine {
		t.Fatalf("status %d", got)
	}
	kafka := 0
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
		if strings.Contains(entry.Msg, "Kafka listener is not built yet") {
			kafka++
		}
	}
	if kafka != 1 {
		t.Errorf("the Kafka listener was mentioned %d times", kafka)
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
		{[]string{"--data", t.TempDir(), "--listen", running.addr}, exitFailure, "listen"},
		{[]string{"--set", "stages.writer.queue=0"}, exitFailure, "--set stages.writer.queue: stages.writer.queue: 0 is out of bounds: from 1 to"},
		{[]string{"--set", "stages.writer.queu=0"}, exitFailure, "did you mean stages.writer.queue?"},
		{[]string{"--listen", "nowhere"}, exitFailure, "--listen"},
		{[]string{"--data", dir, "--set", "data=x"}, exitFailure, "given twice"},
		{[]string{"--config", dir + "/none.yaml"}, exitFailure, "none.yaml"},
		{[]string{"--set", "data"}, exitUsage, "NAME=VALUE"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"--bogus"}, exitUsage, "bogus"},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--http", ""}, c.args...)
		status, _, errs := sluice(t, "", args...)
		if status != c.status || !strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "sluice: serve: ") {
			t.Errorf("%v: status %d, %q; want %d and %q", c.args, status, errs, c.status, c.want)
		}
	}
}
