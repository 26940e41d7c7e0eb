package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
)

// A client that decodes records is slower than either broker, so its rate is its own. This one asks as such a client does,
// and drops what it gets: a consumer on another machine costs this one nothing.

const (
	fetchVersion = 12 // the oldest that every client knows, and the last one without topic ids
	fetchMost    = 1 << 20
	fetchWait    = 500 * time.Millisecond
)

// catchUpDrained repeats the requests of a first pass, which has found out where each answer ends.
func catchUpDrained(ctx context.Context, b *broker, w window) (tally, error) {
	t := tally{hist: newHist(), took: w.until.Sub(w.from)}
	nc, err := dial(ctx, b.p.addr)
	if err != nil {
		return t, err
	}
	defer closeQuietly(nc)
	c := drainer{nc.(*net.TCPConn)}
	if b.answers == nil { // in the warm-up: the window would be over before it
		if b.answers, err = c.firstPass(b.records); err != nil {
			return t, err
		}
	}
	for time.Now().Before(w.until) {
		for _, a := range b.answers {
			if ctx.Err() != nil {
				return t, context.Cause(ctx)
			}
			begun := time.Now()
			size, err := c.ask(a.request)
			if err == nil {
				err = drain(c.tcp, size, func(int) {})
			}
			if err != nil {
				return t, err
			}
			now := time.Now()
			if begun.After(w.from) && now.Before(w.until) {
				record(t.hist, now.Sub(begun))
				t.bytes += a.payload(size)
			}
			if now.After(w.until) {
				break
			}
		}
	}
	t.ops = t.bytes / rawRequest
	return t, nil
}

type answer struct {
	request []byte
	size    int // in the first pass
	records int64
}

// payload is how much of an answer's bytes are values. An answer may be shorter than in the first pass: a broker sends what
// it has at hand.
func (a answer) payload(size int) int64 { return int64(size) * a.records * rawRequest / int64(a.size) }

type drainer struct{ tcp *net.TCPConn }

func (c drainer) firstPass(records int) (all []answer, err error) {
	for at := int64(0); at < int64(records); {
		next, size, err := c.fetch(at)
		if err != nil {
			return nil, err
		}
		all = append(all, answer{request: fetchAt(at), size: size, records: next - at})
		at = next
	}
	return all, nil
}

func fetchAt(at int64) []byte {
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = at, fetchMost
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.Partitions = readTopic, append(topic.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(fetchVersion)
	req.MaxWaitMillis, req.MinBytes, req.Topics = int32(fetchWait.Milliseconds()), 1, append(req.Topics, topic)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 1)
}

// ask sends a request, and reads how long its answer is.
func (c drainer) ask(request []byte) (size int, err error) {
	if err := c.tcp.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	if _, err := c.tcp.Write(request); err != nil {
		return 0, err
	}
	var b [4]byte
	_, err = io.ReadFull(c.tcp, b[:])
	return int(binary.BigEndian.Uint32(b[:])), err
}

// fetch reads an answer whole: its size, and the first offset behind it.
func (c drainer) fetch(at int64) (next int64, size int, err error) {
	if size, err = c.ask(fetchAt(at)); err != nil {
		return 0, 0, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(c.tcp, b); err != nil {
		return 0, 0, err
	}
	res := kmsg.NewPtrFetchResponse()
	res.SetVersion(fetchVersion)
	if err := res.ReadFrom(b[5:]); err != nil { // behind the correlation id and the header's tags
		return 0, 0, err
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 || res.Topics[0].Partitions[0].ErrorCode != 0 {
		return 0, 0, fmt.Errorf("fetch at %d: %+v", at, res)
	}
	next = at
	for b := res.Topics[0].Partitions[0].RecordBatches; len(b) > 0; {
		h, err := batch.Verify(b)
		if err != nil {
			break // the last one may be cut
		}
		next = int64(h.Next())
		b = b[h.Size:]
	}
	if next == at {
		return 0, 0, fmt.Errorf("fetch at %d: no whole batch", at)
	}
	return next, size, nil
}
