package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/client"
	"sluice/sluicetest"
)

// chunked reads an input as append does, and returns its lines with their numbers.
func chunked(t *testing.T, r io.Reader, longest int) (lines []string, err error) {
	t.Helper()
	in := startInput(t.Context(), r, nil, longest)
	number := int64(1)
	for c := range in.ready {
		if c.err != nil {
			err = c.err
			continue
		}
		if c.line != number {
			t.Fatalf("a chunk says it begins with line %d, it is line %d", c.line, number)
		}
		for s := range strings.Lines(string(c.b)) {
			lines = append(lines, strings.TrimSuffix(s, "\n"))
			number++
		}
		in.free <- c
	}
	return lines, err
}

// chopped gives its text in pieces of random length, the last one with the end of file or before it.
type chopped struct {
	text string
	rng  *rand.Rand
}

func (c *chopped) Read(p []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.rng.IntN(9))], c.text)
	c.text = c.text[n:]
	if c.text == "" && c.rng.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func FuzzChunks(f *testing.F) {
	f.Add("a\nb", uint64(1), 4)
	f.Add("\n\n", uint64(2), 0)
	f.Add("abcdef\nabcdefg\n", uint64(3), 6)
	f.Add(strings.Repeat("\n\n\na\nbb\n\n", 40), uint64(4), 2)
	f.Fuzz(func(t *testing.T, text string, seed uint64, longest int) {
		longest = max(0, longest%64)
		var want []string
		tooLong := 0
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if want = append(want, line); len(line) > longest && tooLong == 0 {
				tooLong = len(want)
			}
		}
		got, err := chunked(t, &chopped{text, rand.New(rand.NewPCG(seed, 0))}, longest)
		if err == nil {
			// A line may pass here that is a little too long, if it came with its newline; the producer refuses it.
			if !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			return
		}
		if tooLong == 0 || !strings.Contains(err.Error(), fmt.Sprintf("stdin: line %d is longer", len(got)+1)) {
			t.Fatalf("%v after %d lines; line %d is too long", err, len(got), tooLong)
		}
		if !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("got %q before the error, want %q", got, want[:len(got)])
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestInputThatFails(t *testing.T) {
	lines, err := chunked(t, io.MultiReader(strings.NewReader("a\nb\nhalf"), broken{}), 100)
	if !errors.Is(err, errBroken) || !slices.Equal(lines, []string{"a", "b"}) {
		t.Fatalf("%q, %v", lines, err)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	_, do := at(t)
	if got := do("a\nb\nc\n", "append", "t", "--resume"); !strings.HasPrefix(got, "appended 3 records") {
		t.Errorf("%q", got)
	}
	if got := do("a\nb\nc\nd\ne", "append", "t", "--resume"); !strings.HasPrefix(got, "appended 2 records") || !strings.Contains(got, "behind 3 that were there") {
		t.Errorf("%q", got)
	}
	if got := do("a\nb\nc\nd\ne\n", "append", "t", "--resume"); !strings.HasPrefix(got, "appended 0 records") {
		t.Errorf("%q", got)
	}
	if got := do("", "read", "t"); got != "a\nb\nc\nd\ne\n" {
		t.Errorf("%q", got)
	}
}

func TestResumeTellsAnotherInput(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	do("a\nb\nc\n", "append", "t")
	for _, c := range []struct{ in, want string }{
		{"a\nb\n", "1 records more than the input has lines"},
		{"a\nb\nx\ny\n", "offset 2, is not line 3 of stdin"},
		{"", "3 records more"},
	} {
		status, _, errs := sluice(t, c.in, "append", "t", "--resume", "--server", srv.Addr)
		if status != exitFailure || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d, %q", c.in, status, errs)
		}
	}
	if got := do("", "read", "t"); got != "a\nb\nc\n" {
		t.Errorf("%q", got)
	}
}

// slow gives its first part, waits for go, then gives the rest.
type slow struct {
	first, rest io.Reader
	reached     chan struct{}
	proceed     chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	if s.reached != nil {
		close(s.reached)
		s.reached = nil
		<-s.proceed
	}
	return s.rest.Read(p)
}

// behind gives nothing before something has happened.
type behind struct {
	event <-chan struct{}
	r     io.Reader
}

func (b behind) Read(p []byte) (int, error) {
	<-b.event
	return b.r.Read(p)
}

// --resume can't be exact when somebody else appends, too, and says so.
func TestResumeTellsForeignRecords(t *testing.T) {
	t.Parallel()
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true})
	in := &slow{strings.NewReader("a\n"), strings.NewReader("b\n"), make(chan struct{}), make(chan struct{})}
	reached := in.reached
	var out, errs bytes.Buffer
	status := make(chan int)
	go func() {
		status <- run([]string{"append", "t", "--resume", "--server", srv.Addr}, streams{in, &out, &errs})
	}()
	<-reached
	waitForRecords(t, srv.Addr, "t", 1)
	fine(t, "foreign\n", "append", "t", "--server", srv.Addr)
	close(in.proceed)
	if got := <-status; got != exitFailure || !strings.Contains(errs.String(), "something else appends to this log") {
		t.Fatalf("status %d: %s", got, errs.String())
	}
}

