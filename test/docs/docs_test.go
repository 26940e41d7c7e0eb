package docs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/test/process"
)

// documents are the pages whose commands are run, from the top of the repository.
var documents = []string{"README.md", "docs/event-log.md", "docs/pub-sub.md", "docs/durability.md", "docs/damage.md"}

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

func TestDocuments(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := os.ReadFile(filepath.Join("..", "..", name))
			if err != nil {
				t.Fatal(err)
			}
			steps := parse(string(page))
			if len(steps) == 0 {
				t.Fatal("the page has no console block")
			}
			sh := startShell(t)
			for _, s := range steps {
				sh.step(s)
			}
		})
	}
}

// A page that shows commands and is not in the table would not be run.
func TestEveryPageIsRun(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, path := range append(pages, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, filepath.Join("..", "..")+string(filepath.Separator)))
		if len(parse(string(text))) > 0 && !slices.Contains(documents, name) {
			t.Errorf("%s shows commands, and is not in the table", name)
		}
	}
}

// step is one command of a page, and the lines it shall print.
type step struct {
	line    int
	command string
	want    []string
}

// parse takes the console blocks out of a page.
func parse(page string) (steps []step) {
	inside := false
	for i, line := range strings.Split(page, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{line: i + 1, command: line[2:]})
		case len(steps) > 0:
			s := &steps[len(steps)-1]
			s.want = append(s.want, line)
		}
	}
	return steps
}

// shell is a bash that reads commands as a terminal's would, one after the other.
type shell struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	ports *strings.Replacer // of the test, to those of the documents
	typed *strings.Replacer // and back
}

// The addresses that a reader's server has.
const textAddr, httpAddr = "127.0.0.1:1774", "127.0.0.1:1775"

// patience bounds what never comes; nothing else depends on it.
const patience = 2 * time.Minute

func startShell(t *testing.T) *shell {
	text, http := freeAddr(t), freeAddr(t)
	cmd := exec.Command("bash", "--norc", "--noprofile")
	cmd.Dir = t.TempDir()
	bin := t.TempDir() // the binary may have another name, as the one that counts has
	if err := os.Symlink(process.Binary(t), filepath.Join(bin, "sluice")); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"),
		"SLUICE_LISTEN="+text, "SLUICE_SERVER="+text, "SLUICE_HTTP="+http, "SLUICE_KAFKA=", "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sh := &shell{
		t: t, in: in, lines: make(chan string, 10_000),
		ports: strings.NewReplacer(text, textAddr, http, httpAddr), typed: strings.NewReplacer(textAddr, text, httpAddr, http),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sh.read(r)
	}()
	t.Cleanup(func() {
		// The group is the shell's own; whatever it left running ends with it.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = w.Close()
		<-done
		_ = r.Close()
	})
	return sh
}

func (sh *shell) read(r io.Reader) {
	defer close(sh.lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		sh.lines <- sh.ports.Replace(s.Text())
	}
}

// ports were handed out, from below those that a kernel gives to who names none: the tests of other packages, which run at
// the same time, take hundreds of these, and one that was free a moment ago soon is not.
var ports atomic.Int64

// freeAddr is an address that was free a moment ago, and that nobody is likely to take.
func freeAddr(t *testing.T) string {
	const first, count = 20_000, 10_000
	for range count {
		addr := fmt.Sprint("127.0.0.1:", first+(int64(os.Getpid())*16+ports.Add(1))%count)
		if l, err := net.Listen("tcp", addr); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return addr
		}
	}
	t.Fatalf("no port is free, of %d", count)
	return ""
}

// step types the command, and a marker behind it that tells when it is done.
func (sh *shell) step(s step) {
	sh.t.Helper()
	const marker = "--- done:"
	if _, err := fmt.Fprintf(sh.in, "%s\necho '%s' $?\n", sh.typed.Replace(s.command), marker); err != nil {
		sh.t.Fatal(err)
	}
	background := strings.HasSuffix(s.command, "&")
	var got []string
	marked, status := false, 0
	for timeout := time.After(patience); ; {
		// What a command in the background prints may come behind the marker.
		if marked && (!background || matches(s.want, got)) {
			break
		}
		select {
		case line, ok := <-sh.lines:
			if !ok {
				sh.t.Fatalf("line %d: %s: the shell ended", s.line, s.command)
			}
			if rest, ok := strings.CutPrefix(line, marker); ok {
				marked = true
				if _, err := fmt.Sscan(rest, &status); err != nil {
					sh.t.Fatalf("line %d: %q: %v", s.line, line, err)
				}
			} else {
				got = append(got, line)
			}
		case <-timeout:
			sh.t.Fatalf("line %d: %s: not done, or not as shown\n%s", s.line, s.command, strings.Join(got, "\n"))
		}
	}
	// What a page leaves open with "..." must not be a complaint. A status above is that of a signal, which wait tells.
	if status != 0 && status < 128 {
		sh.t.Errorf("line %d: $ %s\nended with status %d and printed:\n%s", s.line, s.command, status, strings.Join(got, "\n"))
	}
	if !matches(s.want, got) {
		sh.t.Errorf("line %d: $ %s\nprinted:\n%s\nthe page shows:\n%s", s.line, s.command, strings.Join(got, "\n"), strings.Join(s.want, "\n"))
	}
}

func matches(want, got []string) bool {
	pattern := regexp.QuoteMeta(strings.Join(want, "\n"))
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.$`).ReplaceAllString(pattern, `(?s:.*)`)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `[^\n]*`)
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(strings.Join(got, "\n"))
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		fits      bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "", false}, {"", "a", false},
		{"a ... c", "a b c", true}, {"a ... c", "a b\nc", false}, {"a(...", "a(b", true},
		{"...", "a\nb\nc", true}, {"a\n...\nc", "a\nb\nb\nc", true}, {"a\n...\nc", "a\nb\nd", false},
	} {
		if matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")) != c.fits {
			t.Errorf("%q and %q: want %v", c.want, c.got, c.fits)
		}
	}
}
