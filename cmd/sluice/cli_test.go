package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"sluice/client"
	"sluice/sluicetest"
)

// at starts a server in the test's process, and gives a runner of command lines against it.
func at(t *testing.T) (*sluicetest.Server, func(in string, args ...string) string) {
	t.Helper()
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true})
	return srv, func(in string, args ...string) string {
		t.Helper()
		return fine(t, in, append(args, "--server", srv.Addr)...)
	}
}

func TestLinesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	dir := t.TempDir()
	long := strings.Repeat("x", 600<<10)
	files := map[string]string{
		"plain":              "a\nb\nc\n",
		"no newline at end":  "a\nb",
		"nothing":            "",
		"empty lines":        "\n\n\na\n\n",
		"bytes":              "\x00\xff\r\n\x80\n",
		"longer than chunks": long + "\nshort\n" + long,
	}
	for name, content := range files {
		topic := strings.ReplaceAll(name, " ", "-")
		file := filepath.Join(dir, topic)
		must(t, os.WriteFile(file, []byte(content), 0o644))
		summary := do("", "append", topic+"-file", file)
		do(content, "append", topic+"-stdin")
		if content == "" { // no record, no topic
			if !strings.HasPrefix(summary, "appended 0 records") {
				t.Errorf("%s: %s", name, summary)
			}
			continue
		}
		want := strings.TrimSuffix(content, "\n") + "\n"
		for _, from := range []string{topic + "-file", topic + "-stdin"} {
			if got := do("", "read", from); got != want {
				t.Errorf("%s: read %.100q, want %.100q", from, got, want)
			}
		}
	}
	two := do("", "append", "two", filepath.Join(dir, "no-newline-at-end"), filepath.Join(dir, "plain"), "--server", srv.Addr)
	if got := do("", "read", "two"); got != "a\nb\na\nb\nc\n" || !strings.HasPrefix(two, "appended 5 records, 0.0 MiB in ") {
		t.Errorf("two files: %q, %s", got, two)
	}
}

