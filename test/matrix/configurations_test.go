package matrix

import (
	"fmt"
	"strings"

	"sluice/stages"
	"sluice/wire/text"
)

// configuration is a row of settings, and the level that the behaviours' appends ask for.
type configuration struct {
	name     string
	what     string
	settings string   // name=value, separated by spaces
	ack      text.Ack // AckDefault: requests name none, the topic decides
	record   int      // bytes of a value
	quick    bool     // runs with -short, too
}

const tinyQueues = "stages.writer.queue=1 stages.flusher.queue=1 stages.readers.queue=1 stages.readers.count=1 stages.controller.queue=1 stages.conn.in_flight=2"
const tinyBuffers = "stages.writer.buffer=4KiB stages.readers.chunk=4KiB stages.conn.read_bytes=4KiB stages.conn.group_bytes=0"

var configurations = []configuration{
	{name: "defaults", what: "what a server is that was told nothing", record: 100, quick: true},
	{name: "none", what: "appends ask for no answer", ack: text.AckNone, record: 100, quick: true},
	{name: "synced", what: "topics whose level is synced", settings: "topic.ack=synced", record: 100},
	{name: "small-segments", what: "a segment holds three records", settings: "topic.segment.bytes=16KiB", record: 5 << 10},
	{name: "small-segments-synced", what: "each roll lies between an append and its answer", settings: "topic.segment.bytes=16KiB topic.ack=synced", record: 5 << 10, quick: true},
	{name: "a-record-a-segment", what: "a record is larger than a segment", settings: "topic.segment.bytes=16KiB", record: 20 << 10},
	{name: "large-segments", what: "no test ever fills one", settings: "topic.segment.bytes=4GiB", record: 5 << 10},
	{name: "three-writers", what: "three writers, three flushers", settings: "stages.writer.count=3 stages.flusher.count=3 topic.segment.bytes=64KiB", record: 1 << 10},
	{name: "tiny-queues", what: "every queue holds one, a connection has two commands", settings: tinyQueues, record: 100},
	{name: "tiny-buffers", what: "every buffer as small as it may be, no grouping", settings: tinyBuffers, record: 100},
	{name: "tiny-everything", what: "queues, buffers, segments", settings: tinyQueues + " " + tinyBuffers + " topic.segment.bytes=16KiB stages.writer.count=3", record: 3 << 10, quick: true},
	{name: "flush-always", what: "a sync behind each write", settings: "topic.flush.ms=0", record: 100},
	{name: "flush-never", what: "no ticks: only what is asked for is synced", settings: "topic.flush.ms=forever stages.flusher.tick=0", record: 1 << 10},
	{name: "flush-bytes", what: "a sync behind so many bytes", settings: "topic.flush.bytes=4KiB topic.flush.ms=forever", record: 1 << 10},
	{name: "flush-messages", what: "a sync behind so many records", settings: "topic.flush.messages=3 topic.flush.ms=forever", record: 100},
	{name: "sync-dsync", what: "each write is durable by itself, in writers of their own", settings: "topic.sync=dsync stages.dsync.count=2 topic.segment.bytes=64KiB", record: 1 << 10, quick: true},
	{name: "sync-shutdown", what: "only what is asked for is synced, and the stop does", settings: "topic.sync=shutdown topic.flush.ms=0 topic.segment.bytes=64KiB", record: 1 << 10},
	{name: "linger", what: "the writer waits for more", settings: "stages.writer.linger=2ms stages.writer.buffer=16KiB topic.segment.bytes=64KiB", record: 1 << 10},
	{name: "index-all", what: "an index entry for each batch", settings: "topic.index.interval.bytes=0 topic.segment.bytes=64KiB", record: 1 << 10},
	{name: "index-few", what: "hardly any index entry", settings: "topic.index.interval.bytes=1MiB topic.segment.bytes=256KiB", record: 1 << 10},
}

// maxBatch is the server's max_batch here: reaching the default of 8 MiB takes the race detector a second each time.
const maxBatch = 2 << 20

// pairs are the settings, one name=value each.
func (c *configuration) pairs() []string {
	return append(strings.Fields(c.settings), fmt.Sprint("max_batch=", maxBatch), "shutdown.grace=2m")
}

// set applies them.
func (c *configuration) set(conf *stages.Config) error {
	for _, pair := range c.pairs() {
		name, value, _ := strings.Cut(pair, "=")
		s, ok := stages.Find(stages.Settings(), name)
		if !ok {
			return fmt.Errorf("configuration %s: there is no setting %s", c.name, name)
		}
		if err := s.Set(conf, value); err != nil {
			return fmt.Errorf("configuration %s: %s: %w", c.name, name, err)
		}
	}
	return nil
}

// level is what an append of that configuration reaches.
func (c *configuration) level() text.Ack {
	switch {
	case c.ack != text.AckDefault:
		return c.ack
	case strings.Contains(c.settings, "topic.ack=synced"):
		return text.AckSynced
	}
	return c.reached(text.AckWritten)
}

// reached is what an append that asks for a level reaches, unless a sync happens to cover it.
func (c *configuration) reached(asked text.Ack) text.Ack {
	if asked == text.AckWritten && c.dsync() {
		return text.AckSynced
	}
	return asked
}

func (c *configuration) dsync() bool { return strings.Contains(c.settings, "topic.sync=dsync") }
