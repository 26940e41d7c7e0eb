package client_test

import (
	"context"
	"net"
	"testing"
	"time"

	"sluice/client"
	"sluice/sluicetest"
	"sluice/wire/batch"
)

// lingering notes what SetLinger is told.
type lingering struct {
	net.Conn
	told []int
}

func (l *lingering) SetLinger(sec int) error {
	l.told = append(l.told, sec)
	return nil
}

// A server can't tell that a Consumer has left, unless its connection is reset. One that appends must not be: what is
// on its way would be lost.
func TestOnlyAConsumerResetsItsConnection(t *testing.T) {
	srv := sluicetest.Start(t)
	var conns []*lingering
	c, err := client.Dial(t.Context(), client.Options{Addr: srv.Addr, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		conns = append(conns, &lingering{Conn: nc})
		return conns[len(conns)-1], err
	}})
	must(t, err)
	p := producer(t, c, "t", client.ProducerOptions{})
	_, err = p.Append(t.Context(), rec("a"))
	must(t, err)
	closed(t, p)
	for range consumer(t, c, "t", client.ConsumerOptions{Follow: true, Wait: time.Hour}).Records(t.Context()) {
		break
	}
	must(t, c.Close())
	if len(conns) != 3 {
		t.Fatalf("%d connections: want the client's own, the producer's, the consumer's", len(conns))
	}
	for i, want := range []int{0, 0, 1} {
		if got := conns[i].told; len(got) != want || want == 1 && got[0] != 0 {
			t.Errorf("connection %d was told to linger %v", i, got)
		}
	}
}

// The first record's empty value is as empty as all others.
func TestEmptyStaysEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b batch.Builder
		b.Reset(nil)
		b.Add(1, nil, []byte{}, nil)
		b.Add(1, []byte{}, nil, nil)
		payload, err := b.Finish(batch.None)
		must(t, err)
		f := startReader(t, func(p *peer) {
			p.fetch(asking("oldest"))
			p.data(0, 2, 2, payload)
			p.drain()
		})
		c := f.client(f.options())
		defer c.Close()
		reader, err := c.Consumer("t", client.ConsumerOptions{})
		must(t, err)
		var got []client.Record
		for r, err := range reader.Records(t.Context()) {
			must(t, err)
			got = append(got, r)
		}
		if len(got) != 2 || got[0].Key != nil || got[0].Value == nil || got[1].Key == nil || got[1].Value != nil {
			t.Errorf("got %#v", got)
		}
	})
}
