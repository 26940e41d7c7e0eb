package system

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/test/process"
)

// load is producers that append over connections of their own until the server takes no more. What was answered, and
// where, is kept for the end.
type load struct {
	wg    sync.WaitGroup
	total atomic.Int64
	mu    struct {
		sync.Mutex
		answered map[uint64]string // offset -> value
		wrong    []string
	}
}

const window = 8 // requests that a producer has on their way

func startLoad(t *testing.T, addr, topic, ack string, producers int) *load {
	t.Helper()
	l := &load{}
	l.mu.answered = map[uint64]string{}
	for i := range producers {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		l.wg.Go(func() {
			defer nc.Close()
			l.produce(nc, topic, ack, fmt.Sprint("producer-", i))
		})
	}
	return l
}

// produce keeps a window of requests on their way, and reads answers until the server closes the connection.
func (l *load) produce(nc net.Conn, topic, ack, who string) {
	sent := make(chan string, window)
	go func() { // ends with the connection
		defer close(sent)
		for n := 0; ; n++ {
			value := fmt.Sprintf("%s %d %s", who, n, strings.Repeat("x", n%500))
			sent <- value // before it is written: the answer may be faster
			if _, err := fmt.Fprintf(nc, "MSG %s %d ack=%s\n%s\n", topic, len(value), ack, value); err != nil {
				return
			}
		}
	}()
	defer func() {
		_ = nc.Close() // whatever state it is in: the sender must end
		for range sent {
		}
	}()
	answers := bufio.NewReader(nc)
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			if line != "" || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				l.fault("%s: after %q: %v", who, line, err)
			}
			return
		}
		if strings.HasPrefix(line, "ERR SHUTTING_DOWN ") {
			continue // nothing of it was appended; the connection ends
		}
		var first, next uint64
		if _, err := fmt.Sscanf(line, "OK first=%d next=%d ack="+ack, &first, &next); err != nil || next != first+1 {
			l.fault("%s: answered %q: %v", who, line, err)
			return
		}
		l.keep(first, <-sent)
	}
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.wrong = append(l.mu.wrong, fmt.Sprintf(format, args...))
}

func (l *load) keep(offset uint64, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, twice := l.mu.answered[offset]; twice {
		l.mu.wrong = append(l.mu.wrong, fmt.Sprintf("offset %d was given to %.30q and to %.30q", offset, other, value))
	}
	l.mu.answered[offset] = value
	l.total.Add(1)
}

