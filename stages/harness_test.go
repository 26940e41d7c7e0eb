package stages

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"sluice/disk"
)

// patience is far beyond what any step, or any session, takes on a machine that has much
// else to do; it only ends a test that has failed.
const patience = 2 * time.Minute

// startServer runs a server on free ports and a directory of the test, and stops
// it when the test ends. A stop that was not clean fails the test.
func startServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	conf := Default()
	conf.Data = t.TempDir()
	if change != nil {
		change(&conf)
	}
	s := startServerOn(t, disk.OS(conf.Data), conf)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// startServerOn is startServer on any file system. How the stop went is the
// test's business: a log that failed says so there.
func startServerOn(t *testing.T, fs disk.FS, conf Config) *Server {
	t.Helper()
	conf.Listen, conf.HTTP, conf.Grace = "127.0.0.1:0", "", patience
	if conf.Disk.Reserve == Auto {
		conf.Disk.Reserve = 0 // a file system in memory would hold it for nothing
	}
	s, err := startOn(fs, conf, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Stop(context.Background())
		for _, b := range s.budgets() {
			if used, _ := b.bytes.Used(); used != 0 {
				t.Errorf("%d bytes of %s are still leased", used, b.name)
			}
		}
	})
	return s
}

// anyPort has a server listen for Kafka's clients too.
const anyPort = "127.0.0.1:0"

// startOn is Start on any file system. Nobody listens at Kafka's own port, which only one server can have.
func startOn(fs disk.FS, conf Config, log *zap.Logger) (*Server, error) {
	if !strings.HasSuffix(conf.Kafka, ":0") {
		conf.Kafka = ""
	}
	return startShowing(fs, conf, log, nil)
}

func testLogger(t testing.TB) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
}

// waitFor asks until the condition holds. It is for what has no event to wait
// for. It soon lets go of the processor: what it waits for may need it.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for n := 0; !condition(); n++ {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %v in vain", patience)
		}
		if n < 1000 {
			runtime.Gosched()
			continue
		}
		select {
		case <-time.After(100 * time.Microsecond):
		case <-t.Context().Done():
		}
	}
}

// session is a person with a terminal: it types requests and reads answers.
type session struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, s *Server) *session {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() }) // a second close of an orderly ended session is fine
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &session{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// send types s; \n ends a line.
func (c *session) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.nc, format, args...); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// line reads one line of an answer, without its end.
func (c *session) line() string {
	c.t.Helper()
	s, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatalf("after %q: %v", s, err)
	}
	if !strings.HasSuffix(s, "\r\n") {
		c.t.Fatalf("line %q does not end in CRLF", s)
	}
	return strings.TrimSuffix(s, "\r\n")
}

// want reads as many lines as are given and compares; * stands for anything
// without a space.
func (c *session) want(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.line(); !matches(want, got) {
			c.t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}

// matches compares a line; * in want stands for anything without a space.
func matches(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, `[^ ]*`)
	return regexp.MustCompile("^" + pattern + "$").MatchString(got)
}

// data reads a DATA frame: its line and its bytes.
func (c *session) data() (string, []byte) {
	c.t.Helper()
	head := c.line()
	var n int
	if _, err := fmt.Sscanf(head, "DATA %d", &n); err != nil {
		c.t.Fatalf("got %q, want a DATA frame", head)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatal(err)
	}
	return head, b[:n]
}

// ended checks that the server closes the connection now.
func (c *session) ended() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.t.Fatalf("got byte %q and error %v, want the end of the stream", b, err)
	}
}

// quiet checks that nothing was sent but the answer to PING.
func (c *session) quiet() {
	c.t.Helper()
	c.send("PING\n")
	c.want("OK pong=1")
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs from line %d on (go test -update writes it anew):\ngot  %q\nwant %q", path, i+1, g[i:min(i+2, len(g))], w[i:min(i+2, len(w))])
		}
	}
}
