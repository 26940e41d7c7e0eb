package stages

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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

// TestC6AllFilesRemoved: a partition whose files were all removed, or its directory, while the server was down is made anew,
// and the server's log says so, with its name; of those that are whole, or just created, or were being added, it says nothing.
func TestC6AllFilesRemoved(t *testing.T) {
	conf := noTicks()
	conf.Data, conf.Listen, conf.HTTP, conf.Disk.Reserve = t.TempDir(), "127.0.0.1:0", "", 0
	core, lines := observer.New(zap.WarnLevel)
	start := func() (*Server, *session) {
		s, err := startOn(disk.OS(conf.Data), conf, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		return s, dial(t, s)
	}
	s, c := start()
	c.send("CREATE t partitions=3\nMSG t 1 ack=synced\na\nMSG t/1 1 ack=synced\na\nMSG t/2 1 ack=synced\na\nCLOSE\n")
	c.want("OK", "OK first=0 next=1 ack=synced synced=1", "OK first=0 next=1 ack=synced synced=1", "OK first=0 next=1 ack=synced synced=1", "OK")
	if err := s.Stop(t.Context()); err != nil || lines.Len() != 0 {
		t.Fatalf("%v, %v", err, lines.All())
	}
	files, err := os.ReadDir(conf.Data + "/topics/t/2")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(conf.Data + "/topics/t/2/" + f.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(conf.Data + "/topics/t/1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(conf.Data+"/topics/t/3", 0o755); err != nil { // as a crash may leave it behind an ALTER
		t.Fatal(err)
	}
	s, c = start()
	c.send("READ t 0\nMSG t/1 1\nb\nMSG t/2 1\nb\nCREATE u\n")
	c.want("REC offset=0 time=* key=-1 n=1", "a", "OK next=1 end=1 epoch=0", "OK first=0 next=1 ack=written synced=0", "OK first=0 next=1 ack=written synced=0", "OK")
	told := map[any]bool{}
	for _, l := range lines.FilterMessageSnippet("made anew, empty").All() {
		told[l.ContextMap()["log"]] = true
	}
	if lines.Len() != 2 || !told["t/1"] || !told["t/2"] {
		t.Errorf("it says %v", lines.All())
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
