package repo

import (
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const module = "sluice"

// mayImport is the map of the layers: whose packages may import whose. A name covers its subfolders,
// unless they have a line of their own. What is not listed may import nothing of ours.
// Layers that never meet can be read, tested and replaced alone; that is what the map buys.
var mayImport = map[string][]string{
	"wire/batch":  {},
	"wire/text":   {"wire/batch"},
	"wire/kafka":  {"wire/batch"},
	"sched":       {},
	"disk":        {"wire/batch", "sched"},
	"disk/fstest": {"disk", "sched"},
	"stages":      {"wire", "disk", "sched"},
	"client":      {"wire"},
	"cmd":         {"stages", "client", "disk"},
	"sluicetest":  {"stages", "client"},
	// The suite speaks to the server over its own sockets; it needs whole batches to send.
	"bench": {"wire/batch"},
	// Programs and suites that look at the whole from outside, and may use all of it.
	"test": {"wire", "disk", "stages", "client", "sched", "sluicetest", "cmd", "test/crash"},
	// What judges a server from outside, for the tests of the stages too: so it may use none of them.
	"test/crash/oracle":  {},
	"test/crash/witness": {"wire", "test/crash/oracle"},
}

// testsMayImport is what _test.go files may use beyond that: doubles, and a server to talk to.
var testsMayImport = map[string][]string{
	"disk":              {"disk/fstest"},
	"stages":            {"disk/fstest", "client", "test/crash"},
	"client":            {"sluicetest", "stages"},
	"test/crash/oracle": {"wire/text"},
	"cmd":               {"sluicetest", "wire"},
}

// testOnly are libraries that must never be linked into the product; the benchmark is none.
var testOnly = []string{
	"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kadm", "github.com/twmb/franz-go/pkg/kfake",
	"github.com/twmb/franz-go/pkg/kerr", "pgregory.net/rapid",
}

// An import is one import line of one file, unquoted.
type imported struct {
	path string
	pos  token.Pos
}

func imports(f *file) []imported {
	out := make([]imported, 0, len(f.ast.Imports))
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			p = spec.Path.Value // the parser took it, so it is a string; keep it visible
		}
		out = append(out, imported{p, spec.Pos()})
	}
	return out
}

// covers tells whether dir is the folder or below it.
func covers(folder, dir string) bool {
	return dir == folder || strings.HasPrefix(dir, folder+"/")
}

// layer is the longest name of the map that covers dir, or dir itself.
func layer(m map[string][]string, dir string) string {
	best := ""
	for name := range m {
		if covers(name, dir) && len(name) > len(best) {
			best = name
		}
	}
	if best == "" {
		return dir
	}
	return best
}

// reaches: an arrow to a folder leads to all below it, but for doubles (fstest), which are named or not meant.
func reaches(arrow, to string) bool {
	target := layer(mayImport, to)
	return arrow == target || covers(arrow, to) && !strings.HasSuffix(target, "test")
}

// arrows: imports point one way.
func arrows(t tree) (out findings) {
	for f := range t.goFiles {
		from := layer(mayImport, f.dir())
		allowed := slices.Clone(mayImport[from])
		if f.isTest() {
			allowed = append(allowed, testsMayImport[layer(testsMayImport, f.dir())]...)
		}
		for _, imp := range imports(f) {
			to, ours := strings.CutPrefix(imp.path, module+"/")
			if !ours || layer(mayImport, to) == from {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return reaches(a, to) }) {
				out.add(f, imp.pos, "%s may not import %s: the map in test/repo allows %v", from, to, allowed)
			}
		}
	}
	return out
}

// neverFrom says which packages of the standard library a layer does without: what makes it a layer.
var neverFrom = map[string][]string{
	"wire":  {"net", "os", "syscall", "golang.org/x/sys"}, // bytes only: no socket, no file
	"disk":  {"net"},
	"sched": {"net", "os"},
}

// forbiddenStdlib: a layer that opened a socket or a file would no longer be what its name says.
func forbiddenStdlib(t tree) (out findings) {
	for f := range t.product {
		for _, imp := range imports(f) {
			for _, bad := range neverFrom[layer(neverFrom, f.dir())] {
				if covers(bad, imp.path) {
					out.add(f, imp.pos, "%s does without %s", layer(neverFrom, f.dir()), imp.path)
				}
			}
		}
	}
	return out
}

var requireLine = regexp.MustCompile(`(?m)^(?:require)?\s*([\w.-]+\.[\w.-]+/\S+)\s+v\S+(\s+// indirect)?`)

// libraries: a library that code of ours imports has a line in the table of DESIGN.md that says why it is
// there, and those for tests stay in tests. "Imports" decides, not the "indirect" of go.mod.
func libraries(t tree) (out findings) {
	mod, design := t.find("go.mod"), t.find("DESIGN.md")
	if mod == nil {
		return findings{"go.mod is missing"}
	}
	var required []string
	direct := map[string]string{} // library -> the file that shows that we use it
	for _, m := range requireLine.FindAllStringSubmatch(string(mod.src), -1) {
		required = append(required, m[1])
		if m[2] == "" {
			direct[m[1]] = "go.mod"
		}
	}
	for f := range t.goFiles {
		for _, imp := range imports(f) {
			lib := longestCover(required, imp.path)
			if lib == "" {
				continue
			}
			direct[lib] = f.path
			if !f.isTest() && !covers("test", f.dir()) && !covers("bench", f.dir()) && longestCover(testOnly, imp.path) != "" {
				out.add(f, imp.pos, "%s is for tests only", imp.path)
			}
		}
	}
	for _, lib := range slices.Sorted(maps.Keys(direct)) {
		if design == nil || !tableNames(string(design.src), lib) {
			out = append(out, "DESIGN.md: its library table has no line for "+lib+", used by "+direct[lib])
		}
	}
	return out
}

// tableNames tells whether a row of a Markdown table names the library.
func tableNames(text, lib string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "|") && strings.Contains(line, lib) {
			return true
		}
	}
	return false
}

func longestCover(names []string, p string) string {
	best := ""
	for _, n := range names {
		if covers(n, p) && len(n) > len(best) {
			best = n
		}
	}
	return best
}

// cgo: one static binary for every platform, cross-compiled by anyone, is a promise of the README.
func cgo(t tree) (out findings) {
	for _, f := range t {
		if f.isGo() {
			for _, imp := range imports(f) {
				if imp.path == "C" {
					out.add(f, imp.pos, "no cgo: the binary is built without a C compiler")
				}
			}
			continue
		}
		if ext := f.path[strings.LastIndex(f.path, ".")+1:]; slices.Contains([]string{"c", "h", "cc", "s", "S", "syso"}, ext) {
			out = append(out, f.path+": no C, no assembly, no object files")
		}
	}
	return out
}
