package docs

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/sluicetest"
	"sluice/wire/text"
)

// The conversations of docs/protocol.md go as the page shows them, on one connection, with nothing left over.
func TestConversations(t *testing.T) {
	t.Parallel()
	page := protocolPage(t)
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true})
	nc, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	br, inside, lines := bufio.NewReader(nc), false, 0
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "```") {
			inside = line == "```conversation"
			continue
		}
		if !inside {
			continue
		}
		lines++
		if said, ok := strings.CutPrefix(line, "> "); ok {
			if _, err := io.WriteString(nc, said+"\n"); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			continue
		}
		want := strings.TrimPrefix(line, "< ")
		got, err := br.ReadString('\n')
		if got = strings.TrimSuffix(got, "\r\n"); err != nil || !matches([]string{want}, []string{got}) {
			t.Fatalf("line %d: %q came (%v), the page shows %q", i+1, got, err, want)
		}
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok || lines == 0 {
		t.Fatalf("%d lines over a %T", lines, nc)
	}
	if err := tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); err != nil && !errors.Is(err, io.EOF) || len(rest) > 0 {
		t.Errorf("behind the page comes %q, %v", rest, err)
	}
}

// The page names every verb and every code there is.
func TestProtocolPageIsWhole(t *testing.T) {
	page := protocolPage(t)
	var words []string
	for v := text.VerbPing; v.String() != "?"; v++ {
		words = append(words, v.String())
	}
	for c := text.CodeBadCommand; c.String() != "?"; c++ {
		words = append(words, c.String())
	}
	if len(words) < 40 {
		t.Fatalf("%q", words)
	}
	for _, w := range words {
		if !strings.Contains(page, "`"+w+"`") && !strings.Contains(page, "`"+w+" ") {
			t.Errorf("%s is not on the page", w)
		}
	}
}

func protocolPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
