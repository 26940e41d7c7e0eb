package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// printJSON writes one object and a line end.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// row is a line of words, for people.
type row []any

// printTable writes rows with aligned columns.
func printTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i, word := range r {
			if i > 0 {
				if _, err := io.WriteString(t, "\t"); err != nil {
					return err
				}
			}
			if _, err := fmt.Fprint(t, word); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(t, "\n"); err != nil {
			return err
		}
	}
	return t.Flush()
}

// mib is a number of bytes as people compare them.
func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// perSecond is a rate with three figures and a letter: 592k, 1.25M.
func perSecond(n int64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	rate := float64(n) / d.Seconds()
	switch {
	case rate >= 1e6:
		return fmt.Sprintf("%.2fM", rate/1e6)
	case rate >= 1e4:
		return fmt.Sprintf("%.0fk", rate/1e3)
	default:
		return fmt.Sprintf("%.0f", rate)
	}
}

// micros is a latency with two or three figures.
func micros(us int64) string {
	switch {
	case us >= 10_000_000:
		return fmt.Sprintf("%.1fs", float64(us)/1e6)
	case us >= 10_000:
		return fmt.Sprintf("%.0fms", float64(us)/1e3)
	case us >= 1000:
		return fmt.Sprintf("%.1fms", float64(us)/1e3)
	default:
		return strconv.FormatInt(us, 10) + "us"
	}
}
