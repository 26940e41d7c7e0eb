package stages

import (
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// A time that no record has reached is the end, also when the end moves while the
// time is looked up.
func TestTimeBehindAMovingEnd(t *testing.T) {
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByReader && op.Kind == fstest.Read && strings.Contains(op.Name, "/slow/")
	})
	conf := noTicks()
	conf.Readers.Count = 1
	mem := fstest.NewMem()
	s := startServerOn(t, fstest.Fail(mem, g.pass), conf)
	slow, c, other := dial(t, s), dial(t, s), dial(t, s)
	other.send("MSG slow 1\nx\nMSG t 1 time=1\nx\n")
	other.want("OK first=0 next=1 ack=written synced=0", "OK first=0 next=1 ack=written synced=0")
	mem.SetCold(true) // so that both are the pool's, which has one reader
	slow.send("READ slow 0\n")
	<-g.came
	c.send("READ t @2\n")
	waitFor(t, func() bool { return len(s.readers.in) == 1 })
	other.send("MSG t 1 time=1\nx\n")
	other.want("OK first=1 next=2 ack=written synced=0")
	close(g.open)
	c.want("OK next=2 end=2 epoch=0")
	slow.want("REC offset=0 time=* key=-1 n=1", "x", "OK next=1 end=1 epoch=0")
}
