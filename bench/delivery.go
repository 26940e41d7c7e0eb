package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// W8: from the append to the delivery at a following reader, against what a bare server takes to answer, in short turns.
// Who wakes somebody on another processor sends an interrupt, which in a virtual machine goes through the hypervisor; and
// whether the two ends share a processor the scheduler decides anew from turn to turn. So each turn is compared with
// the one beside it, and one message at a time also where the processors are given.

const (
	followRate = 10_000 // messages a second
	turnsSkip  = 10     // one in so many of a turn's parts, the first one, warms up

	pairEcho = "p50 to the round trip's, of the median pair of turns"
	pairLow  = "p50 to the round trip's, of the first quartile of the pairs"
	pairHigh = "p50 to the round trip's, of the third quartile of the pairs"
	pairFan  = "p50 to the bare fan's, of the median pair of turns"

	wakeNote = "the round trip takes several times as long where the two ends have a processor each, since each wake-up of the other one is then an interrupt " +
		"that in a virtual machine goes through the hypervisor; which it is the scheduler decides from turn to turn, so only where the processors are given is the ratio the servers' own"
)

// A placement says which processors the servers have and which one the load has; nil: any.
type placement struct {
	name            string
	server, clients []int
	note            string
}

// placements are those that this machine can give.
func placements() []placement {
	all := []placement{{note: wakeNote}}
	cpus, err := processors()
	if err != nil { // nobody is pinned here
		return all
	}
	first, last := cpus[:1], cpus[len(cpus)-1:]
	all = append(all, placement{", one core", first, first, "servers and load share one processor"})
	if len(cpus) > 1 {
		all = append(all, placement{", two cores", last, first, "the servers have one processor, the load another one"})
	}
	return all
}

// deliverySteps: one message at a time in every placement; at 10k/s, which is more than one processor can do, in none.
func (s suite) deliverySteps() (out []step) {
	for _, where := range placements() {
		d := delivery{suite: s, name: "W8 one" + where.name, placement: where}
		out = append(out, step{d.name, "sluice", written, 1, 1, d.run})
	}
	d := delivery{suite: s, name: "W8 10k/s", paced: true}
	return append(out, step{d.name, "sluice", written, 1, 0, d.run})
}

type delivery struct {
	suite
	placement
	name  string
	paced bool
}

// run starts the servers where they are to be: a process begins on the processors of the one that starts it.
func (d delivery) run(ctx context.Context) (t tally, cpu time.Duration, err error) {
	if d.server != nil {
		all, err := processors()
		if err == nil {
			err = pin(d.server)
		}
		if err != nil {
			return t, 0, err
		}
		defer func() { err = errors.Join(err, pin(all)) }()
	}
	return d.withServer(func(ctx context.Context, p *proc) (t tally, err error) {
		if _, err := ask(ctx, p.addr, "CREATE "+topic); err != nil {
			return t, err
		}
		echo, err := startRaw(ctx, "echo", "")
		if err != nil {
			return t, err
		}
		defer echo.kill()
		fan, err := startRaw(ctx, "fan", strconv.Itoa(rawRequest))
		if err != nil {
			return t, err
		}
		defer fan.kill()
		if d.clients != nil {
			if err := pin(d.clients); err != nil {
				return t, err
			}
		}
		return d.measureAll(ctx, p.addr, echo.addr, fan.addr)
	})(ctx)
}

// measureAll has the server, the echo and the fan take turns, every second time in the opposite order.
func (d delivery) measureAll(ctx context.Context, ours, echo, fan string) (t tally, err error) {
	courses := []*course{
		{tally: tally{name: d.name, level: written}, addr: ours, request: message("written"), take: takeRecord},
		{tally: tally{name: d.name + ", round trip", system: "raw", level: nothing}, addr: echo, request: noise(rawRequest), take: takeEcho},
		{tally: tally{name: d.name + ", bare fan", system: "raw", level: nothing}, addr: fan, request: message("written"), take: takeFrame},
	}
	for i, c := range courses {
		if err := c.open(ctx, 3*d.measure+30*time.Second, i != 1); err != nil {
			return t, err
		}
		defer c.close()
	}
	order := slices.Clone(courses)
	for left := d.measure/2 + slice; left > 0; left -= slice { // the first turns warm up
		for _, c := range order {
			one, err := c.turn(ctx, min(left, slice), d.paced)
			if err != nil {
				return t, fmt.Errorf("%s: %w", c.name, err)
			}
			if left <= d.measure/2 {
				c.addTurn(one)
			}
		}
		slices.Reverse(order)
	}
	first := &courses[0].tally
	first.note = d.note
	first.pairUp(courses[1].tally, courses[2].tally)
	first.beside = []tally{courses[1].tally, courses[2].tally}
	return *first, nil
}