// waitForRecords returns once the log has that many; it follows the log, so that it need not ask again and again.
func waitForRecords(t *testing.T, addr, topic string, n uint64) {
	t.Helper()
	c := connect(t, addr)
	for {
		if _, err := c.Head(t.Context(), topic); err == nil {
			break
		} else if e := new(client.Error); !errors.As(err, &e) || e.Code != client.NoTopic {
			t.Fatal(err)
		}
	}
	consumer, err := c.Consumer(topic, client.ConsumerOptions{Follow: true, Limit: int64(n)})
	must(t, err)
	for _, err := range consumer.Records(t.Context()) {
		must(t, err)
	}
}

// The promise of append: kill the server at any moment, and append says what is known; the log has a prefix of the
// input; --resume completes it, and the log is the input, line by line.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	lines := 200_000
	if testing.Short() {
		lines = 20_000
	}
	var input strings.Builder
	for i := range lines {
		fmt.Fprintf(&input, "line %d %s\n", i, strings.Repeat("x", i%60))
	}
	text := input.String()
	half := len(text)/2 + 7 // in the middle of a line
	dir := t.TempDir()
	srv := serve(t, dir)

	last, killed := len(text)-len("\n"), make(chan struct{})
	rest := io.MultiReader(strings.NewReader(text[half:last]), behind{killed, strings.NewReader(text[last:])})
	in := &slow{strings.NewReader(text[:half]), rest, make(chan struct{}), make(chan struct{})}
	reached := in.reached
	var out, errs bytes.Buffer
	status := make(chan int)
	go func() {
		status <- run([]string{"append", "t", "--json", "--batch-bytes", "32KiB", "--server", srv.addr}, streams{in, &out, &errs})
	}()
	<-reached
	waitForRecords(t, srv.addr, "t", uint64(lines/10))
	close(in.proceed) // what follows is under way, or not yet, when the server is killed; its end never is
	srv.kill()
	close(killed)
	if got := <-status; got != exitFailure || !strings.Contains(errs.String(), "go on with --resume") {
		t.Fatalf("status %d: %s", got, errs.String())
	}
	for range 3 { // and again, while it resumes
		srv = serve(t, dir)
		prefix := fine(t, "", "read", "t", "--server", srv.addr)
		if !strings.HasPrefix(text, prefix) || !strings.HasSuffix(prefix, "\n") {
			t.Fatal("the log is no prefix of the input")
		}
		resume := start(t, "append", "t", "--resume", "--batch-bytes", "4KiB", "--server", srv.addr)
		resume.cmd.Stdin = strings.NewReader(text)
		must(t, resume.cmd.Start())
		waitForRecords(t, srv.addr, "t", uint64(min(lines, strings.Count(prefix, "\n")+100)))
		srv.kill()
		resume.status() // it may have been done before the kill
	}
	srv = serve(t, dir)
	fine(t, text, "append", "t", "--resume", "--server", srv.addr)
	if got := fine(t, "", "read", "t", "--server", srv.addr); got != text {
		t.Fatal("the log is not the input")
	}
	srv.kill()
}

// Real input: every line of every Go file of the Go installation, the longest of which need a topic of their own.
func TestRoundTripOfGoSources(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("skipped: two million lines take a while; run without -short")
	}
	srv := serve(t, t.TempDir())
	files := goSources(t)
	fine(t, "", "create", "go", "max.message.bytes=4MiB", "segment.bytes=16MiB", "--server", srv.addr)
	in := start(t, append([]string{"append", "go", "--server", srv.addr}, files...)...) // a process: without the race detector
	must(t, in.cmd.Start())
	if in.status() != exitFine {
		t.Fatal(in.stderr.String())
	}
	back := start(t, "read", "go", "--server", srv.addr)
	out, err := back.cmd.StdoutPipe()
	must(t, err)
	must(t, back.cmd.Start())
	got := bufio.NewReaderSize(out, 1<<20)
	for _, name := range files {
		b, err := os.ReadFile(name)
		must(t, err)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		line := make([]byte, len(b))
		if _, err := io.ReadFull(got, line); err != nil || !bytes.Equal(b, line) {
			t.Fatalf("%s did not come back as it was: %v", name, err)
		}
	}
	if n, _ := got.Discard(1); n > 0 { // its error, the end, is what we hope for
		t.Fatal("more came back than was sent")
	}
	if back.status() != exitFine {
		t.Fatal(back.stderr.String())
	}
	srv.kill()
}

func goSources(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), "go", "env", "GOROOT").Output()
	must(t, err)
	var files []string
	must(t, filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), "src"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	}))
	return files
}
