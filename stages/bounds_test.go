package stages

import (
	"os"
	"path/filepath"
	"testing"
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
