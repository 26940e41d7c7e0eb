package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestGoFilesAreFilesOnly(t *testing.T) {
	dir := t.TempDir()
	b := write(t, dir, "sub/b.go", "")
	c := write(t, dir, "trap.go/c.go", "")
	write(t, dir, "sub/b.txt", "")
	got, err := goFiles(dir)
	if err != nil || strings.Join(got, " ") != b+" "+c {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := goFiles(t.TempDir()); err == nil {
		t.Error("a folder without sources must not look like success")
	}
}

func TestSource(t *testing.T) {
	dir := t.TempDir()
	files := []string{write(t, dir, "a", "one\ntwo"), write(t, dir, "b", ""), write(t, dir, "c", "\r\n\nthree\n")}
	for _, c := range []struct {
		limit int
		want  string
		lines int
	}{
		{0, "one\ntwo\n\r\n\nthree\n", 5},
		{1, "one\n", 1},
		{3, "one\ntwo\n\r\n", 3},
		{9, "one\ntwo\n\r\n\nthree\n", 5},
	} {
		s := &source{files: files, limit: c.limit}
		got, err := io.ReadAll(iotest.OneByteReader(s))
		if err != nil || string(got) != c.want || s.lines != c.lines || s.bytes != int64(len(c.want)) {
			t.Errorf("limit %d: %q, %d lines, %d bytes, %v", c.limit, got, s.lines, s.bytes, err)
		}
	}
}

func TestCompare(t *testing.T) {
	long := strings.Repeat("a line of some length\n", 40_000) // more than one buffer
	for _, c := range []struct{ name, sent, got, want string }{
		{"the same", "a\nb\n", "a\nb\n", ""},
		{"nothing", "", "", ""},
		{"long", long, long, ""},
		{"a byte", "a\nbc\nd\n", "a\nbx\nd\n", `line 2 differs: sent "bc", got "bx"`},
		{"a byte far down", long + "a\n", long + "b\n", `line 40001 differs: sent "a", got "b"`},
		{"too little", "a\nb\nc\n", "a\nb\n", "ends in line 3"},
		{"too much", "a\n", "a\nb\n", "more came back than was sent, from line 2"},
		{"too much after a full buffer", strings.Repeat("x", 256<<10), strings.Repeat("x", 256<<10) + "y", "more came back"},
		{"nothing came", "a\n", "", "ends in line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := int64(0)
			err := compare(iotest.HalfReader(strings.NewReader(c.sent)), iotest.HalfReader(strings.NewReader(c.got)), func(n int64) { seen = n })
			if c.want == "" {
				if err != nil || seen != int64(len(c.sent)) {
					t.Errorf("%v after %d bytes", err, seen)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEachRunTakesATopicOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		used []string
		want string
	}{
		{nil, "go-source"},
		{[]string{"go-source"}, "go-source-2"},
		{[]string{"greetings", "go-source-2"}, "go-source"},
		{[]string{"go-source-2", "go-source"}, "go-source-3"},
	} {
		used := map[string]bool{}
		for _, name := range c.used {
			used[name] = true
		}
		if got := nextName("go-source", used); got != c.want {
			t.Errorf("%q: %s, want %s", c.used, got, c.want)
		}
	}
}

func TestATakenPortIsOneClearSentence(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	err = portIsFree(ln.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "make run LISTEN=") {
		t.Errorf("got %v", err)
	}
	if err := portIsFree("127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

func TestTheLastLineSaysWhyItEnded(t *testing.T) {
	for log, want := range map[string]string{"": "", "one": "one", "INFO begun\nERROR no room\n\n": "ERROR no room"} {
		if got := lastLine(log); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}
