package client_test

import (
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
