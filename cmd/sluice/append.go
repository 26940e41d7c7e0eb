package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/client"
)

// appendOptions are the flags of append.
type appendOptions struct {
	remote
	ack       level
	keys      string
	resume    bool
	partition int32
	batch     size
	linger    time.Duration
	quiet     bool
}

func newAppend() *cobra.Command {
	o := appendOptions{batch: 256 << 10}
	cmd := &cobra.Command{
		Use:   "append TOPIC [FILE...]",
		Short: "Append lines of files or stdin, one record a line",
		Long: `Append the lines of the files, or of stdin, one record a line, in their order. The newline is no part of
the record; a last line without one is a record, too.

Batches go out one at a time, each behind the answer to the one before, so that the log holds a
prefix of the input at every moment, whatever fails. If the connection is lost, append connects again
for up to ten seconds and goes on, with no line left out and none twice. If that fails, the outcome of
the last batch is unknown, and append ends and says so: run it again with --resume and the same input.
--resume asks the log how many records it has, skips that many lines, and goes on behind them. It is
exact as long as nothing else appends to that log, from its first record on.`,
		Example: `  sluice append access /var/log/nginx/access.log
  tail -F app.log | sluice append app
  sluice append orders --keys ';' --ack synced < orders.csv
  sluice append access access.log --resume     # after a failure, goes on where the log ends`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, words []string) error { return runAppend(cmd, &o, words[0], words[1:]) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.Var(&o.ack, "ack", "answer when: none, written or synced (default: the topic's level)")
	f.StringVar(&o.keys, "keys", "", "what stands before the first `SEP` of a line is its key")
	f.BoolVar(&o.resume, "resume", false, "skip as many lines as the log has records, then go on")
	f.Int32Var(&o.partition, "partition", 0, "which partition of the topic")
	f.Var(&o.batch, "batch-bytes", "how large a batch gets")
	f.DurationVar(&o.linger, "linger", 0, "how long a batch waits for more lines")
	f.BoolVar(&o.quiet, "quiet", false, "neither progress nor summary")
	return cmd
}

// producerOptions: one batch in flight and a stop at the first failure make the log a prefix of the input. While one
// batch is under way the next fills, which keeps a server on the same network busy.
//
// A line may be as long as the server takes in one request. A topic may take less (max.message.bytes, which no request
// tells): its refusal then says so, and the report which lines it is about.
func (o *appendOptions) producerOptions(h client.Hello) client.ProducerOptions {
	p := client.ProducerOptions{
		Ack: o.ack.Ack, Linger: o.linger, BatchBytes: int(o.batch), MaxBatchBytes: int(h.MaxBatch),
		MaxInFlight: 1, StopOnError: true,
	}
	p.MaxBuffered = p.MaxBatchBytes + 3*p.BatchBytes
	return p
}

func runAppend(cmd *cobra.Command, o *appendOptions, topic string, files []string) error {
	topic, err := partitionOf(topic, o.partition)
	if err != nil {
		return err
	}
	if o.linger < 0 {
		return usagef("--linger %v is negative", o.linger)
	}
	ctx := untilInterrupted(cmd.Context())
	return o.with(ctx, func(c *client.Client) error {
		a := &appender{topic: topic, keys: []byte(o.keys)}
		if o.resume {
			if err := a.findEnd(ctx, c); err != nil {
				return err
			}
		}
		return a.appendAll(ctx, cmd, c, o, files)
	})
}

// appender turns lines into records of one log.
type appender struct {
	topic string
	keys  []byte // empty: lines have no keys

	skip int64         // lines that are in the log already
	last client.Record // the last of them, as the log has it
	stop error         // why no more lines are taken

	report report
}

// findEnd asks the log how many records it has, and for the last one.
func (a *appender) findEnd(ctx context.Context, c *client.Client) error {
	h, err := c.Head(ctx, a.topic)
	var e *client.Error
	if errors.As(err, &e) && e.Code == client.NoTopic {
		a.report.expect(0) // nothing was appended yet
		return nil
	}
	if err != nil {
		return err
	}
	a.skip = int64(h.Next)
	a.report.expect(h.Next)
	if h.Next == 0 {
		return nil
	}
	consumer, err := c.Consumer(a.topic, client.ConsumerOptions{From: client.Offset(h.Next - 1), Limit: 1})
	if err != nil {
		return err
	}
	for r, err := range consumer.Records(ctx) {
		if err != nil {
			return fmt.Errorf("read the last record, to compare it with the input: %w", err)
		}
		a.last = r
	}
	return nil
}

// appendAll sends every line and waits for the answers.
func (a *appender) appendAll(ctx context.Context, cmd *cobra.Command, c *client.Client, o *appendOptions, files []string) error {
	options := o.producerOptions(c.Hello())
	options.OnBatch = a.report.batch
	p, err := c.Producer(a.topic, options)
	if err != nil {
		return usageError{err}
	}
	a.report.start()
	show := startProgress(cmd.ErrOrStderr(), o.quiet, a.report.progress)
	in := startInput(ctx, cmd.InOrStdin(), files, options.MaxBatchBytes-recordOverhead)
	a.stop = a.send(ctx, p, in)
	closed := p.Close(context.WithoutCancel(ctx)) // what was sent is waited for: the options bound how long
	show.end()
	return a.report.tell(cmd, a, o, closed)
}

// recordOverhead is what a batch and a record add to a line, at most.
const recordOverhead = 128

// send gives the lines to the producer. It returns why it stopped before the end, nil at the end.
func (a *appender) send(ctx context.Context, p *client.Producer, in *input) error {
	for {
		var c *chunk
		select {
		case c = <-in.ready:
		case <-ctx.Done():
			return errInterrupted
		}
		switch {
		case c == nil && ctx.Err() != nil:
			return errInterrupted
		case c == nil:
			return a.enough()
		case c.err != nil:
			return c.err
		}
		if err := a.sendChunk(ctx, p, c); err != nil {
			return err
		}
		in.free <- c // there is room: it came from there
	}
}

var errInterrupted = errors.New("interrupted")

func (a *appender) sendChunk(ctx context.Context, p *client.Producer, c *chunk) error {
	now := time.Now() // one clock reading for a chunk: its lines came together
	for rest, line := c.b, c.line; len(rest) > 0; line++ {
		var text []byte
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			text, rest = rest[:end], rest[end+1:]
		} else {
			text, rest = rest, nil
		}
		r := a.record(text)
		if a.skip > 0 {
			if a.skip--; a.skip == 0 {
				if err := a.compare(r, c.file, line); err != nil {
					return err
				}
			}
			a.report.skipped++
			continue
		}
		r.Time = now
		switch err := p.Send(ctx, r, nil); {
		case errors.Is(err, client.ErrTooLarge):
			return fmt.Errorf("%s: line %d has %d bytes: %w", c.file, line, len(text), err)
		case err != nil && ctx.Err() != nil:
			return errInterrupted
		case err != nil:
			return err
		}
	}
	return nil
}

func (a *appender) record(line []byte) client.Record {
	if len(a.keys) > 0 {
		if key, value, ok := bytes.Cut(line, a.keys); ok {
			return client.Record{Key: key, Value: value}
		}
	}
	return client.Record{Value: line}
}

// compare tells an input that is not the one the log was filled from.
func (a *appender) compare(r client.Record, file string, line int64) error {
	if bytes.Equal(r.Value, a.last.Value) && bytes.Equal(r.Key, a.last.Key) && (r.Key == nil) == (a.last.Key == nil) {
		return nil
	}
	return fmt.Errorf("the last record of %s, offset %d, is not line %d of %s: the log was not filled from this input, --resume can't go on",
		a.topic, a.last.Offset, line, file)
}

// enough tells an input that ends before the log does.
func (a *appender) enough() error {
	if a.skip > 0 {
		return fmt.Errorf("the log of %s has %d records more than the input has lines: it was not filled from this input alone, --resume can't go on",
			a.topic, a.skip)
	}
	return nil
}
