package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sluice/client"
)

// readOptions are the flags of read and tail.
type readOptions struct {
	remote
	from      place
	limit     number
	keys      string
	partition int32
	follow    bool
	skipGaps  bool
}

func newRead() *cobra.Command {
	o := readOptions{from: place{client.Oldest()}}
	cmd := &cobra.Command{
		Use:   "read TOPIC",
		Short: "Print the records of a log, one value a line, up to its end",
		Long: `Print the records of a log, one value a line, up to the end as it is at the start.
--from takes an offset, oldest, newest, -N (the last N records), or @ and a time (RFC 3339 or Unix ms).

Records that are damaged, were given up in a repair, or were removed are a gap. A gap ends it with status 1,
and with a word on where to go on; --skip-gaps goes on by itself, and tells each gap: on stderr, or with
--json as an object {"gap": ...} in its place.`,
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
	f.Var(&o.from, "from", "where to start: an offset, oldest, newest, -N, @TIME")
	f.Var(&o.limit, "limit", "end after so many records (default: no limit)")
	f.StringVar(&o.keys, "keys", "", "print the key, this `SEP`, and the value")
	f.Int32Var(&o.partition, "partition", 0, "which partition of the topic")
	f.BoolVar(&o.skipGaps, "skip-gaps", false, "tell gaps, and go on behind them")
}

// run prints records until the end, the limit, or the end of ctx.
func (o *readOptions) run(ctx context.Context, cmd *cobra.Command, topic string) error {
	topic, err := partitionOf(topic, o.partition)
	if err != nil {
		return err
	}
	return o.with(ctx, func(c *client.Client) error {
		consumer, err := c.Consumer(topic, client.ConsumerOptions{
			From: o.from.From, Follow: o.follow, Limit: int64(o.limit), ShareBytes: true,
		})
		if err != nil {
			return usageError{err}
		}
		p := printer{out: bufio.NewWriterSize(cmd.OutOrStdout(), 256<<10), keys: o.keys}
		err = o.print(ctx, cmd, consumer, &p)
		if failed := p.out.Flush(); !errors.Is(err, failed) { // which is the same again, if that was what ended it
			return errors.Join(err, failed)
		}
		return err
	})
}

// print writes out every record. A follower's output leaves the buffer whenever there is nothing more to come at once.
func (o *readOptions) print(ctx context.Context, cmd *cobra.Command, consumer *client.Consumer, p *printer) error {
	for r, err := range consumer.Records(ctx) {
		if err != nil {
			gap, ok := errors.AsType[*client.GapError](err)
			if !ok || !o.skipGaps {
				return explain(err, consumer)
			}
			if err := o.tellGap(cmd, p, gap); err != nil {
				return err
			}
			consumer.Seek(gap.Next)
			continue
		}
		if err := p.record(&r, o.json); err != nil {
			return err
		}
		if o.follow && r.Offset+1 >= consumer.End() {
			if err := p.out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// gapJSON is a gap of --json, which stands where its records would.
type gapJSON struct {
	From uint64 `json:"from"`
	Next uint64 `json:"next"`
	Why  string `json:"why"`
}

// tellGap says what is left out, behind what was printed so far.
func (o *readOptions) tellGap(cmd *cobra.Command, p *printer, gap *client.GapError) error {
	if o.json {
		if err := writeJSON(p.out, map[string]gapJSON{"gap": {gap.From, gap.Next, gap.Error()}}); err != nil {
			return err
		}
		return p.out.Flush()
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %s: %s: %v\n", cmd.Name(), leftOut(gap), gap)
	return err
}

// leftOut names the records of a gap.
func leftOut(gap *client.GapError) string {
	if gap.Next == gap.From+1 {
		return fmt.Sprintf("record %d is left out", gap.From)
	}
	return fmt.Sprintf("records %d to %d are left out", gap.From, gap.Next-1)
}

// explain says how to go on behind what can't be read. The server's other errors say that themselves.
func explain(err error, c *client.Consumer) error {
	var gap *client.GapError
	var outside *client.OutOfRangeError
	var answer *client.Error
	next, begun := c.Position()
	switch {
	case errors.As(err, &gap):
		return fmt.Errorf("%w; with --skip-gaps %s; or go on behind with --from %d", err, leftOut(gap), gap.Next)
	case errors.As(err, &outside) && outside.Oldest == outside.Next:
		return fmt.Errorf("%w; the log is empty, and its next record gets the offset %d", err, outside.Next)
	case errors.As(err, &outside):
		return fmt.Errorf("%w; the log has the records %d to %d, --from oldest takes them all", err, outside.Oldest, outside.Next-1)
	case begun && !errors.As(err, &answer) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w; what was printed ends before record %d: go on with --from %d", err, next, next)
	}
	return err
}
