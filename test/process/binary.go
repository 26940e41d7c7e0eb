package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the binary of this test run.
var built struct {
	sync.Once
	dir  string // of the binary, if it was built here
	path string
	err  error
}

// Binary gives the path of the sluice binary: the one that SLUICE_BIN names, or one built from the sources, once.
// With GOCOVERDIR it is built with counters, and its processes leave them there. It fails the test if there is none.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Find is Binary where there is no test to fail. Any goroutine may call it.
func Find() (string, error) {
	built.Do(func() { built.path, built.err = locate() })
	return built.path, built.err
}

func locate() (string, error) {
	if path := os.Getenv("SLUICE_BIN"); path != "" {
		return filepath.Abs(path)
	}
	var err error
	if built.dir, err = os.MkdirTemp("", "sluice-bin-"); err != nil {
		return "", err
	}
	path := filepath.Join(built.dir, "sluice")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if os.Getenv("GOCOVERDIR") != "" {
		args = append(args, "-cover", "-covermode", "atomic", "-coverpkg", "sluice/...")
	}
	cmd := exec.Command("go", append(args, "sluice/cmd/sluice")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, nil
}

// Main runs the tests of a package, then removes the binary if it was built for them. TestMain calls it, and exits
// with what it returns.
func Main(m *testing.M) int {
	status := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(status, 1)
		}
	}
	return status
}