// pairUp compares each turn with that of the same number on the other sides.
func (t *tally) pairUp(echo, fan tally) {
	against := func(other tally) (ratios []float64) {
		for i, x := range t.turns {
			if y := other.turns[i]; y.P50 > 0 {
				ratios = append(ratios, float64(x.P50)/float64(y.P50))
			}
		}
		slices.Sort(ratios)
		return ratios
	}
	if r := against(echo); len(r) > 0 {
		t.figures = map[string]float64{pairLow: r[len(r)/4], pairEcho: r[len(r)/2], pairHigh: r[len(r)*3/4]}
	}
	if r := against(fan); len(r) > 0 {
		t.figures[pairFan] = r[len(r)/2]
	}
}

// A course is one way of a message: from the moment it is written, or was due, to that at which what it brings about is here.
type course struct {
	tally
	addr    string
	request []byte
	take    func(*bufio.Reader) (int, error) // what so many messages bring about

	conns   []net.Conn // the first one sends
	came    *bufio.Reader
	answers *bufio.Reader // of the appends; nil: what comes are the answers
}

func takeEcho(br *bufio.Reader) (int, error) { return 1, rawAnswered(br) }

func takeRecord(br *bufio.Reader) (int, error) { return 1, sluiceRecord(br) }

func takeFrame(br *bufio.Reader) (int, error) {
	h, err := readHead(br)
	if err == nil {
		_, err = br.Discard(h.n + len("\r\n"))
	}
	return int(h.next - h.from), err
}

// open connects, twice where one connection follows.
func (c *course) open(ctx context.Context, limit time.Duration, follows bool) error {
	c.tally.hist = newHist()
	for range 2 {
		nc, err := dial(ctx, c.addr)
		if err != nil {
			return err
		}
		c.conns = append(c.conns, nc)
		if err := nc.SetDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
		c.came = bufio.NewReaderSize(nc, 64<<10)
		if !follows {
			return nil
		}
		if c.answers == nil {
			c.answers = c.came
		}
	}
	_, err := fmt.Fprintf(c.conns[1], "TAIL %s 0\n", topic)
	return err
}

func (c *course) close() {
	for _, nc := range c.conns {
		closeQuietly(nc)
	}
}

// turn measures for d, but for what warms up. Whoever fails closes the connections, since others may wait for what they bring.
func (c *course) turn(ctx context.Context, d time.Duration, paced bool) (*tally, error) {
	t := &tally{hist: newHist()}
	start, lost := time.Now(), stolenTime()
	w := window{from: start.Add(d / turnsSkip), until: start.Add(d)}
	t.took = w.until.Sub(w.from)
	do := c.one
	if paced {
		do = c.atRate
	}
	err := do(ctx, w, t)
	t.lost = stolenTime() - lost
	return t, err
}

// one keeps one message under way.
func (c *course) one(ctx context.Context, w window, t *tally) error {
	for {
		sent := time.Now()
		if sent.After(w.until) {
			return context.Cause(ctx)
		}
		if _, err := c.conns[0].Write(c.request); err != nil {
			return err
		}
		if _, err := c.take(c.came); err != nil {
			return err
		}
		if now := time.Now(); sent.After(w.from) {
			t.add(now.Sub(sent), rawRequest)
		}
		if c.answers != nil {
			if err := sluiceAnswer(c.answers); err != nil {
				return err
			}
		}
	}
}

// atRate is an open loop: a message counts from the moment it was due, so a stall counts for each that fell into it.
func (c *course) atRate(ctx context.Context, w window, t *tally) error {
	const interval = time.Second / followRate
	start := time.Now().Add(interval)
	total := int(w.until.Sub(start) / interval)
	due := func(i int) time.Time { return start.Add(time.Duration(i) * interval) }
	var wg sync.WaitGroup
	errs := make([]error, 2)
	begin := func(to *error, f func() error) {
		wg.Go(func() {
			if *to = f(); *to != nil {
				c.close()
			}
		})
	}
	begin(&errs[0], func() error { return sendAt(ctx, c.conns[0], c.request, total, due) })
	if c.answers != nil {
		begin(&errs[1], func() (err error) {
			for i := 0; i < total && err == nil; i++ {
				err = sluiceAnswer(c.answers)
			}
			return err
		})
	}
	var err error
	for i := 0; i < total && err == nil; {
		var n int
		if n, err = c.take(c.came); err != nil {
			c.close()
		}
		for came := time.Now(); n > 0; i, n = i+1, n-1 {
			if d := due(i); d.After(w.from) {
				t.add(came.Sub(d), rawRequest)
			}
		}
	}
	wg.Wait()
	return errors.Join(append(errs, err)...)
}
