package stages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// What CREATE allows, the log must be able to do: both bounds of every setting.
func TestTopicsAtTheBoundsOfTheirSettings(t *testing.T) {
	c := dial(t, startServer(t, nil))
	for _, settings := range []string{
		"partitions=1 segment.bytes=16KiB max.message.bytes=1KiB index.interval.bytes=0 flush.ms=0",
		"segment.bytes=4GiB", "max.message.bytes=64MiB", "index.interval.bytes=1MiB", "flush.ms=forever", "partitions=1024",
	} {
		c.send("CREATE t %s\n", settings)
		if got := c.line(); got != "OK" {
			t.Errorf("CREATE t %s: %s", settings, got)
			continue
		}
		c.send("MSG t 3\nabc\nREAD t 0\nDROP t\n")
		c.want("OK first=0 next=1 ack=written synced=*", "REC offset=0 time=* key=-1 n=3", "abc", "OK next=1 end=1 epoch=0", "OK")
	}
}

// index.interval.bytes=0 is an entry for each batch, not the log's own default,
// which would be four for a segment of 16 KiB.
func TestIndexIntervalOfZero(t *testing.T) {
	var dir string
	s := startServer(t, func(c *Config) { c.Topic.IndexInterval, c.Topic.SegmentBytes, dir = 0, 16<<10, c.Data })
	c := dial(t, s)
	for s.catalog.find([]byte("t"), 0) == nil || s.catalog.find([]byte("t"), 0).log.Info().Segments < 2 {
		c.send("MSG t 3\nabc\n")
		c.want("OK * * ack=written *")
	}
	var size int64
	waitFor(t, func() bool {
		info, err := os.Stat(filepath.Join(dir, "topics/t/0/00000000000000000000.idx"))
		if err == nil {
			size = info.Size()
		}
		return err == nil
	})
	if size < 100*8 {
		t.Errorf("the index of some 200 batches has %d bytes", size)
	}
}

// Queues have a place for each log. With more logs than places, writer and roller
// would wait for each other, so such a server does not start.
func TestMorePartitionsOnDiskThanAllowed(t *testing.T) {
	conf := Default()
	conf.Data, conf.Listen, conf.HTTP, conf.Kafka = t.TempDir(), "127.0.0.1:0", "", ""
	s := startServerOn(t, disk.OS(conf.Data), conf)
	c := dial(t, s)
	c.send("CREATE t partitions=2\nCREATE u\nSHUTDOWN\n")
	c.want("OK", "OK", "OK")
	<-s.Done()
	conf.MaxPartitions = 2
	if s, err := Start(conf, testLogger(t)); err == nil {
		t.Errorf("it starts; stop: %v", s.Stop(t.Context()))
	} else if !strings.Contains(err.Error(), "max_partitions") {
		t.Errorf("got %v", err)
	}
	conf.MaxPartitions = 3
	startServerOn(t, disk.OS(conf.Data), conf)
}

// H4: settings that shrink say what is taken from now on. What is stored is larger, and
// is served all the same; and a topic that is dropped and made again is another one.
func TestH4ShrunkSettingsServeWhatIsThere(t *testing.T) {
	mem := fstest.NewMem()
	conf := noTicks()
	s := startServerOn(t, mem, conf)
	c := dial(t, s)
	large := strings.Repeat("x", 600<<10)
	for range 3 {
		c.send("MSG t %d\n%s\n", len(large), large)
		c.want("OK first=* next=* ack=written synced=0")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conf.Topic.MaxBatch, conf.Topic.SegmentBytes, conf.Topic.IndexInterval = 1<<10, 16<<10, 0
	conf.MaxBatchBytes, conf.Readers.Chunk, conf.Writer.Buffer = 1<<10, 4<<10, 4<<10
	s = startServerOn(t, mem, conf)
	c = dial(t, s)
	c.send("MSG t 2000\n%2000d\n", 1)
	c.refused("ERR TOO_LARGE limit=1024 - ")
	c = dial(t, s)
	for i := range 40 { // across rolls of the new size
		c.send("MSG t 900\n%900d\n", i)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", 3+i, 4+i))
	}
	c.send("READ t 0 limit=4\n")
	for i := range 3 {
		c.want(fmt.Sprintf("REC offset=%d time=* key=-1 n=%d", i, len(large)), large)
	}
	c.want("REC offset=3 time=* key=-1 n=900", fmt.Sprintf("%900d", 0), "OK next=4 end=43 epoch=0")
	c.send("FETCH t 1 bytes=1\n")
	if head, b := c.data(); len(b) < len(large) {
		t.Errorf("FETCH brought %s", head)
	}
	if n := s.catalog.find([]byte("t"), 0).log.Info().Segments; n < 3 {
		t.Errorf("%d segments", n)
	}
	c.send("DROP t\nMSG t 1\ny\nREAD t 0\n")
	c.want("OK", "OK first=0 next=1 ack=written synced=0", "REC offset=0 time=* key=-1 n=1", "y", "OK next=1 end=1 epoch=0")
}
