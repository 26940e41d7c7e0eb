package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A consumer is one of a crowd.
type consumer struct {
	crowd  *crowd
	nc     *net.TCPConn
	br     *bufio.Reader // reads from the consumer itself, which counts
	number int           // in the crowd
	total  *tallies
	start  time.Time // when the record 0 is due
}

// Read takes what has come, and counts it.
func (k *consumer) Read(p []byte) (int, error) {
	n, err := k.nc.Read(p)
	k.got(n)
	return n, err
}

func (k *consumer) got(n int) { k.total.bytes.Add(int64(n)) }

func (k *consumer) record(ops int, latency func(i int) time.Duration) {
	h := &k.total.hists[k.number%len(k.total.hists)]
	h.Lock()
	for i := range ops {
		record(h.h, latency(i))
	}
	h.Unlock()
	k.total.ops.Add(int64(ops))
}

// begin makes sure that the server serves this connection, and has followers follow.
func (k *consumer) begin() error {
	if k.crowd.Kind == "stream" {
		_, err := fmt.Fprintf(k.nc, "%d %d\n", k.number, k.crowd.Conns)
		return err
	}
	ping := "PING\n"
	if k.crowd.Kind == "ask" {
		ping = fmt.Sprintf("PING %d %d\n", k.number, k.crowd.Conns)
	}
	if err := k.send(ping); err != nil {
		return err
	}
	if err := sluiceAnswer(k.br); err != nil || k.crowd.Kind != "follow" {
		return err
	}
	return k.tail(0)
}

func (k *consumer) send(request string) error {
	_, err := io.WriteString(k.nc, request)
	return err
}

func (k *consumer) tail(from uint64) error {
	return k.send(fmt.Sprintf("TAIL %s %d raw=1\n", k.crowd.Topic, from))
}

func (k *consumer) consume() error {
	switch k.crowd.Kind {
	case "stream":
		return k.stream()
	case "fetch", "ask":
		return k.fetches()
	case "tail":
		return k.tails()
	case "follow":
		return k.follow()
	}
	_, err := k.br.ReadByte() // idle: nothing comes but the end
	return err
}

const streamOp = 1 << 20

func (k *consumer) stream() error {
	for {
		since := time.Now()
		if err := k.discard(streamOp); err != nil {
			return err
		}
		k.record(1, func(int) time.Duration { return time.Since(since) })
	}
}

// discard takes n bytes that are of no interest.
func (k *consumer) discard(n int) error {
	here := n
	if k.crowd.Drain {
		here = min(n, k.br.Buffered())
	}
	if _, err := k.br.Discard(here); err != nil {
		return err
	}
	return drain(k.nc, n-here, k.got)
}

// fetches reads the log over and over. The next answer is asked for when the head of this one is here, as a client
// with a prefetch does.
func (k *consumer) fetches() error {
	asked := time.Now()
	if err := k.fetch(uint64(k.number) * k.crowd.Step); err != nil {
		return err
	}
	for {
		h, err := readHead(k.br)
		if err != nil {
			return err
		}
		since := asked
		asked = time.Now()
		if err := k.fetch(k.wrapped(h)); err != nil {
			return err
		}
		if err := k.discard(h.n + len("\r\n")); err != nil {
			return err
		}
		k.record(1, func(int) time.Duration { return time.Since(since) })
	}
}

func (k *consumer) fetch(from uint64) error {
	return k.send(fmt.Sprintf("FETCH %s %d bytes=%d\n", k.crowd.Topic, from, k.crowd.Bytes))
}

// wrapped is where to go on: at the end, from the beginning.
func (k *consumer) wrapped(h dataHead) uint64 {
	if h.next >= h.end {
		return 0
	}
	return h.next
}

func (k *consumer) tails() error {
	if err := k.tail(uint64(k.number) * k.crowd.Step); err != nil {
		return err
	}
	for {
		since := time.Now()
		h, err := readHead(k.br)
		if err != nil {
			return err
		}
		if err := k.discard(h.n + len("\r\n")); err != nil {
			return err
		}
		k.record(1, func(int) time.Duration { return time.Since(since) })
		if k.wrapped(h) != 0 {
			continue
		}
		if err := k.tail(0); err != nil {
			return err
		}
		if err := sluiceAnswer(k.br); err != nil { // the first TAIL's end
			return err
		}
	}
}

// follow takes what comes, up to the last record that is due. Each record of a frame has come when the frame has.
func (k *consumer) follow() error {
	every := time.Second / time.Duration(k.crowd.Rate)
	for at := uint64(0); at < k.crowd.Until; {
		h, err := readHead(k.br)
		if err != nil {
			return err
		}
		if h.from != at || h.next <= at {
			return fmt.Errorf("a frame from %d to %d, at %d", h.from, h.next, at)
		}
		if err := k.discard(h.n + len("\r\n")); err != nil {
			return err
		}
		first, now := max(at, k.crowd.Skip), time.Now()
		if at = h.next; at > first {
			k.record(int(at-first), func(i int) time.Duration { return now.Sub(k.start.Add(time.Duration(first+uint64(i)) * every)) })
		}
	}
	if k.br.Buffered() > 0 {
		return errors.New("more has come than was appended")
	}
	return nil
}
