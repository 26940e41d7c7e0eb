package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// kcat drives Debian's kcat, and so an old librdkafka.
func kcat(ctx context.Context, dir string) (Driver, error) {
	libs, err := filepath.Glob(filepath.Join(dir, "usr", "lib", "*-linux-gnu"))
	if err != nil {
		return nil, err
	}
	return &commands{ctx: ctx, dir: dir, env: []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}, do: kcatDo}, nil
}

var kcatVersion = regexp.MustCompile(`Version (\S+) .*librdkafka (\S+)`)

func kcatDo(c *commands, r Request) (a Answer, err error) {
	bin := filepath.Join(c.dir, "usr", "bin", "kcat")
	if _, err := filepath.Glob(bin); err != nil {
		return a, err
	}
	words := []string{bin, "-b", r.Server, "-m", "60", "-t", r.Topic, "-p", strconv.Itoa(int(r.Partition))}
	switch r.Op {
	case "version":
		out, err := c.run("", bin, "-V")
		m := kcatVersion.FindStringSubmatch(out)
		if err != nil || m == nil {
			return a, fmt.Errorf("%q: %w", out, err)
		}
		return Answer{Version: m[1] + ", librdkafka " + m[2]}, nil
	case "partitions":
		return kcatPartitions(c, r, bin)
	case "offset":
		return kcatOffset(c, r, bin)
	case "produce":
		_, err := c.run(lines(r, "%[1]s\t%[2]s\n"), append(words, "-P", "-K", `\t`, "-z", r.Codec, "-X", "acks="+r.Acks,
			"-X", fmt.Sprint("enable.idempotence=", r.Idempotent), "-X", "message.max.bytes=67108864")...)
		return Answer{Offset: -1, Lacks: []string{"time", "header"}}, err
	case "consume":
		from := strconv.FormatInt(r.At, 10)
		if r.From == "time" {
			from = "s@" + from
		}
		out, err := c.run("", append(words, "-C", "-q", "-o", from, "-c", strconv.Itoa(r.Count), "-f", `%o\t%T\t%h\t%k\t%s\n`, "-X", "auto.offset.reset=error")...)
		if err != nil {
			return a, err
		}
		a.Records, err = read(out, "i=")
		return a, err
	}
	return a, unsupported("kcat has no administration")
}

// lines writes the records of a request, each with a format that gets its key, value and number.
func lines(r Request, format string) string {
	var b strings.Builder
	for i := r.First; i < r.First+r.Count; i++ {
		value := fmt.Sprintf("%s-%d", r.Codec, i)
		value += strings.Repeat(".", max(0, r.Size-len(value)))
		fmt.Fprintf(&b, format, "k"+strconv.Itoa(i), value, strconv.Itoa(i))
	}
	return b.String()
}

// read takes lines apart that hold offset, time, headers, key and value, with tabs between them.
func read(out, headerKey string) (list []Record, err error) {
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 5)
		if len(f) != 5 {
			return nil, fmt.Errorf("%q is no record", line)
		}
		var rec Record
		if rec.Offset, err = strconv.ParseInt(f[0], 10, 64); err != nil {
			return nil, err
		}
		if rec.Time, err = strconv.ParseInt(f[1], 10, 64); err != nil {
			return nil, err
		}
		rec.Header, _ = strings.CutPrefix(f[2], headerKey)
		rec.Key, rec.Value, rec.Size = f[3], strings.TrimRight(f[4], "."), len(f[4])
		list = append(list, rec)
	}
	return list, nil
}

func kcatPartitions(c *commands, r Request, bin string) (a Answer, err error) {
	out, err := c.run("", bin, "-b", r.Server, "-m", "60", "-L", "-J", "-t", r.Topic)
	if err != nil {
		return a, err
	}
	var got struct {
		Topics []struct {
			Error      string            `json:"error"`
			Partitions []json.RawMessage `json:"partitions"`
		} `json:"topics"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Topics) != 1 {
		return a, fmt.Errorf("%q: %w", out, err)
	}
	if said := got.Topics[0].Error; said != "" {
		return a, &commandFailed{said, fmt.Errorf("kcat -L")}
	}
	return Answer{Count: len(got.Topics[0].Partitions)}, nil
}

var kcatFound = regexp.MustCompile(`offset (-?\d+)`)

func kcatOffset(c *commands, r Request, bin string) (a Answer, err error) {
	at := r.At
	switch r.From {
	case "earliest":
		at = -2
	case "latest":
		at = -1
	}
	out, err := c.run("", bin, "-b", r.Server, "-m", "60", "-Q", "-t", fmt.Sprintf("%s:%d:%d", r.Topic, r.Partition, at))
	m := kcatFound.FindStringSubmatch(out)
	if err != nil || m == nil {
		return a, fmt.Errorf("%q: %w", out, err)
	}
	a.Offset, err = strconv.ParseInt(m[1], 10, 64)
	return a, err
}
