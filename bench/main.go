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
	"runtime"
	"slices"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	bin, out, dir string
	kafka         string
	librdkafka    string
	rounds        int
	measure       time.Duration
	only          string
	full, smoke   bool
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
	flag.StringVar(&s.dir, "dir", "bench/results", "where the temporary data goes: a real disk")
	flag.StringVar(&s.kafka, "kafka", "", "the folder that .ci/kafka.sh has filled with Apache Kafka's jars; without it W11 measures sluice alone")
	flag.StringVar(&s.librdkafka, "librdkafka", "bin/kafka-clients/librdkafka/rdkafka_performance", "librdkafka's tool for load, which the tests of Kafka's clients build")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each step is measured; the tables show the median round")
	flag.DurationVar(&s.measure, "time", 2500*time.Millisecond, "how long each step is measured")
	flag.StringVar(&s.only, "only", "", "measure only the steps that this regular expression matches, as in 'W1 redis'")
	flag.BoolVar(&s.full, "full", false, "also the long steps, which are measured else only where -only matches them")
	flag.BoolVar(&s.smoke, "smoke", false, "one short round that shows that every step works; its figures mean nothing")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0)) // said aloud it stays, else the runtime follows where a step is pinned, seconds late
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	warm := s.measure / 5
	if s.smoke {
		s.rounds, s.measure, warm = 1, 300*time.Millisecond, 20*time.Millisecond
	}
	if s.bin, err = filepath.Abs(s.bin); err != nil {
		return err
	}
	redis, _ := exec.LookPath("redis-server") // not there: the tables say so
	if _, err := os.Stat(s.librdkafka); err != nil {
		s.librdkafka = "" // likewise
	}
	kafka := findKafka(s.kafka)
	rep := report{facts: gather(s, redis, kafka)}
	err = inTempDir(s.dir, func(dir string) (err error) {
		su := suite{sluice: s.bin, redis: redis, kafka: kafka, librdkafka: s.librdkafka, dir: dir, warm: warm, measure: s.measure, small: s.smoke}
		all, brokers := su.steps(), su.brokers()
		defer func() {
			for _, b := range brokers {
				err = errors.Join(err, b.close())
			}
		}()
		if s.full || s.smoke || s.only != "" {
			all = append(append(all, su.brokerSteps(brokers)...), su.longSteps()...)
		}
		all = slices.DeleteFunc(all, func(st step) bool { return !only.MatchString(st.name + " " + st.system) })
		return rep.measure(ctx, s, all)
	})
	if err != nil {
		return err
	}
	if s.smoke {
		fmt.Printf("bench: %d steps work (redis: %s)\n", len(rep.rows), orMissing(rep.facts.Redis))
		return nil
	}
	return rep.write(s.out, os.Stdout)
}

// inTempDir runs f with a folder of its own inside dir, which must be on a disk, and removes it.
func inTempDir(dir string, f func(string) error) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if mem, err := inMemory(dir); err != nil {
		return err
	} else if mem {
		return fmt.Errorf("%s is in memory, where a sync costs nothing: name a folder on a disk with -dir", dir)
	}
	temp, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	return f(temp)
}

// measure runs the steps, round by round: a machine that is slow for a while is slow for all of them. Every second round is in
// the opposite order: of two sides that are compared, the later one meets what the earlier one has left to the kernel and the disk.
func (r *report) measure(ctx context.Context, s settings, all []step) error {
	for round := 1; round <= s.rounds; round++ {
		if round > 1 {
			slices.Reverse(all)
		}
		for _, st := range all {
			rows, err := measureStep(ctx, round, st)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", st.name, st.system, err)
			}
			r.rows = append(r.rows, rows...)
			for _, x := range rows {
				if !s.smoke {
					fmt.Fprintf(os.Stderr, "round %d of %d  %-26s %-7s %9.0f/s %8.1f MB/s  p50 %s  p99 %s us\n",
						round, s.rounds, x.Name, x.System, x.Rate, x.MBps, micros(x.P50), micros(x.P99))
				}
			}
		}
	}
	return nil
}

func measureStep(ctx context.Context, round int, st step) ([]row, error) {
	syncAll() // what earlier steps left to the disk must not slow this one
	t, cpu, err := st.run(ctx)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted; nothing is written") // what the step says is a consequence
	}
	if err != nil {
		return nil, err
	}
	return rowsOf(round, st, t, cpu)
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
