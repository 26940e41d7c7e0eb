package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/client"
)

// A follower whose output nobody reads any more ends by itself, and well: when nothing comes that it could write, and when
// something does.
func TestTailEndsWithItsReader(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	do("first\n", "append", "t")
	for _, behind := range []string{"", "second\n"} {
		tail := start(t, "tail", "t", "--from", "0", "--server", srv.Addr)
		out, err := tail.cmd.StdoutPipe()
		must(t, err)
		must(t, tail.cmd.Start())
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "first\n" {
			t.Fatalf("%q, %v", line, err)
		}
		must(t, out.Close())
		if behind != "" {
			do(behind, "append", "t")
		}
		if got := tail.status(); got != exitFine || tail.stderr.Len() > 0 {
			t.Errorf("status %d: %s", got, tail.stderr.String())
		}
	}
}

// What can't be printed is told once, whether it shows while records are printed or at the end.
func TestOutputThatFailsIsToldOnce(t *testing.T) {
	t.Parallel()
	srv, do := at(t)
	do("a\n", "append", "short")
	do(strings.Repeat(strings.Repeat("x", 1000)+"\n", 1000), "append", "long")
	for _, line := range []string{"read short", "read long", "read long --json", "tail long --from 0"} {
		full, out := io.Pipe()
		must(t, full.CloseWithError(errors.New("no space left")))
		var errs bytes.Buffer
		status := run(append(strings.Fields(line), "--server", srv.Addr), streams{strings.NewReader(""), out, &errs})
		if want := "sluice: " + line[:4] + ": no space left\n"; status != exitFailure || errs.String() != want {
			t.Errorf("%s: status %d, %q, want %q", line, status, errs.String(), want)
		}
	}
}

// A read that ends early says where to go on; who printed lines has no offsets to look at.
func TestReadsSayWhereToGoOn(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	begun, err := srv.Client(t).Consumer("t", client.ConsumerOptions{})
	must(t, err)
	begun.Seek(7)
	fresh, err := srv.Client(t).Consumer("t", client.ConsumerOptions{})
	must(t, err)
	lost, gone := errors.New("connection refused"), &client.Error{Op: "fetch", Topic: "t", Code: client.NoTopic, Text: "dropped"}
	for _, c := range []struct {
		err      error
		consumer *client.Consumer
		want     string
	}{
		{lost, begun, "connection refused; what was printed ends before record 7: go on with --from 7"},
		{lost, fresh, "connection refused"},
		{gone, begun, "fetch t: NO_TOPIC: dropped"},
		{fmt.Errorf("stopped: %w", context.Canceled), begun, "stopped: context canceled"},
	} {
		if got := explain(c.err, c.consumer); got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
