package stages

import (
	"fmt"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// Readers that wait, for memory or for the pool, keep no file from others: with more cold
// reads in different files than the store may hold pinned, all of them are answered.
func TestD1ColdReadsHoldNoPins(t *testing.T) {
	const pins, reads, workers = 5, 10, 2 // pins: as many as fewFiles leaves
	for _, c := range []struct {
		name, request string
		memory        bool // they wait for that; else their bytes are evicted once they are located
	}{
		{"READ waits for memory", "READ t %d limit=1", true},
		{"FETCH waits for memory", "FETCH t %d bytes=1", true},
		{"READ waits for the pool", "READ t %d limit=1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(func(op fstest.Op) bool {
				return !c.memory && op.By == disk.ByReader && op.Kind == fstest.ReadCached && strings.HasPrefix(op.Name, "topics/t/")
			})
			mem := fstest.NewMem()
			conf := noTicks()
			fewFiles(&conf)
			conf.Readers.Count = workers
			s := startServerOn(t, fstest.Fail(mem, g.pass), conf)
			t.Cleanup(g.release)
			small := dial(t, s)
			small.send("CREATE t segment.bytes=64KiB\nCREATE small segment.bytes=64KiB\nMSG small 1\nx\n")
			small.want("OK", "OK", "OK first=0 next=1 ack=written synced=*")
			fill(t, s, "t", reads+1)
			fill(t, s, "small", 1)
			for topic, want := range map[string]int{"t": reads + 1, "small": 2} {
				if n := s.catalog.find([]byte(topic), 0).log.Info().Segments; n < want {
					t.Fatalf("%s has %d segments", topic, n)
				}
			}
			_, all := s.readMemory.Used()
			if c.memory {
				if err := s.readMemory.Reserve(t.Context(), all); err != nil {
					t.Fatal(err)
				}
			}
			mem.SetCold(true)
			var waiting []*session
			for i := range reads {
				w := dial(t, s)
				w.send(c.request+"\n", i)
				waiting = append(waiting, w)
			}
			waitFor(t, func() bool { return s.readers.cold.Load()+int64(len(s.readers.in)) == reads })
			if c.memory {
				small.send("FETCH small 0 bytes=1\n") // it needs the pool, and a pin, but no memory
				small.data()
				mem.SetCold(true)
				s.readMemory.Free(all)
			} else {
				waitFor(t, func() bool { return len(g.came) == pins && s.readers.cold.Load() == pins+workers })
				mem.SetCold(true)
				g.release()
			}
			for i, w := range waiting {
				if strings.HasPrefix(c.request, "FETCH") {
					w.data()
					continue
				}
				w.want(fmt.Sprintf("REC offset=%d time=* key=-1 n=65536", i))
				w.line()
				w.want("OK next=* end=* epoch=0")
			}
		})
	}
}
