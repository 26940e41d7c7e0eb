package stages

import (
	"strings"
	"sync/atomic"
	"syscall"
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

// B4: no descriptor is not a full disk. The append that needs a new file for it is
// refused, nothing of it is written, and the next one finds the log as it was.
func TestB4NoDescriptorIsNoFullDisk(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{{syscall.EMFILE, "ERR OVERLOADED - nothing was appended"}, {syscall.ENOSPC, "ERR DISK_FULL - nothing was appended"}} {
		var broken atomic.Bool
		broken.Store(true)
		s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if broken.Load() && op.Kind == fstest.Create && strings.HasSuffix(op.Name, "next.seg") {
				return c.err
			}
			return nil
		}), noTicks())
		conn := dial(t, s)
		conn.send("CREATE t segment.bytes=16KiB\nMSG t 12000\n%s\n", strings.Repeat("x", 12000))
		conn.want("OK", "OK first=0 next=1 ack=written synced=*")
		conn.send("MSG t 9000\n%s\n", strings.Repeat("x", 9000))
		conn.refused(c.code)
		if c.err == syscall.ENOSPC { // the server waits until there is room
			continue
		}
		broken.Store(false)
		again := ""
		for again == "" || strings.HasPrefix(again, "ERR OVERLOADED") { // another attempt may have begun while there was none
			conn.send("MSG t 9000 ack=synced\n%s\n", strings.Repeat("x", 9000))
			again = conn.line()
		}
		if again != "OK first=1 next=2 ack=synced synced=2" {
			t.Errorf("with a descriptor again: %s", again)
		}
	}
}
