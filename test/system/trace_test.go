package system

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/test/process"
)

// These tests read the order of the server's system calls, not only what it answers (I2, I13). They trace their own
// child; where that is not allowed, or there is no strace, they say so and are skipped.

// call is one system call; it was under way from the line began to the line ended of the trace.
type call struct {
	name         string
	fd           string // "9"; of openat, the descriptor it returned
	path         string // what the descriptor stands for, as the kernel names it
	args         string
	ret          int64
	began, ended int
}

// traced is a server under strace.
type traced struct {
	*server
	file string
}

func trace(t *testing.T, args ...string) *traced {
	t.Helper()
	return traceOn(t, t.TempDir(), args...)
}

// appending are the calls that an acknowledgement waits for, or must not wait for.
const appending = "openat,close,write,writev,sendto,pwrite64,pwritev,fdatasync,fsync,sync_file_range,msync,sync,syncfs"

func traceOn(t *testing.T, data string, args ...string) *traced {
	t.Helper()
	return traceWith(t, data, []string{"-e", "trace=" + appending}, args...)
}

// traceWith has strace do what it is told to.
func traceWith(t *testing.T, data string, told []string, args ...string) *traced {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("skipped: there is no strace on this machine to read system calls with")
	}
	file := filepath.Join(t.TempDir(), "trace")
	if out, err := exec.CommandContext(t.Context(), strace, "-f", "-y", "-o", file, "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: this machine allows no tracing: %v: %s", err, out)
	}
	bin := process.Binary(t)
	if data, err = filepath.EvalSymlinks(data); err != nil { // the trace has the real path
		t.Fatal(err)
	}
	told = append([]string{"-f", "-y", "-s", "64", "-o", file, "-e", "signal=none"}, told...)
	p, err := process.StartCommand(exec.Command(strace, append(append(told,
		bin, "serve", "--listen", "127.0.0.1:0", "--http", "", "--kafka", "", "--data", data, "--set", "stages.flusher.tick=0",
		"--set", "crash_loop.deaths=0", // a run that has lasted for a minute is noted, with syncs that no test here means
	), args...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &traced{&server{p, t, bin, data}, file}
}

// calls stops the server and reads the trace. strace itself takes no signals, so the stop is a request.
func (s *traced) calls() []call {
	s.t.Helper()
	if got := s.talk("SHUTDOWN\n"); got != "OK\r\n" {
		s.t.Fatalf("SHUTDOWN was answered %q", got)
	}
	if status, err := s.Wait(); err != nil || status != 0 {
		s.t.Fatalf("status %d, %v: %s", status, err, s.Log())
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := parseTrace(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	resumed    = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)$`)
	nameless   = regexp.MustCompile(`^(\?\?\?\(|<\.\.\. \?\?\? resumed>)`) // of a thread that died before strace could ask for its call
	callStart  = regexp.MustCompile(`^(\w+)\((.*)$`)
	callResult = regexp.MustCompile(`\) += (-?\d+|\?)([^"]*)$`)
	descriptor = regexp.MustCompile(`^(\d+)<([^>]*)>`)
)

// parseTrace puts together the calls that other threads interrupted.
func parseTrace(text []byte) ([]call, error) {
	var done []call
	open := map[string]call{} // by thread
	n := 0
	for raw := range bytes.Lines(text) {
		n++
		m := traceLine.FindStringSubmatch(strings.TrimRight(string(raw), "\n"))
		if m == nil {
			return nil, fmt.Errorf("line %d of the trace: %q", n, raw)
		}
		thread, rest := m[1], m[2]
		if strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---") || nameless.MatchString(rest) {
			continue
		}
		var c call
		if r := resumed.FindStringSubmatch(rest); r != nil {
			c = open[thread]
			delete(open, thread)
			if c.name != r[1] {
				return nil, fmt.Errorf("line %d of the trace resumes %s, under way is %q", n, r[1], c.name)
			}
			c.args += r[2]
		} else if s := callStart.FindStringSubmatch(rest); s != nil {
			c = call{name: s[1], args: s[2], began: n}
		} else {
			return nil, fmt.Errorf("line %d of the trace: %q", n, raw)
		}
		if head, unfinished := strings.CutSuffix(c.args, " <unfinished ...>"); unfinished {
			c.args = head
			open[thread] = c
			continue
		}
		if err := c.finish(n); err != nil {
			return nil, err
		}
		done = append(done, c)
	}
	return done, nil
}

// finish takes the result and the descriptor out of the text.
func (c *call) finish(n int) error {
	m := callResult.FindStringSubmatch(c.args)
	if m == nil {
		return fmt.Errorf("line %d of the trace: no result in %q", n, c.args)
	}
	c.ended = n
	c.ret = -1
	if m[1] != "?" {
		ret, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return err
		}
		c.ret = ret
	}
	subject := c.args
	if c.name == "openat" {
		subject = m[1] + m[2]
	}
	if d := descriptor.FindStringSubmatch(subject); d != nil {
		c.fd, c.path = d[1], d[2]
	}
	return nil
}

func TestParseTrace(t *testing.T) {
	got, err := parseTrace([]byte(`7 openat(AT_FDCWD</tmp>, "d/t/0/next.seg", O_RDWR|O_CREAT) = 9</tmp/d/t/0/next.seg>
7 pwrite64(9</tmp/d/t/0/next.seg>, "a) = 0", 6, 0 <unfinished ...>
8 write(11<socket:[5]>, "OK first=0\r\n", 12) = 12
7 <... pwrite64 resumed>)           = 6
8 fdatasync(9</tmp/d/t/0/next.seg>) = -1 EIO (Input/output error)
7 futex(0x1, FUTEX_WAIT) = ?
9 ???( <unfinished ...>
9 <... ??? resumed>) = ?
8 +++ exited with 0 +++
`))
	want := "[{openat 9 /tmp/d/t/0/next.seg 9 1 1} {write 11 socket:[5] 12 3 3} {pwrite64 9 /tmp/d/t/0/next.seg 6 2 4} " +
		"{fdatasync 9 /tmp/d/t/0/next.seg -1 5 5} {futex   -1 6 6}]"
	type brief struct {
		name, fd, path string
		ret            int64
		began, ended   int
	}
	var short []brief
	for _, c := range got {
		short = append(short, brief{c.name, c.fd, c.path, c.ret, c.began, c.ended})
	}
	if err != nil || fmt.Sprint(short) != want {
		t.Errorf("got  %v, %v\nwant %s", short, err, want)
	}
}

// exchange sends one request and waits for the line that answers it.
func exchange(t *testing.T, nc net.Conn, in *bufio.Reader, request string) string {
	t.Helper()
	if _, err := nc.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	line, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func (s *server) dial() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.Text)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() }) // the server may have closed it
	if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
		s.t.Fatal(err)
	}
	return nc, bufio.NewReader(nc)
}

