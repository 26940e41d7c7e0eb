package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	fmt.Printf("sluice serves text on %s and http on %s, data in %s\n", srv.Text, srv.HTTP, s.data)
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
	case <-srv.Ended():
		return fmt.Errorf("the server ended: %s", lastLine(srv.Log()))
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

// An appended is the part of `append --json` that the demo shows.
type appended struct {
	Records int     `json:"appended"`
	Seconds float64 `json:"seconds"`
	Ack     string  `json:"ack"`
	P50     float64 `json:"latency_p50_us"`
	P99     float64 `json:"latency_p99_us"`
	P999    float64 `json:"latency_p999_us"`
	Max     float64 `json:"latency_max_us"`
}

// roundTrip appends all lines, reads them back and compares. It returns the topic's name.
func roundTrip(ctx context.Context, s settings, srv server, files []string) (string, error) {
	topic, err := freshTopic(ctx, s, srv)
	if err != nil {
		return "", err
	}
	in := &source{files: files, limit: s.lines}
	fmt.Printf("appending every line of %d Go files to the topic %s\n", len(files), topic)
	show := newProgress("appended")
	var out bytes.Buffer
	err = srv.run(ctx, s.bin, &watched{in, show}, &out, "append", topic, "--json")
	show.end()
	if err != nil {
		return "", err
	}
	var sum appended
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil || sum.Records != in.lines {
		return "", fmt.Errorf("%d lines were sent, and append says %q", in.lines, bytes.TrimSpace(out.Bytes()))
	}
	values := in.bytes - int64(in.lines) // a newline is no part of a record
	fmt.Printf("appended   %s, ack %s, latency of a batch p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms\n",
		speed(in.lines, values, sum.Seconds), sum.Ack, sum.P50/1e3, sum.P99/1e3, sum.P999/1e3, sum.Max/1e3)

	show = newProgress("read back")
	began := time.Now()
	err = readBack(ctx, s, srv, topic, files, show)
	show.end()
	if err != nil {
		return "", err
	}
	fmt.Printf("read back  %s\n", speed(in.lines, values, time.Since(began).Seconds()))
	fmt.Printf("identical: all %d lines came back byte for byte\n", in.lines)
	return topic, nil
}

// speed is a sentence's part: records, their bytes, seconds and rates.
func speed(records int, n int64, sec float64) string {
	return fmt.Sprintf("%d records, %.1f MiB in %.2fs (%.2fM records/s, %.1f MiB/s)", records, mib(n), sec, float64(records)/sec/1e6, mib(n)/sec)
}

func readBack(ctx context.Context, s settings, srv server, topic string, files []string, show *progress) error {
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

// freshTopic creates a topic under a name that no earlier run used, so that this one neither adds to what is
// there nor removes it. One line of the Go sources is longer than the 1 MiB a batch may have out of the box.
func freshTopic(ctx context.Context, s settings, srv server) (string, error) {
	var out bytes.Buffer
	if err := srv.run(ctx, s.bin, nil, &out, "topics", "--json"); err != nil {
		return "", err
	}
	var there []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(out.Bytes(), &there); err != nil {
		return "", fmt.Errorf("the list of topics: %w", err)
	}
	used := map[string]bool{}
	for _, t := range there {
		used[t.Name] = true
	}
	topic := nextName("go-source", used)
	return topic, srv.run(ctx, s.bin, nil, nil, "create", topic, "max.message.bytes=4MiB")
}

// nextName is base, or base-2, base-3 and so on, whichever is not used.
func nextName(base string, used map[string]bool) string {
	name := base
	for n := 2; used[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

func (s settings) suggest(srv server, topic string) {
	at := ""
	if srv.Text != defaultListen {
		at = " --server " + srv.Text
	}
	host, port, _ := strings.Cut(srv.Text, ":")
	fmt.Printf("\nThe server goes on until Ctrl-C. Three things to try in another terminal:\n\n"+
		"  %s read %s --from=-5%s\n"+
		"  echo hello | %s append greetings --ack synced%s\n"+
		"  printf 'HEAD %s\\nREAD %s 41 limit=2\\nCLOSE\\n' | nc %s %s\n\n",
		s.bin, topic, at, s.bin, at, topic, topic, host, port)
	if topic != "go-source" {
		fmt.Printf("Topics of earlier runs are still there; this frees the first one: %s drop go-source%s\n", s.bin, at)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
