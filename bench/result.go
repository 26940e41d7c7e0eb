package main

import (
	"cmp"
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// A tally is what one step did while it was measured.
type tally struct {
	ops   int64
	bytes int64 // payload, without framing
	took  time.Duration
	hist  *hdr.Histogram // nanoseconds

	name   string  // of the row; "" is the step's
	system string  // likewise
	level  string  // likewise, its durability
	conns  int     // likewise; 0 is the step's
	note   string  // what the figures do not say: under which condition they came about
	beside []tally // what the same run measured besides, alternating with this: each is a row of its own

	turns []turn        // that the figures come from, where they are of interest
	lost  time.Duration // withheld by the hypervisor

	cpu     time.Duration      // of the server while this was measured; 0: the whole life of the step's server counts
	figures map[string]float64 // what is neither a rate nor a latency, by what it is
}

// A turn is one of those in which a side was measured. Latencies are in nanoseconds.
type turn struct {
	Ops      int64 `json:"ops"`
	P50      int64 `json:"p50_ns"`
	P99      int64 `json:"p99_ns"`
	P999     int64 `json:"p99_9_ns"`
	Withheld int64 `json:"withheld_ms"` // processors' time, by the hypervisor
}

// addTurn adds what one turn has measured.
func (t *tally) addTurn(one *tally) {
	t.hist.Merge(one.hist)
	t.ops, t.bytes, t.took, t.lost = t.ops+one.ops, t.bytes+one.bytes, t.took+one.took, t.lost+one.lost
	t.turns = append(t.turns, turn{Ops: one.ops, P50: one.hist.ValueAtQuantile(50), P99: one.hist.ValueAtQuantile(99),
		P999: one.hist.ValueAtQuantile(99.9), Withheld: one.lost.Milliseconds()})
}

// newHist holds 1 ns to a minute with three digits; about 200 KiB.
func newHist() *hdr.Histogram { return hdr.New(1, int64(time.Minute), 3) }

func record(h *hdr.Histogram, d time.Duration) {
	d = max(1, min(d, time.Minute))
	if err := h.RecordValue(int64(d)); err != nil {
		panic(fmt.Sprintf("BUG: %v is outside the histogram: %v", d, err))
	}
}

// A row is one line of the machine-readable result: one step of one round.
type row struct {
	Time        time.Time `json:"time"`
	Round       int       `json:"round"`
	Name        string    `json:"name"`   // W1, or the name of a limit
	System      string    `json:"system"` // "sluice", "redis", "raw"
	Durability  string    `json:"durability"`
	Connections int       `json:"connections"`
	InFlight    int       `json:"in_flight"` // for each connection
	Seconds     float64   `json:"seconds"`
	Ops         int64     `json:"ops"`
	Rate        float64   `json:"rate"` // operations in a second
	MBps        float64   `json:"mb_per_second"`
	P50         int64     `json:"p50_ns"`
	P90         int64     `json:"p90_ns"`
	P99         int64     `json:"p99_ns"`
	P999        int64     `json:"p99_9_ns"`
	P9999       int64     `json:"p99_99_ns"`
	Max         int64     `json:"max_ns"`
	ServerCPU   float64   `json:"server_cpu_seconds,omitempty"` // of the whole process, start included; or of the turns of this row
	Note        string    `json:"note,omitempty"`
	Histogram   string    `json:"histogram"` // HDR, V2 compressed, base64

	Figures map[string]float64 `json:"figures,omitempty"` // each by what it is, its unit included
	Turns   []turn             `json:"turns,omitempty"`   // in their order
}

// rowsOf are the step's row and those of what was measured beside it.
func rowsOf(round int, s step, t tally, cpu time.Duration) (rows []row, err error) {
	for _, t := range append([]tally{t}, t.beside...) {
		r, err := newRow(round, s, t)
		if err != nil {
			return nil, err
		}
		if r.ServerCPU = t.cpu.Seconds(); t.cpu == 0 && r.System == s.system {
			r.ServerCPU = cpu.Seconds()
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func newRow(round int, s step, t tally) (row, error) {
	whole, err := t.hist.EncodeV2()
	if err != nil {
		return row{}, fmt.Errorf("encode the histogram of %s: %w", cmp.Or(t.name, s.name), err)
	}
	sec := t.took.Seconds()
	return row{
		Time: time.Now().UTC(), Round: round, Name: cmp.Or(t.name, s.name), System: cmp.Or(t.system, s.system), Durability: cmp.Or(t.level, s.durability),
		Connections: cmp.Or(t.conns, s.conns), InFlight: s.inFlight, Seconds: sec, Ops: t.ops,
		Rate: float64(t.ops) / sec, MBps: float64(t.bytes) / sec / 1e6,
		P50: t.hist.ValueAtQuantile(50), P90: t.hist.ValueAtQuantile(90), P99: t.hist.ValueAtQuantile(99),
		P999: t.hist.ValueAtQuantile(99.9), P9999: t.hist.ValueAtQuantile(99.99), Max: t.hist.Max(),
		Note: t.note, Figures: t.figures, Turns: t.turns, Histogram: string(whole),
	}, nil
}
