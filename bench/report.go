package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// facts are what the figures depend on.
type facts struct {
	Time    time.Time `json:"time"`
	Kernel  string    `json:"kernel"`
	CPUs    int       `json:"cpus"`
	Go      string    `json:"go"`
	Sluice  string    `json:"sluice"`
	Redis   string    `json:"redis"`              // version, or "" where it is missing
	Kafka   string    `json:"kafka"`              // likewise
	NoKafka string    `json:"no_kafka,omitempty"` // why it is missing
	NoTool  bool      `json:"no_librdkafka,omitempty"`
	Rounds  int       `json:"rounds"`
	Measure float64   `json:"seconds_a_step"`
}

func gather(s settings, redis string, kafka jvm) facts {
	f := facts{Time: time.Now(), Kernel: kernel(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Sluice: "unknown",
		Redis: redisVersion(redis), Kafka: kafka.version, NoKafka: kafka.missing, NoTool: s.librdkafka == "", Rounds: s.rounds, Measure: s.measure.Seconds()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, s.bin, "version").Output(); err == nil {
		f.Sluice = strings.TrimSpace(strings.TrimPrefix(string(out), "sluice"))
		f.Sluice, _, _ = strings.Cut(f.Sluice, "\n")
	}
	return f
}

type report struct {
	facts facts
	rows  []row
}

// median is the middle round of a step: by its median latency where one message is under way, or at a fixed
// rate, and by its rate otherwise. Of an even number it is the worse one of the middle.
func (r report) median(name, system string) (row, bool) {
	var rows []row
	for _, x := range r.rows {
		if x.Name == name && x.System == system {
			rows = append(rows, x)
		}
	}
	if len(rows) == 0 {
		return row{}, false
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.Connections*a.InFlight <= 1 {
			return cmp.Compare(b.P50, a.P50)
		}
		return cmp.Compare(a.Rate, b.Rate)
	})
	return rows[(len(rows)-1)/2], true
}

// A figure finds a step's row in one round.
type figure func(name, system string) (row, bool)

func (r report) round(n int) figure {
	return func(name, system string) (row, bool) {
		for _, x := range r.rows {
			if x.Round == n && x.Name == name && x.System == system {
				return x, true
			}
		}
		return row{}, false
	}
}

// A ratio is taken within one round: both of its sides saw the same machine.
type ratio struct {
	workload, what string
	atMost         bool    // the goal is an upper limit, else a lower one
	goal           float64 // 0: none, the ratio is only shown
	of             func(figure) (float64, bool)
}

func p50(r row) float64  { return float64(r.P50) }
func p99(r row) float64  { return float64(r.P99) }
func p999(r row) float64 { return float64(r.P999) }
func most(r row) float64 { return float64(r.Max) }
func rate(r row) float64 { return r.Rate }
func mbps(r row) float64 { return r.MBps }

// against divides a figure of sluice by one of another step.
func against(name string, by func(row) float64, other, system string) func(figure) (float64, bool) {
	return between(name, "sluice", by, other, system)
}

func between(name, system string, by func(row) float64, other, otherSystem string) func(figure) (float64, bool) {
	return func(f figure) (float64, bool) {
		a, okA := f(name, system)
		b, okB := f(other, otherSystem)
		if !okA || !okB || by(b) == 0 {
			return 0, false
		}
		return by(a) / by(b), true
	}
}

// toKafka compares a load of W11 on both brokers.
func toKafka(load string, by func(row) float64) func(figure) (float64, bool) {
	return against("W11 "+load, by, "W11 "+load, "kafka")
}

func named(what string) func(row) float64 { return func(r row) float64 { return r.Figures[what] } }

// groupCommit: 16 connections can share a sync, so at best 16 messages take one sync and the time that the
// bare pipeline needs for 16.
func groupCommit(f figure) (float64, bool) {
	w5, ok1 := f("W5", "sluice")
	sync, ok2 := f("sync allocated", "raw")
	pipe, ok3 := f("pipeline 16", "raw")
	if !ok1 || !ok2 || !ok3 || pipe.Rate == 0 {
		return 0, false
	}
	bound := 16 / (float64(sync.P50)/1e9 + 16/pipe.Rate)
	return w5.Rate / bound, true
}

