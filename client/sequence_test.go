package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/client"
	"sluice/sluicetest"
	"sluice/wire/batch"
)

// judge is a server that takes sequences, as the protocol says it must, and everything else goes wrong with it: connections
// end before a batch is read, before it is taken, before it is answered; what they brought is taken late; batches are
// refused, for now or for good; power cuts take back what was written.
type judge struct {
	t    *testing.T
	mu   sync.Mutex
	rng  *rand.Rand
	ill  bool // things go wrong
	log  []entry
	lost map[string]bool // values that a power cut has taken back
	ids  int64
	late []*backlog
	once []string // the answers to the next batches, which are not taken; "": the connection ends
}

// backlog is what a connection brought, and is taken when nobody waits for an answer any more.
type backlog struct {
	hangs   bool
	batches [][]byte
}

// entry is a batch in the log.
type entry struct {
	h      batch.Header
	values []string
	first  int
}

func (j *judge) next() int {
	if len(j.log) == 0 {
		return 0
	}
	last := j.log[len(j.log)-1]
	return last.first + len(last.values)
}

// take appends a batch or answers why not.
func (j *judge) take(b []byte) string {
	h := batch.ReadHeader(b)
	var own []entry // of the producer, in order
	for _, e := range j.log {
		if e.h.ProducerID == h.ProducerID {
			own = append(own, e)
		}
	}
	if len(own) > 0 {
		last := own[len(own)-1].h
		due := (int64(last.BaseSequence) + int64(last.Count)) & (1<<31 - 1)
		if h.ProducerEpoch > last.ProducerEpoch {
			due = 0
		}
		for _, e := range own[max(0, len(own)-5):] {
			if e.h.ProducerEpoch == h.ProducerEpoch && e.h.BaseSequence == h.BaseSequence && e.h.Count == h.Count {
				return fmt.Sprintf("OK first=%d next=%d ack=written synced=0", e.first, e.first+len(e.values))
			}
		}
		switch {
		case h.ProducerEpoch < last.ProducerEpoch:
			return fmt.Sprintf("ERR FENCED epoch=%d - older", last.ProducerEpoch)
		case int64(h.BaseSequence) != due:
			return fmt.Sprintf("ERR BAD_BATCH sequence=%d epoch=%d - out of order", due, last.ProducerEpoch)
		}
	}
	e := entry{h, values(j.t, b), j.next()}
	j.log = append(j.log, e)
	return fmt.Sprintf("OK first=%d next=%d ack=written synced=0", e.first, e.first+len(e.values))
}

// takeLate has some of what was late taken now, each connection's in its order.
func (j *judge) takeLate() {
	for _, l := range j.late {
		for len(l.batches) > 0 && j.rng.IntN(3) == 0 {
			j.take(l.batches[0])
			l.batches = l.batches[1:]
		}
	}
}

// cutPower takes back some batches, and what was late.
func (j *judge) cutPower() {
	for range min(j.rng.IntN(4), len(j.log)) {
		last := len(j.log) - 1
		for _, v := range j.log[last].values {
			j.lost[v] = true
		}
		j.log = j.log[:last]
	}
	j.late = nil
}

// serve is the script of every connection.
func (j *judge) serve(p *peer) {
	var late backlog
	for {
		line := p.line()
		if line == "PRODUCER" {
			j.mu.Lock()
			j.ids++
			p.say("OK id=%d epoch=0", j.ids)
			j.mu.Unlock()
			continue
		}
		w := strings.Split(line, " ")
		if w[0] != "BATCH" {
			return
		}
		n, err := strconv.Atoi(w[2])
		if err != nil {
			j.t.Error(err)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(p.br, b); err != nil || p.line() != "" {
			return
		}
		if _, err := batch.Check(b, 1<<20); err != nil {
			j.t.Error(err)
		}
		answer, ends := j.fate(b, &late)
		if answer != "" {
			p.say("%s", answer)
		}
		if ends {
			return
		}
	}
}

// fate says what becomes of a batch, and of its connection.
func (j *judge) fate(b []byte, late *backlog) (answer string, ends bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeLate()
	if len(j.once) > 0 {
		answer, j.once = j.once[0], j.once[1:]
		return answer, answer == ""
	}
	if late.hangs {
		late.batches = append(late.batches, b)
		return "", j.rng.IntN(3) == 0
	}
	chance := 1000
	if j.ill {
		chance = j.rng.IntN(100)
	}
	switch {
	case chance < 6:
		late.hangs, late.batches = true, append(late.batches, b)
		j.late = append(j.late, late)
		return "", j.rng.IntN(2) == 0
	case chance < 14:
		j.take(b)
		return "", true
	case chance < 18:
		return "", true
	case chance < 26:
		return "ERR DISK_FULL - full", false
	case chance < 29:
		if j.rng.IntN(2) == 0 {
			j.take(b)
		}
		return "ERR UNKNOWN - who knows", false
	case chance < 31:
		return "ERR BAD_CRC - wrong", false
	case chance < 33:
		return "ERR SHUTTING_DOWN - stopping", true
	case chance < 34:
		j.cutPower()
		return "", true
	}
	return j.take(b), false
}

// seeds are those to try: SLUICE_SEED, or some.
func seeds(t *testing.T, n uint64) (first, behind uint64) {
	t.Helper()
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		return seed, seed + 1
	}
	if testing.Short() {
		n /= 4
	}
	return 1, 1 + n
}

