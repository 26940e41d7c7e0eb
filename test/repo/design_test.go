package repo

import (
	"go/ast"
	"regexp"
)

var quotedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")

// namedTests: a page that names a test as proof names one that is there.
func namedTests(t tree) (out findings) {
	there := map[string]bool{}
	for f := range t.goFiles {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.isTest() {
				there[fn.Name.Name] = true
			}
		}
	}
	design := t.find("DESIGN.md")
	if design == nil {
		return findings{"DESIGN.md is missing"}
	}
	for _, m := range quotedTest.FindAllStringSubmatch(string(design.src), -1) {
		if !there[m[1]] {
			out = append(out, "DESIGN.md: there is no "+m[1])
		}
	}
	return out
}
