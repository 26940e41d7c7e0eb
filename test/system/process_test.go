package system

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// limit ends a test that hangs; it is far above what any step takes on a slow machine.
const limit = 2 * time.Minute

// A server is a running `sluice serve` that ends with its test.
type server struct {
	*process.Server
	t    *testing.T
	bin  string
	data string
}

func serve(t *testing.T, data string, args ...string) *server {
	t.Helper()
	bin := process.Binary(t)
	p, err := process.Start(bin, append([]string{"--data", data}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &server{p, t, bin, data}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ok runs a client command that must succeed, and returns its standard output.
func (s *server) ok(in string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, append(args, "--server", s.Text)...)
	cmd.Stdin = strings.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("sluice %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// talk sends bytes over a connection of its own, as a person with nc would, and returns all answers.
func (s *server) talk(text string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Text)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		s.t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(got)
}
