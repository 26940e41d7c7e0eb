package crash

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sluice/client"
	"sluice/test/crash/witness"
)

// The Go client's producers go on through kills of the server, at every level that is answered: no outcome is unknown, and in
// the end each record is in the log exactly once, in order, at the offset that its answer told.
func TestA1A5E5ClientThroughKills(t *testing.T) {
	kills, seed := int(number(t, "SLUICE_CLIENT_KILLS", 4)), firstSeed(t)
	if testing.Short() {
		kills = 1
	}
	const count = 20_000
	s := newStay(t, seed)
	s.start()
	s.door.leadTo(s.srv.Text)
	c, err := client.Dial(t.Context(), client.Options{Addr: s.door.addr(), Retry: client.Retry{For: witness.Limit}})
	if err != nil {
		t.Fatal(err)
	}
	levels := []client.Ack{client.AckWritten, client.AckSynced}
	acked, news := new(atomic.Int64), make(chan struct{}, 1)
	ended := make(chan error, len(levels))
	for _, ack := range levels {
		s.create(ack.String())
		p, err := c.Producer(ack.String(), client.ProducerOptions{Ack: ack, BatchBytes: 4 << 10})
		if err != nil {
			t.Fatal(err)
		}
		go func() { // ends when all is accepted and answered; the test waits for it
			for i := range count {
				value := fmt.Appendf(nil, "go-%d", i+1)
				err := p.Send(context.Background(), client.Record{Value: value}, func(r client.Result, err error) {
					if err != nil || r.Offset != uint64(i) {
						t.Errorf("seed %d, ack=%v: record %d: %+v, %v", seed, ack, i+1, r, err)
					}
					acked.Add(1)
					select {
					case news <- struct{}{}:
					default:
					}
				})
				if err != nil {
					t.Errorf("seed %d, ack=%v: record %d: %v", seed, ack, i+1, err)
					break
				}
			}
			ended <- p.Close(context.Background())
		}()
	}
	for n := range kills {
		for acked.Load() < int64((n+1)*len(levels)*count/(kills+1)) {
			<-news
		}
		s.pause(10 * time.Millisecond)
		s.kill()
		s.start()
		s.door.leadTo(s.srv.Text)
	}
	for range levels {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, ack := range levels {
		log := s.numbers(ack.String())
		if len(log) != count {
			t.Errorf("seed %d, ack=%v: %d records are in the log, of %d", seed, ack, len(log), count)
		}
		for o, n := range log {
			if n != o+1 {
				t.Fatalf("seed %d, ack=%v: offset %d holds record %d", seed, ack, o, n)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	s.verify(s.stop())
}
