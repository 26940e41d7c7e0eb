package stages

import (
	"fmt"
	"slices"
	"testing"

	"sluice/wire/kafka"
)

// What a Kafka client produces, in every version that is served and at every level, gets the
// offsets that its answer tells, and is there for the text protocol.
func TestKafkaProduce(t *testing.T) {
	s := startKafka(t, nil)
	text := dial(t, s)
	text.send("CREATE t partitions=2\n")
	text.want("OK")
	c := dialKafka(t, s)
	next := int64(0)
	for version := int16(3); version <= 11; version++ {
		for _, acks := range []int16{-1, 1, 0} {
			req := produceRequest(version, acks, toPartition{"t", 1, recordBatch(t, fmt.Sprintf("v%d", version), fmt.Sprintf("acks%d", acks))})
			if acks == 0 {
				c.send(req)
				c.answered++ // never
			} else if got, want := results(c.ask(req)), []produced{{"t", 1, kafka.NoError, next}}; !slices.Equal(got, want) {
				t.Fatalf("version %d: %v, want %v", version, got, want)
			}
			next += 2
		}
	}
	c.ask(produceRequest(9, 1, toPartition{"t", 0, recordBatch(t, "last")})) // behind those without an answer
	text.send("HEAD t/1\nREAD t/1 3 limit=3\n")
	text.want(fmt.Sprintf("OK oldest=0 next=%d synced=* epoch=0 segment=0 segments=1 bytes=* partitions=2", next))
	text.want("REC offset=3 time=1700000000000 key=-1 n=5", "acks1", "REC offset=4 time=1700000000000 key=-1 n=2", "v3", "REC offset=5 time=1700000000000 key=-1 n=5", "acks0")
}