func TestKeysAndJSON(t *testing.T) {
	t.Parallel()
	_, do := at(t)
	do("k1;v;1\nnone\n;empty\n\xff;\xfe\n", "append", "t", "--keys", ";", "--quiet")
	if got := do("", "read", "t", "--keys", ";"); got != "k1;v;1\nnone\n;empty\n\xff;\xfe\n" {
		t.Errorf("%q", got)
	}
	var got []string
	for line := range strings.Lines(do("", "read", "t", "--json")) {
		var r recordJSON
		must(t, json.Unmarshal([]byte(line), &r))
		word := func(s *string) string {
			if s == nil {
				return "-"
			}
			return *s
		}
		got = append(got, fmt.Sprint(r.Offset, " ", word(r.Key), " ", word(r.Key64), " ", word(r.Value), " ", word(r.Value64)))
	}
	if want := "[0 k1 - v;1 - 1 - - none - 2  - empty - 3 - /w== - /g==]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestReadsFromAndLimit(t *testing.T) {
	t.Parallel()
	_, do := at(t)
	do("0\n1\n2\n3\n4\n", "append", "t")
	for _, c := range []struct{ flags, want string }{
		{"", "0 1 2 3 4"}, {"--from 3", "3 4"}, {"--from -2", "3 4"}, {"--from newest", ""}, {"--limit 2", "0 1"},
		{"--from 1 --limit 1", "1"}, {"--from @0", "0 1 2 3 4"}, {"--from @2999-01-01T00:00:00Z", ""}, {"--from 5", ""},
	} {
		got := strings.Fields(do("", append([]string{"read", "t"}, strings.Fields(c.flags)...)...))
		if strings.Join(got, " ") != c.want {
			t.Errorf("read t %s: %v, want %s", c.flags, got, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	_, do := at(t)
	line := do("a\nb\n", "append", "t", "--ack", "synced")
	var n int
	var size, took, rate, mb, ack string
	got, err := fmt.Sscanf(line, "appended %d records, %s MiB in %s (%s %s MiB/s), ack %s", &n, &size, &took, &rate, &mb, &ack)
	if err != nil || got != 6 || n != 2 || ack != "synced," || !strings.Contains(line, "latency p50 ") || !strings.Contains(line, " p99.9 ") {
		t.Errorf("%q: %v", line, err)
	}
	var s summary
	must(t, json.Unmarshal([]byte(do("c\n", "append", "t", "--json")), &s))
	if !s.Complete || s.Appended != 1 || s.Bytes != 1 || *s.First != 2 || *s.Next != 3 || s.Ack != "written" || s.Max < s.P50 || s.P50 < 1 {
		t.Errorf("%+v", s)
	}
	if out := do("d\n", "append", "t", "--ack", "none"); !strings.Contains(out, "ack none") {
		t.Errorf("%q", out)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	_, do := at(t)
	if got := do("", "topics", "--json"); got != "[]\n" {
		t.Errorf("%q", got)
	}
	if got := do("", "create", "t", "partitions=2", "ack=synced"); got != "created t\n" {
		t.Errorf("%q", got)
	}
	if got := do("", "alter", "t", "partitions=3", "flush.ms=100ms"); got != "altered t\n" {
		t.Errorf("%q", got)
	}
	if got := do("", "alter", "t", "partitions=3", "--json"); !strings.Contains(got, `"altered":true`) {
		t.Errorf("%q", got)
	}
	do("a\nb\n", "append", "t", "--partition", "1")
	var h client.Head
	must(t, json.Unmarshal([]byte(do("", "head", "t", "--partition", "1", "--json")), &h))
	if h.Next != 2 || h.Synced != 2 || h.Partitions != 3 {
		t.Errorf("%+v", h)
	}
	if got := do("", "head", "t/1"); !strings.Contains(got, "next        2") {
		t.Errorf("%q", got)
	}
	var list []client.Topic
	must(t, json.Unmarshal([]byte(do("", "topics", "--json")), &list))
	if len(list) != 1 || list[0].Name != "t" || list[0].Partitions != 3 || list[0].Records != 2 {
		t.Errorf("%+v", list)
	}
	if got := do("", "topics"); !strings.HasPrefix(got, "TOPIC  PARTITIONS") {
		t.Errorf("%q", got)
	}
	if got := do("", "flush", "t", "--partition", "1"); got != "t/1 is synced up to offset 2\n" {
		t.Errorf("%q", got)
	}
	if got := do("", "flush", "t/1", "--json"); got != `{"topic":"t/1","synced":2}`+"\n" {
		t.Errorf("%q", got)
	}
	var stats map[string]any
	must(t, json.Unmarshal([]byte(do("", "stats", "--json")), &stats))
	if len(stats) == 0 || len(do("", "stats")) == 0 {
		t.Error("no figures")
	}
	if got := do("", "drop", "t", "--json"); got != `{"dropped":true,"topic":"t"}`+"\n" {
		t.Errorf("%q", got)
	}
}

func TestFailuresAreOneSentence(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	do("", "create", "small", "max.message.bytes=1KiB")
	do("a\n", "append", "t")
	do("", "create", "empty")
	here := []string{"--server", srv.Addr}
	for _, c := range []struct {
		in     string
		args   []string
		status int
		want   string
	}{
		{"", []string{"read", "nothing"}, exitFailure, "sluice: read: fetch nothing: NO_TOPIC: "},
		{"", []string{"head", "t/7"}, exitFailure, "sluice: head t/7: NO_TOPIC: "},
		{"", []string{"read", "t", "--from", "9"}, exitFailure, "the log has the records 0 to 0, --from oldest takes them all"},
		{"", []string{"read", "empty", "--from", "3"}, exitFailure, "the log is empty, and its next record gets the offset 0"},
		{"", []string{"create", "t"}, exitFailure, "sluice: create t: EXISTS: "},
		{"", []string{"create", "u", "colour=red"}, exitFailure, "sluice: create u: BAD_SETTING: "},
		{"", []string{"alter", "t", "segment.bytes=64KiB"}, exitFailure, "sluice: alter t: BAD_SETTING: "},
		{"", []string{"alter", "nothing", "partitions=2"}, exitFailure, "sluice: alter nothing: NO_TOPIC: "},
		{"", []string{"append", "t", "no/such/file"}, exitFailure, "sluice: append: open no/such/file: "},
		{"a\nb\n" + strings.Repeat("x", 2000) + "\nd\n", []string{"append", "small", "--batch-bytes", "1KiB"}, exitFailure, "line 3 was refused"},
		{"a\n" + strings.Repeat("x", 9<<20), []string{"append", "t"}, exitFailure, "stdin: line 2 is longer than"},
	} {
		status, _, errs := sluice(t, c.in, append(c.args, here...)...)
		if status != c.status || !strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "sluice: "+c.args[0]) {
			t.Errorf("%v: status %d, %q; want %d and %q", c.args, status, errs, c.status, c.want)
		}
	}
	if got := do("", "read", "small"); got != "a\nb\n" {
		t.Errorf("behind a refused line the log goes on: %q", got)
	}
	status, _, errs := sluice(t, "", "topics", "--server", "127.0.0.1:1")
	if status != exitFailure || !strings.Contains(errs, "sluice serve") {
		t.Errorf("no server: status %d, %q", status, errs)
	}
	for _, server := range []string{"nonsense", "127.0.0.1:", "::1:1774"} {
		status, _, errs = sluice(t, "", "topics", "--server", server)
		if want := fmt.Sprintf("sluice: topics: %q is no address of a server: give host:port", server); status != exitUsage || !strings.HasPrefix(errs, want) {
			t.Errorf("--server %s: status %d, %q", server, status, errs)
		}
	}
	status, _, errs = sluice(t, "", "tropics")
	if status != exitUsage || !strings.Contains(errs, "did you mean topics?") {
		t.Errorf("no command: status %d, %q", status, errs)
	}
}

// What is wrong with a command line by itself is told without asking a server, with a status of its own.
func TestUsageMistakesNeedNoServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, want string }{
		{"append", "requires at least 1 arg"},
		{"append t --ack sometimes", `"sometimes" for "--ack"`},
		{"append t --ack replicated", "this version has none, written and synced"},
		{"append t --batch-bytes 7", "use at least 1KiB"},
		{"append t --linger -1s", "--linger -1s is negative"},
		{"append a%b", "has a character no topic has"},
		{"read t --from yesterday", `"yesterday" for "--from"`},
		{"read t --limit -3", `"-3" for "--limit" flag: use a whole number, 0 or more`},
		{"read t --limit some", "use a whole number"},
		{"read t --partition -1", "--partition -1 is negative"},
		{"tail t/x", "has a bad partition"},
		{"head t/1 --partition 2", "names a partition already"},
		{"flush ..", "is a directory's own name"},
		{"create a/b", `"a/b" names a partition: name the topic only`},
		{"create a%b", "has a character no topic has"},
		{"create u partitions", "NAME=VALUE"},
		{"create u ack=written ack=synced", "given twice"},
		{"create u ack=x", `ack: "x" is no ack level`},
		{"create u sync=shutdown flush.ms=5", "flush.ms has no effect with sync=shutdown: leave one of them out"},
		{"create u flush.messages=5 sync=dsync", "flush.messages has no effect with sync=dsync"},
		{"alter t", "requires at least 2 arg"},
		{"alter a/b partitions=2", "names a partition"},
		{"alter t partitions", "NAME=VALUE"},
		{"alter t partitions=0", "0 is out of bounds"},
		{"drop a/b", "names a partition"},
		{"dump d t --limit -1", "use a whole number"},
		{"serve --set foo=1", "there is no setting foo"},
	} {
		args := strings.Fields(c.line)
		all := args
		if args[0] != "dump" && args[0] != "serve" {
			all = append(args, "--server", "127.0.0.1:1")
		}
		status, out, errs := sluice(t, "", all...)
		if status != exitUsage || !strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "sluice: "+args[0]) || out != "" {
			t.Errorf("%s: status %d, %q; want %q", c.line, status, errs, c.want)
		}
	}
}

