package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/disk"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	topic string
	json  bool
}

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read every byte of a data directory and say what is wrong",
		Long: `Read every byte of a data directory: batches, their order, checksums and records, indexes, marks, and the
names and sizes of all files. Nothing is changed, so it may run beside the server that has the directory
open; what that one has not synced yet is then not judged.

A finding is damage (records cannot be served), a problem (something is not as it was written, and costs no
record), or a note. The exit status is 0 when there are only notes, 1 when there is damage or a problem.`,
		Example: `  sluice verify ./data
  sluice verify ./data --topic events --json | jq 'select(.severity == "damage")'`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, dirs []string) error { return o.run(cmd, dirs[0]) },
	}
	cmd.Flags().StringVar(&o.topic, "topic", "", "look at this topic only")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, an object for each finding and one for the summary")
	return cmd
}

// findingJSON is a finding, or something repair did, of --json. What a finding does not have is left out.
type findingJSON struct {
	Severity  string  `json:"severity"`
	Topic     string  `json:"topic,omitempty"`
	Partition *int    `json:"partition,omitempty"`
	File      string  `json:"file"`
	Position  *int64  `json:"position,omitempty"`
	From      *uint64 `json:"from,omitempty"`
	Next      *uint64 `json:"next,omitempty"`
	What      string  `json:"what"`
	Do        string  `json:"do,omitempty"`
}

type verifySummaryJSON struct {
	Logs     int     `json:"logs"`
	Segments int     `json:"segments"`
	Batches  uint64  `json:"batches"`
	Records  uint64  `json:"records"`
	Bytes    int64   `json:"bytes"`
	Damages  int     `json:"damages"`
	Problems int     `json:"problems"`
	Notes    int     `json:"notes"`
	Seconds  float64 `json:"seconds"`
}

func (o *verifyOptions) run(cmd *cobra.Command, dir string) error {
	live, err := dataDir(dir)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	findings := findingPrinter{out: out, json: o.json}
	var p disk.Progress
	began := time.Now()
	bar := startProgress(cmd.ErrOrStderr(), false, func() string { return progressBar("verify", &p, time.Since(began)) })
	sum, err := disk.Verify(disk.OSReadOnly(dir), disk.VerifyOptions{Topic: o.topic, Live: live, Progress: &p}, findings.print)
	bar.end()
	took := time.Since(began)
	err = errors.Join(err, findings.err)
	if err == nil {
		err = o.summary(out, sum, took)
	}
	if err = errors.Join(err, out.Flush()); err == nil && sum.Damages+sum.Problems > 0 {
		err = fmt.Errorf("%s and %s in %s; docs/damage.md says how to go on",
			count(sum.Damages, "damage"), count(sum.Problems, "problem"), dir)
	}
	return err
}

func (o *verifyOptions) summary(out *bufio.Writer, s disk.Summary, took time.Duration) error {
	if o.json {
		return writeJSON(out, map[string]verifySummaryJSON{"summary": {s.Logs, s.Segments, s.Batches, s.Records, s.Bytes,
			s.Damages, s.Problems, s.Notes, took.Seconds()}})
	}
	_, err := fmt.Fprintf(out, "%s, %s, %s, %s, %s in %s: %s, %s, %s\n",
		count(s.Logs, "log"), count(s.Segments, "segment"), count(s.Batches, "batch"), count(s.Records, "record"),
		mib(s.Bytes), micros(took.Microseconds()), count(s.Damages, "damage"), count(s.Problems, "problem"), count(s.Notes, "note"))
	return err
}

// dataDir proves that DIR is there, and tells whether a server has it open.
func dataDir(dir string) (live bool, err error) {
	if info, err := os.Stat(dir); err != nil {
		return false, err
	} else if !info.IsDir() {
		return false, usagef("%s is no directory: name the server's data directory", dir)
	}
	return disk.InUse(dir)
}

// findingPrinter writes findings as they come; err is the first error of the output.
type findingPrinter struct {
	out  *bufio.Writer
	json bool
	err  error
}

func (p *findingPrinter) print(f disk.Finding) {
	if p.err != nil {
		return
	}
	if p.json {
		p.err = writeJSON(p.out, jsonOf(f))
		return
	}
	place := f.File
	if f.Pos >= 0 {
		place += fmt.Sprintf("@%d", f.Pos)
	}
	if f.Next > f.From {
		place += fmt.Sprintf(" offsets [%d, %d)", f.From, f.Next)
	}
	if _, p.err = fmt.Fprintf(p.out, "%-8s%s: %s\n", f.Severity, place, f.What); p.err == nil && f.Do != "" {
		_, p.err = fmt.Fprintf(p.out, "        %s\n", f.Do)
	}
}

// writeJSON writes one object and a line end.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func jsonOf(f disk.Finding) findingJSON {
	j := findingJSON{Severity: string(f.Severity), Topic: f.Topic, File: f.File, What: f.What, Do: f.Do}
	if f.Partition >= 0 {
		j.Partition = &f.Partition
	}
	if f.Pos >= 0 {
		j.Position = &f.Pos
	}
	if f.Next > f.From {
		j.From, j.Next = &f.From, &f.Next
	}
	return j
}

// count is a number and what is counted, in the plural where it is one.
func count[N int | uint64](n N, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "ch"), strings.HasSuffix(what, "x"):
		what += "es"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// progressBar is a line with a bar, the part that is done, and the rate.
func progressBar(what string, p *disk.Progress, took time.Duration) string {
	const width = 30
	done, total := p.Done.Load(), max(p.Total.Load(), 1)
	full := int(min(done*width/total, width))
	rate := int64(0)
	if s := took.Seconds(); s > 0 {
		rate = int64(float64(done) / s)
	}
	return fmt.Sprintf("%s [%s%s] %3d%%  %s of %s, %s/s", what, strings.Repeat("#", full), strings.Repeat(".", width-full),
		min(done*100/total, 100), mib(done), mib(total), mib(rate))
}
