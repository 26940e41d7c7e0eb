package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sluice/client"
)

// readOptions are the flags of read and tail.
type readOptions struct {
	remote
	from      string
	limit     int64
	keys      string
	partition int32
	follow    bool
}

func newRead() *cobra.Command {
	o := readOptions{from: "oldest"}
	cmd := &cobra.Command{
		Use:   "read TOPIC",
		Short: "Print the records of a log, one value a line, up to its end",
		Long: `Print the records of a log, one value a line, up to the end as it is at the start.
--from takes an offset, oldest, newest, -N (the last N records), or @ and a time (RFC 3339 or Unix ms).`,
		Example: `  sluice read access > access.log
  sluice read access --from -10
  sluice read access --from @2026-11-20T08:00:00Z --limit 100
  sluice read orders --json | jq .value`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd.Context(), cmd, names[0]) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *readOptions) addFlags(cmd *cobra.Command) {
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", o.from, "where to start: an offset, oldest, newest, -N, @TIME")
	f.Int64Var(&o.limit, "limit", 0, "end after so many records (default: no limit)")
	f.StringVar(&o.keys, "keys", "", "print the key, this `SEP`, and the value")
	f.Int32Var(&o.partition, "partition", 0, "which partition of the topic")
}

// run prints records until the end, the limit, or the end of ctx.
func (o *readOptions) run(ctx context.Context, cmd *cobra.Command, topic string) error {
	from, err := client.ParseFrom(o.from)
	if err != nil {
		return usageError{err}
	}
	if topic, err = partitionOf(topic, o.partition); err != nil {
		return err
	}
	return o.with(ctx, func(c *client.Client) error {
		consumer, err := c.Consumer(topic, client.ConsumerOptions{
			From: from, Follow: o.follow, Limit: o.limit, ShareBytes: true,
		})
		if err != nil {
			return usageError{err}
		}
		out := bufio.NewWriterSize(cmd.OutOrStdout(), 256<<10)
		err = o.print(ctx, consumer, out)
		return errors.Join(explain(err), out.Flush())
	})
}

// print writes out every record. A follower's output leaves the buffer whenever there is nothing more to come at once.
func (o *readOptions) print(ctx context.Context, consumer *client.Consumer, out *bufio.Writer) error {
	p := printer{out: out, keys: o.keys}
	one := p.line
	if o.json {
		one = p.object
	}
	for r, err := range consumer.Records(ctx) {
		if err != nil {
			return err
		}
		if err := one(&r); err != nil {
			return err
		}
		if o.follow && r.Offset+1 >= consumer.End() {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain says how to go on behind what can't be read.
func explain(err error) error {
	var damaged *client.CorruptError
	var outside *client.OutOfRangeError
	switch {
	case errors.As(err, &damaged):
		return fmt.Errorf("%w; records %d to %d are damaged, go on behind them with --from %d", err, damaged.From, damaged.Next-1, damaged.Next)
	case errors.As(err, &outside):
		return fmt.Errorf("%w; the log has the offsets from %d to %d, --from oldest takes them all", err, outside.Oldest, outside.Next)
	}
	return err
}

// printer writes records for people and for programs.
type printer struct {
	out  *bufio.Writer
	keys string
}

// line writes "value", or "key SEP value". A record without a key has no separator: append --keys reads it back so.
func (p *printer) line(r *client.Record) error {
	if p.keys != "" && r.Key != nil {
		if _, err := p.out.Write(r.Key); err != nil {
			return err
		}
		if _, err := p.out.WriteString(p.keys); err != nil {
			return err
		}
	}
	if _, err := p.out.Write(r.Value); err != nil {
		return err
	}
	return p.out.WriteByte('\n')
}

// recordJSON is a record of --json. Bytes that are no UTF-8 stand in base64 under the other name; null and absent key
// and value are left out.
type recordJSON struct {
	Offset  uint64       `json:"offset"`
	Time    string       `json:"time"`
	Key     *string      `json:"key,omitempty"`
	Key64   *string      `json:"key64,omitempty"`
	Value   *string      `json:"value,omitempty"`
	Value64 *string      `json:"value64,omitempty"`
	Headers []headerJSON `json:"headers,omitempty"`
}

type headerJSON struct {
	Name    string  `json:"name"`
	Value   *string `json:"value,omitempty"`
	Value64 *string `json:"value64,omitempty"`
}

func (p *printer) object(r *client.Record) error {
	j := recordJSON{Offset: r.Offset, Time: r.Time.UTC().Format("2006-01-02T15:04:05.000Z")}
	j.Key, j.Key64 = textOrBase64(r.Key)
	j.Value, j.Value64 = textOrBase64(r.Value)
	for _, h := range r.Headers {
		out := headerJSON{Name: h.Key}
		out.Value, out.Value64 = textOrBase64(h.Value)
		j.Headers = append(j.Headers, out)
	}
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	return e.Encode(j)
}

func textOrBase64(b []byte) (text, encoded *string) {
	if b == nil {
		return nil, nil
	}
	s := string(b)
	if utf8.ValidString(s) {
		return &s, nil
	}
	s = base64.StdEncoding.EncodeToString(b)
	return nil, &s
}
