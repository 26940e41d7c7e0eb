package stages

import (
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// C2C3: what is damaged while it is in memory, and known to have been right, is not given to a reader of text, who has no
// checksum; and once found it is sent to nobody, and STATS and /healthz tell of it.
func TestC2C3DamagedSinceItWasChecked(t *testing.T) {
	for name, c := range map[string]struct {
		at int64 // in the third batch
		to byte
	}{"a value": {68, 'X'}, "the base offset": {7, 3}, "the base offset, by much": {3, 1}, "the magic": {16, 3}, "the length": {11, 3}} {
		t.Run(name, func(t *testing.T) {
			mem := fstest.NewMem()
			s := startServerOn(t, mem, noTicks())
			conn := dial(t, s)
			for range 5 {
				conn.send("MSG t 5\nvalue\n")
				conn.want("OK *=* *=* ack=written synced=*")
			}
			f, err := mem.Open(disk.ByTool, "topics/t/0/00000000000000000000.log")
			if err != nil {
				t.Fatal(err)
			}
			size := s.catalog.find([]byte("t"), 0).log.Info().Bytes / 5
			if _, err := f.WriteAt(disk.ByTool, []byte{c.to}, 2*size+c.at); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				conn.send("READ t 0\n")
				for i := range 2 {
					conn.want("REC offset="+string(rune('0'+i))+" time=* key=-1 n=5", "value")
				}
				conn.refused("ERR CORRUPT from=2 next=3")
				conn.send("READ t 3\n")
				for i := 3; i < 5; i++ {
					conn.want("REC offset="+string(rune('0'+i))+" time=* key=-1 n=5", "value")
				}
				conn.want("OK next=5 end=5 epoch=0")
			}
			conn.send("FETCH t 0\n")
			if head, _ := conn.data(); !matches("DATA * from=0 next=2 end=5 synced=* epoch=0", head) {
				t.Errorf("got %q", head)
			}
			if _, body := s.health(); !strings.HasPrefix(body, "log t: disk: offsets 2 to 3 are damaged at topics/t/0/") {
				t.Errorf("/healthz says %q", body)
			}
			conn.send("STATS\n")
			if _, b := conn.data(); !strings.Contains(string(b), ` state=ok degraded="disk: offsets 2 to 3 are damaged`) {
				t.Errorf("STATS does not tell:\n%s", b)
			}
			if err := f.Close(disk.ByTool); err != nil {
				t.Fatal(err)
			}
		})
	}
}
