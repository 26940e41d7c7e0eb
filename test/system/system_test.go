package system

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines are records of every awkward kind: empty, blank, with carriage returns, not UTF-8, like a request, long.
func lines(n int) string {
	var b strings.Builder
	b.WriteString("\n  \n\r\n\xff\xfe\x00\nMSG t 5\n" + strings.Repeat("long", 50_000) + "\n")
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// What was answered survives the end of the process, however it ends; and the log goes on where it stopped.
func TestRecordsSurviveTheEndOfTheProcess(t *testing.T) {
	for _, c := range []struct {
		name, ack string
		kill      bool
	}{
		{"a stop", "written", false},
		{"a kill, written", "written", true},
		{"a kill, synced", "synced", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			want := lines(2000)
			s := serve(t, data)
			s.ok(want, "append", "orders", "--ack", c.ack)
			if got := s.ok("", "read", "orders"); got != want {
				t.Fatalf("read back %d bytes, appended %d", len(got), len(want))
			}
			if c.kill {
				s.Kill()
			} else if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			s = serve(t, data)
			if got := s.ok("", "read", "orders"); got != want {
				t.Fatalf("afterwards: read back %d bytes, appended %d", len(got), len(want))
			}
			s.ok("one more\n", "append", "orders")
			if got := s.ok("", "read", "orders", "--from=-2"); got != "line 1999\none more\n" {
				t.Errorf("afterwards, appended: %q", got)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The session that the protocol's page shows, with a mistake at its end.
func TestASessionByHand(t *testing.T) {
	s := serve(t, t.TempDir())
	got := s.talk("MSG greetings 5 ack=synced\nhello\nREAD greetings 0\n\r\nPING\r\nNONSENSE\nPING\n")
	want := regexp.MustCompile(`^OK first=0 next=1 ack=synced synced=1\r\n` +
		`REC offset=0 time=\d+ key=-1 n=5\r\nhello\r\nOK next=1 end=1 epoch=\d+\r\n` +
		`OK pong=1\r\nERR BAD_COMMAND .*- .+\r\n$`)
	if !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// A page in the browser of the person who runs the server can post to its port; it must not append.
func TestAWebPageCannotReachTheServer(t *testing.T) {
	s := serve(t, t.TempDir())
	for _, page := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nMSG a 1\nx\n",
		"GET /MSG HTTP/1.1\r\nHost: x\r\n\r\nMSG a 1\nx\n",
	} {
		if got := s.talk(page); strings.Contains(got, "OK") {
			t.Errorf("%q was answered %q", page, got)
		}
	}
	if got := s.talk("HEAD a\n"); !strings.HasPrefix(got, "ERR NO_TOPIC") {
		t.Errorf("the page has appended: %q", got)
	}
}

func (s *server) get(path string) string {
	s.t.Helper()
	resp, err := http.Get("http://" + s.HTTP + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}

// Health, and profiles in which each goroutine tells its stage.
func TestHTTP(t *testing.T) {
	s := serve(t, t.TempDir(), "--set", "stages.writer.count=2", "--set", "stages.flusher.count=3")
	if got := s.get("/healthz"); got != "ok\n" {
		t.Errorf("/healthz says %q", got)
	}
	nc, in := s.dial() // so that there is a connection
	exchange(t, nc, in, "PING\n")
	want := "accept controller dsync/0 flusher/0 flusher/1 flusher/2 http notifier reader readers responder roller room scrubber settle supervisor tick watch writer/0 writer/1"
	got := ""
	for end := time.Now().Add(limit); got != want && time.Now().Before(end); { // one that has never run yet has no label
		got = s.stages()
	}
	if got != want {
		t.Errorf("the stages are\n%s, want\n%s", got, want)
	}
}

// stages are the labels of the server's goroutines.
func (s *server) stages() string {
	s.t.Helper()
	profile := s.get("/debug/pprof/goroutine?debug=1")
	var labels []string
	for _, m := range regexp.MustCompile(`# labels: \{"stage":"([^"]+)"\}`).FindAllStringSubmatch(profile, -1) {
		labels = append(labels, m[1])
	}
	slices.Sort(labels)
	return strings.Join(slices.Compact(labels), " ")
}
