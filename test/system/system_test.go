package system

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// lines are records of every awkward kind: empty, blank, with carriage returns, not UTF-8, long.
func lines(n int) string {
	var b strings.Builder
	b.WriteString("\n  \n\r\n\xff\xfe\x00\nMSG t 5\n" + strings.Repeat("long", 50_000) + "\n")
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

const awkward = 6 // lines before the numbered ones

func TestWhatIsAppendedIsReadBackAcrossARestart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	want := lines(5000)
	s := serve(t, data)
	s.ok(want, "append", "orders")
	if got := s.ok("", "read", "orders"); got != want {
		t.Fatalf("read back %d bytes, appended %d", len(got), len(want))
	}
	if status := s.stop(syscall.SIGTERM); status != 0 {
		t.Fatalf("SIGTERM: exit status %d\n%s", status, s.err.String())
	}
	s = serve(t, data)
	if got := s.ok("", "read", "orders"); got != want {
		t.Fatalf("after the restart: read back %d bytes, appended %d", len(got), len(want))
	}
	if got := s.ok("", "read", "orders", "--from=-2"); got != "line 4998\nline 4999\n" {
		t.Errorf("the last two are %q", got)
	}
	if got := s.ok("", "read", "orders", "--from", fmt.Sprint(awkward), "--limit", "1"); got != "line 0\n" {
		t.Errorf("one from %d on is %q", awkward, got)
	}
	if status := s.stop(syscall.SIGINT); status != 0 {
		t.Errorf("SIGINT: exit status %d\n%s", status, s.err.String())
	}
}

// What was answered `written` survives the end of the process, however it ends.
func TestAcknowledgedRecordsSurviveAKill(t *testing.T) {
	for _, ack := range []string{"written", "synced"} {
		t.Run(ack, func(t *testing.T) {
			data := t.TempDir()
			want := lines(2000)
			s := serve(t, data)
			s.ok(want, "append", "orders", "--ack", ack)
			s.stop(syscall.SIGKILL)
			s = serve(t, data)
			if got := s.ok("", "read", "orders"); got != want {
				t.Fatalf("after the kill: read back %d bytes, appended %d", len(got), len(want))
			}
			s.ok("one more\n", "append", "orders")
			if got := s.ok("", "read", "orders", "--from=-1"); got != "one more\n" {
				t.Errorf("after the kill, appended: %q", got)
			}
		})
	}
}

func TestAnAppendIsResumedWhereItStopped(t *testing.T) {
	s := serve(t, t.TempDir())
	all := lines(100)
	half := all[:strings.Index(all, "line 50\n")]
	s.ok(half, "append", "orders")
	s.ok(all, "append", "orders", "--resume")
	if got := s.ok("", "read", "orders"); got != all {
		t.Errorf("read back %d bytes, appended %d", len(got), len(all))
	}
	s.ok(all, "append", "orders", "--resume") // nothing is left to do
	if got := s.ok("", "read", "orders"); got != all {
		t.Errorf("the second resume changed the log: %d bytes, want %d", len(got), len(all))
	}
}

// The session that the protocol's page shows.
func TestASessionByHand(t *testing.T) {
	s := serve(t, t.TempDir())
	got := s.talk("MSG greetings 5 ack=synced\nhello\nREAD greetings 0\n\r\nPING\r\nNONSENSE\n")
	want := regexp.MustCompile(`^OK first=0 next=1 ack=synced synced=1\r\n` +
		`REC offset=0 time=\d+ key=-1 n=5\r\nhello\r\nOK next=1 end=1 epoch=\d+\r\n` +
		`OK pong=1\r\nERR BAD_COMMAND .*- .+\r\n$`)
	if !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestAWebPageCannotReachTheServer(t *testing.T) {
	s := serve(t, t.TempDir())
	got := s.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nMSG a 1\nx\n")
	if strings.Contains(got, "OK") {
		t.Errorf("got %q", got)
	}
	if r := s.run("", "read", "a"); r.status == 0 {
		t.Errorf("the topic exists: %q", r.out)
	}
}

func TestTwoServersDoNotShareAFolder(t *testing.T) {
	data := t.TempDir()
	first := serve(t, data)
	second, _ := launch(t, data)
	if status := second.wait(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if e := second.err.String(); !strings.Contains(e, "sluice: ") || strings.Contains(e, "goroutine ") {
		t.Errorf("it says %q", e)
	}
	first.ok("x\n", "append", "orders") // the first one did not notice
}

func TestAFailureIsOneSentenceAndAStatus(t *testing.T) {
	s := serve(t, t.TempDir())
	for _, c := range []struct {
		name   string
		args   []string
		status int
	}{
		{"no such topic", []string{"read", "nothing"}, 1},
		{"bad topic", []string{"append", "a b"}, 2},
		{"no topic", []string{"append"}, 2},
		{"unknown flag", []string{"append", "orders", "--wrong"}, 2},
		{"unknown level", []string{"append", "orders", "--ack", "forever"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.run("x\n", c.args...)
			if r.status != c.status || r.out != "" {
				t.Errorf("exit status %d, want %d; it printed %q", r.status, c.status, r.out)
			}
			sentence, hint, _ := strings.Cut(r.err, "\n")
			if !strings.HasPrefix(sentence, "sluice: ") || hint != "" && (c.status != 2 || !strings.HasPrefix(hint, "see: ")) {
				t.Errorf("not one sentence: %q", r.err)
			}
		})
	}
	if r := run(t, "", "frobnicate"); r.status != 2 || !strings.Contains(r.err, "frobnicate") {
		t.Errorf("unknown command: exit status %d, %q", r.status, r.err)
	}
	r := run(t, "", "head", "orders", "--server", "127.0.0.1:1")
	if r.status != 1 || !strings.Contains(r.err, "127.0.0.1:1") {
		t.Errorf("no server: exit status %d, %q", r.status, r.err)
	}
}

func TestHTTPSaysThatItIsReady(t *testing.T) {
	s := serve(t, t.TempDir())
	for _, path := range []string{"/healthz", "/debug/pprof/goroutine?debug=1"} {
		resp, err := http.Get("http://" + s.http + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
