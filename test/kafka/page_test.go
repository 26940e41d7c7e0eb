package kafka

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/test/kafka/clients"
)

var update = flag.Bool("update", false, "write the matrix in docs/kafka.md anew")

const (
	pageName    = "../../docs/kafka.md"
	matrixBegin = "<!-- matrix: made by go test ./test/kafka -run RealClients -update -->\n"
	matrixEnd   = "<!-- end of the matrix -->\n"
)

// A column is what came of one client.
type column struct {
	version string            // empty if it did not run
	cells   map[string]string // by the name of the step: yes, no, or why the client cannot
}

// rows are the names of all steps.
func rows() (list []string) {
	for _, s := range steps {
		list = append(list, s.name)
	}
	return append(list, together)
}

// matrix is the table with its notes.
func matrix(cols []column) string {
	var b strings.Builder
	var notes []string
	fmt.Fprint(&b, "\n|")
	for _, c := range clients.All {
		fmt.Fprintf(&b, " | %s", c.Name)
	}
	fmt.Fprintf(&b, " |\n|---%s|\n| version", strings.Repeat("|---", len(cols)))
	for _, col := range cols {
		fmt.Fprintf(&b, " | %s", col.version)
	}
	for _, row := range rows() {
		fmt.Fprintf(&b, " |\n| %s", row)
		for _, col := range cols {
			cell := col.cells[row]
			if cell != "yes" && cell != "no" && cell != "" {
				if !slices.Contains(notes, cell) {
					notes = append(notes, cell)
				}
				cell = fmt.Sprintf("– (%d)", slices.Index(notes, cell)+1)
			}
			fmt.Fprintf(&b, " | %s", cell)
		}
	}
	fmt.Fprint(&b, " |\n\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	fmt.Fprint(&b, "\n")
	return b.String()
}

// parse takes a table apart that matrix has made.
func parse(text string) []column {
	cols := make([]column, len(clients.All))
	notes := map[string]string{}
	for line := range strings.Lines(text) {
		if number, note, ok := strings.Cut(strings.TrimSpace(line), ". "); ok && !strings.HasPrefix(line, "|") {
			if n, err := strconv.Atoi(number); err == nil {
				notes[fmt.Sprintf("– (%d)", n)] = note
			}
		}
	}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cols {
			if len(f) != len(cols)+1 {
				break
			}
			row, cell := strings.TrimSpace(f[0]), strings.TrimSpace(f[i+1])
			if cols[i].cells == nil {
				cols[i].cells = map[string]string{}
			}
			if row == "version" {
				cols[i].version = cell
			} else if note, ok := notes[cell]; ok {
				cols[i].cells[row] = note
			} else {
				cols[i].cells[row] = cell
			}
		}
	}
	return cols
}

// checkPage holds the page against a run, or writes it anew. The columns of clients that did not run stay as they are.
func checkPage(t *testing.T, ran []column) {
	t.Helper()
	text, err := os.ReadFile(pageName)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), matrixBegin)
	have, after, ok2 := strings.Cut(rest, matrixEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the matrix", pageName)
	}
	due := parse(have)
	for i, col := range ran {
		if col.cells[together] != "" { // it ran, and to the end
			due[i] = col
		}
	}
	want := matrix(due)
	switch {
	case *update:
		if err := os.WriteFile(pageName, []byte(before+matrixBegin+want+matrixEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case want != have:
		t.Errorf("%s shows other results; go test ./test/kafka -run RealClients -update makes it:\n%s", pageName, want)
	}
}

// A table that is read back and written again is the same, with and without notes.
func TestMatrixIsReadBack(t *testing.T) {
	t.Parallel()
	cols := make([]column, len(clients.All))
	for i := range cols {
		cols[i] = column{fmt.Sprint(i, ".0"), map[string]string{}}
		for j, row := range rows() {
			cols[i].cells[row] = []string{"yes", "no", "it cannot", "it has. no way", ""}[(i+j)%5]
		}
	}
	want := matrix(cols)
	if got := matrix(parse(want)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
