package stages

import (
	"os"
	"strings"
	"testing"
	"time"

	"sluice/disk"
)

// TestC6ActiveSegmentRemoved: somebody removes the file that a log appends to, under the running server. Within a second or
// so the log takes no more appends and says why; what it holds can still be read, other logs go on, and a topic that
// is dropped, whose files go too, is not told of.
func TestC6ActiveSegmentRemoved(t *testing.T) {
	conf := noTicks()
	conf.Data = t.TempDir()
	conf.Flusher.Slow = 40 * time.Millisecond // looks each 10
	s := startServerOn(t, disk.OS(conf.Data), conf)
	c := dial(t, s)
	c.send("MSG t 1\na\nMSG u 1\nb\nCREATE v\n")
	c.want("OK first=0 next=1 ack=written synced=*", "OK first=0 next=1 ack=written synced=*", "OK")
	dropped := s.catalog.find([]byte("v"), 0)
	c.send("DROP v\n")
	c.want("OK")
	if err := os.Remove(conf.Data + "/topics/t/0/00000000000000000000.log"); err != nil {
		t.Fatal(err)
	}
	p := s.catalog.find([]byte("t"), 0)
	waitFor(t, func() bool { return p.log.Err() != nil })
	c.send("MSG t 1 ack=synced\nx\nREAD t 0\nMSG u 1\nb\n")
	c.refused("ERR LOG_FAILED - t takes no appends: disk: log failed earlier")
	c.want("REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=1 epoch=0", "OK first=1 next=2 ack=written synced=*")
	if _, body := s.health(); !strings.HasPrefix(body, "log t: ") || !strings.Contains(body, "somebody has removed the file topics/t/0/00000000000000000000.log") {
		t.Errorf("/healthz says %q", body)
	}
	if err := dropped.log.Err(); err != nil {
		t.Errorf("a dropped log: %v", err)
	}
}
