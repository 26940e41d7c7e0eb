package repo

import (
	"strings"
	"testing"
)

// A plant is a small tree with one fault, and a part of the sentence that must name it. An empty want says
// that the tree is fine: a guard that finds too much is switched off by the first person it annoys.
type plant struct {
	name  string
	check func(tree) findings
	files map[string]string
	want  string
}

const designRow = "| library | why |\n|---|---|\n| example.com/lib | reason |\n"

var plants = []plant{
	{"arrow back", arrows, one("sched/a.go", "package sched\nimport _ \"sluice/disk\"\n"), "sched may not import disk"},
	{"arrow across", arrows, one("wire/batch/a.go", "package batch\nimport _ \"sluice/wire/text\"\n"), "wire/batch may not import wire/text"},
	{"arrow of a folder not on the map", arrows, one("extra/a.go", "package extra\nimport _ \"sluice/disk\"\n"), "extra may not import disk"},
	{"arrow of a subfolder", arrows, one("client/inner/a.go", "package inner\nimport _ \"sluice/disk\"\n"), "client may not import disk"},
	{"double in the product", arrows, one("stages/a.go", "package stages\nimport _ \"sluice/disk/fstest\"\n"), "may not import disk/fstest"},
	{"double in a test", arrows, one("stages/a_test.go", "package stages\nimport _ \"sluice/disk/fstest\"\n"), ""},
	{"arrow of a test", arrows, one("sched/a_test.go", "package sched\nimport _ \"sluice/stages\"\n"), "sched may not import stages"},
	{"arrows as drawn", arrows, one("stages/a.go", "package stages\nimport _ \"sluice/wire/text\"\nimport _ \"sluice/disk\"\nimport _ \"sluice/stages/inner\"\n"), ""},

	{"socket in wire", forbiddenStdlib, one("wire/text/a.go", "package text\nimport _ \"net/http\"\n"), "wire does without net/http"},
	{"socket in disk", forbiddenStdlib, one("disk/a.go", "package disk\nimport _ \"net\"\n"), "disk does without net"},
	{"file in a test of wire", forbiddenStdlib, one("wire/text/a_test.go", "package text\nimport _ \"os\"\n"), ""},

	{"library without a reason", libraries, map[string]string{
		"go.mod": "module sluice\nrequire (\n\texample.com/lib v1.0.0 // indirect\n)\n", "DESIGN.md": "example.com/lib in prose\n",
		"disk/a.go": "package disk\nimport _ \"example.com/lib/sub\"\n"}, "no line for example.com/lib, used by disk/a.go"},
	{"direct library that nobody imports", libraries, map[string]string{
		"go.mod": "module sluice\nrequire example.com/lib v1.0.0\n", "DESIGN.md": "# Design\n"}, "no line for example.com/lib"},
	{"no design page", libraries, map[string]string{"go.mod": "module sluice\nrequire example.com/lib v1.0.0\n"}, "no line for example.com/lib"},
	{"library with a reason", libraries, map[string]string{
		"go.mod": "module sluice\nrequire (\n\texample.com/lib v1.0.0\n\texample.com/other v1.0.0 // indirect\n)\n", "DESIGN.md": designRow}, ""},
	{"test library in the product", libraries, map[string]string{
		"go.mod": "module sluice\nrequire pgregory.net/rapid v1.0.0\n", "DESIGN.md": "| pgregory.net/rapid | tests |\n",
		"disk/a.go": "package disk\nimport _ \"pgregory.net/rapid\"\n"}, "pgregory.net/rapid is for tests only"},
	{"test library in a test", libraries, map[string]string{
		"go.mod": "module sluice\nrequire pgregory.net/rapid v1.0.0\n", "DESIGN.md": "| pgregory.net/rapid | tests |\n",
		"disk/a_test.go": "package disk\nimport _ \"pgregory.net/rapid\"\n"}, ""},

	{"proof that is gone", namedTests, map[string]string{"DESIGN.md": "| I1 | `TestGone` |\n"}, "there is no TestGone"},
	{"proof that is there", namedTests, map[string]string{
		"DESIGN.md": "| I1 | `TestHere` |\n", "disk/a_test.go": "package disk\n\nfunc TestHere() {}\n"}, ""},
	{"long file", noExceptions, one("disk/a.go", "package disk\n"+strings.Repeat("\n", 400)), "the file has 401 lines"},
	{"long test", noExceptions, one("disk/a_test.go", "package disk\n"+strings.Repeat("\n", 500)), ""},
	{"long function", noExceptions, one("disk/a.go", "package disk\n\nfunc (l *Log) f() {\n"+strings.Repeat("\tg()\n", 69)+"}\n"), "disk/a.go:Log.f: the function has 71 lines"},
	{"function at the limit", noExceptions, one("disk/a.go", "package disk\n\nfunc f() {\n"+strings.Repeat("\tg()\n", 68)+"}\n"), ""},
	{"table in a function", noExceptions, one("disk/a.go", "package disk\n\nfunc f() {\n\t_ = []int{\n"+strings.Repeat("\t\t1,\n", 450)+"\t}\n}\n"), ""},
	{"constants", noExceptions, one("disk/a.go", "package disk\n\nconst (\n"+strings.Repeat("\t_ = 1\n", 450)+")\n"), ""},
	{"code in the shape of a table", noExceptions, one("disk/a.go", "package disk\n\nfunc f() {\n\t_ = []func(){\n\t\tfunc() {\n"+strings.Repeat("\t\t\tg()\n", 80)+"\t\t},\n\t}\n}\n"), "the function has 86 lines"},
	{"exception not needed", exceptFile(401), one("disk/a.go", "package disk\n"), "needs no exception"},
	{"exception that grew", exceptFile(401), one("disk/a.go", "package disk\n"+strings.Repeat("\n", 401)), "has grown from 401 to 402"},
	{"exception that shrank", exceptFile(410), one("disk/a.go", "package disk\n"+strings.Repeat("\n", 401)), "lower the exception"},
	{"exception that holds", exceptFile(402), one("disk/a.go", "package disk\n"+strings.Repeat("\n", 401)), ""},
	{"exception for nothing", exceptFile(403), one("disk/b.go", "package disk\n"), "no longer there"},

	{"promise", words, one("disk/a.go", "package disk\n\n// TO"+"DO: sync\n"), "do it, or say in DESIGN.md"},
	{"promise in a string", words, one("disk/a.go", "package disk\n\nvar s = \"not "+"implemented\"\n"), "do it, or say in DESIGN.md"},
	{"promise in a script", words, one(".ci/a.sh", "# FIX"+"ME\n"), "do it, or say in DESIGN.md"},
	{"no promise", words, one("disk/a.go", "package disk\n\n// todos is a list for nowhere.\n"), ""},

	{"build machine", places, one("docs/a.md", "run it in `/wo"+"rk/main`\n"), "true of one machine only"},
	{"home folder", places, one("disk/a.go", "package disk\n\nvar s = \"/ro"+"ot/x\"\n"), "true of one machine only"},
	{"registry", places, one("Makefile", "GOPROXY=https://proxy.gol"+"ang.org\n"), "true of one machine only"},
	{"a path like one", places, one("docs/a.md", "some/work/place and /home/work/x and /workshop/\n"), ""},

	{"sleep", sleeps, one("disk/a_test.go", "package disk\nimport \"time\"\nfunc TestA() { time.Sleep(1) }\n"), "no sleep in a test"},
	{"sleep in disguise", sleeps, one("disk/a_test.go", "package disk\nimport \"time\"\nfunc TestA() { <-time.After(1) }\n"), "no sleep in a test"},
	{"time as a limit", sleeps, one("disk/a_test.go", "package disk\nimport \"time\"\nfunc TestA() { select { case <-time.After(1): } }\n"), ""},
	{"sleep in a bubble", sleeps, one("disk/a_test.go", "package disk\nfunc TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }\n"), ""},
	{"sleep in a named bubble", sleeps, one("disk/a_test.go", "package disk\nfunc TestA(t *testing.T) { synctest.Test(t, a) }\nfunc a(t *testing.T) { time.Sleep(1) }\n"), ""},
	{"sleep in a bubble by a helper", sleeps, one("disk/a_test.go", "package disk\nfunc bubble(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }\nfunc TestA(t *testing.T) { bubble(t, func(t *testing.T) { time.Sleep(1) }) }\n"), ""},
	{"sleep beside a helper", sleeps, one("disk/a_test.go", "package disk\nfunc bubble(t *testing.T, f func(*testing.T)) { time.Sleep(1); synctest.Test(t, f) }\n"), "no sleep in a test"},
	{"sleep beside a bubble", sleeps, one("disk/a_test.go", "package disk\nfunc TestA(t *testing.T) { synctest.Test(t, a); time.Sleep(1) }\n"), "no sleep in a test"},

	{"package without doc.go", docs, one("disk/a.go", "// Package disk is documented, but not where people look for it, at length.\npackage disk\n"), "has no doc.go"},
	{"empty doc.go", docs, one("disk/doc.go", "// Package disk.\npackage disk\n"), "no package comment"},
	{"doc.go", docs, one("disk/doc.go", "// Package disk keeps logs in files, and promises to tell what it lost.\npackage disk\n"), ""},

	{"option functions", options, one("disk/a.go", "package disk\n\ntype Option func(*Log)\n"), "is an option function"},
	{"options by interface", options, one("disk/a.go", "package disk\n\nfunc Open(opts ...Option) {}\n"), "a list of Option"},
	{"options without a name", options, one("disk/a.go", "package disk\n\nfunc Open(set ...func(*Log) error) {}\n"), "a list of option functions"},
	{"options of a library in a test", options, one("disk/a_test.go", "package disk\n\nfunc open(opts ...Option) {}\n"), ""},
	{"struct of options", options, one("disk/a.go", "package disk\n\ntype Options struct{ Hook func(*Log) }\n\nfunc Open(o Options, names ...string) {}\n"), ""},

	{"panic", panics, one("disk/a.go", "package disk\n\nfunc f(err error) { panic(err) }\n"), `begins with "BUG"`},
	{"panic with a text", panics, one("disk/a.go", "package disk\n\nfunc f() { panic(fmt.Sprintf(\"oops %d\", 1)) }\n"), `begins with "BUG"`},
	{"panic for a bug", panics, one("disk/a.go", "package disk\n\nfunc f(n int) {\n\tpanic(fmt.Sprintf(\"BUG: %d\", n))\n\tpanic(\"BUG: \" + s)\n}\n"), ""},
	{"panic in a test", panics, one("disk/a_test.go", "package disk\n\nfunc f() { panic(1) }\n"), ""},

	{"exit in a package", exits, one("disk/a.go", "package disk\nimport \"os\"\nfunc f() { os.Exit(1) }\n"), "only main may end the process"},
	{"exit in main", exits, one("cmd/sluice/a.go", "package main\nimport \"os\"\nfunc f() { os.Exit(1) }\n"), ""},

	{"error thrown away", ignoredErrors, one("disk/a.go", "package disk\n\nfunc f() {\n\t_ = g()\n}\n"), "without its reason"},
	{"error thrown away with a reason", ignoredErrors, one("disk/a.go", "package disk\n\nfunc f() {\n\t_ = g() // read only: nothing to lose\n\t// the same\n\t_, _ = h()\n}\n"), ""},
	{"errors thrown away in a row", ignoredErrors, one("disk/a.go", "package disk\n\nfunc f() {\n\t// nobody is left to tell\n\t_ = g()\n\t_, _ = h()\n}\n"), ""},
	{"a reason too far away", ignoredErrors, one("disk/a.go", "package disk\n\nfunc f() {\n\t// nobody is left to tell\n\tk()\n\t_ = g()\n}\n"), "without its reason"},
	{"a function that throws away", ignoredErrors, one("disk/a.go", "package disk\n\n// f is for connections that are gone.\nfunc f() {\n\t_ = g()\n\t_, _ = h()\n}\n"), ""},
	{"a function that does more", ignoredErrors, one("disk/a.go", "package disk\n\n// f has a comment.\nfunc f() {\n\tk()\n\t_ = g()\n}\n"), "without its reason"},
	{"use of a variable", ignoredErrors, one("disk/a.go", "package disk\n\nfunc f(x int) {\n\t_ = x\n\ty, _ := h()\n}\n"), ""},

	{"cgo", cgo, one("disk/a.go", "package disk\n\nimport \"C\"\n"), "no cgo"},
	{"C", cgo, one("disk/a.c", "int x;\n"), "no C"},
	{"no C", cgo, map[string]string{"LICENSE": "text", "docs/a.css": "", "disk/a.go": "package disk\n"}, ""},

	{"layout", formatted, one("disk/a.go", "package disk\nfunc  f(){}\n"), "not as gofmt has it"},
	{"no layout to mend", formatted, one("disk/a.go", "package disk\n\nfunc f() {}\n"), ""},
}

func one(name, src string) map[string]string { return map[string]string{name: src} }

func noExceptions(t tree) findings { return sizes(t, nil, nil) }

func exceptFile(n int) func(tree) findings {
	return func(t tree) findings { return sizes(t, map[string]int{"disk/a.go": n}, nil) }
}

func TestGuardsFindWhatIsPlanted(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			var all tree
			for name, src := range p.files {
				f, err := parse(name, []byte(src))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, f)
			}
			got := p.check(all)
			switch {
			case p.want == "" && len(got) > 0:
				t.Errorf("found in a tree that is fine: %q", got)
			case p.want != "" && (len(got) != 1 || !strings.Contains(got[0], p.want)):
				t.Errorf("found %q, want one sentence with %q", got, p.want)
			}
		})
	}
}

// Every guard must have a plant that it finds, or nobody knows whether it can.
func TestEveryGuardHasAPlant(t *testing.T) {
	for _, g := range guards {
		found := false
		for _, p := range plants {
			var all tree
			for name, src := range p.files {
				f, err := parse(name, []byte(src))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, f)
			}
			found = found || p.want != "" && len(g.check(all)) > 0
		}
		if !found {
			t.Errorf("nothing planted is found by the guard %q", g.name)
		}
	}
}
