package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Consumers run in a process of their own: many goroutines that take what comes would stand between the producer's
// clock and its answers.

// A crowd is consumers that do the same, each on a connection of its own. Its kinds:
//
//	stream   bytes without frames, from the raw server that sends files; the request is which part to begin at
//	ask      in pieces, from the same server; the next one asked for when an answer begins to come
//	fetch    FETCH from the log, the next one asked for when an answer begins to come; from its beginning again at its end
//	tail     TAIL raw=1, likewise
//	follow   TAIL raw=1 until the offset Until; each record's latency counts from the moment it was due
//	idle     PING once, and then nothing
type crowd struct {
	Kind, Addr, Topic string
	Conns             int
	Step              uint64 // connection i begins at offset i*Step
	Bytes             int    // of a FETCH
	Drain             bool   // take bytes off the socket without copying them, where that can be done
	Warm              time.Duration

	Skip, Until uint64 // follow: what is before Skip warms up
	Rate        int    // follow: records a second
}

// A share is what a crowd has received.
type share struct {
	Bytes, All int64 // framing included; All: also while it warmed up
	Ops        int64 // frames; of a stream, MiB; of followers, records
	Took       time.Duration
	Hist       []byte // HDR, V2 compressed
	Fault      string
}

// tallies are a crowd's while it runs. A histogram for each of a thousand followers would be 200 MB, one for all a
// lock that all wait for.
type tallies struct {
	bytes, ops atomic.Int64
	hists      [16]struct {
		sync.Mutex
		h *hdr.Histogram
	}
}

func newTallies() *tallies {
	t := new(tallies)
	for i := range t.hists {
		t.hists[i].h = newHist()
	}
	return t
}

func (t *tallies) hist() *hdr.Histogram {
	sum := newHist()
	for i := range t.hists {
		sum.Merge(t.hists[i].h)
	}
	return sum
}

// runCrowd is the child: it says that it listens once all are connected, begins at the first line of its standard
// input (when the first record is due), and ends with its input, or when all followers have what they wait for.
func runCrowd(spec string, in io.Reader, out io.Writer) error {
	var c crowd
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return fmt.Errorf("the crowd: %w", err)
	}
	total := newTallies()
	all, err := c.connect(total)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "listening -"); err != nil {
		return err
	}
	orders := bufio.NewReader(in)
	line, err := orders.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no order to begin: %w", err)
	}
	start, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { // ends with the input, at the latest with the process
		_, _ = io.Copy(io.Discard, orders) // its end is all that counts
		close(ended)
	}()
	result, err := json.Marshal(c.run(all, time.Unix(0, start), total, ended))
	if err == nil {
		_, err = fmt.Fprintf(out, "share %s\n", result)
	}
	return err
}

func (c *crowd) connect(total *tallies) (all []*consumer, err error) {
	for i := range c.Conns {
		nc, err := net.Dial("tcp", c.Addr)
		if err != nil {
			return nil, err
		}
		size := 256 << 10
		if c.Drain || c.Kind == "follow" || c.Kind == "idle" {
			size = 4 << 10
		}
		k := &consumer{crowd: c, nc: nc.(*net.TCPConn), number: i, total: total}
		k.br = bufio.NewReaderSize(k, size)
		if err := k.begin(); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		all = append(all, k)
	}
	return all, nil
}

// run has all consume until they have what they wait for, or the one who asked has seen enough.
func (c *crowd) run(all []*consumer, start time.Time, total *tallies, ended <-chan struct{}) (s share) {
	var stopped atomic.Bool
	var wg sync.WaitGroup
	var fault sync.Once
	for _, k := range all {
		k.start = start
		wg.Go(func() {
			if err := k.consume(); err != nil && !stopped.Load() {
				fault.Do(func() { s.Fault = err.Error() }) // read after the join
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	begun := time.Now().Add(c.Warm)
	var warm, warmOps int64
	if c.Warm > 0 {
		select {
		case <-time.After(c.Warm):
			warm, warmOps = total.bytes.Load(), total.ops.Load()
		case <-finished:
		}
	}
	select {
	case <-ended:
	case <-finished:
	}
	s.Bytes, s.Ops, s.Took = total.bytes.Load()-warm, total.ops.Load()-warmOps, time.Since(begun)
	stopped.Store(true)
	for _, k := range all {
		closeQuietly(k.nc) // ends who still reads
	}
	<-finished
	s.All = total.bytes.Load()
	var err error
	if s.Hist, err = total.hist().EncodeV2(); err != nil {
		s.Fault = err.Error()
	}
	return s
}

// A gathering is a crowd as the one sees it that started it.
type gathering struct {
	p     *proc
	in    io.Writer
	share string // its line; read after the process has ended
}

// gather starts a crowd and waits until it is connected. It begins to consume with begin.
func (c crowd) gather(ctx context.Context) (*gathering, error) {
	spec, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	g := &gathering{}
	g.p, g.in, err = startSelf(ctx, "crowd", string(spec), func(line string) string {
		if s, ok := strings.CutPrefix(line, "share "); ok {
			g.share = s
		}
		return listening(line)
	})
	return g, err
}

// begin has it consume. start is when the first record is due, which matters to followers only.
func (g *gathering) begin(start time.Time) error {
	_, err := fmt.Fprintln(g.in, start.UnixNano())
	return err
}

// done waits until followers have what they wait for, then is end.
func (g *gathering) done(ctx context.Context, limit time.Duration) (share, *hdr.Histogram, error) {
	select {
	case <-g.p.ended:
	case <-time.After(limit):
	case <-ctx.Done():
	}
	return g.end()
}

// end stops it and tells what it has received.
func (g *gathering) end() (s share, h *hdr.Histogram, err error) {
	if _, err = g.p.stop(); err != nil {
		return s, nil, fmt.Errorf("consumers: %w", err)
	}
	if err = json.Unmarshal([]byte(g.share), &s); err == nil && s.Fault != "" {
		err = errors.New(s.Fault)
	}
	if err == nil {
		h, err = hdr.Decode(s.Hist)
	}
	if err != nil {
		return s, nil, fmt.Errorf("consumers: %w", err)
	}
	return s, h, nil
}
