package repo

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
)

// A file has at most maxFile lines and a function at most maxFunc: what fits into one head and on one screen.
// Tests are apart. Tables are too: lines inside a composite literal of an array, slice or map, and inside a
// const block, are data and do not count.
const (
	maxFile = 400
	maxFunc = 70
)

// The exceptions, with the size each has now. A size may only sink: a smaller one must be written here,
// and an entry that fits the limit again must go.
var (
	longFiles = map[string]int{}
	longFuncs = map[string]int{} // "disk/recover.go:Log.scan": 84
)

func sizes(t tree, files, funcs map[string]int) (out findings) {
	seen := map[string]int{}
	for f := range t.product {
		tables := tableLines(f)
		n := f.pos.File(f.ast.FileStart).LineCount() - len(tables)
		seen[f.path] = n
		out = append(out, judge("file", f.path, n, maxFile, files)...)
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := 0
			for l := f.line(fn.Pos()); l <= f.line(fn.End()); l++ {
				if !tables[l] {
					n++
				}
			}
			name := f.path + ":" + funcName(fn)
			seen[name] = n
			out = append(out, judge("function", name, n, maxFunc, funcs)...)
		}
	}
	for _, list := range []map[string]int{files, funcs} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			if _, ok := seen[name]; !ok {
				out = append(out, fmt.Sprintf("%s: an exception for what is no longer there: remove it", name))
			}
		}
	}
	return out
}

func judge(kind, name string, n, limit int, exceptions map[string]int) findings {
	was, excepted := exceptions[name]
	switch {
	case !excepted && n > limit:
		return findings{fmt.Sprintf("%s: the %s has %d lines, the limit is %d", name, kind, n, limit)}
	case excepted && n <= limit:
		return findings{fmt.Sprintf("%s: has %d lines now and needs no exception: remove it", name, n)}
	case excepted && n > was:
		return findings{fmt.Sprintf("%s: has grown from %d to %d lines, and exceptions only shrink", name, was, n)}
	case excepted && n < was:
		return findings{fmt.Sprintf("%s: has %d lines now: lower the exception from %d", name, n, was)}
	}
	return nil
}

// tableLines are the lines strictly inside a table: its first and last line, with the brackets, count as code.
func tableLines(f *file) map[int]bool {
	lines := map[int]bool{}
	mark := func(open, end token.Pos) {
		for l := f.line(open) + 1; l < f.line(end); l++ {
			lines[l] = true
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			switch n.Type.(type) {
			case *ast.ArrayType, *ast.MapType:
				if !holdsCode(n) {
					mark(n.Lbrace, n.Rbrace)
				}
			}
		case *ast.GenDecl:
			if n.Tok == token.CONST && n.Lparen.IsValid() {
				mark(n.Lparen, n.Rparen)
			}
		}
		return true
	})
	return lines
}

// holdsCode: a literal full of functions of several statements is code in the shape of a table.
func holdsCode(lit *ast.CompositeLit) (code bool) {
	ast.Inspect(lit, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncLit); ok && len(fn.Body.List) > 3 {
			code = true
		}
		return !code
	})
	return code
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	switch t := typ.(type) {
	case *ast.IndexExpr:
		typ = t.X
	case *ast.IndexListExpr:
		typ = t.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}
