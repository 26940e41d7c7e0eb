package client_test

import (
	"runtime"
	"strings"
	"testing"

	"sluice/client"
	"sluice/sluicetest"
	"sluice/wire/batch"
)

// A steady reader that shares bytes allocates nothing, neither for an answer nor for a record (I10, the client's side).
func TestI10SharedReadingAllocatesNothing(t *testing.T) { // not parallel: it counts what the whole process allocates
	if raceEnabled {
		t.Skip("skipped: the race detector allocates")
	}
	for _, codec := range []batch.Codec{batch.None, batch.LZ4} {
		e := answerOf(100, codec)
		c := e.client(t)
		run := func(answers int) float64 {
			return testing.AllocsPerRun(2, func() { e.read(t, c, client.ConsumerOptions{ShareBytes: true}, answers) })
		}
		few, many := run(20), run(220)
		if many-few > 20 { // the runtime has some of its own now and then
			t.Errorf("%v: %v allocations for 20 answers, %v for 220", codec, few, many)
		}
		must(t, c.Close())
	}
}

// A batch larger than FetchBytes has its room, and gives it back once small ones follow.
func TestALargeBatchIsNotKept(t *testing.T) { // not parallel: it looks at the heap of the whole process
	const large, small, pieces = 8 << 20, 100, 8
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	bubble(t, func(t *testing.T) {
		f := startReader(t, func(p *peer) {
			for i := range pieces {
				p.line()
				size := small
				if i == 0 {
					size = large
				}
				p.data(i, i+1, pieces, stored(uint64(i), 0, batch.None, strings.Repeat("x", size)))
			}
			p.drain()
		})
		c := f.client(f.options())
		seen := 0
		for r, err := range consumer(t, c, "t", client.ConsumerOptions{ShareBytes: true, Prefetch: 1}).Records(t.Context()) {
			must(t, err)
			if seen++; seen == 1 && len(r.Value) != large {
				t.Errorf("the first has %d bytes", len(r.Value))
			}
			if seen < pieces {
				continue
			}
			if kept := heap() - before; kept > large/2 {
				t.Errorf("%d bytes are kept behind a batch of %d", kept, large)
			}
		}
		if seen != pieces {
			t.Errorf("%d records of %d", seen, pieces)
		}
		must(t, c.Close())
	})
}

// Reading costs allocations by the piece, not by the record.
func TestReadingAllocatesByThePiece(t *testing.T) { // not parallel: it counts what the whole process allocates
	if raceEnabled {
		t.Skip("skipped: the race detector allocates")
	}
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true})
	c := srv.Client(t)
	const records = 100_000
	p := producer(t, c, "t", client.ProducerOptions{})
	value := make([]byte, 35)
	for range records {
		must(t, p.Send(t.Context(), client.Record{Value: value}, nil))
	}
	closed(t, p)
	for _, tc := range []struct {
		name  string
		share bool
		most  float64
	}{
		{"shared bytes", true, records / 100},
		{"kept bytes", false, records / 50}, // they fill some memory of their own, by 32 KiB
	} {
		n := testing.AllocsPerRun(2, func() {
			seen := 0
			for _, err := range consumer(t, c, "t", client.ConsumerOptions{ShareBytes: tc.share}).Records(t.Context()) {
				must(t, err)
				seen++
			}
			if seen != records {
				t.Fatalf("%d records", seen)
			}
		})
		if n > tc.most {
			t.Errorf("%s: %v allocations for %d records, at most %v", tc.name, n, records, tc.most)
		}
	}
}
