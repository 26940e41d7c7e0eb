package kafka

import (
	"testing"

	"sluice/wire/batch"
)

// I10: what is done for each batch that comes or goes allocates nothing.
func TestI10HotPathsAllocateNothing(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	records := oneBatchOf(t, batch.LZ4, 100)
	results := []ProduceResult{{Topic: []byte("a")}, {Topic: []byte("b"), Message: "no"}}
	fetched := []FetchResult{{Topic: []byte("a"), Size: 9}, {Topic: []byte("a"), DivergingEnd: 8}, {Topic: []byte("b")}}
	buf := make([]byte, 0, 4096)
	frame := append([]byte{0, 0, 0, 11, 0, 0, 0, 1, 0, 2, 'm', 'e', 0}, produceRequest(7, 11).AppendTo(nil)...)
	wanted := fetchRequest(7, 16).AppendTo(nil)
	for name, f := range map[string]func(){
		"ParseHeader": func() { _, err := ParseHeader(frame); must(err) },
		"Produce": func() {
			h, err := ParseHeader(frame)
			must(err)
			var r ProduceRequest
			must(r.Parse(h.Version, h.Body))
			n := 0
			for p := (ProducePartition{}); r.Next(&p); n++ {
			}
			if n != r.Partitions || n == 0 {
				t.Fatal(n)
			}
		},
		"Fetch": func() {
			var r FetchRequest
			must(r.Parse(16, wanted))
			n := 0
			for p := (FetchPartition{}); r.Next(&p); n++ {
			}
			if n != r.Partitions || n == 0 {
				t.Fatal(n)
			}
		},
		"CheckBatch":     func() { _, _, err := CheckBatch(records, 11, 1<<20); must(err) },
		"produce answer": func() { buf = AppendProduceResponse(buf[:0], 11, 1, results) },
		"fetch answer": func() {
			buf = ourFetchResponse(buf[:0], 16, Header{}, 0, 0, fetched, [][]byte{make([]byte, 9), nil, nil})
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
