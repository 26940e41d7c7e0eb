package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	var kafka string
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Probe a directory's disk, or what Kafka clients are told: what would hurt, and what to do",
		Long: `Write to a temporary file in DIR (the current directory if left out) for about five seconds, read what the
system says of the disk, and tell which latency to expect of each ack level, what would hurt, and what to do.

Existing files are not touched, a running server only shares its disk; the temporary file is removed, also
on Ctrl-C. The exit status is 1 if "synced" would mean nothing here or nothing can be written.

With --kafka no disk is looked at. A Kafka client uses the address that it is given only to ask for
another one, to which it then connects. This asks as a client does, shows what it would be told, and
whether that can be reached from here; the exit status is 1 if not.`,
		Example: `  sluice doctor /var/lib/sluice
  sluice doctor --json . | jq .expect
  sluice doctor --kafka logs.example.com:9092`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			if cmd.Flags().Changed("kafka") {
				if len(names) > 0 {
					return usagef("%s and --kafka %s are two questions: ask them one by one", names[0], kafka)
				}
				return runKafkaDoctor(cmd, kafka, asJSON)
			}
			dir := "."
			if len(names) > 0 {
				dir = names[0]
			}
			return runDoctor(cmd, newProber(dir), dir, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&kafka, "kafka", "", "host:port that Kafka clients are given")
	return cmd
}

func runDoctor(cmd *cobra.Command, p prober, dir string, asJSON bool) error {
	var doing atomic.Value
	doing.Store("")
	bar := startProgress(cmd.ErrOrStderr(), false, func() string { return doing.Load().(string) })
	d, err := p.diagnose(untilInterrupted(cmd.Context()), dir, func(what string) { doing.Store(what) })
	bar.end()
	if err != nil {
		return err
	}
	d.judge()
	show := d.print
	if asJSON {
		show = func(cmd *cobra.Command) error { return printJSON(cmd, d) }
	}
	if err := show(cmd); err != nil {
		return err
	}
	if d.failures() > 0 {
		return fmt.Errorf("%s is no place for a log: see what is marked \"fail\"", d.Directory)
	}
	return nil
}

// print writes for people: what there is, what was measured, what to expect, what to do.
func (d *diagnosis) print(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	for _, part := range [][]row{d.place(), d.measured(), d.expected()} {
		if len(part) == 0 {
			continue
		}
		if err := printTable(w, part); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return printFindings(w, d.Findings, "fine: nothing was found that would hurt")
}

// printFindings writes what was found and what to do, or that there is nothing.
func printFindings(w io.Writer, list []finding, fine string) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, fine)
		return err
	}
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%s  %s.\n      %s.\n", f.Level, f.What, f.Do); err != nil {
			return err
		}
	}
	return nil
}

func (d *diagnosis) place() []row {
	orUnknown := func(s string) string {
		if s == "" {
			return "unknown"
		}
		return s
	}
	inodes := ""
	if d.Space.Inodes >= 0 {
		inodes = fmt.Sprintf(", %d inodes", d.Space.Inodes)
	}
	k := d.Kernel
	return []row{
		{"directory", d.Directory},
		{"file system", strings.TrimSuffix(orUnknown(d.Mount.Type)+" on "+d.Mount.Source, " on ")},
		{"mounted", orUnknown(strings.Join(d.Mount.Options, ","))},
		{"free", fmt.Sprintf("%s of %s%s", amount(d.Space.Free), amount(d.Space.Total), inodes)},
		{"disk's cache", orUnknown(d.Device.WriteCache)},
		{"dirty pages", fmt.Sprintf("written back from %s on, writers wait at %s", amount(k.Background), amount(k.Dirty))},
		{"open files", fmt.Sprint(k.OpenFiles)},
		{"clock", orUnknown(k.Clock)},
		{"kernel", orUnknown(k.Release)},
	}
}

// amount is a number of bytes of memory or disk; -1 is not known.
func amount(n int64) string {
	switch {
	case n < 0:
		return "unknown"
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return mib(n)
}

func (d *diagnosis) measured() []row {
	if len(d.Probes) == 0 {
		return nil
	}
	rows := []row{{"PROBE", "SIZE", "COUNT", "P50", "P99", "MAX"}}
	for _, p := range d.Probes {
		rows = append(rows, row{p.Name, kib(p.Bytes), p.Count, micros(p.P50), micros(p.P99), micros(p.Max)})
	}
	return rows
}

// expected is what the disk adds; the network and the server come on top.
func (d *diagnosis) expected() []row {
	if len(d.Expect) == 0 {
		return nil
	}
	rows := []row{{"EXPECT, PLUS THE ROUND TRIP", "1 CONNECTION: P50", "P99", "16 CONNECTIONS: P99", "ACKS/S AT MOST"}}
	for _, e := range d.Expect {
		acks := "-"
		if e.GroupAck > 0 {
			acks = fmt.Sprint(e.GroupAck)
		}
		rows = append(rows, row{e.Ack, micros(e.P50), micros(e.P99), micros(e.GroupMax), acks})
	}
	return rows
}