// answers are the writes to sockets that carry an acknowledgement.
func (c *call) answers() bool {
	return c.name == "write" && strings.HasPrefix(c.path, "socket:") && strings.Contains(c.args, `"OK first=`)
}

func (c *call) writesLog() bool {
	return strings.HasPrefix(c.name, "pwrite") && (strings.HasSuffix(c.path, ".log") || strings.HasSuffix(c.path, "next.seg"))
}

func (c *call) syncs() bool {
	switch c.name {
	case "fdatasync", "fsync", "sync_file_range", "msync", "sync", "syncfs":
		return true
	}
	return false
}

// For one synced append: write, fdatasync of that file, answer; each begun when the one before was over.
func TestSyncedIsWriteThenSyncThenAnswer(t *testing.T) {
	s := trace(t)
	nc, in := s.dial()
	exchange(t, nc, in, "CREATE t\n")
	for i := range 5 {
		want := fmt.Sprintf("OK first=%d next=%d ack=synced synced=%d\r\n", i, i+1, i+1)
		if got := exchange(t, nc, in, "MSG t 5 ack=synced\nhello\n"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	var order []call
	for _, c := range s.calls() {
		if c.writesLog() || c.answers() || c.syncs() && strings.HasSuffix(c.path, ".log") {
			order = append(order, c)
		}
	}
	for len(order) > 0 && !order[0].writesLog() {
		order = order[1:] // what CREATE did
	}
	for i := range 5 {
		if len(order) < 3 {
			t.Fatalf("%d appends have no three calls", 5-i)
		}
		w, s, a := order[0], order[1], order[2]
		order = order[3:]
		if !w.writesLog() || s.name != "fdatasync" || s.path != w.path || s.ret != 0 || !a.answers() || s.began < w.ended || a.began < s.ended {
			t.Fatalf("append %d: %+v\n%+v\n%+v", i, w, s, a)
		}
	}
}

// A written append waits for no sync, of whatever file: between its write and its answer there is none.
func TestWrittenWaitsForNoSync(t *testing.T) {
	s := trace(t)
	nc, in := s.dial()
	exchange(t, nc, in, "CREATE t\n")
	exchange(t, nc, in, "MSG t 5 ack=synced\nhello\n")
	const n = 20
	for i := range n {
		if got := exchange(t, nc, in, "MSG t 5\nhello\n"); !strings.HasPrefix(got, fmt.Sprintf("OK first=%d next=%d ack=written synced=1\r", i+1, i+2)) {
			t.Fatalf("got %q", got)
		}
	}
	written, pending := 0, false
	for _, c := range s.calls() {
		switch {
		case c.writesLog():
			pending = true
		case c.answers() && strings.Contains(c.args, "ack=written"):
			if !pending {
				t.Errorf("an answer without a write before it: %+v", c)
			}
			written, pending = written+1, false
		case c.answers():
			pending = false
		case c.syncs() && pending && written > 0 && written < n:
			t.Errorf("between a written append and its answer: %+v", c)
		}
	}
	if written != n {
		t.Errorf("the trace has %d answers, want %d", written, n)
	}
}

// honest checks a trace of one connection that sends synced appends, each behind the answer to the one before: when an
// answer begins to leave, every byte written to the log's files is synced, by a sync that began behind the write,
// and every file that was written is synced into its directory; a spare that is being made ahead may not be yet. A
// descriptor with unsynced bytes is not closed (I13).
func honest(calls []call) (answers int, faults []string) {
	dirty := map[string]call{} // by descriptor: the last write since its sync
	made := map[string]call{}  // by directory: the file made since its sync
	used := map[string]bool{}  // by path: it was written since it was made
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, c := range calls {
		switch {
		case c.name == "openat" && c.ret >= 0 && strings.Contains(c.args, "O_CREAT") && strings.Contains(c.path, "/topics/"):
			if name := filepath.Base(c.path); strings.HasSuffix(name, ".log") || name == "next.seg" {
				made[filepath.Dir(c.path)], used[c.path] = c, false
			}
		case c.writesLog():
			dirty[c.fd], used[c.path] = c, true
		case c.syncs() && c.ret == 0:
			if w, ok := dirty[c.fd]; ok && w.ended < c.began {
				delete(dirty, c.fd)
			}
			if m, ok := made[c.path]; ok && m.ended < c.began {
				delete(made, c.path)
			}
		case c.name == "close":
			if w, ok := dirty[c.fd]; ok {
				fault("closed with unsynced bytes: %+v", w)
				delete(dirty, c.fd)
			}
		case c.answers():
			answers++
			for _, w := range dirty {
				fault("line %d answers, and the write of line %d to %s is not synced", c.began, w.ended, w.path)
			}
			for dir, m := range made {
				if used[m.path] {
					fault("line %d answers, and %s was made in line %d and is not synced into %s", c.began, m.path, m.ended, dir)
				}
			}
		}
	}
	return answers, faults
}

// Across rolls, too: a synced answer has waited for the old file, for the new one, and for its entry in the directory.
func TestSyncedAcrossRollsIsHonest(t *testing.T) {
	s := trace(t, "--set", "topic.segment.bytes=16KiB")
	nc, in := s.dial()
	exchange(t, nc, in, "CREATE t\n")
	value := strings.Repeat("x", 5<<10)
	const n = 30
	for i := range n {
		ack := "synced"
		if i%3 == 1 {
			ack = "written" // so that a roll meets bytes that nobody has synced
		}
		request := fmt.Sprintf("MSG t %d ack=%s\n%s\n", len(value), ack, value)
		if got := exchange(t, nc, in, request); !strings.HasPrefix(got, fmt.Sprintf("OK first=%d ", i)) {
			t.Fatalf("got %q", got)
		}
	}
	var synced []call // without the answers that promise no sync
	spares := 0
	for _, c := range s.calls() {
		if c.name == "openat" && strings.HasSuffix(c.path, "next.seg") && strings.Contains(c.args, "O_CREAT") {
			spares++
		}
		if !c.answers() || strings.Contains(c.args, "ack=synced") {
			synced = append(synced, c)
		}
	}
	answers, faults := honest(synced)
	if answers != n-n/3 || spares < n/3-1 {
		t.Errorf("the trace has %d answers and %d segments", answers, spares)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// The checker sees what it is for.
func TestHonestSeesLies(t *testing.T) {
	const (
		made   = `1 openat(AT_FDCWD</d>, "x", O_RDWR|O_CREAT|O_EXCL) = 9</d/topics/t/0/next.seg>` + "\n"
		dir    = `1 fsync(8</d/topics/t/0>) = 0` + "\n"
		wrote  = `1 pwrite64(9</d/topics/t/0/next.seg>, "x", 1, 0) = 1` + "\n"
		begun  = `1 pwrite64(9</d/topics/t/0/next.seg>, "x", 1, 0 <unfinished ...>` + "\n"
		rest   = `1 <... pwrite64 resumed>) = 1` + "\n"
		sync   = `2 fdatasync(9</d/topics/t/0/next.seg>) = 0` + "\n"
		failed = `2 fdatasync(9</d/topics/t/0/next.seg>) = -1 EIO (Input/output error)` + "\n"
		other  = `2 fdatasync(7</d/topics/t/0/00000000000000000000.log>) = 0` + "\n"
		answer = `1 write(5<socket:[1]>, "OK first=0 next=1 ack=synced synced=1\r\n", 40) = 40` + "\n"
		closed = `1 close(9</d/topics/t/0/next.seg>) = 0` + "\n"
	)
	for name, c := range map[string]struct {
		trace string
		fine  bool
	}{
		"honest":                      {made + dir + wrote + sync + answer + closed, true},
		"the directory last":          {made + wrote + sync + dir + answer, true},
		"a spare in the making":       {made + answer, true},
		"no sync":                     {made + dir + wrote + answer, false},
		"a sync that fails":           {made + dir + wrote + failed + answer, false},
		"a sync of another file":      {made + dir + wrote + other + answer, false},
		"a sync before the write":     {made + dir + sync + wrote + answer, false},
		"a sync during the write":     {made + dir + begun + sync + rest + answer, false},
		"the answer before the sync":  {made + dir + wrote + answer + sync, false},
		"no sync of the directory":    {made + wrote + sync + answer, false},
		"closed before it was synced": {made + dir + wrote + closed + answer, false},
	} {
		calls, err := parseTrace([]byte(c.trace))
		if err != nil {
			t.Fatal(err)
		}
		if answers, faults := honest(calls); answers != 1 || (len(faults) == 0) != c.fine {
			t.Errorf("%s: %d answers, faults %q", name, answers, faults)
		}
	}
}

// unsynced are the log files with bytes that no sync covers at the end of the trace.
func unsynced(calls []call) map[string]bool {
	dirty := map[string]bool{}
	for _, c := range calls {
		switch {
		case c.writesLog():
			dirty[c.path] = true
		case c.syncs() && c.ret == 0:
			delete(dirty, c.path)
		}
	}
	return dirty
}

// A graceful stop syncs what nobody has asked to be synced.
func TestStopSyncs(t *testing.T) {
	s := trace(t)
	nc, in := s.dial()
	for i := range 3 {
		exchange(t, nc, in, fmt.Sprintf("MSG t%d 5\nhello\n", i))
	}
	calls := s.calls()
	written := 0
	for _, c := range calls {
		if c.writesLog() {
			written++
		}
	}
	if left := unsynced(calls); len(left) > 0 || written != 3 {
		t.Errorf("%d writes; not synced at the end: %v", written, left)
	}
}

// What a kill has left in the kernel's hands is synced before the next run calls it synced.
func TestRecoveredIsSyncedBeforeItIsCalledSo(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data, "--set", "stages.flusher.tick=0")
	nc, in := s.dial()
	if got := exchange(t, nc, in, "MSG t 5\nhello\n"); got != "OK first=0 next=1 ack=written synced=0\r\n" {
		t.Fatalf("got %q", got)
	}
	s.Kill()
	again := traceOn(t, data)
	nc, in = again.dial()
	head := exchange(t, nc, in, "HEAD t\n")
	if !strings.Contains(head, " next=1 ") {
		t.Fatalf("HEAD says %q", head)
	}
	said := strings.Contains(head, " synced=1 ")
	synced := false
	for _, c := range again.calls() {
		if c.syncs() && c.ret == 0 && strings.HasSuffix(c.path, "/t/0/00000000000000000000.log") {
			synced = true
		}
		if c.name == "write" && strings.Contains(c.args, `"OK oldest=0`) {
			if said && !synced {
				t.Errorf("%q was answered, and nothing was synced since the kill", head)
			}
			return
		}
	}
	t.Error("the trace has no answer to HEAD")
}

// Who waits at the same time shares a sync.
func TestSyncsAreShared(t *testing.T) {
	const conns, each = 16, 20
	s := trace(t)
	nc, in := s.dial()
	exchange(t, nc, in, "CREATE t\n")
	l := make(chan error, conns)
	for range conns {
		nc, in := s.dial()
		go func() {
			for range each {
				if _, err := fmt.Fprint(nc, "MSG t 5 ack=synced\nhello\n"); err != nil {
					l <- err
					return
				}
				if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, " ack=synced ") {
					l <- fmt.Errorf("answered %q, %w", line, err)
					return
				}
			}
			l <- nil
		}()
	}
	for range conns {
		if err := <-l; err != nil {
			t.Fatal(err)
		}
	}
	acks, syncs := 0, 0
	for _, c := range s.calls() {
		if c.answers() {
			acks++
		}
		if c.name == "fdatasync" && strings.HasSuffix(c.path, ".log") {
			syncs++
		}
	}
	if acks != conns*each || syncs >= acks {
		t.Errorf("%d answers took %d syncs", acks, syncs)
	}
	t.Logf("%d synced answers took %d syncs: %.1f a sync", acks, syncs, float64(acks)/float64(syncs))
}
