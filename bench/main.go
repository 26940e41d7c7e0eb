package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	bin, out, dir string
	rounds        int
	measure       time.Duration
	only          string
	smoke         bool
}

func main() {
	if kind := os.Getenv(childEnv); kind != "" {
		if err := runChild(kind); err != nil {
			fmt.Fprintln(os.Stderr, "bench: raw server:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.StringVar(&s.bin, "bin", "bin/sluice", "the server to measure")
	flag.StringVar(&s.out, "out", "bench/results", "folder for the results")
	flag.StringVar(&s.dir, "dir", ".", "where the temporary data goes: a real disk")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each step is measured; the tables show the median round")
	flag.DurationVar(&s.measure, "time", 2500*time.Millisecond, "how long each step is measured")
	flag.StringVar(&s.only, "only", "", "measure only the steps that this regular expression matches, as in 'W1 redis'")
	flag.BoolVar(&s.smoke, "smoke", false, "one short round that shows that every step works; its figures mean nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	warm := s.measure / 5
	if s.smoke {
		s.rounds, s.measure, warm = 1, 100*time.Millisecond, 20*time.Millisecond
	}
	if s.bin, err = filepath.Abs(s.bin); err != nil {
		return err
	}
	if mem, err := inMemory(s.dir); err != nil {
		return err
	} else if mem {
		return fmt.Errorf("%s is in memory, where a sync costs nothing: name a folder on a disk with -dir", s.dir)
	}
	dir, err := os.MkdirTemp(s.dir, "bench-data-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	redis, _ := exec.LookPath("redis-server") // not there: the tables say so
	all := suite{sluice: s.bin, redis: redis, dir: dir, warm: warm, measure: s.measure}.steps()
	facts := gather(s, redis)
	rep := report{facts: facts}
	for round := 1; round <= s.rounds; round++ {
		for _, st := range all {
			if !only.MatchString(st.name + " " + st.system) {
				continue
			}
			r, err := measureStep(ctx, round, st)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", st.name, st.system, err)
			}
			rep.rows = append(rep.rows, r)
			if !s.smoke {
				fmt.Fprintf(os.Stderr, "round %d of %d  %-15s %-7s %9.0f/s %8.1f MB/s  p50 %s  p99 %s\n",
					round, s.rounds, st.name, st.system, r.Rate, r.MBps, micros(r.P50), micros(r.P99))
			}
		}
	}
	if s.smoke {
		fmt.Printf("bench: %d steps work (redis: %s)\n", len(rep.rows), orMissing(facts.Redis))
		return nil
	}
	return rep.write(s.out, os.Stdout)
}

func measureStep(ctx context.Context, round int, st step) (row, error) {
	syncAll() // what earlier steps left to the disk must not slow this one
	t, cpu, err := st.run(ctx)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return row{}, err
	}
	r, err := newRow(round, st, t)
	r.ServerCPU = cpu.Seconds()
	return r, err
}

// write leaves the rows as JSON lines, the first one the facts, and the tables as Markdown, which it prints too.
func (r report) write(out string, tables io.Writer) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(out, r.facts.Time.Format("20060102-150405"))
	lines, err := json.Marshal(r.facts)
	if err != nil {
		return err
	}
	for _, row := range r.rows {
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		lines = append(append(lines, '\n'), line...)
	}
	text := r.markdown()
	err = errors.Join(
		os.WriteFile(name+".jsonl", append(lines, '\n'), 0o644),
		os.WriteFile(name+".md", []byte(text), 0o644))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(tables, "%s\nwritten to %s.md and %s.jsonl\n", text, name, name)
	return err
}
