package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKafkaIsFoundOrNamedAsMissing(t *testing.T) {
	dir := t.TempDir()
	if j := findKafka(dir); j.version != "" || !strings.Contains(j.missing, "make bench-full") {
		t.Errorf("an empty folder: %+v", j)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("missing", "no Maven\n")
	if j := findKafka(dir); j.version != "" || j.missing != "no Maven" {
		t.Errorf("a folder with a reason: %+v", j)
	}
	write("java", "#!/bin/sh\n")
	t.Setenv("PATH", dir)
	if err := os.Mkdir(filepath.Join(dir, "libs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("libs/kafka_2.13-4.1.1.jar", "")
	if j := findKafka(dir); j.version != "4.1.1" || j.missing != "" || j.java != filepath.Join(dir, "java") {
		t.Errorf("a folder with jars: %+v", j)
	}
	t.Setenv("PATH", t.TempDir())
	if j := findKafka(dir); j.version != "" || !strings.Contains(j.missing, "java") {
		t.Errorf("a machine without Java: %+v", j)
	}
}

func TestTheFiguresOfJavasTool(t *testing.T) {
	const out = `1000 records sent, 199.9 records/sec (0.20 MB/sec), 400.0 ms avg latency, 500.0 ms max latency.
3000 records sent, 1500.000000 records/sec (1.46 MB/sec), 288.32 ms avg latency, 482.00 ms max latency, 314 ms 50th, 371 ms 95th, 378 ms 99th, 384 ms 99.9th.
`
	v, err := numbers(out, javaLine)
	if err != nil {
		t.Fatal(err)
	}
	got := javaTally(v)
	if got.ops != 3000 || got.bytes != 3000*rawRequest || got.took != 2*time.Second {
		t.Errorf("%d records, %d bytes in %v", got.ops, got.bytes, got.took)
	}
	for what, want := range map[string]float64{"ms of latency, mean": 288.32, "ms, max": 482, "ms, p50": 314, "ms, p95": 371, javaP99: 378, "ms, p99.9": 384} {
		if math.Abs(got.figures[what]-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got.figures[what], want)
		}
	}
	if _, err := numbers("org.apache.kafka.common.errors.TimeoutException", javaLine); err == nil || !strings.Contains(err.Error(), "TimeoutException") {
		t.Errorf("an output without figures: %v", err)
	}
}

func TestTheListenersReadyLine(t *testing.T) {
	for line, want := range map[string]string{
		"sluice v1.0 ready: text 127.0.0.1:1774, kafka 127.0.0.1:9092, http none, data ./data": "127.0.0.1:9092",
		"sluice v1.0 ready: text 127.0.0.1:1774, http none, kafka [::1]:9092, data ./data":     "[::1]:9092",
		"sluice v1.0 ready: text 127.0.0.1:1774, kafka none, http none, data ./kafka":          "",
	} {
		var got string
		if m := listenerLine.FindStringSubmatch(line); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestW11IsComparedWithKafkaOfTheSameRound(t *testing.T) {
	r := report{facts: facts{Rounds: 1}}
	for _, q := range ratios {
		if !strings.HasPrefix(q.workload, "W11 ") {
			continue
		}
		figures := map[string]float64{mostMemory: 100, cpuMicros: 100, javaP99: 100}
		r.rows = append(r.rows, row{Round: 1, Name: q.workload, System: "kafka", Rate: 100, P50: 100, P99: 100, Figures: figures})
		figures = map[string]float64{mostMemory: 50, cpuMicros: 50, javaP99: 50}
		r.rows = append(r.rows, row{Round: 1, Name: q.workload, System: "sluice", Rate: 50, P50: 50, P99: 50, Figures: figures})
		if v := r.values(q); len(v) != 1 || v[0] != 0.5 {
			t.Errorf("%s, %s: %v, want 0.5", q.workload, q.what, v)
		}
	}
	// A ratio of a step that does not exist would never be shown, and nobody would miss it.
	s := suite{kafka: jvm{version: "4"}, librdkafka: "tool"}
	names := map[string]bool{}
	for _, st := range s.brokerSteps(s.brokers()) {
		names[st.name] = true
	}
	for _, x := range r.rows {
		if !names[x.Name] {
			t.Errorf("there is no step %q", x.Name)
		}
	}
}
