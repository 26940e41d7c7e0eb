package stages

import (
	"strings"
	"testing"

	"sluice/disk/fstest"
)

// An index that a read has missed is built although nothing is appended: by the
// tick, since no writer or flusher comes by.
func TestIdleLogGetsItsIndex(t *testing.T) {
	fs := fstest.NewMem()
	s := startServerOn(t, fs, noTicks())
	c := dial(t, s)
	c.send("CREATE t segment.bytes=16KiB\n")
	c.want("OK")
	for range 40 {
		c.send("MSG t 1000\n%s\n", strings.Repeat("x", 1000))
		c.want("OK first=* next=* ack=written synced=*")
	}
	c.send("SHUTDOWN\n")
	c.want("OK")
	finished(t, s)
	const index = "topics/t/0/00000000000000000000.idx"
	if err := fs.Remove("test", index); err != nil {
		t.Fatal(err)
	}
	built := make(chan struct{})
	conf := noTicks()
	conf.Flusher.Tick = Default().Flusher.Tick
	s = startServerOn(t, fstest.Fail(fs, func(op fstest.Op) error {
		if op.Kind == fstest.Rename && op.To == index {
			close(built)
		}
		return nil
	}), conf)
	c = dial(t, s)
	c.send("READ t 5 limit=1\n")
	c.want("REC offset=5 time=* key=-1 n=1000", strings.Repeat("x", 1000), "OK next=6 end=40 epoch=0")
	<-built
}
