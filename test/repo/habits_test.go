package repo

import (
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// selector is "pkg.Name" for a call or use of that shape, else "".
func selector(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

// sleeps: a test that sleeps is slow on a good day and fails on a bad one. Inside testing/synctest time is
// virtual, and a sleep there is the way to let it pass; "inside" is what stands in the function given to
// synctest.Test, directly, by its name, or through a helper that hands its argument on.
func sleeps(t tree) (out findings) {
	named, helpers := bubbles(t)
	for f := range t.goFiles {
		if !f.isTest() && !covers("test", f.dir()) {
			continue
		}
		inBubble := func(call *ast.CallExpr) bool {
			if id, ok := call.Fun.(*ast.Ident); ok && helpers[f.dir()+":"+id.Name] {
				return true
			}
			return selector(call.Fun) == "synctest.Test"
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && !named[f.dir()+":"+fn.Name.Name] {
				sleepsIn(f, fn, inBubble, &out)
			}
		}
	}
	return out
}

// bubbles finds the functions that are given to synctest.Test by name, and those that hand a parameter to it.
func bubbles(t tree) (named, helpers map[string]bool) {
	named, helpers = map[string]bool{}, map[string]bool{}
	for f := range t.goFiles {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || selector(call.Fun) != "synctest.Test" || len(call.Args) != 2 {
					return true
				}
				if id, ok := call.Args[1].(*ast.Ident); ok {
					if hasParam(fn, id.Name) {
						helpers[f.dir()+":"+fn.Name.Name] = true
					} else {
						named[f.dir()+":"+id.Name] = true
					}
				}
				return true
			})
		}
	}
	return named, helpers
}

func hasParam(fn *ast.FuncDecl, name string) bool {
	for _, field := range fn.Type.Params.List {
		for _, id := range field.Names {
			if id.Name == name {
				return true
			}
		}
	}
	return false
}

func sleepsIn(f *file, root ast.Node, inBubble func(*ast.CallExpr) bool, out *findings) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause: // a select that gives up after a while does not sleep
			for _, s := range n.Body {
				sleepsIn(f, s, inBubble, out)
			}
			return false
		case *ast.CallExpr:
			if inBubble(n) {
				return false
			}
			if selector(n.Fun) == "time.Sleep" {
				out.add(f, n.Pos(), "no sleep in a test: wait for an event, or use testing/synctest")
			}
		case *ast.ExprStmt: // <-time.After(d), standing alone, is the same thing
			if recv, ok := n.X.(*ast.UnaryExpr); ok && recv.Op == token.ARROW {
				if call, ok := recv.X.(*ast.CallExpr); ok && selector(call.Fun) == "time.After" {
					out.add(f, n.Pos(), "no sleep in a test: wait for an event, or use testing/synctest")
				}
			}
		}
		return true
	})
}

var optionName = regexp.MustCompile(`(?i)(opt|option)s?$`)

// options: settings are a struct, which can be printed, compared, read from a file and checked as a whole.
func options(t tree) (out findings) {
	for f := range t.product {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if fn, ok := n.Type.(*ast.FuncType); ok && optionName.MatchString(n.Name.Name) && changesOne(fn) {
					out.add(f, n.Pos(), "%s is an option function: use a struct of options", n.Name.Name)
				}
			case *ast.Ellipsis:
				switch elt := n.Elt.(type) {
				case *ast.FuncType:
					if changesOne(elt) {
						out.add(f, n.Pos(), "a list of option functions: use a struct of options")
					}
				case *ast.Ident:
					if optionName.MatchString(elt.Name) {
						out.add(f, n.Pos(), "a list of %s: use a struct of options", elt.Name)
					}
				}
			}
			return true
		})
	}
	return out
}

// changesOne: func(*T), with or without an error, the shape of an option function.
func changesOne(fn *ast.FuncType) bool {
	if fn.Params == nil || len(fn.Params.List) != 1 || fn.Results.NumFields() > 1 {
		return false
	}
	_, ok := fn.Params.List[0].Type.(*ast.StarExpr)
	return ok
}

// panics: a panic is our own bug and says so with its first word; the world's faults are errors.
func panics(t tree) (out findings) {
	for f := range t.product {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && len(call.Args) == 1 && !strings.HasPrefix(firstText(call.Args[0]), `"BUG`) {
				out.add(f, call.Pos(), `panic is for our own bugs, and its text begins with "BUG"; return an error`)
			}
			return true
		})
	}
	return out
}

// firstText is the string literal an expression begins with: "x", "x" + y, fmt.Sprintf("x", ...).
func firstText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return strings.Replace(e.Value, "`", `"`, 1)
	case *ast.BinaryExpr:
		return firstText(e.X)
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return firstText(e.Args[0])
		}
	}
	return ""
}

// exits: errors return up to main; a package that ends the process takes that from its caller.
func exits(t tree) (out findings) {
	for f := range t.product {
		if f.ast.Name.Name == "main" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				switch name := selector(call.Fun); name {
				case "os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf":
					out.add(f, call.Pos(), "%s: only main may end the process; return an error", name)
				}
			}
			return true
		})
	}
	return out
}

// ignoredErrors: a result thrown away on purpose has its reason beside it: on the same line, above it, above
// a row of such lines, or in the comment of a function that does nothing else. errcheck finds those thrown
// away in silence.
func ignoredErrors(t tree) (out findings) {
	for f := range t.product {
		reasons := map[int]bool{}
		for _, g := range f.ast.Comments {
			for l := f.line(g.Pos()); l <= f.line(g.End()); l++ {
				reasons[l] = true
			}
		}
		thrown := map[int]*ast.AssignStmt{} // by the line they end on
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return n.Doc == nil || !throwsOnly(n)
			case *ast.AssignStmt:
				if throwsAway(n) {
					thrown[f.line(n.End())] = n
				}
			}
			return true
		})
		for _, end := range slices.Sorted(maps.Keys(thrown)) {
			l := end
			for thrown[l] != nil && !reasons[l] {
				l = f.line(thrown[l].Pos()) - 1
			}
			if !reasons[l] {
				out.add(f, thrown[end].Pos(), "a result is thrown away without its reason beside it")
			}
		}
	}
	return out
}

func throwsAway(n ast.Node) bool {
	as, ok := n.(*ast.AssignStmt)
	if !ok || !allBlank(as.Lhs) || len(as.Rhs) != 1 {
		return false
	}
	_, call := as.Rhs[0].(*ast.CallExpr)
	return call
}

func throwsOnly(fn *ast.FuncDecl) bool {
	if fn.Body == nil {
		return false
	}
	for _, s := range fn.Body.List {
		if !throwsAway(s) {
			return false
		}
	}
	return true
}

func allBlank(list []ast.Expr) bool {
	for _, e := range list {
		if id, ok := e.(*ast.Ident); !ok || id.Name != "_" {
			return false
		}
	}
	return true
}
