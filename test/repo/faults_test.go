package repo

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/test/planted"
)

var update = flag.Bool("update", false, "write docs/faults.md anew")

const faultsPage = "docs/faults.md"

// A row is one fault, what must happen, and so the least that some test must show.
type row struct{ name, fault, must string }

// rows are the faults that one node must stand. Tests name them: TestA2A3Something shows A2 and A3.
var rows = []row{
	{"A1", "the process is killed at any moment", "what was acknowledged as written or more is there; a whole batch that nobody was told of may be; a part of one never is; the scan at the start is bounded"},
	{"A2", "the power fails, and nothing unsynced survives", "every record acknowledged as synced is there; what was only written may be gone, and its offsets are given again in a new epoch only"},
	{"A3", "the power fails, and any part of what was unsynced survives, in any order", "as A2; a torn tail is cut, kept aside and reported; nothing behind a hole is used"},
	{"A4", "the process or the power ends in the middle of recovery", "the next start comes to the same end"},
	{"A5", "the process ends between the write, its sync and the answer", "the record is there once or not at all, and whoever got no answer cannot know which"},
	{"A6", "the process dies again and again", "no file grows, and no epoch without an append; after five fast deaths a start refuses appends and says why; a clean stop ends that"},
	{"B1", "a sync fails once, and the next would succeed", "all who wait get UNKNOWN, the log takes nothing more, no sync is tried again, other logs go on; the next start believes the device and not the kernel's memory"},
	{"B2", "a sync fails always; a write fails or is short", "as B1; what lies behind the last whole batch is cut at the next start"},
	{"B3", "the sync of a directory fails", "no answer depends on the name, and the log takes nothing more"},
	{"B4", "the disk is full", "DISK_FULL, with nothing of the request in the log; reads, syncs and deletion go on; appends go on by themselves once there is room"},
	{"B5", "there is no room for an index", "no append notices; the index is built again later"},
	{"B6", "a small file cannot be written or renamed", "its old version stays whole, and memory does not run ahead of the disk"},
	{"B7", "a file may not grow, or the file system becomes read-only", "as B2, and the reason is told"},
	{"B8", "a read fails", "that read gets an error, all others are served, and nothing is cut"},
	{"B9", "a sync is slow or never returns", "who waits for it waits, and nobody else; queues stay bounded; the log is shown as slow"},
	{"C1", "bytes are damaged in the tail that is not yet known to be durable", "as A3"},
	{"C2", "bytes are damaged below the durable mark", "the range answers CORRUPT with its bounds, everything around it is served, and nothing is ever cut"},
	{"C3", "bytes of a header that no checksum covers are damaged", "found, as C2"},
	{"C4", "a batch lies at a wrong place", "found, as C2"},
	{"C5", "an index lies: short, long, empty, damaged, missing, of another segment", "no answer changes; it is built again"},
	{"C6", "a segment is missing", "the first or a middle one: the range answers CORRUPT, and no offset is given anew; the last one: so does what the mark knows of"},
	{"C7", "two files for one range, leftovers, names of others, directories", "what is left over is taken away, what is not ours is left alone and told, and nothing is guessed"},
	{"C8", "a segment of no length", "the last one is used, any other is a damaged range"},
	{"C9", "marks, epochs or the identity are damaged", "one of two copies serves and mends the other; without both the log is scanned; an identity is never guessed"},
	{"C10", "a segment is cut short while somebody reads it", "the answer ends with its connection, the range answers CORRUPT from then on, and the process neither dies nor spins"},
	{"D1", "descriptors run out", "new connections wait without a busy loop; appends and rolls go on, and nothing is done by half"},
	{"D2", "clients send more than memory holds", "what is in flight stays inside its budgets, and who sends more waits"},
	{"D3", "thousands read from a slow disk what is not in memory", "few reads ask the disk at once, and the others wait without a thread; what is in memory is read meanwhile"},
	{"D4", "ten thousand idle connections", "each costs at most 20 KiB and no timer, and an active producer does not notice them"},
	{"E1", "a client sends its request byte by byte, or stops in the middle", "a line and each part of a payload have their time; then the connection is closed and its place is free"},
	{"E2", "a client is gone without a word", "that is found within a minute, and nothing of it stays"},
	{"E3", "a subscriber never reads", "it holds no memory and no file, and nobody else notices; when it reads again it gets what comes next, never other data"},
	{"E4", "lengths, counts, checksums and codecs that lie", "a precise error, or the connection closed; nothing is appended, and memory is not taken on a claim"},
	{"E5", "a connection or the server ends between a send and its answer; batches of a producer come twice, out of order, or with an old epoch", "each batch is appended once, and one that comes again gets its first offset; a gap and an old epoch are refused; a restart forgets none of it"},
	{"F1", "a crash at each step of a roll", "one active segment, named by its first batch; no synced answer went out before the old segment's own sync"},
	{"H3", "a directory of an older or newer format", "the older is migrated, also through a crash in the middle; an unknown newer one is refused before any write"},
	{"H4", "settings are made smaller than what is stored", "what is there is served all the same"},
	{"H5", "a second process on the directory; a copy of it while it is in use", "the second is refused; a copy whose marks were read first, then its segments from the last to the first, opens as after A2"},
}

// A shown is a test function, as the table tells of it.
type shown struct {
	pkg, name, says string
	rows            []string
}

var (
	rowedName = regexp.MustCompile(`^Test((?:[A-I]\d+)+)(?:[A-Z_]|$)`)
	oneRow    = regexp.MustCompile(`[A-I]\d+`)
)

