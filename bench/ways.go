package main

import (
	"fmt"
	"slices"
	"strings"
)

// Rows named "group: way" are ways to do the same, measured in turns of one run. They are shown relative to the first of
// their group, in each round; the figure is the median round's.

func (r report) writeWays(b *strings.Builder) {
	first := map[string]string{} // group: its first row
	for _, x := range r.rows {
		group, way, ok := strings.Cut(x.Name, ": ")
		if !ok || first[x.Name] != "" {
			continue
		}
		first[x.Name] = x.Name // shown
		base, begun := first[group]
		if !begun {
			base, first[group] = x.Name, x.Name
			m, _ := r.median(x.Name, x.System) // there is one: x
			fmt.Fprintf(b, "\n## %s, relative to its first row (%.0f/s, p50 %s, p99 %s, p99.9 %s us)\n\n| way | rate | p50 | p99 | p99.9 |\n|---|---|---|---|---|\n",
				group, m.Rate, micros(m.P50), micros(m.P99), micros(m.P999))
		}
		fmt.Fprintf(b, "| %s |", way)
		for _, by := range []func(row) float64{rate, p50, p99, p999} {
			fmt.Fprintf(b, " %.2f |", r.relative(x.Name, base, x.System, by))
		}
		b.WriteString("\n")
	}
}

// relative is the median over the rounds of one row's figure divided by another's; 0 where a round lacks one.
func (r report) relative(name, base, system string, by func(row) float64) float64 {
	var out []float64
	for n := 1; n <= r.facts.Rounds; n++ {
		a, okA := r.round(n)(name, system)
		b, okB := r.round(n)(base, system)
		if okA && okB && by(b) > 0 {
			out = append(out, by(a)/by(b))
		}
	}
	if len(out) == 0 {
		return 0
	}
	slices.Sort(out)
	return out[len(out)/2]
}
