package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"sluice/client"
)

// report gathers what became of the batches. batch is called by the producer, one batch after the other; the rest
// once the producer is closed, but for progress, which reads the atomics only.
type report struct {
	began    time.Time
	appended atomic.Int64 // records known to be in the log
	bytes    atomic.Int64 // of their keys and values
	skipped  int64        // lines that --resume found in the log

	ack     client.Ack
	synced  uint64
	first   uint64 // the offset of the first record of this run
	next    uint64 // the offset that the next batch must have
	known   bool   // next is known
	alone   bool   // --resume: the log must hold nothing else
	unknown int64  // records whose outcome is unknown
	why     error  // the first failure
	from    int64  // the first record of the batch it was, in the input, from 1
	to      int64  // the last one
	foreign error  // somebody else appends to the log

	latency *hdrhistogram.Histogram // microseconds, of each record: from when its batch was begun to its answer
}

const (
	latencyMax    = int64(10 * time.Minute / time.Microsecond)
	latencyDigits = 3
)

func (r *report) start() {
	r.began = time.Now()
	r.latency = hdrhistogram.New(1, latencyMax, latencyDigits)
}

// expect tells at which offset the first batch must be: --resume has counted on it.
func (r *report) expect(next uint64) { r.next, r.known, r.alone = next, true, true }

// batch is the producer's hook.
func (r *report) batch(b client.BatchInfo) {
	if b.Err != nil {
		if errors.Is(b.Err, client.ErrUnknown) {
			r.unknown += int64(b.Records)
		}
		if r.why == nil && !errors.Is(b.Err, client.ErrStopped) {
			r.why = b.Err
			r.from = r.skipped + r.appended.Load() + 1
			r.to = r.from + int64(b.Records) - 1
		}
		return
	}
	if b.Ack != client.AckNone {
		r.place(b)
	}
	r.ack, r.synced = b.Ack, b.Synced
	r.appended.Add(int64(b.Records))
	r.bytes.Add(int64(b.Bytes))
	us := min(max(time.Since(b.Opened).Microseconds(), 1), latencyMax)
	if err := r.latency.RecordValues(us, int64(b.Records)); err != nil {
		panic("BUG: a latency within the histogram's bounds: " + err.Error())
	}
}

// place follows the offsets: a gap means that the log holds records of others between the lines.
func (r *report) place(b client.BatchInfo) {
	if r.appended.Load() == 0 {
		r.first = b.Offset
	}
	if r.known && b.Offset != r.next && r.foreign == nil {
		r.foreign = fmt.Errorf("offset %d was due and %d was given: something else appends to this log, too", r.next, b.Offset)
	}
	r.next, r.known = b.Offset+uint64(b.Records), true
}

func (r *report) progress() string {
	n, took := r.appended.Load(), time.Since(r.began)
	return fmt.Sprintf("appended %d records, %s, %s/s", n, mib(r.bytes.Load()), perSecond(n, took))
}

// summary is what --json prints. Latencies are microseconds.
type summary struct {
	Topic    string  `json:"topic"`
	Complete bool    `json:"complete"`
	Appended int64   `json:"appended"`
	Skipped  int64   `json:"skipped,omitempty"`
	Unknown  int64   `json:"unknown,omitempty"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Ack      string  `json:"ack,omitempty"`
	First    *uint64 `json:"first,omitempty"`
	Next     *uint64 `json:"next,omitempty"`
	Synced   *uint64 `json:"synced,omitempty"`
	P50      int64   `json:"latency_p50_us"`
	P99      int64   `json:"latency_p99_us"`
	P999     int64   `json:"latency_p999_us"`
	Max      int64   `json:"latency_max_us"`
	Error    string  `json:"error,omitempty"`
}

// tell prints the summary, and returns what went wrong in one sentence.
func (r *report) tell(cmd *cobra.Command, a *appender, o *appendOptions, closed error) error {
	took := time.Since(r.began)
	err := r.verdict(a, closed)
	switch {
	case o.json:
		if printed := printJSON(cmd, r.summary(a.topic, took, err)); printed != nil {
			return errors.Join(err, printed)
		}
	case err == nil && !o.quiet:
		if _, printed := fmt.Fprintln(cmd.OutOrStdout(), r.line(took)); printed != nil {
			return printed
		}
	}
	return err
}

// verdict is nil if every line is in the log.
func (r *report) verdict(a *appender, closed error) error {
	why := r.refusal()
	if why == nil && !errors.Is(a.stop, client.ErrStopped) {
		why = a.stop
	}
	if why == nil {
		why = closed // with ack none: what was refused, or lost
	}
	if why == nil && r.alone {
		why = r.foreign
	}
	if why == nil {
		return nil
	}
	if n := r.appended.Load(); r.unknown > 0 {
		return fmt.Errorf("%d records are known to be in the log, %d more may be there (%w): %s", n, r.unknown, why, r.advice())
	} else if n > 0 || r.skipped > 0 {
		return fmt.Errorf("%d records are in the log, then: %w; %s", n, why, r.advice())
	}
	return why
}

// refusal names the lines that the server refused: with one batch in flight, those before are in the log.
func (r *report) refusal() error {
	var e *client.Error
	switch {
	case errors.Is(r.why, client.ErrUnknown) || !errors.As(r.why, &e):
		return r.why
	case r.from == r.to:
		return fmt.Errorf("line %d was refused: %w", r.from, r.why)
	default:
		return fmt.Errorf("lines %d to %d were refused: %w", r.from, r.to, r.why)
	}
}

// advice: --resume counts lines by offsets, so it helps only where the log begins with this input.
func (r *report) advice() string {
	if r.ack == client.AckNone && r.appended.Load() > 0 {
		return "with ack none nobody can tell which; sluice head tells how many there are"
	}
	if r.foreign != nil || r.skipped == 0 && r.first > 0 {
		return fmt.Sprintf("--resume can't go on, as the log has other records, too; this run's first is at offset %d", r.first)
	}
	return "go on with --resume and the same input"
}

func (r *report) line(took time.Duration) string {
	n := r.appended.Load()
	s := fmt.Sprintf("appended %d records, %s in %.1fs (%s/s, %.1f MiB/s)", n, mib(r.bytes.Load()), took.Seconds(),
		perSecond(n, took), float64(r.bytes.Load())/(1<<20)/max(took.Seconds(), 1e-9))
	if n > 0 {
		q := r.latency.ValueAtQuantile
		s += fmt.Sprintf(", ack %s, latency p50 %s p99 %s p99.9 %s max %s", r.ack,
			micros(q(50)), micros(q(99)), micros(q(99.9)), micros(r.latency.Max()))
	}
	if r.skipped > 0 {
		s += fmt.Sprintf(", behind %d that were there", r.skipped)
	}
	return s
}

func (r *report) summary(topic string, took time.Duration, err error) summary {
	q := r.latency.ValueAtQuantile
	s := summary{
		Topic: topic, Complete: err == nil, Appended: r.appended.Load(), Skipped: r.skipped, Unknown: r.unknown,
		Bytes: r.bytes.Load(), Seconds: took.Seconds(), P50: q(50), P99: q(99), P999: q(99.9), Max: r.latency.Max(),
	}
	if s.Appended > 0 {
		s.Ack = r.ack.String()
	}
	if s.Appended > 0 && r.ack != client.AckNone {
		s.First, s.Next, s.Synced = &r.first, &r.next, &r.synced
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}