var ratios = []ratio{
	{"W1", "p50 to the round trip", true, 1.3, against("W1", p50, "round trip", "raw")},
	{"W1", "p99 to the round trip's p99", true, 2, against("W1", p99, "round trip", "raw")},
	{"W1", "p50 to Redis", true, 1, against("W1", p50, "W1", "redis")},
	{"W1", "p99 to Redis", true, 1, against("W1", p99, "W1", "redis")},
	{"W2", "rate to the bare pipeline", false, 1, against("W2", rate, "pipeline 16", "raw")},
	{"W2", "rate to Redis", false, 2, against("W2", rate, "W2", "redis")},
	{"W3 1x100", "rate to Redis", false, 4, against("W3 1x100", rate, "W3 1x100", "redis")},
	{"W3 1x500", "rate to Redis", false, 4, against("W3 1x500", rate, "W3 1x500", "redis")},
	{"W3 16x16", "rate to Redis", false, 4, against("W3 16x16", rate, "W3 16x16", "redis")},
	{"W3b", "MB/s to append", false, 0.8, against("W3b", mbps, "append 64 KiB", "raw")},
	{"W4", "p50 to write + sync", true, 1.15, against("W4", p50, "sync allocated", "raw")},
	{"W4", "p50 to Redis", true, 1, against("W4", p50, "W4", "redis")},
	{"W5", "rate to the group-commit bound", false, 0.8, groupCommit},
	{"W5", "rate to Redis", false, 2.5, against("W5", rate, "W5", "redis")},
	{"W8 one, one core", pairEcho, true, 2, amount("W8 one, one core", "sluice", pairEcho)},
	{"W8 one, one core", pairFan, true, 0, amount("W8 one, one core", "sluice", pairFan)},
	{"W8 one, two cores", pairEcho, true, 2, amount("W8 one, two cores", "sluice", pairEcho)},
	{"W8 one, two cores", pairFan, true, 0, amount("W8 one, two cores", "sluice", pairFan)},
	{"W8 one", pairEcho, true, 0, amount("W8 one", "sluice", pairEcho)},
	{"W8 one", pairFan, true, 0, amount("W8 one", "sluice", pairFan)},
	{"W8 10k/s", pairEcho, true, 2, amount("W8 10k/s", "sluice", pairEcho)},
	{"W8 10k/s", pairFan, true, 0, amount("W8 10k/s", "sluice", pairFan)},
	{"W7 1", "MB/s to raw sendfile", false, 0.9, against("W7 1", mbps, "sendfile 1", "raw")},
	{"W7 1 tail", "MB/s to raw sendfile", false, 0.9, against("W7 1 tail", mbps, "sendfile 1", "raw")},
	{"W7 1 singles", "MB/s to raw sendfile", false, 0, against("W7 1 singles", mbps, "sendfile 1", "raw")},
	{"W7 1 drained", "MB/s to raw sendfile", false, 0.9, against("W7 1 drained", mbps, "sendfile 1 drained", "raw")},
	{"W7 1 drained", "MB/s to raw sendfile that is asked", false, 0.9, against("W7 1 drained", mbps, "sendfile 1 drained, asked", "raw")},
	{"W7 1 drained, tail", "MB/s to raw sendfile", false, 0.9, against("W7 1 drained, tail", mbps, "sendfile 1 drained", "raw")},
	{"W7 8 tail", "MB/s to raw sendfile", false, 0.9, against("W7 8 tail", mbps, "sendfile 8", "raw")},
	{"W7 8", "MB/s to raw sendfile", false, 0.9, against("W7 8", mbps, "sendfile 8", "raw")},
	{"W7 8 drained", "MB/s to raw sendfile", false, 0.9, against("W7 8 drained", mbps, "sendfile 8 drained", "raw")},
	{"W7 8 drained", "MB/s to raw sendfile that is asked", false, 0.9, against("W7 8 drained", mbps, "sendfile 8 drained, asked", "raw")},
	{"W7 8 drained, tail", "MB/s to raw sendfile", false, 0.9, against("W7 8 drained, tail", mbps, "sendfile 8 drained", "raw")},
	{"W7 1 drained", cpuPerGB, true, 0, amount("W7 1 drained", "sluice", cpuPerGB)},
	{"W7 8 drained", cpuPerGB, true, 0, amount("W7 8 drained", "sluice", cpuPerGB)},
	{"W8 1,000 followers", "p99 of delivery to the bare fan's", true, 0, against("W8 1,000 followers", p99, "W8 1,000 followers", "raw")},
	{"W8 1,000 followers", "p99 of the ack to the bare fan's", true, 0, against("W8 1,000 followers, ack", p99, "W8 1,000 followers, ack", "raw")},
	{"W8 1,000 followers", "seconds to the p99 of delivery", true, 0, seconds("W8 1,000 followers", p99)},
	{"W8 1,000 followers", "seconds to the p99 of the ack", true, 0, seconds("W8 1,000 followers, ack", p99)},
	{"W6 replay", "p99.9 to the turns without", true, 1.5, against("W6 replay", p999, "W6 replay, none", "sluice")},
	{"an echo", "the same for it, beside the same replay", true, 0, between("W6 replay, echo", "raw", p999, "W6 replay, none", "sluice")},
	{"W6 replay", "p99.9 of the median turn to an echo's, beside the same replay", true, 1.5, between("W6 replay", "sluice", named(medianTurn), "W6 replay, echo", "raw")},
	{"bare pipeline", "the same for it, beside raw sendfile", true, 0, between("W6 replay", "raw", p999, "W6 replay, none", "raw")},
	{"W11 written, one", "p50 to Kafka", true, 0, toKafka("written, one", p50)},
	{"W11 written, one", "p99 to Kafka", true, 0.25, toKafka("written, one", p99)},
	{"W11 written, 2k/s", "p99 to Kafka", true, 0.25, toKafka("written, 2k/s", p99)},
	{"W11 written, all it can", "rate to Kafka", false, 2, toKafka("written, all it can", rate)},
	{"W11 written, all it can", cpuMicros + ", to Kafka", true, 0, toKafka("written, all it can", named(cpuMicros))},
	{"W11 written, delivery", "p99 to Kafka", true, 0.25, toKafka("written, delivery", p99)},
	{"W11 written, catch up", "rate to Kafka", false, 2, toKafka("written, catch up", rate)},
	{"W11 written, catch up drained", "rate to Kafka", false, 2, toKafka("written, catch up drained", rate)},
	{"W11 written, Java, all it can", "rate to Kafka", false, 2, toKafka("written, Java, all it can", rate)},
	{"W11 written, Java, 2k/s", "ms, p99, to Kafka", true, 0.25, toKafka("written, Java, 2k/s", named(javaP99))},
	{"W11 written, librdkafka, all it can", "rate to Kafka", false, 2, toKafka("written, librdkafka, all it can", rate)},
	{"W11 written, librdkafka, catch up", "rate to Kafka", false, 2, toKafka("written, librdkafka, catch up", rate)},
	{"W11 written, catch up drained", mostMemory + ", to Kafka", true, 0.1, toKafka("written, catch up drained", named(mostMemory))},
	{"W11 synced, one", "p50 to Kafka", true, 0, toKafka("synced, one", p50)},
	{"W11 synced, one", "p99 to Kafka", true, 0.25, toKafka("synced, one", p99)},
	{"W11 synced, 2k/s", "p99 to Kafka", true, 0.25, toKafka("synced, 2k/s", p99)},
	{"W11 synced, all it can", "rate to Kafka", false, 2, toKafka("synced, all it can", rate)},
	{"W11 synced, Java, all it can", "rate to Kafka", false, 2, toKafka("synced, Java, all it can", rate)},
	{"W11 synced, librdkafka, all it can", "rate to Kafka", false, 2, toKafka("synced, librdkafka, all it can", rate)},
	{"W11 synced, Java, 2k/s", "ms, p99, to Kafka", true, 0.25, toKafka("synced, Java, 2k/s", named(javaP99))},
	{"W11 synced, all it can", mostMemory + ", to Kafka", true, 0.1, toKafka("synced, all it can", named(mostMemory))},
	{"W10 idle", "W2: rate to the server without", false, 0.9, against("W10 idle, W2", rate, "W10 idle, W2, none", "sluice")},
	{"W10 idle", "W1: p99 to the server without", true, 1.1, against("W10 idle, W1", p99, "W10 idle, W1, none", "sluice")},
	{"W10 idle", perIdle, true, 20, amount("W10 idle, W2", "sluice", perIdle)},
	{"W10 files", mostFiles, true, 256, amount("W10 files", "sluice", mostFiles)},
	{"W10 files", aboveEmpty, true, 64, amount("W10 files", "sluice", aboveEmpty)},
	{"W6 rolls written", "p99.9 to the turns without", true, 1.5, against("W6 rolls written", p999, "W6 rolls written, none", "sluice")},
	{"W6 rolls written", "max to the turns without", true, 0, against("W6 rolls written", most, "W6 rolls written, none", "sluice")},
	{"W6 rolls synced", "p99.9 to the turns without", true, 1.5, against("W6 rolls synced", p999, "W6 rolls synced, none", "sluice")},
	{"W6 rolls synced", "max to the turns without", true, 0, against("W6 rolls synced", most, "W6 rolls synced, none", "sluice")},
	{"W9 1,000 segments", "warm: seconds to the slowest append", true, 1, slowest("W9 1,000 segments warm, append")},
	{"W9 1,000 segments", "warm: seconds to the slowest read", true, 1, slowest("W9 1,000 segments warm, read")},
	{"W9 1,000 segments", "cold: seconds to the slowest append", true, 1, slowest("W9 1,000 segments cold, append")},
	{"W9 1,000 segments", "cold: seconds to the slowest read", true, 1, slowest("W9 1,000 segments cold, read")},
	{"W9 10,000 segments", "warm: seconds to the slowest append", true, 1, slowest("W9 10,000 segments warm, append")},
	{"W9 10,000 segments", "warm: seconds to the slowest read", true, 1, slowest("W9 10,000 segments warm, read")},
	{"W9 10,000 segments", "cold: seconds to the slowest append", true, 1, slowest("W9 10,000 segments cold, append")},
	{"W9 10,000 segments", "cold: seconds to the slowest read", true, 1, slowest("W9 10,000 segments cold, read")},
	{"W9 1,000 topics", "warm: seconds to the slowest append", true, 1, slowest("W9 1,000 topics warm, append")},
	{"W9 1,000 topics", "warm: seconds to the slowest read", true, 1, slowest("W9 1,000 topics warm, read")},
	{"W9 1,000 topics", "cold: seconds to the slowest append", true, 1, slowest("W9 1,000 topics cold, append")},
	{"W9 1,000 topics", "cold: seconds to the slowest read", true, 1, slowest("W9 1,000 topics cold, read")},
}

