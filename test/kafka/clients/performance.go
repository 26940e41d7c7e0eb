package clients

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// performance drives rdkafka_performance, librdkafka's own tool for load.
func performance(ctx context.Context, dir string) (Driver, error) {
	return &commands{ctx: ctx, dir: dir, do: performanceDo}, nil
}

var (
	performanceVersion  = regexp.MustCompile(`librdkafka version (\S+)`)
	performanceConsumed = regexp.MustCompile(`(\d+) messages \(\d+ bytes\) consumed`)
)

func performanceDo(c *commands, r Request) (a Answer, err error) {
	bin := filepath.Join(c.dir, "rdkafka_performance")
	// Without stdbuf its complaints would stay in its buffer, while it tries for ever.
	words := []string{"stdbuf", "-oL", bin, "-v", "-v", "-b", r.Server, "-t", r.Topic, "-p", strconv.Itoa(int(r.Partition)), "-c", strconv.Itoa(r.Count), "-i", "100"}
	lacks := []string{"key", "value", "time", "header"}
	switch {
	case r.Op == "version":
		_, err := c.run("", bin, "-h") // it has no such flag, and prints all that it has
		m := performanceVersion.FindStringSubmatch(fmt.Sprint(err))
		if m == nil {
			return a, fmt.Errorf("no version: %w", err)
		}
		return Answer{Version: m[1]}, nil
	case r.Op == "produce" && (r.Codec == "gzip" || r.Codec == "zstd"):
		return a, unsupported("rdkafka_performance is built without gzip and zstd here, since not every machine has these libraries")
	case r.Op == "produce":
		acks := r.Acks
		if acks == "all" {
			acks = "-1"
		}
		out, err := c.run("", append(words, "-P", "-s", strconv.Itoa(max(r.Size, 10)), "-z", r.Codec, "-a", acks,
			"-X", fmt.Sprint("enable.idempotence=", r.Idempotent), "-X", "message.max.bytes=67108864", "-X", "message.timeout.ms=60000", "-X", "linger.ms=5")...)
		var f *commandFailed
		if errors.As(err, &f) {
			out = f.said
		}
		// Its exit status takes off what is in its queues at the end, so that it may tell of a failure when there was none.
		if strings.Count(out, "% Message delivered (") == r.Count {
			err = nil
		}
		return Answer{Offset: -1, Lacks: lacks}, err
	case r.Op == "consume" && r.From == "offset":
		out, err := c.run("", append(words, "-C", "-o", strconv.FormatInt(r.At, 10), "-X", "auto.offset.reset=error")...)
		if err != nil {
			return a, err
		}
		m := performanceConsumed.FindAllStringSubmatch(out, -1)
		if m == nil {
			return a, fmt.Errorf("%q tells of no messages", out)
		}
		n, err := strconv.Atoi(m[len(m)-1][1])
		return Answer{Count: n, Lacks: []string{"records"}}, err
	}
	return a, unsupported("rdkafka_performance only produces, and consumes from an offset")
}
