package main

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/disk"
)

// repairOptions are the flags of repair.
type repairOptions struct {
	topic  string
	dryRun bool
	json   bool
}

func newRepair() *cobra.Command {
	var o repairOptions
	cmd := &cobra.Command{
		Use:   "repair DIR",
		Short: "Take damage out of a data directory, so that its logs take appends again",
		Long: `Take damage out of the logs of a data directory that no server has open. A damaged segment is split into
segments of the whole batches around the damage; offsets that no file holds are declared a gap, which readers
are told to step over; indexes and second copies are made anew. Nothing is deleted: each original is kept
beside the new files as <base>-repair.cut. Interrupted, it is carried on by running it again.

What is in a copy of the directory cannot be known here: restore the files from one first, if there is one.
docs/damage.md has the steps.`,
		Example: `  sluice repair ./data --dry-run
  sluice repair ./data --topic events && sluice verify ./data`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, dirs []string) error { return o.run(cmd, dirs[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.topic, "topic", "", "repair this topic only")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.json, "json", false, "print JSON, an object for each step and one for the summary")
	return cmd
}

// repairedJSON is a step of --json. What it does not have is left out.
type repairedJSON struct {
	Topic     string  `json:"topic,omitempty"`
	Partition *int    `json:"partition,omitempty"`
	File      string  `json:"file"`
	From      *uint64 `json:"from,omitempty"`
	Next      *uint64 `json:"next,omitempty"`
	What      string  `json:"what"`
}

type repairSummaryJSON struct {
	DryRun  bool    `json:"dry_run"`
	Logs    int     `json:"logs"`
	Changed int     `json:"changed"`
	Gaps    int     `json:"gaps"`
	Lost    uint64  `json:"lost"`
	Indexes int     `json:"indexes"`
	Kept    int     `json:"kept"`
	Seconds float64 `json:"seconds"`
}

func (o *repairOptions) run(cmd *cobra.Command, dir string) error {
	if _, err := dataDir(dir); err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	var failed error // of the output
	print := func(r disk.Repaired) {
		if failed == nil {
			failed = o.step(out, r)
		}
	}
	var p disk.Progress
	began := time.Now()
	bar := startProgress(cmd.ErrOrStderr(), false, func() string { return progressBar("repair", &p, time.Since(began)) })
	sum, err := disk.Repair(disk.OS(dir), disk.RepairOptions{Topic: o.topic, DryRun: o.dryRun, Progress: &p}, print)
	bar.end()
	if err = errors.Join(err, failed); err == nil {
		err = o.summary(out, sum, time.Since(began))
	}
	return errors.Join(err, out.Flush())
}

func (o *repairOptions) step(out *bufio.Writer, r disk.Repaired) error {
	if o.json {
		j := repairedJSON{Topic: r.Topic, File: r.File, What: r.What}
		if r.Partition >= 0 {
			j.Partition = &r.Partition
		}
		if r.Next > r.From {
			j.From, j.Next = &r.From, &r.Next
		}
		return writeJSON(out, j)
	}
	offsets := ""
	if r.Next > r.From {
		offsets = fmt.Sprintf(" offsets [%d, %d)", r.From, r.Next)
	}
	_, err := fmt.Fprintf(out, "%s%s: %s\n", r.File, offsets, r.What)
	return err
}

func (o *repairOptions) summary(out *bufio.Writer, s disk.RepairSummary, took time.Duration) error {
	if o.json {
		return writeJSON(out, map[string]repairSummaryJSON{"summary": {o.dryRun, s.Logs, s.Changed, s.Gaps, s.Lost, s.Indexes, s.Kept, took.Seconds()}})
	}
	did := "repaired"
	if o.dryRun {
		did = "to repair"
	}
	_, err := fmt.Fprintf(out, "%s: %d of %s, %s of %s declared, %s made, %s kept\n", did, s.Changed, count(s.Logs, "log"),
		count(s.Gaps, "gap"), count(s.Lost, "record"), count(s.Indexes, "index"), count(s.Kept, "original"))
	return err
}
