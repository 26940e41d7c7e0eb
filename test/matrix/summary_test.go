package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// print writes the tables: configurations, drivers, behaviours, expected failures, and what is not applicable.
func (s *summary) print() {
	s.Lock()
	defer s.Unlock()
	fmt.Printf("\nmatrix: %d cells: %s\n", s.cells, words(s.verdicts))
	fmt.Println("\nconfigurations")
	for _, c := range configurations {
		fmt.Printf("  %-22s %s\n", c.name, orLeftOut(s.perCol[c.name]))
		fmt.Printf("  %-22s %s [%s]\n", "", c.what, strings.Join(strings.Fields(c.settings), " "))
	}
	fmt.Println("\ndrivers")
	for _, d := range drivers {
		fmt.Printf("  %-10s %s\n", d.name, d.what)
		if d.only != nil {
			fmt.Printf("  %-10s   under %s only: %s\n", "", strings.Join(d.only, ", "), d.why)
		}
	}
	fmt.Println("\nbehaviours")
	for _, b := range behaviours {
		fmt.Printf("  %-44s %s\n", b.name, orLeftOut(s.perRow[b.name]))
	}
	fmt.Println("\nexpected failures")
	for _, e := range exceptions {
		fmt.Printf("  %s / %s / %s: %s\n", e.behaviour, orAll(e.driver, "driver"), orAll(e.configuration, "configuration"), e.reason)
	}
	if len(exceptions) == 0 {
		fmt.Println("  none")
	}
	fmt.Println("\nnot applicable")
	for _, d := range drivers {
		for _, need := range slices.Sorted(maps.Keys(d.lacks)) {
			var who []string
			for _, b := range behaviours {
				if slices.Contains(b.needs, need) {
					who = append(who, b.name)
				}
			}
			fmt.Printf("  %s lacks %s: %s\n    so not: %s\n", d.name, need, d.lacks[need], strings.Join(who, ", "))
		}
	}
}

var verdictNames = map[verdict]string{
	passed: "passed", broken: "FAILED", expectedFailure: "failed as expected", unexpectedPass: "PASSED UNEXPECTEDLY", notApplicable: "not applicable",
}

func words(m map[verdict]int) string {
	var out []string
	for v := passed; v <= notApplicable; v++ {
		if m[v] > 0 {
			out = append(out, fmt.Sprintf("%d %s", m[v], verdictNames[v]))
		}
	}
	return strings.Join(out, ", ")
}

func orLeftOut(m map[verdict]int) string {
	if m == nil {
		return "left out of this run"
	}
	return words(m)
}

func orAll(s, what string) string {
	if s == "" {
		return "every " + what
	}
	return s
}
