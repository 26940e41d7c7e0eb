package repo

import (
	"bytes"
	"fmt"
	"go/format"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The words are put together here, so that this file does not hold them itself.
var (
	promises = regexp.MustCompile(`\bTO` + `DO\b|\bFIX` + `ME\b|\bXX` + `X\b|\bHA` + `CK\b|(?i)\bnot ` + `implemented\b|\bfor ` + `now\b`)
	// Folders of machines that build or test, and hosts that serve packages: neither means anything to a reader.
	machines = regexp.MustCompile(`(?:^|[\s"'` + "`" + `=:(])/(?:wo` + `rk|ro` + `ot|fa` + `rm)/|/tmp/br` + `ief|` +
		`proxy\.gol` + `ang\.org|sum\.gol` + `ang\.org|registry\.np` + `mjs|py` + `pi\.org|crates\.` + `io|deb\.deb` + `ian\.org|repo1\.ma` + `ven|repo\.ma` + `ven`)
)

// words: a promise in a comment is a debt nobody collects. Do it, or say in DESIGN.md that it is not there.
func words(t tree) (out findings) {
	for _, f := range t {
		isCode := f.isGo() || strings.HasSuffix(f.path, ".sh") || strings.HasSuffix(f.path, ".yaml") || f.path == "Makefile"
		if isCode && !f.isTest() {
			out = append(out, matches(f, promises, "do it, or say in DESIGN.md that it is not there")...)
		}
	}
	return out
}

// places: what is true of one machine only does not belong into the repository.
func places(t tree) (out findings) {
	for _, f := range t {
		if f.path != "go.sum" && utf8.Valid(f.src) {
			out = append(out, matches(f, machines, "this is true of one machine only")...)
		}
	}
	return out
}

func matches(f *file, re *regexp.Regexp, why string) (out findings) {
	n := 0
	for line := range bytes.Lines(f.src) {
		n++
		if m := re.Find(line); m != nil {
			out = append(out, fmt.Sprintf("%s:%d: %q: %s", f.path, n, strings.TrimSpace(string(m)), why))
		}
	}
	return out
}

// formatted: gofmt has the last word on layout, so that no review is about it.
func formatted(t tree) (out findings) {
	for f := range t.goFiles {
		if src, err := format.Source(f.src); err != nil || !bytes.Equal(src, f.src) {
			out = append(out, f.path+": not as gofmt has it")
		}
	}
	return out
}

// docs: every package says in doc.go what its job, owner, promise and limits are, before anyone reads its code.
func docs(t tree) (out findings) {
	asked := map[string]bool{}
	for f := range t.goFiles {
		dir := f.dir()
		if asked[dir] {
			continue
		}
		asked[dir] = true
		doc := t.find(strings.TrimPrefix(dir+"/doc.go", "./"))
		switch {
		case doc == nil:
			out = append(out, dir+": has no doc.go")
		case doc.ast.Doc == nil || len(strings.Fields(doc.ast.Doc.Text())) < 10:
			out = append(out, doc.path+": has no package comment that says job, owner, promise and limits")
		}
	}
	return out
}