// A gap ends a read, unless it is told to go on; then it is shown where the records would be.
func TestGapsAreShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := sluicetest.StartWith(t, sluicetest.Options{Dir: dir, Quiet: true})
	for i := range 5 { // a batch each
		fine(t, fmt.Sprintf("value-%d\n", i), "append", "t", "--quiet", "--server", srv.Addr)
	}
	srv.Stop()
	file := filepath.Join(dir, "topics/t/0/00000000000000000000.log")
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, bytes.Replace(b, []byte("value-2"), []byte("xalue-2"), 1), 0o644))
	srv = sluicetest.StartWith(t, sluicetest.Options{Dir: dir, Quiet: true, ErrorsAreFine: true})
	at := []string{"read", "t", "--server", srv.Addr}

	status, out, errs := sluice(t, "", at...)
	if status != exitFailure || out != "value-0\nvalue-1\n" || !strings.HasSuffix(errs, "with --skip-gaps record 2 is left out; or go on behind with --from 3\n") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	status, out, errs = sluice(t, "", append(at, "--skip-gaps")...)
	if status != exitFine || out != "value-0\nvalue-1\nvalue-3\nvalue-4\n" || !strings.HasPrefix(errs, "sluice: read: record 2 is left out: fetch t: CORRUPT: ") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	status, out, errs = sluice(t, "", append(at, "--skip-gaps", "--json", "--limit", "3")...)
	lines := strings.Split(out, "\n")
	if status != exitFine || len(lines) != 5 || !strings.HasPrefix(lines[2], `{"gap":{"from":2,"next":3,"why":"fetch t: CORRUPT: `) || !strings.Contains(lines[3], `"value-3"`) || errs != "" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

