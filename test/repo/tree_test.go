package repo

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file is one file of the repository; its path is relative to the root, with slashes.
type file struct {
	path string
	src  []byte
	ast  *ast.File      // Go files only
	pos  *token.FileSet // Go files only
}

func (f *file) dir() string  { return path.Dir(f.path) }
func (f *file) isGo() bool   { return f.ast != nil }
func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) line(p token.Pos) int {
	return f.pos.PositionFor(p, false).Line // false: a //line comment must not move a finding
}

// A tree is what a guard looks at: all files, sorted by path.
type tree []*file

func (t tree) goFiles(yield func(*file) bool) {
	for _, f := range t {
		if f.isGo() && !yield(f) {
			return
		}
	}
}

// product yields the Go files that are no tests.
func (t tree) product(yield func(*file) bool) {
	for f := range t.goFiles {
		if !f.isTest() && !yield(f) {
			return
		}
	}
}

func (t tree) find(name string) *file {
	for _, f := range t {
		if f.path == name {
			return f
		}
	}
	return nil
}

// findings collects what a guard has to say, one sentence each.
type findings []string

func (fs *findings) add(f *file, p token.Pos, format string, args ...any) {
	*fs = append(*fs, fmt.Sprintf("%s:%d: %s", f.path, f.line(p), fmt.Sprintf(format, args...)))
}

// parse makes a file of bytes. A Go file that does not parse is an error: the guards would see half of it.
func parse(name string, src []byte) (*file, error) {
	f := &file{path: name, src: src}
	if strings.HasSuffix(name, ".go") {
		f.pos = token.NewFileSet()
		a, err := parser.ParseFile(f.pos, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		f.ast = a
	}
	return f, nil
}

// notOurs are folders that make and the server fill; .git aside they are those of .gitignore.
var notOurs = []string{".git", "bin", "data", "cover", "bench/results"}

func load(t *testing.T, root string) tree {
	t.Helper()
	var all tree
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if e.IsDir() {
			if slices.Contains(notOurs, rel) || e.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() || rel == ".git" { // of a second work tree .git is a file
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parse(rel, src)
		if err != nil {
			return err
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all.find("go.mod") == nil {
		t.Fatalf("%s is not the root of the repository: it has no go.mod", root)
	}
	return all
}

// A guard is a rule: what it is called, and what it finds wrong in a tree.
type guard struct {
	name  string
	check func(tree) findings
}

var guards = []guard{
	{"arrows", arrows},
	{"stdlib", forbiddenStdlib},
	{"libraries", libraries},
	{"named tests", namedTests},
	{"sizes", func(t tree) findings { return sizes(t, longFiles, longFuncs) }},
	{"words", words},
	{"places", places},
	{"sleeps", sleeps},
	{"docs", docs},
	{"options", options},
	{"panics", panics},
	{"exits", exits},
	{"ignored errors", ignoredErrors},
	{"cgo", cgo},
	{"gofmt", formatted},
}

func TestGuards(t *testing.T) {
	all := load(t, "../..")
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			for _, s := range g.check(all) {
				t.Error(s)
			}
		})
	}
}
