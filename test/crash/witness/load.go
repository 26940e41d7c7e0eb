package witness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/test/crash/oracle"
	"sluice/wire/text"
)

// A Load is producers and readers that go on until the server takes no more, each on a connection of its own.
type Load struct {
	On    chan struct{} // closed with the first acknowledgement
	Acked atomic.Int64  // records

	rec   *oracle.Recorder
	logs  []string
	conns []*Conn
	wg    sync.WaitGroup
	once  sync.Once // for On
	mu    struct {
		sync.Mutex
		codes map[string]int // errors that were answered
		wrong []error
	}
}

// StartLoad begins; the seed decides what is sent, not when.
func StartLoad(addr string, rec *oracle.Recorder, logs []string, producers, readers int, seed uint64) (*Load, error) {
	l := &Load{rec: rec, logs: logs, On: make(chan struct{})}
	l.mu.codes = map[string]int{}
	for range producers + readers {
		c, err := Dial(addr, rec)
		if err != nil {
			return nil, errors.Join(err, l.End())
		}
		l.conns = append(l.conns, c)
	}
	for i, c := range l.conns {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		if i < producers {
			l.wg.Go(func() { l.produce(c, rng) })
		} else {
			l.wg.Go(func() { l.follow(c, rng) })
		}
	}
	return l, nil
}

// End closes the connections, if the server has not, and joins everybody. It returns what Join does.
func (l *Load) End() error {
	for _, c := range l.conns {
		c.Close()
	}
	return l.Join()
}

// Join waits for the end of all connections, which the end of the server brings. It tells what should not happen whatever
// becomes of a server: answers that make no sense.
func (l *Load) Join() error {
	l.wg.Wait()
	return errors.Join(l.mu.wrong...)
}

// Codes counts the errors that were answered. Behind Join.
func (l *Load) Codes() map[string]int { return l.mu.codes }

// gone tells the errors that the end of a server or of a connection brings.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// met notes an error: one that the protocol answers is counted, the end of a connection is none.
func (l *Load) met(err error) {
	if err == nil || gone(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := errors.AsType[*text.Error](err); ok {
		l.mu.codes[e.Code.String()]++
		return
	}
	l.mu.wrong = append(l.mu.wrong, err)
}

// produce keeps a window of requests on their way, of all kinds and levels, until the connection ends.
func (l *Load) produce(c *Conn, rng *rand.Rand) {
	pending := make(chan *oracle.Event, 1+rng.IntN(24))
	var sender sync.WaitGroup
	sender.Go(func() {
		defer close(pending)
		l.send(c, rng, pending)
	})
	l.receive(c, pending)
	c.Close() // the sender must end
	for range pending {
	}
	sender.Wait()
}

func (l *Load) send(c *Conn, rng *rand.Rand, pending chan<- *oracle.Event) {
	out := bufio.NewWriterSize(c.nc, 32<<10)
	levels := []string{"written", "written", "written", "synced", "none"}
	for {
		e, request := l.request(c, rng, levels[rng.IntN(len(levels))])
		l.rec.Invoke(e)
		select {
		case pending <- e:
		default:
			if out.Flush() != nil { // before it waits for an answer
				return
			}
			pending <- e
		}
		if _, err := out.Write(request); err != nil {
			return
		}
		if rng.IntN(3) == 0 && out.Flush() != nil {
			return
		}
	}
}

// request makes mostly small records, now and then one that fills a good part of a small segment.
func (l *Load) request(c *Conn, rng *rand.Rand, ack string) (*oracle.Event, []byte) {
	log := l.logs[rng.IntN(len(l.logs))]
	size := rng.IntN(300)
	if rng.IntN(20) == 0 {
		size = rng.IntN(6000)
	}
	if rng.IntN(3) > 0 {
		return c.message(log, ack, size)
	}
	sizes := make([]int, 1+rng.IntN(5))
	for i := range sizes {
		sizes[i] = size / len(sizes)
	}
	return c.batch(log, ack, sizes)
}

// receive gives each answer to its request. Requests with ack=none have one only if they are refused, which names them.
func (l *Load) receive(c *Conn, pending <-chan *oracle.Event) {
	quiet := map[uint64]*oracle.Event{}
	var number uint64
	answer := func() (refused bool, err error) {
		if _, err := c.next(); err != nil {
			return false, err
		}
		req, refused := c.answer.Uint("req")
		if !refused {
			return false, nil
		}
		e := quiet[req]
		if e == nil {
			return false, fmt.Errorf("an answer names request %d, which is none with ack=none", req)
		}
		l.met(c.appended(e))
		return true, nil
	}
	for e := range pending {
		number++
		if e.Ack == "none" {
			quiet[number] = e
			continue
		}
		for {
			refused, err := answer()
			if err != nil {
				l.met(err)
				return
			}
			if !refused {
				break
			}
		}
		if err := c.appended(e); err != nil {
			l.met(err)
			continue
		}
		l.Acked.Add(int64(len(e.Values)))
		l.once.Do(func() { close(l.On) })
	}
	for { // the last ones may have been refused
		if _, err := answer(); err != nil {
			l.met(err)
			return
		}
	}
}

// follow reads what is written, mostly at the end, until the connection ends.
func (l *Load) follow(c *Conn, rng *rand.Rand) {
	for {
		log := l.logs[rng.IntN(len(l.logs))]
		_, next, err := c.Head(log)
		if err != nil {
			l.met(err)
			return
		}
		from := next
		if rng.IntN(4) == 0 && next > 0 {
			from = next - uint64(rng.IntN(int(min(next, 2000))))
		}
		for range 10 {
			var e *oracle.Event
			if rng.IntN(3) > 0 {
				e, err = c.Fetch(log, from, 20*time.Millisecond)
			} else {
				e, err = c.Read(log, from, 1+rng.IntN(200))
			}
			if err != nil {
				l.met(err)
				return
			}
			from += uint64(len(e.Records))
		}
	}
}
