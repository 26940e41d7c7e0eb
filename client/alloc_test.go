package client_test

import (
	"testing"

	"sluice/client"
	"sluice/sluicetest"
)

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
