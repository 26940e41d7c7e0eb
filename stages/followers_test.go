package stages

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
)

// Every follower gets every record, in whatever form, also those that come while it is
// being told of others.
func TestEveryFollowerGetsEveryWave(t *testing.T) {
	const followers, waves = 100, 30
	s := startServerOn(t, disk.OS(t.TempDir()), noTicks())
	producer := dial(t, s)
	producer.send("CREATE t\n")
	producer.want("OK")
	var all []*session
	for i := range followers {
		c := dial(t, s)
		c.send("%s\n", []string{"TAIL t", "TAIL t raw=1"}[i%2])
		all = append(all, c)
	}
	waitFor(t, func() bool { return s.stats.subscribers.Load() == followers })
	for i := range waves {
		producer.send("MSG t 10\n%010d\n", i)
		producer.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", i, i+1))
	}
	for i, c := range all {
		for at := 0; at < waves; {
			if i%2 == 0 {
				if line, value := c.line(), c.line(); !strings.HasPrefix(line, fmt.Sprintf("REC offset=%d ", at)) || value != fmt.Sprintf("%010d", at) {
					t.Fatalf("behind %d came %q, %q", at, line, value)
				}
				at++
				continue
			}
			var n, next int
			head, _ := c.data()
			if _, err := fmt.Sscanf(head, fmt.Sprintf("DATA %%d from=%d next=%%d", at), &n, &next); err != nil || next <= at {
				t.Fatalf("behind %d came %q", at, head)
			}
			at = next
		}
	}
	for _, c := range all {
		if err := c.nc.Close(); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 0 && s.stats.connections.Load() == 1 })
}

// However subscribers come and go, each is in its log's list once, at the place it knows.
func TestSubscribersKnowTheirPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	p := new(partition)
	var in, out []*subscription
	for range 50 {
		out = append(out, new(subscription))
	}
	for range 2000 {
		from, to, move := &out, &in, p.subscribe
		if rng.IntN(2) == 0 {
			from, to, move = &in, &out, p.unsubscribe
		}
		if len(*from) == 0 {
			continue
		}
		i := rng.IntN(len(*from))
		move((*from)[i])
		*to = append(*to, (*from)[i])
		*from = slices.Delete(*from, i, i+1)
		if len(p.subs.all) != len(in) || int(p.watched.Load()) != len(in) {
			t.Fatalf("%d are listed, %d counted, %d there", len(p.subs.all), p.watched.Load(), len(in))
		}
		for _, c := range in {
			if p.subs.all[c.place] != c {
				t.Fatal("one is not at its place")
			}
		}
	}
}
