package sluicetest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The page that tells other modules how to use this one is followed to the letter, without a network.
func TestEmbeddingPage(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "embedding.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "orders")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(dir, "..", "sluice")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, b := range blocks(string(page)) {
		name, isFile := strings.CutPrefix(b.kind, "go file=")
		switch {
		case isFile:
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b.text), 0o644); err != nil {
				t.Fatal(err)
			}
		case b.kind == "sh":
			cmd := exec.Command("sh", "-eu", "-c", b.text)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOCOVERDIR=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v:\n%s%s", err, b.text, out)
			}
			ran++
		default:
			t.Errorf("a block of kind %q is neither run nor written", b.kind)
		}
	}
	if ran == 0 {
		t.Error("the page has no commands")
	}
}

type block struct{ kind, text string }

// blocks are the fenced parts of a page.
func blocks(page string) (list []block) {
	inside := false
	for line := range strings.Lines(page) {
		kind, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !inside:
			list = append(list, block{kind: kind})
			inside = true
		case fence:
			inside = false
		case inside:
			list[len(list)-1].text += line
		}
	}
	return list
}
