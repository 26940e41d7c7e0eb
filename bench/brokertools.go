package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The load tools that come with other clients. Each is a process of its own, which counts by itself: its figures hold its
// start, and its latencies are the milliseconds that it prints.

const (
	toolRate  = 50_000 // records; about what a tool sends in a second
	toolTimes = 4      // as long as other loads: they have no warm-up
	javaP99   = "ms, p99"
	toolNote  = "the tool counts by itself, its start included; its latencies are among the other figures"
)

// toolLoads are those of the tools that are here.
func (s suite) toolLoads() (loads []brokerLoad) {
	if s.kafka.version != "" {
		loads = append(loads,
			brokerLoad{name: "Java, all it can", conns: 1, inFlight: clientLinks, cold: true, run: s.javaProducer(-1)},
			brokerLoad{name: "Java, 2k/s", conns: 1, cold: true, run: s.javaProducer(produceRate)})
	}
	if s.librdkafka != "" {
		loads = append(loads,
			brokerLoad{name: "librdkafka, all it can", conns: 1, inFlight: clientLinks, cold: true, run: s.librdkafkaProducer},
			brokerLoad{name: "librdkafka, catch up", conns: 1, inFlight: 1, cold: true, only: "written", run: s.librdkafkaConsumer})
	}
	return loads
}

func (b *broker) acksWord(all string) string {
	if b.acks == kgo.AllISRAcks() {
		return all
	}
	return "1"
}

func (b *broker) idempotent() string { return strconv.FormatBool(b.acks == kgo.AllISRAcks()) }

func toolRecords(rate int, w window) string {
	return strconv.Itoa(int(toolTimes * float64(rate) * w.until.Sub(w.from).Seconds()))
}

// tool runs a program to its end, and gives the numbers of the last place in its output that matches.
func tool(ctx context.Context, cmd *exec.Cmd, figures *regexp.Regexp) ([]float64, error) {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Path, err, out)
	}
	return numbers(string(out), figures)
}

func numbers(out string, figures *regexp.Regexp) (v []float64, err error) {
	all := figures.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return nil, fmt.Errorf("the tool printed no figures: %s", strings.TrimSpace(out))
	}
	for _, word := range all[len(all)-1][1:] {
		n, e := strconv.ParseFloat(word, 64)
		v, err = append(v, n), errors.Join(err, e)
	}
	return v, err
}

func toolTally(records float64, took time.Duration) tally {
	return tally{hist: newHist(), ops: int64(records), bytes: int64(records) * rawRequest, took: took, note: toolNote, figures: map[string]float64{}}
}

var javaLine = regexp.MustCompile(`(?m)^(\d+) records sent, ([\d.]+) records/sec .* ([\d.]+) ms avg latency, ([\d.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th`)

// javaProducer is Kafka's own tool. rate -1: as many as it can.
func (s suite) javaProducer(rate int) func(context.Context, *broker, window) (tally, error) {
	return func(ctx context.Context, b *broker, w window) (tally, error) {
		per := rate
		if rate < 0 {
			per = toolRate
		}
		return b.withTopic(ctx, partitions, func(topic string) (tally, error) {
			cmd := s.kafka.run([]string{"-Xmx512m"}, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
				"--num-records", toolRecords(per, w), "--record-size", strconv.Itoa(rawRequest), "--throughput", strconv.Itoa(rate),
				"--producer-props", "bootstrap.servers="+b.p.addr, "acks="+b.acksWord("all"), "linger.ms=0", "enable.idempotence="+b.idempotent())
			v, err := tool(ctx, cmd, javaLine)
			if err != nil {
				return tally{}, err
			}
			return javaTally(v), nil
		})
	}
}

func javaTally(v []float64) tally {
	t := toolTally(v[0], time.Duration(v[0]/v[1]*float64(time.Second)))
	for i, what := range []string{"ms of latency, mean", "ms, max", "ms, p50", "ms, p95", javaP99, "ms, p99.9"} {
		t.figures[what] = v[2+i]
	}
	return t
}

var librdkafkaLine = regexp.MustCompile(`(\d+) (?:messages )?(?:delivered|\(\d+ bytes\) consumed).* in (\d+)ms`)

func (s suite) librdkafkaProducer(ctx context.Context, b *broker, w window) (tally, error) {
	return b.withTopic(ctx, 1, func(topic string) (tally, error) {
		return librdkafkaTally(ctx, exec.Command(s.librdkafka, "-P", "-b", b.p.addr, "-t", topic, "-p", "0", "-c", toolRecords(toolRate, w),
			"-s", strconv.Itoa(rawRequest), "-a", b.acksWord("-1"), "-X", "linger.ms=0", "-X", "enable.idempotence="+b.idempotent()))
	})
}

func (s suite) librdkafkaConsumer(ctx context.Context, b *broker, w window) (tally, error) {
	return librdkafkaTally(ctx, exec.Command(s.librdkafka, "-C", "-b", b.p.addr, "-t", readTopic, "-p", "0", "-o", "beginning", "-c", strconv.Itoa(b.records)))
}

func librdkafkaTally(ctx context.Context, cmd *exec.Cmd) (tally, error) {
	v, err := tool(ctx, cmd, librdkafkaLine)
	if err != nil {
		return tally{}, err
	}
	return toolTally(v[0], time.Duration(v[1])*time.Millisecond), nil
}