func TestTailFollowsUntilInterrupted(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	do("before\n", "append", "t")
	tail := start(t, "tail", "t", "--from", "-1", "--server", srv.Addr)
	out, err := tail.cmd.StdoutPipe()
	must(t, err)
	must(t, tail.cmd.Start())
	lines := bufio.NewReader(out)
	want := func(line string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != line+"\n" {
			t.Fatalf("%q, %v; want %s", got, err, line)
		}
	}
	want("before")
	for _, v := range []string{"one", "two"} { // each is out at once, though no buffer is full
		do(v+"\n", "append", "t")
		want(v)
	}
	tail.signal(syscall.SIGINT)
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if got := tail.status(); got != exitFine {
		t.Errorf("status %d: %s", got, tail.stderr.String())
	}
	if got := do("", "tail", "t", "--from", "oldest", "--limit", "2"); got != "before\none\n" {
		t.Errorf("%q", got)
	}
}

func TestHelpHasExamples(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s has no example, or no line that says what it does", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(streams{}))
	if out := fine(t, "", "append", "--help"); !strings.Contains(out, "Examples:") {
		t.Errorf("%s", out)
	}
	fine(t, "")
	fine(t, "", "config")
	if out := fine(t, "", "version"); !strings.HasPrefix(out, "sluice "+version) {
		t.Errorf("%s", out)
	}
	var v map[string]string
	must(t, json.Unmarshal([]byte(fine(t, "", "version", "--json")), &v))
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := fine(t, "", "completion", shell); !strings.Contains(out, "sluice") {
			t.Errorf("%s: %s", shell, out)
		}
	}
	if status, _, _ := sluice(t, "", "completion", "cmd.exe"); status != exitUsage {
		t.Errorf("status %d", status)
	}
}
