package stages

import (
	"math/rand/v2"
	"testing"

	"sluice/disk/fstest"
)

// I3, at the protocol: a power cut takes records that a reader has seen, and others get
// their offsets, in a new epoch. A reader that says which epoch it read is told that
// the log has diverged, and from where on; any other one is served.
func TestI3ReaderOfLostRecordsIsFenced(t *testing.T) {
	mem := fstest.NewMem()
	s := startServerOn(t, mem, noTicks())
	c := dial(t, s)
	c.send("MSG t 1 ack=synced\na\n")
	c.want("OK first=0 next=1 ack=synced synced=1")
	c.send("MSG t 1\nb\nMSG t 1\nc\nREAD t 2 epoch=0\n")
	c.want("OK first=1 next=2 ack=written synced=1", "OK first=2 next=3 ack=written synced=1",
		"REC offset=2 time=* key=-1 n=1", "c", "OK next=3 end=3 epoch=0")
	left := mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startServerOn(t, left, noTicks())
	c = dial(t, s)
	c.send("HEAD t\nREAD t 1 epoch=0\nREAD t 3 epoch=0\nREAD t 3\n")
	c.want("OK oldest=0 next=1 synced=1 epoch=0 segment=0 segments=1 bytes=* partitions=1", "OK next=1 end=1 epoch=0")
	c.refused("ERR FENCED epoch=0 end=1 - ")
	c.refused("ERR OUT_OF_RANGE oldest=0 next=1 - ")
	for range 4 {
		c.send("MSG t 1\nd\n")
		c.want("OK first=* next=* ack=written synced=*")
	}
	c.send("FETCH t 3 epoch=0\nTAIL t 3 epoch=0\nREAD t 2 epoch=7\n")
	c.refused("ERR FENCED epoch=0 end=1 - ")
	c.refused("ERR FENCED epoch=0 end=1 - ")
	c.refused("ERR FENCED epoch=1 end=5 - ")
	c.send("READ t 1 limit=1 epoch=0\nREAD t 3 limit=1 epoch=1\nREAD t 3 limit=1\n")
	for _, offset := range []string{"1", "3", "3"} {
		c.want("REC offset="+offset+" time=* key=-1 n=1", "d", "OK next=* end=5 epoch=1")
	}
}
