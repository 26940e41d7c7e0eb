package clients

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// tools drives the command-line tools that come with Kafka. Records without a codec go through the console producer, all
// others through the performance tool.
func tools(ctx context.Context, dir string) (Driver, error) {
	return &commands{ctx: ctx, dir: dir, do: toolsDo}, nil
}

// tool runs one of the tools.
func (c *commands) tool(in, class string, args ...string) (string, error) {
	here, err := here()
	if err != nil {
		return "", err
	}
	return c.run(in, append(fill(here, c.dir, java("org.apache.kafka.tools."+class)), args...)...)
}

func toolsDo(c *commands, r Request) (a Answer, err error) {
	topics := []string{"--bootstrap-server", r.Server, "--topic", r.Topic}
	switch r.Op {
	case "version":
		out, err := c.tool("", "TopicCommand", "--version")
		return Answer{Version: strings.Fields(out + " ?")[0]}, err
	case "create":
		_, err = c.tool("", "TopicCommand", append(topics, "--create", "--partitions", strconv.Itoa(int(r.Partitions)), "--replication-factor", "1")...)
	case "grow":
		_, err = c.tool("", "TopicCommand", append(topics, "--alter", "--partitions", strconv.Itoa(int(r.Partitions)))...)
	case "delete":
		_, err = c.tool("", "TopicCommand", append(topics, "--delete")...)
	case "partitions", "config":
		return toolsDescribe(c, r)
	case "offset":
		return toolsOffset(c, r)
	case "produce":
		return toolsProduce(c, r)
	case "consume":
		return toolsConsume(c, r)
	}
	return a, err
}

var toolsCount = regexp.MustCompile(`PartitionCount: (\d+)`)

func toolsDescribe(c *commands, r Request) (a Answer, err error) {
	out, err := c.tool("", "TopicCommand", "--bootstrap-server", r.Server, "--describe", "--topic", r.Topic)
	if err != nil {
		return a, err
	}
	m := toolsCount.FindStringSubmatch(out)
	if m == nil {
		return a, fmt.Errorf("%q tells of no partitions", out)
	}
	if a.Count, err = strconv.Atoi(m[1]); r.Op == "config" {
		// The same command asks for the settings, and prints those that are not the default.
		a.Count = strings.Count(out, "Configs:")
	}
	return a, err
}

func toolsOffset(c *commands, r Request) (a Answer, err error) {
	at := r.From
	if at == "time" {
		at = strconv.FormatInt(r.At, 10)
	}
	out, err := c.tool("", "GetOffsetShell", "--bootstrap-server", r.Server, "--topic-partitions", fmt.Sprintf("%s:%d", r.Topic, r.Partition), "--time", at)
	if err != nil {
		return a, err
	}
	out = strings.TrimSpace(out)
	a.Offset, err = strconv.ParseInt(out[strings.LastIndex(out, ":")+1:], 10, 64)
	return a, err
}

func toolsProduce(c *commands, r Request) (a Answer, err error) {
	if r.Partition != 0 {
		return a, unsupported("Kafka's tools produce to no partition that one chooses")
	}
	set := []string{"acks=" + r.Acks, fmt.Sprint("enable.idempotence=", r.Idempotent), "max.request.size=67108864", "delivery.timeout.ms=60000", "request.timeout.ms=30000", "linger.ms=5"}
	if r.Codec != "none" {
		_, err = c.tool("", "ProducerPerformance", append([]string{"--topic", r.Topic, "--num-records", strconv.Itoa(r.Count), "--record-size", strconv.Itoa(max(r.Size, 10)),
			"--throughput", "-1", "--bootstrap-server", r.Server, "--command-property", "compression.type=" + r.Codec}, set...)...)
		return Answer{Offset: -1, Lacks: []string{"key", "value", "time", "header"}}, err
	}
	// Without --sync it hears of its last errors when it has lost its voice.
	args := []string{"--sync", "--bootstrap-server", r.Server, "--topic", r.Topic, "--max-memory-bytes", "100000000", "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"}
	for _, s := range set {
		args = append(args, "--command-property", s)
	}
	_, err = c.tool(lines(r, "i:%[3]s\t%[1]s\t%[2]s\n"), "ConsoleProducer", args...)
	return Answer{Offset: -1, Lacks: []string{"time"}}, err
}

func toolsConsume(c *commands, r Request) (a Answer, err error) {
	if r.From == "time" {
		return a, unsupported("the console consumer seeks by no time")
	}
	args := []string{"--bootstrap-server", r.Server, "--topic", r.Topic, "--partition", strconv.Itoa(int(r.Partition)), "--offset", strconv.FormatInt(r.At, 10),
		"--max-messages", strconv.Itoa(r.Count), "--timeout-ms", "60000", "--command-property", "auto.offset.reset=none"}
	for _, s := range []string{"timestamp", "offset", "headers", "key"} {
		args = append(args, "--formatter-property", "print."+s+"=true")
	}
	out, err := c.tool("", "consumer.ConsoleConsumer", append(args, "--formatter-property", "null.literal=")...)
	if err != nil {
		return a, err
	}
	var plain strings.Builder // as read wants it: the offset first, and no names
	for line := range strings.Lines(out) {
		f := strings.SplitN(line, "\t", 3)
		if len(f) != 3 {
			return a, fmt.Errorf("%q is no record", line)
		}
		_, at, _ := strings.Cut(f[0], ":")
		fmt.Fprintf(&plain, "%s\t%s\t%s", strings.TrimPrefix(f[1], "Offset:"), at, strings.TrimPrefix(f[2], "NO_HEADERS"))
	}
	a.Records, err = read(plain.String(), "i:")
	return a, err
}