// tests finds the functions whose names carry rows.
func tests(all tree) (out []shown) {
	for f := range all.goFiles {
		if !f.isTest() {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			if m := rowedName.FindStringSubmatch(fn.Name.Name); m != nil {
				out = append(out, shown{f.dir(), fn.Name.Name, firstSentence(fn.Doc.Text()), oneRow.FindAllString(m[1], -1)})
			}
		}
	}
	return out
}

var nameFirst = regexp.MustCompile(`^Test\w+:? `)

// firstSentence is what a comment says first, without the name that some begin with.
func firstSentence(doc string) string {
	s := nameFirst.ReplaceAllString(strings.Join(strings.Fields(doc), " "), "")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	if s == "" {
		return ""
	}
	return strings.ReplaceAll(upper(s), "|", `\|`)
}

// page makes docs/faults.md, and tells what is missing.
func page(list []shown, bugs []planted.Bug) (text string, missing findings) {
	var b strings.Builder
	b.WriteString(`# Faults, and the tests that show what happens

Made by ` + "`go test ./test/repo -run Faults -update`" + ` from the names of the tests: a test called TestA2A3... shows A2 and A3. "Told" is
an answer, a line of the log and STATS. What each level of acknowledgement promises is in [durability.md](durability.md).

| | fault | what must happen |
|---|---|---|
`)
	for _, r := range rows {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.name, strings.ToLower(r.name), r.fault, r.must)
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "\n## %s\n\n%s: %s.\n\n| package | test | shows |\n|---|---|---|\n", r.name, upper(r.fault), r.must)
		n := 0
		for _, s := range list {
			if slices.Contains(s.rows, r.name) {
				n++
				fmt.Fprintf(&b, "| %s | %s | %s |\n", s.pkg, s.name, s.says)
			}
		}
		if n == 0 {
			missing = append(missing, "no test carries "+r.name+" in its name")
		}
	}
	b.WriteString("\n## Planted bugs\n\nThe tests are tested: built with `-tags planted`, the server has each of these bugs when `SLUICE_PLANTED` names it, and every test\n" +
		"beside it must be red (test/planted).\n\n| bug | what the server then does | red |\n|---|---|---|\n")
	for _, bug := range bugs {
		var red []string
		for _, s := range bug.Seen {
			red = append(red, s.Package+" "+s.Name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", bug.Name, bug.What, strings.Join(red, "<br>"))
	}
	return b.String(), missing
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// misnamed tells of tests that carry rows of no catalogue or say nothing, and of bugs whose tests are not there.
func misnamed(all tree, list []shown, bugs []planted.Bug) (out findings) {
	for _, s := range list {
		if s.says == "" {
			out = append(out, fmt.Sprintf("%s of %s has no comment that says what it shows", s.name, s.pkg))
		}
		for _, name := range s.rows {
			if name[0] != 'I' && !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
				out = append(out, fmt.Sprintf("%s of %s carries %s, which is no row", s.name, s.pkg, name))
			}
		}
	}
	for _, bug := range bugs {
		for _, s := range bug.Seen {
			if !hasTest(all, s.Package, s.Name) {
				out = append(out, fmt.Sprintf("%s of %s should see %s, and is not there", s.Name, s.Package, bug.Name))
			}
		}
	}
	return out
}

func hasTest(all tree, pkg, name string) bool {
	for f := range all.goFiles {
		if f.dir() != pkg || !f.isTest() {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return true
			}
		}
	}
	return false
}

// The page of faults is what the tests' names make of it, every row has a test, and every test that is named is there.
func TestFaultsPage(t *testing.T) {
	all := load(t, "../..")
	list := tests(all)
	want, missing := page(list, planted.Table)
	for _, s := range append(missing, misnamed(all, list, planted.Table)...) {
		t.Error(s)
	}
	if *update {
		if err := os.WriteFile("../../"+faultsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have := all.find(faultsPage)
	if have == nil {
		t.Fatalf("there is no %s; go test ./test/repo -run Faults -update makes it", faultsPage)
	}
	got, due := strings.Split(string(have.src), "\n"), strings.Split(want, "\n")
	for i := range max(len(got), len(due)) {
		if i >= len(got) || i >= len(due) || got[i] != due[i] {
			t.Fatalf("%s is not what the tests' names make of it, from line %d on; go test ./test/repo -run Faults -update makes it anew", faultsPage, i+1)
		}
	}
}

// The page's check finds a row without a test, a test of no row, one that says nothing, and a bug whose test is gone.
func TestFaultsPageIsChecked(t *testing.T) {
	src := "package disk\n\n// TestA1Kill shows this. And that.\nfunc TestA1Kill(t *testing.T) {}\n\nfunc TestA2Power(t *testing.T) {}\n\n// It is not.\nfunc TestZ9(t *testing.T) {}\n\n" +
		"// Not a row.\nfunc TestB12No(t *testing.T) {}\n\n// An invariant too.\nfunc TestI6B1B2Both(t *testing.T) {}\n\n// None.\nfunc TestC1lower(t *testing.T) {}\n"
	f, err := parse("disk/a_test.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	list := tests(tree{f})
	bugs := []planted.Bug{{Name: "seen", Seen: []planted.Test{{Package: "disk", Name: "TestA1Kill"}}}, {Name: "blind", Seen: []planted.Test{{Package: "disk", Name: "TestGone"}}}}
	text, missing := page(list, bugs)
	for _, want := range []string{"| disk | TestA1Kill | Shows this. |\n", "\n| disk | TestI6B1B2Both | An invariant too. |\n", "| blind |  | disk TestGone |\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if len(missing) != len(rows)-4 || slices.Contains(missing, "no test carries B2 in its name") {
		t.Errorf("missing: %q", missing)
	}
	want := findings{"TestA2Power of disk has no comment that says what it shows", "TestB12No of disk carries B12, which is no row", "TestGone of disk should see blind, and is not there"}
	if got := misnamed(tree{f}, list, bugs); !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
}
