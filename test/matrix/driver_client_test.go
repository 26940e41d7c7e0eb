package matrix

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"time"

	"sluice/client"
	"sluice/wire/text"
)

var clientDriver = driver{
	name: "client",
	what: "the Go client",
	open: func(ctx context.Context, addr string) (session, error) { return openClient(ctx, addr) },
	lacks: map[capability]string{
		byteLimits:   "a Consumer counts records; how many bytes it asks for at a time is its own affair",
		batchRequest: "a Producer sends one batch a request",
		fetching:     "FETCH is what a Consumer reads with, not a call",
		typing:       "the package writes the requests",
	},
}

// goClient is a session of the Go client. Its Producers live as long as it does, so that appends of one session to one
// topic share a connection.
type goClient struct {
	ctx       context.Context
	c         *client.Client
	producers map[producerKey]*client.Producer
	conns     struct {
		sync.Mutex
		all []net.Conn
	}
}

type producerKey struct {
	topic string
	ack   text.Ack
	codec client.Codec
	whole bool // a batch is what lies between two Flushes
}

func openClient(ctx context.Context, addr string) (*goClient, error) {
	s := &goClient{ctx: ctx, producers: map[producerKey]*client.Producer{}}
	var err error
	s.c, err = client.Dial(ctx, client.Options{
		Addr: addr, Name: "matrix", Retry: client.Retry{For: -1}, // what is tried again here is a failure nobody sees
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				s.conns.Lock()
				s.conns.all = append(s.conns.all, nc)
				s.conns.Unlock()
			}
			return nc, err
		},
	})
	return s, err
}

// told makes a *refusal of an answer.
func told(err error) error {
	var e *client.Error
	if errors.As(err, &e) {
		return &refusal{code: e.Code.String(), text: err.Error()}
	}
	return err
}

func (s *goClient) create(topic string, settings ...string) error {
	m := map[string]string{}
	for _, pair := range settings {
		name, value, _ := strings.Cut(pair, "=")
		m[name] = value
	}
	return told(s.c.Create(s.ctx, topic, m))
}

func (s *goClient) drop(topic string) error { return told(s.c.Drop(s.ctx, topic)) }

func (s *goClient) head(topic string) (client.Head, error) {
	h, err := s.c.Head(s.ctx, topic)
	return h, told(err)
}

func (s *goClient) flush(topic string) (uint64, error) {
	n, err := s.c.Flush(s.ctx, topic)
	return n, told(err)
}

func (s *goClient) topics() ([]client.Topic, error) {
	list, err := s.c.Topics(s.ctx)
	return list, told(err)
}

func (s *goClient) stats() ([]byte, error) {
	b, err := s.c.Stats(s.ctx)
	return b, told(err)
}

func (s *goClient) producer(k producerKey) (*client.Producer, error) {
	if p := s.producers[k]; p != nil {
		return p, nil
	}
	o := client.ProducerOptions{Ack: k.ack, Codec: k.codec}
	if k.whole {
		o.Linger, o.BatchBytes = time.Hour, 1<<20
	}
	p, err := s.c.Producer(k.topic, o)
	if err == nil {
		s.producers[k] = p
	}
	return p, err
}

func (s *goClient) append(topic string, ack text.Ack, rs ...record) ([]answer, error) {
	p, err := s.producer(producerKey{topic: topic, ack: ack})
	if err != nil {
		return nil, err
	}
	return s.send(p, ack, rs)
}

// batches makes each of them a request.
func (s *goClient) batches(topic string, ack text.Ack, c client.Codec, bs ...[]record) ([]answer, error) {
	p, err := s.producer(producerKey{topic, ack, c, true})
	if err != nil {
		return nil, err
	}
	var all []answer
	for _, rs := range bs {
		as, err := s.send(p, ack, rs)
		if err != nil {
			return nil, err
		}
		if len(as) > 0 {
			all = append(all, answer{first: as[0].first, next: as[len(as)-1].next, ack: as[0].ack, synced: as[0].synced})
		}
	}
	return all, nil
}

func (s *goClient) send(p *client.Producer, ack text.Ack, rs []record) ([]answer, error) {
	var answers []answer // the callbacks come one by one, and all of them before Flush returns
	var failed error
	for _, r := range rs {
		c := client.Record{Key: r.key, Value: r.value}
		if r.ms != 0 {
			c.Time = time.UnixMilli(r.ms)
		}
		err := p.Send(s.ctx, c, func(res client.Result, err error) {
			if err != nil {
				failed = first(failed, told(err))
			} else if ack != text.AckNone {
				answers = append(answers, answer{first: res.Offset, next: res.Offset + 1, ack: res.Ack, synced: res.Synced})
			}
		})
		if err != nil {
			return nil, told(err)
		}
	}
	if err := p.Flush(s.ctx); err != nil {
		return nil, told(err)
	}
	return answers, failed
}

func (s *goClient) read(topic, from string, l limits) ([]record, error) {
	f, err := client.ParseFrom(from)
	if err != nil {
		return nil, err
	}
	c, err := s.c.Consumer(topic, client.ConsumerOptions{From: f, Limit: l.records})
	if err != nil {
		return nil, err
	}
	var rs []record
	for r, err := range c.Records(s.ctx) {
		if err != nil {
			return rs, told(err)
		}
		rs = append(rs, fromClient(r))
	}
	if next, ok := c.Position(); len(rs) > 0 && (!ok || next != rs[len(rs)-1].offset+1) {
		return rs, fmt.Errorf("the position is %d (%v) behind offset %d", next, ok, rs[len(rs)-1].offset)
	}
	return rs, nil
}

func fromClient(r client.Record) record {
	return record{offset: r.Offset, ms: r.Time.UnixMilli(), key: r.Key, value: r.Value}
}

func (s *goClient) follow(topic, from string, limit int64) (follower, error) {
	f, err := client.ParseFrom(from)
	if err != nil {
		return nil, err
	}
	c, err := s.c.Consumer(topic, client.ConsumerOptions{From: f, Limit: limit, Follow: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	pull, stop := iter.Pull2(c.Records(ctx))
	return &consumer{s: s, pull: pull, stop: stop, cancel: cancel}, nil
}

type consumer struct {
	s      *goClient
	pull   func() (client.Record, error, bool)
	stop   func()
	cancel context.CancelFunc
}

func (c *consumer) next() (record, error) {
	r, err, more := c.pull()
	switch {
	case !more:
		return record{}, errEnded
	case err != nil:
		return record{}, told(err)
	}
	return fromClient(r), nil
}

// end leaves the loop, as a program would that has seen enough.
func (c *consumer) end() error {
	c.stop()
	c.cancel()
	return nil
}

// kill cuts every connection of the session, then gives up.
func (c *consumer) kill() {
	c.s.conns.Lock()
	for _, nc := range c.s.conns.all {
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = nc.Close()
	}
	c.s.conns.Unlock()
	c.cancel()
	c.stop()
}

func (s *goClient) close() error {
	var errs []error
	for _, p := range s.producers {
		errs = append(errs, p.Close(s.ctx))
	}
	return errors.Join(append(errs, s.c.Close())...)
}
