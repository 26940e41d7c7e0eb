package planted

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// points finds the bugs that the sources ask for.
func points(t *testing.T) []string {
	t.Helper()
	asked := regexp.MustCompile(`sched\.Planted\("([^"]+)"\)`)
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && slices.Contains([]string{".git", "bin", "cover", "data"}, e.Name()) {
			return fs.SkipDir // others are at work there
		}
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		src, err := os.ReadFile(name)
		for _, m := range asked.FindAllSubmatch(src, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// The table has every point of the sources, and no other.
func TestTableIsWhatTheSourcesHave(t *testing.T) {
	var listed []string
	for _, b := range Table {
		listed = append(listed, b.Name)
		if len(b.Seen) == 0 {
			t.Errorf("no test is named that sees %s", b.Name)
		}
	}
	slices.Sort(listed)
	if found := points(t); !slices.Equal(found, listed) {
		t.Errorf("the sources have %q\nthe table has    %q", found, listed)
	}
}

// compile builds the tests of a package with the bugs in it.
func compile(t *testing.T, pkg, dir string) string {
	t.Helper()
	name := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-tags", "planted", "-c", "-o", name, "sluice/"+pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return name
}

// run gives the tests that were red, of those named; nil for none. What was not run at all is an error.
func run(t *testing.T, binary, pkg, bug string, tests []string) (red []string, out string) {
	t.Helper()
	limit := "30s" // some bugs make a test hang
	if bug == "" {
		limit = "10m"
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^("+strings.Join(tests, "|")+")$", "-test.v", "-test.timeout="+limit)
	cmd.Dir = filepath.Join(root, pkg)
	cmd.Env = append(os.Environ(), "SLUICE_PLANTED="+bug, "SLUICE_CLONES=") // how much disk should try is not for this run
	b, err := cmd.CombinedOutput()
	out = string(b[max(0, len(b)-8000):])
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	for _, name := range tests {
		if !strings.Contains(string(b), "=== RUN   "+name+"\n") {
			t.Errorf("%s has no test %s", pkg, name)
		}
		// A test that a bug makes hang or panic is as red as one that fails.
		if err != nil && !strings.Contains(string(b), "--- PASS: "+name+" ") {
			red = append(red, name)
		}
	}
	return red, out
}

// Each bug turns every test red that its row names, and without a bug all of them are green.
func TestEveryBugIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: planted bugs are no part of -short")
	}
	dir := t.TempDir()
	binaries, all := map[string]string{}, map[string][]string{}
	for _, b := range Table {
		for _, s := range b.Seen {
			if binaries[s.Package] == "" {
				binaries[s.Package] = compile(t, s.Package, dir)
			}
			if !slices.Contains(all[s.Package], s.Name) {
				all[s.Package] = append(all[s.Package], s.Name)
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(all)) {
		if red, out := run(t, binaries[pkg], pkg, "", all[pkg]); len(red) > 0 {
			t.Fatalf("without a bug: %v of %s\n%s", red, pkg, out)
		}
	}
	for _, b := range Table {
		t.Run(b.Name, func(t *testing.T) {
			by := map[string][]string{}
			for _, s := range b.Seen {
				by[s.Package] = append(by[s.Package], s.Name)
			}
			for pkg, tests := range by {
				red, out := run(t, binaries[pkg], pkg, b.Name, tests)
				if len(red) != len(tests) {
					t.Errorf("of %v in %s only %v are red\n%s", tests, pkg, red, out)
				}
			}
		})
	}
}