// A5, E5: whatever becomes of connections, requests and the server's power, each record of a producer with an id is in the
// log once or not at all, in the order in which they were sent; its outcome says which, or that nobody
// can tell.
func TestA5E5SequencesThroughEveryFailure(t *testing.T) {
	first, behind := seeds(t, 150)
	for seed := first; seed < behind; seed++ {
		bubble(t, func(t *testing.T) { throughFailures(t, seed) })
		if t.Failed() {
			t.Fatalf("again with SLUICE_SEED=%d", seed)
		}
	}
}

func throughFailures(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	j := &judge{t: t, rng: rng, ill: true, lost: map[string]bool{}}
	f := startFake(t, j.serve)
	f.offers, f.roomy = " sequences=5", true
	o := f.options()
	o.AnswerTimeout = time.Second
	o.Retry.For = []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, -1}[rng.IntN(5)]
	c := f.client(o)
	p, err := c.Producer("t", client.ProducerOptions{BatchBytes: client.MinBatchBytes, MaxInFlight: 1 + rng.IntN(8), StopOnError: rng.IntN(4) == 0})
	must(t, err)
	const n = 60
	type outcome struct {
		value string
		r     client.Result
		err   error
	}
	var got []outcome // callbacks come one by one
	for i := range n {
		v := fmt.Sprintf("%03d%s", i, strings.Repeat("x", 1+int(seed+uint64(i)*7)%500))
		err := p.Send(t.Context(), rec(v), func(r client.Result, err error) { got = append(got, outcome{v, r, err}) })
		if err != nil && !errors.Is(err, client.ErrStopped) {
			t.Fatal(err)
		}
		if i%7 == 0 {
			select { // in the bubble's time
			case <-time.After(time.Duration(i) * time.Millisecond):
			case <-t.Context().Done():
			}
		}
	}
	_ = p.Flush(t.Context()) // callbacks tell of failures
	j.mu.Lock()
	j.ill = false
	j.mu.Unlock()
	_ = p.Close(t.Context())
	must(t, c.Close())
	f.group.Wait()

	var log []string
	for _, e := range j.log {
		log = append(log, e.values...)
	}
	if !slices.IsSorted(log) || len(slices.Compact(slices.Clone(log))) != len(log) {
		t.Errorf("the log has records twice or out of order: %.3q", log)
	}
	if !slices.IsSortedFunc(got, func(a, b outcome) int { return strings.Compare(a.value, b.value) }) {
		t.Error("outcomes came out of order")
	}
	for _, o := range got {
		at := slices.Index(log, o.value)
		switch {
		case o.err == nil && !j.lost[o.value] && at != int(o.r.Offset):
			t.Errorf("%.3s was appended at %d, and is at %d", o.value, o.r.Offset, at)
		case o.err != nil && !errors.Is(o.err, client.ErrUnknown) && at >= 0:
			t.Errorf("%.3s failed, and is at %d: %v", o.value, at, o.err)
		}
	}
}

// E5: a producer whose connections are cut all the time, by a real server, loses nothing, doubles nothing, and has no unknown
// outcome.
func TestE5ConnectionsCutAtRandom(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	first, behind := seeds(t, 4)
	for seed := first; seed < behind; seed++ {
		rng := rand.New(rand.NewPCG(seed, 6))
		c, err := client.Dial(t.Context(), client.Options{Addr: srv.Addr, Dial: cutting(rng), Retry: client.Retry{For: time.Minute, Min: time.Microsecond, Max: time.Millisecond}})
		must(t, err)
		topic := fmt.Sprintf("t%d", seed)
		p := producer(t, c, topic, client.ProducerOptions{BatchBytes: 2 << 10})
		const n = 3000
		for i := range n {
			must(t, p.Send(t.Context(), rec(strconv.Itoa(i)), func(r client.Result, err error) {
				if err != nil || r.Offset != uint64(i) {
					t.Errorf("SLUICE_SEED=%d: record %d: %+v, %v", seed, i, r, err)
				}
			}))
		}
		must(t, p.Close(t.Context()))
		must(t, c.Close())
		next := 0
		for r, err := range consumer(t, srv.Client(t), topic, client.ConsumerOptions{}).Records(t.Context()) {
			must(t, err)
			if string(r.Value) != strconv.Itoa(next) {
				t.Fatalf("SLUICE_SEED=%d: record %d is %s", seed, next, r.Value)
			}
			next++
		}
		if next != n {
			t.Fatalf("SLUICE_SEED=%d: %d records of %d", seed, next, n)
		}
	}
}

