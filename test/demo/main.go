package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	bin, data, listen, http string
	lines                   int
	once                    bool
}

const defaultListen = "127.0.0.1:1774"

func main() {
	var s settings
	flag.StringVar(&s.bin, "bin", "bin/sluice", "the sluice binary")
	flag.StringVar(&s.data, "data", "data", "the server's data folder")
	flag.StringVar(&s.listen, "listen", defaultListen, "where the server listens; port 0: a free one")
	flag.StringVar(&s.http, "http", "127.0.0.1:1775", "where its HTTP side listens; port 0: a free one")
	flag.IntVar(&s.lines, "lines", 0, "append only so many lines; 0: all")
	flag.BoolVar(&s.once, "once", false, "end when the data has been compared")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	files, err := goSources(ctx)
	if err != nil {
		return err
	}
	srv, err := start(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	fmt.Printf("sluice serves text on %s and http on %s, data in %s\n", srv.text, srv.http, s.data)
	topic, err := roundTrip(ctx, s, srv, files)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped before the data was compared")
		}
		return err
	}
	if s.once {
		return nil
	}
	s.suggest(srv, topic)
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping: what was acknowledged is on disk when this ends")
		return nil
	case <-srv.ended:
		return fmt.Errorf("the server ended: %s", srv.log.last())
	}
}

// goSources lists the .go files of the Go that is installed here: two to three million lines that
// everyone who can build this has.
func goSources(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	return goFiles(filepath.Join(strings.TrimSpace(string(out)), "src"))
}

// roundTrip appends all lines, reads them back and compares. It returns the topic's name.
func roundTrip(ctx context.Context, s settings, srv *server, files []string) (string, error) {
	topic, err := freshTopic(ctx, s, srv)
	if err != nil {
		return "", err
	}
	in := &source{files: files, limit: s.lines}
	fmt.Printf("appending every line of %d Go files to the topic %s\n", len(files), topic)
	show := newProgress("appended")
	var summary bytes.Buffer
	if err := srv.run(ctx, s.bin, &watched{in, show}, &summary, "append", topic); err != nil {
		return "", err
	}
	show.end()
	fmt.Print(summary.String())

	show = newProgress("read back")
	began := time.Now()
	if err := readBack(ctx, s, srv, topic, files, show); err != nil {
		return "", err
	}
	took := time.Since(began)
	show.end()
	fmt.Printf("read back %d records, %.1f MiB in %.1fs (%.0f/s, %.1f MiB/s)\n", in.lines, mib(in.bytes), took.Seconds(),
		float64(in.lines)/took.Seconds(), mib(in.bytes)/took.Seconds())
	fmt.Printf("identical: %d lines, %d bytes\n", in.lines, in.bytes)
	return topic, nil
}

func readBack(ctx context.Context, s settings, srv *server, topic string, files []string, show *progress) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() { // joined below
		err := srv.run(ctx, s.bin, nil, pw, "read", topic)
		ended <- err
		_ = pw.CloseWithError(err) // never fails; a nil error is the end of the stream
	}()
	err := compare(&source{files: files, limit: s.lines}, pr, show.at)
	if err != nil {
		cancel() // nobody takes the rest
	}
	_ = pr.Close() // never fails; lets a writer go that still writes
	if runErr := <-ended; err == nil {
		err = runErr
	}
	return err
}

// freshTopic finds a name that no earlier run used, so that this one neither adds to what is there nor
// removes it.
func freshTopic(ctx context.Context, s settings, srv *server) (string, error) {
	var out bytes.Buffer
	if err := srv.run(ctx, s.bin, nil, &out, "topics"); err != nil {
		return "", err
	}
	return nextName("go-source", out.String()), nil
}

// nextName is base, or base-2, base-3 and so on, whichever is no word of the list of topics yet.
func nextName(base, topics string) string {
	used := map[string]bool{}
	for _, word := range strings.Fields(topics) {
		used[word] = true
	}
	name := base
	for n := 2; used[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

func (s settings) suggest(srv *server, topic string) {
	at := ""
	if srv.text != defaultListen {
		at = " --server " + srv.text
	}
	host, port, _ := strings.Cut(srv.text, ":")
	fmt.Printf("\nIt goes on serving until Ctrl-C. Three things to try in another terminal:\n\n"+
		"  %s read %s --from=-5%s\n"+
		"  echo hello | %s append greetings --ack synced%s\n"+
		"  printf 'HEAD %s\\nREAD %s 41 limit=2\\nCLOSE\\n' | nc %s %s\n\n",
		s.bin, topic, at, s.bin, at, topic, topic, host, port)
	if topic != "go-source" {
		fmt.Printf("Topics of earlier runs are still there; this frees the first one: %s drop go-source%s\n", s.bin, at)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