// reach waits until so many appends are answered.
func (l *load) reach(t *testing.T, n int64) {
	t.Helper()
	end := time.Now().Add(limit)
	for l.total.Load() < n {
		if time.Now().After(end) {
			t.Fatalf("only %d of %d appends were answered within %v", l.total.Load(), n, limit)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// end joins the producers and tells what they met.
func (l *load) end(t *testing.T) map[uint64]string {
	t.Helper()
	l.wg.Wait()
	for _, w := range l.mu.wrong {
		t.Error(w)
	}
	return l.mu.answered
}

// A stop under load answers each append that is in the log, and the log has each append that was answered.
func TestStopUnderLoad(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data, "--set", "topic.segment.bytes=64KiB")
	all := map[uint64]string{}
	for range 2 {
		l := startLoad(t, s.Text, "t", "written", 6)
		l.reach(t, 2000)
		if err := s.Stop(); err != nil {
			t.Fatalf("%v\n%s", err, s.Log())
		}
		for offset, value := range l.end(t) {
			all[offset] = value
		}
		s = serve(t, data)
		got := s.values("t")
		if len(got) != len(all) {
			t.Errorf("%d appends were answered, the log has %d records", len(all), len(got))
		}
		compare(t, got, all)
	}
}

// What was acknowledged as written survives the end of the process, whenever it comes: it was in the kernel's hands.
func TestKillUnderLoad(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data, "--set", "topic.segment.bytes=64KiB")
	all := map[uint64]string{}
	for round := range 4 {
		l := startLoad(t, s.Text, "t", []string{"written", "synced"}[round%2], 6)
		l.reach(t, []int64{1, 300, 2000, 700}[round])
		s.Kill()
		for offset, value := range l.end(t) {
			all[offset] = value
		}
		s = serve(t, data, "--set", "topic.segment.bytes=64KiB")
		got := s.values("t")
		compare(t, got, all)
		for i, value := range got { // what was not answered may be there, and has its place then
			all[uint64(i)] = value
		}
		t.Logf("round %d: %d records", round, len(got))
	}
}

// values reads a log; the position is the offset.
func (s *server) values(topic string) []string {
	s.t.Helper()
	out := s.ok("", "read", topic, "--json")
	var values []string
	for line := range strings.Lines(out) {
		var offset int
		if _, err := fmt.Sscanf(line, `{"offset":%d,`, &offset); err != nil || offset != len(values) {
			s.t.Fatalf("offset %d is due: %.100q", len(values), line)
		}
		_, value, _ := strings.Cut(line, `"value":"`)
		values = append(values, strings.TrimSuffix(value, "\"}\n"))
	}
	return values
}

func compare(t *testing.T, got []string, answered map[uint64]string) {
	t.Helper()
	for offset, value := range answered {
		if offset >= uint64(len(got)) {
			t.Errorf("offset %d was acknowledged, the log ends at %d", offset, len(got))
		} else if got[offset] != value {
			t.Errorf("offset %d holds %.40q, acknowledged was %.40q", offset, got[offset], value)
		}
		if t.Failed() {
			return // one is enough to tell
		}
	}
}

// What keeps a server from starting is told in one sentence, and by the exit status.
func TestStartsThatFail(t *testing.T) {
	data := t.TempDir()
	running := serve(t, data)
	bad := t.TempDir() + "/bad.yaml"
	write(t, bad, "stages:\n  writer:\n    queue: none\n")
	unknown := t.TempDir() + "/unknown.yaml"
	write(t, unknown, "stages:\n  writer:\n    length: 5\n")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   []string // in the sentence
	}{
		{"a taken port", []string{"--data", t.TempDir(), "--listen", running.Text}, 1, []string{running.Text, "in use", "listen"}},
		{"a taken port of HTTP", []string{"--data", t.TempDir(), "--http", running.HTTP}, 1, []string{running.HTTP, "in use", "http"}},
		{"a directory in use", []string{"--data", data}, 1, []string{data, "in use"}},
		{"a directory that is a file", []string{"--data", bad}, 1, []string{bad}},
		{"a bad value", []string{"--data", t.TempDir(), "--config", bad}, 1, []string{bad, "stages.writer.queue", "none"}},
		{"an unknown name", []string{"--data", t.TempDir(), "--config", unknown}, 1, []string{unknown, "stages.writer.length"}},
		{"no such file", []string{"--data", t.TempDir(), "--config", bad + ".not"}, 1, []string{bad + ".not"}},
		{"an unknown flag", []string{"--dta", t.TempDir()}, 2, []string{"--dta"}},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", ""}, c.args...)
		var said strings.Builder
		cmd := exec.CommandContext(t.Context(), running.bin, args...)
		cmd.Stderr = &said
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.status || len(out) > 0 {
			t.Errorf("%s: %v with %q on stdout, want status %d", c.name, err, out, c.status)
		}
		lines := strings.Split(strings.TrimRight(said.String(), "\n"), "\n")
		if len(lines) != c.status || !strings.HasPrefix(lines[0], "sluice: serve: ") { // 2: where to find help is the second
			t.Errorf("%s: said %q, want one sentence", c.name, lines)
		}
		for _, want := range c.want {
			if !strings.Contains(lines[0], want) {
				t.Errorf("%s: said %q, want %q in it", c.name, lines[0], want)
			}
		}
	}
	running.ok("still there\n", "append", "t")
}

// A server with a client that takes no answers ends at the second signal, at once.
func TestSecondSignal(t *testing.T) {
	s := serve(t, t.TempDir())
	s.ok(strings.Repeat(strings.Repeat("x", 64<<10)+"\n", 256), "append", "t")
	nc, err := net.Dial("tcp", s.Text)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "READ t 0\n"); err != nil { // and nothing of it is read
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(limit); !strings.Contains(s.Log(), "second signal"); {
		if time.Now().After(end) {
			t.Fatalf("the log tells nothing of the signal: %s", s.Log())
		}
		select {
		case <-time.After(time.Millisecond):
		case <-s.Ended():
			t.Fatalf("it has ended, although an answer has not left: %s", s.Log())
		}
	}
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); err != nil || status != 1 {
		t.Errorf("status %d, %v", status, err)
	}
	again, err := process.Start(s.bin, "--data", s.data) // as after a kill: the directory is free
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}