// cutting dials connections that end after a random number of bytes, in one direction or the other. The first one, which is
// the Client's own, does not.
func cutting(rng *rand.Rand) func(context.Context, string, string) (net.Conn, error) {
	var mu sync.Mutex
	conns := 0
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		if conns++; err != nil || conns == 1 {
			return nc, err
		}
		c := &cut{Conn: nc}
		c.out.Store(200 + rng.Int64N(40<<10))
		c.in.Store(150 + rng.Int64N(1<<10))
		return c, nil
	}
}

// cut is a connection with so many bytes left to it.
type cut struct {
	net.Conn
	in, out atomic.Int64
}

func (c *cut) Write(b []byte) (int, error) {
	n := min(int64(len(b)), max(c.out.Add(-int64(len(b)))+int64(len(b)), 0))
	if n < int64(len(b)) {
		_, _ = c.Conn.Write(b[:n]) // what it brings is the server's business
		_ = c.Close()
		return int(n), io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

func (c *cut) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.in.Add(-int64(n)) < 0 {
		_ = c.Close() // the rest, an answer among it, is lost
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// steadyProducer is one that a judge serves, with small batches.
func steadyProducer(t *testing.T, j *judge) (*client.Producer, func()) {
	f := startFake(t, j.serve)
	f.offers, f.roomy = " sequences=5", true
	c := f.client(f.options())
	p := producer(t, c, "t", client.ProducerOptions{BatchBytes: client.MinBatchBytes, MaxInFlight: 4})
	return p, func() {
		must(t, p.Close(t.Context()))
		must(t, c.Close())
		f.group.Wait()
	}
}

// E5: before a server knows a producer, it takes any batch for its first one. So the second one is not sent before the first
// has been taken: had that been refused, it would come too late.
func TestE5TheFirstBatchComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &judge{t: t, lost: map[string]bool{}, once: []string{"ERR DISK_FULL - full", "ERR DISK_FULL - full"}}
		p, end := steadyProducer(t, j)
		for i := range 12 {
			must(t, p.Send(t.Context(), rec(fmt.Sprint(i, strings.Repeat("x", 400))), func(r client.Result, err error) {
				if err != nil || r.Offset != uint64(i) {
					t.Errorf("record %d: %+v, %v", i, r, err)
				}
			}))
		}
		end()
	})
}

// A2, E5: a producer goes on when a power cut has taken back what it was told is written: the server waits for earlier
// sequences, and gets a new epoch.
func TestA2E5ProducerGoesOnBehindAPowerCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &judge{t: t, lost: map[string]bool{}}
		p, end := steadyProducer(t, j)
		for i := range 12 {
			if _, err := p.Append(t.Context(), rec(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			if i == 7 {
				j.mu.Lock()
				j.log = j.log[:5]
				j.once = []string{""}
				j.mu.Unlock()
			}
		}
		end()
		var log []string
		for _, e := range j.log {
			log = append(log, e.values...)
		}
		if want := "0 1 2 3 4 8 9 10 11"; strings.Join(log, " ") != want {
			t.Errorf("the log has %v, want %s", log, want)
		}
	})
}

// E5: who does not want sequences, or wants no answers, has none, and neither has one whose server offers none.
func TestE5SequencesAreOptional(t *testing.T) {
	for _, c := range []struct {
		offers string
		o      client.ProducerOptions
		want   int64
	}{
		{" sequences=5", client.ProducerOptions{}, 1},
		{" sequences=5", client.ProducerOptions{Sequences: client.SequencesOff}, -1},
		{" sequences=5", client.ProducerOptions{Ack: client.AckNone}, -1},
		{"", client.ProducerOptions{}, -1},
	} {
		bubble(t, func(t *testing.T) {
			j := &judge{t: t, lost: map[string]bool{}}
			f := startFake(t, j.serve)
			f.offers = c.offers
			k := f.client(f.options())
			p := producer(t, k, "t", c.o)
			must(t, p.Send(t.Context(), rec("x"), nil))
			_ = p.Close(t.Context()) // the judge answers everything, which AckNone does not expect
			must(t, k.Close())
			f.group.Wait()
			if got := j.log[0].h.ProducerID; got != c.want {
				t.Errorf("%+v: producer id %d, want %d", c, got, c.want)
			}
		})
	}
}
