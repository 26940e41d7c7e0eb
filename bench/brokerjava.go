package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	javaRate  = 50_000 // records; about what the tool sends in a second
	javaTimes = 4      // as long as other loads: it has no warm-up of its own
	javaP99   = "ms, p99"
)

var javaLine = regexp.MustCompile(`(?m)^(\d+) records sent, ([\d.]+) records/sec .* ([\d.]+) ms avg latency, ([\d.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th`)

// javaProducer is Kafka's own tool, whose figures are whole milliseconds and hold its start. rate -1: as many as it can.
func (s suite) javaProducer(rate int) func(context.Context, *broker, window) (tally, error) {
	return func(ctx context.Context, b *broker, w window) (tally, error) {
		per := rate
		if rate < 0 {
			per = javaRate
		}
		records := int(javaTimes * float64(per) * w.until.Sub(w.from).Seconds())
		return b.withTopic(ctx, partitions, func(topic string) (tally, error) {
			acks := "1"
			if b.acks == kgo.AllISRAcks() {
				acks = "all"
			}
			cmd := s.kafka.run([]string{"-Xmx512m"}, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
				"--num-records", strconv.Itoa(records), "--record-size", strconv.Itoa(rawRequest), "--throughput", strconv.Itoa(rate),
				"--producer-props", "bootstrap.servers="+b.p.addr, "acks="+acks, "linger.ms=0", "enable.idempotence="+strconv.FormatBool(acks == "all"))
			stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended
			defer stop()
			out, err := cmd.CombinedOutput()
			if err != nil {
				return tally{}, fmt.Errorf("%w: %s", err, out)
			}
			return javaTally(string(out))
		})
	}
}

func javaTally(out string) (t tally, err error) {
	all := javaLine.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return t, fmt.Errorf("the tool printed no figures: %s", strings.TrimSpace(out))
	}
	var v [8]float64
	for i, word := range all[len(all)-1][1:] {
		n, e := strconv.ParseFloat(word, 64)
		v[i], err = n, errors.Join(err, e)
	}
	t = tally{hist: newHist(), ops: int64(v[0]), bytes: int64(v[0]) * rawRequest, took: time.Duration(v[0] / v[1] * float64(time.Second)),
		note: "latencies are what the tool prints, see the other figures"}
	t.figures = map[string]float64{"ms of latency, mean": v[2], "ms, max": v[3], "ms, p50": v[4], "ms, p95": v[5], javaP99: v[6], "ms, p99.9": v[7]}
	return t, err
}