// amount is a figure that is neither a rate nor a latency.
func amount(name, system, what string) func(figure) (float64, bool) {
	return func(f figure) (float64, bool) {
		r, _ := f(name, system)
		v, ok := r.Figures[what]
		return v, ok
	}
}

// slowest is the longest of a step, in seconds: where a goal is a time, not a ratio.
func slowest(name string) func(figure) (float64, bool) { return seconds(name, most) }

func seconds(name string, by func(row) float64) func(figure) (float64, bool) {
	return func(f figure) (float64, bool) {
		r, ok := f(name, "sluice")
		return by(r) / 1e9, ok
	}
}

// values are the ratio's in each round that has both sides, smallest first.
func (r report) values(q ratio) []float64 {
	var out []float64
	for n := 1; n <= r.facts.Rounds; n++ {
		if v, ok := q.of(r.round(n)); ok {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// judge is the goal as the table shows it, and whether v meets it.
func (q ratio) judge(v float64) (goal, met string) {
	switch {
	case q.goal == 0:
		return "-", "-"
	case q.atMost:
		return fmt.Sprintf("<= %g", q.goal), yes(v <= q.goal)
	}
	return fmt.Sprintf(">= %g", q.goal), yes(v >= q.goal)
}

func (r report) markdown() string {
	var b strings.Builder
	f := r.facts
	fmt.Fprintf(&b, "# Speed, %s\n\nsluice %s, Redis %s, Apache Kafka %s, %s, %s, %d CPUs. %d rounds of %.1f s a step; loopback, 1 KiB messages, each server a process of its own.\n",
		f.Time.Format("2006-01-02 15:04"), f.Sluice, orMissing(f.Redis), orMissing(f.Kafka), f.Go, f.Kernel, f.CPUs, f.Rounds, f.Measure)
	b.WriteString("\n## Ratios, each taken within a round\n\n| workload | ratio | median | range | goal | met |\n|---|---|---|---|---|---|\n")
	for _, q := range ratios {
		v := r.values(q)
		if len(v) == 0 {
			continue
		}
		goal, met := q.judge(v[len(v)/2])
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f to %.2f | %s | %s |\n", q.workload, q.what, v[len(v)/2], v[0], v[len(v)-1], goal, met)
	}
	b.WriteString("\n## Figures, the median round\n\n| step | system | durability | connections x in flight | rate/s | MB/s | p50 us | p90 us | p99 us | p99.9 us | p99.99 us | max us | server CPU s |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	seen := map[string]bool{}
	for _, x := range r.rows {
		if key := x.Name + "/" + x.System; !seen[key] {
			seen[key] = true
			m, _ := r.median(x.Name, x.System) // there is one: x
			b.WriteString(m.line())
		}
	}
	r.writeWays(&b)
	r.writeFigures(&b)
	r.writeNotes(&b)
	b.WriteString("\n## Not measured\n\n")
	if f.Redis == "" {
		b.WriteString("- Redis: missing, redis-server is not on the PATH (Debian: apt-get install redis-server).\n")
	}
	if f.Kafka == "" {
		fmt.Fprintf(&b, "- Apache Kafka: missing, %s.\n", f.NoKafka)
	}
	if f.NoTool {
		b.WriteString("- W11, librdkafka: missing, `go test ./test/kafka` builds its tool.\n")
	}
	b.WriteString("- NATS: not measured by this version.\n- W6 but for its rolls, W12: not measured by this version.\n- W11, Java's consumer: not measured by this version; its tool needs groups.\n")
	return b.String()
}

// writeFigures shows what is neither a rate nor a latency, of the median round.
func (r report) writeFigures(b *strings.Builder) {
	seen := map[string]bool{}
	for _, x := range r.rows {
		if key := x.Name + "/" + x.System; len(x.Figures) > 0 && !seen[key] {
			if len(seen) == 0 {
				b.WriteString("\n## Other figures, the median round\n\n| step | system | what | value |\n|---|---|---|---|\n")
			}
			seen[key] = true
			m, _ := r.median(x.Name, x.System) // there is one: x
			for _, what := range slices.Sorted(maps.Keys(m.Figures)) {
				fmt.Fprintf(b, "| %s | %s | %s | %.3g |\n", m.Name, m.System, what, m.Figures[what])
			}
		}
	}
}

// writeNotes says, once for each row, what its figures do not say.
func (r report) writeNotes(b *strings.Builder) {
	seen := map[string]bool{}
	for _, x := range r.rows {
		if x.Note == "" || seen[x.Name] {
			continue
		}
		if len(seen) == 0 {
			b.WriteString("\n## Conditions\n\n")
		}
		seen[x.Name] = true
		fmt.Fprintf(b, "- %s: %s.\n", x.Name, x.Note)
	}
}

func (x row) line() string {
	load := fmt.Sprintf("%d x %d", x.Connections, x.InFlight)
	if x.InFlight == 0 {
		load = fmt.Sprintf("%d, open loop", x.Connections)
	}
	cpu := "-"
	if x.ServerCPU > 0 {
		cpu = fmt.Sprintf("%.2f", x.ServerCPU)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %.0f | %.1f | %s | %s | %s | %s | %s | %s | %s |\n", x.Name, x.System, x.Durability, load,
		x.Rate, x.MBps, micros(x.P50), micros(x.P90), micros(x.P99), micros(x.P999), micros(x.P9999), micros(x.Max), cpu)
}

func micros(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1e3) }

func orMissing(version string) string {
	if version == "" {
		return "missing"
	}
	return version
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
