package stages

import (
	"fmt"
	"time"

	"sluice/wire/text"
)

// TopicSettings returns the settings of a topic, as CREATE takes them.
func TopicSettings() []Setting[TopicConfig] {
	return []Setting[TopicConfig]{
		count("partitions", "Partitions of the topic.", 1, 1024, func(c *TopicConfig) *int64 { return &c.Partitions }),
		{
			Name: "ack", Help: "Ack level of requests that name none: written or synced.",
			Loss: ackLoss,
			Get:  func(c *TopicConfig) string { return c.Ack.String() },
			Set:  func(c *TopicConfig, v string) error { return setAck(&c.Ack, v) },
		},
		size("segment.bytes", "Size at which the next segment is begun.", 16<<10, 4<<30, func(c *TopicConfig) *int64 { return &c.SegmentBytes }),
		size("max.message.bytes", "Largest record batch.", 1<<10, maxMessageBytes, func(c *TopicConfig) *int64 { return &c.MaxBatch }),
		size("index.interval.bytes", "Bytes of the log per entry of its index.", 0, 1<<20, func(c *TopicConfig) *int64 { return &c.IndexInterval }),
		{
			Name: "flush.ms", Help: "How old written bytes may get before they are synced; 0 syncs after each write, forever has no time do it.",
			Loss: "what was written within this time (and one stages.flusher.tick) and not acknowledged as synced",
			Get: func(c *TopicConfig) string {
				if c.Flush == Forever {
					return "forever"
				}
				return text.FormatDuration(c.Flush)
			},
			Set: setFlush,
		},
		lossy(noneOr(size("flush.bytes", "Bytes written and not synced at which they are synced in the background; none has no size do it, but for the 64 MiB that no log exceeds.", 1, 1<<40, flushBytes), flushBytes),
			"up to so much of what was not acknowledged as synced, and what comes while that sync runs; none: as flush.ms says, up to 64 MiB and what comes meanwhile"),
		lossy(noneOr(count("flush.messages", "Records written and not synced at which they are synced in the background; none has no number do it.", 1, 1<<40, flushMessages), flushMessages),
			"up to so many of the records that were not acknowledged as synced, and what comes while that sync runs"),
		{
			Name: "sync", Help: "data: fdatasync, when flush.ms, flush.bytes, flush.messages or a synced ack asks for it. dsync: each write waits for the disk, by a writer of its own (stages.dsync). shutdown: only a synced ack, FLUSH, a full segment, 64 MiB or the stop syncs.",
			Loss: "data: what the flush settings say; dsync: nothing that was acknowledged, at any level but none; shutdown: what was not acknowledged as synced, up to 64 MiB a log and what comes while that is synced",
			Get:  func(c *TopicConfig) string { return string(c.Sync) },
			Set:  setSync,
		},
	}
}

func flushBytes(c *TopicConfig) *int64    { return &c.FlushBytes }
func flushMessages(c *TopicConfig) *int64 { return &c.FlushMessages }

func noneOr(s Setting[TopicConfig], field func(*TopicConfig) *int64) Setting[TopicConfig] {
	return orWord(s, "none", None, field)
}

func lossy(s Setting[TopicConfig], loss string) Setting[TopicConfig] {
	s.Loss = loss
	return s
}

func setSync(c *TopicConfig, v string) error {
	switch mode := SyncMode(v); mode {
	case SyncData, SyncDsync, SyncShutdown:
		c.Sync = mode
		return nil
	}
	return fmt.Errorf("%q is no way to sync: use data, dsync or shutdown", v)
}

// topicSettingsLater are names that the protocol knows and this version does
// not serve: they are told apart from misspelt ones.
var topicSettingsLater = []string{
	"message.timestamp.type", "segment.ms", "retention.ms", "retention.bytes",
	"retention.records", "retention.segments", "compression.type", "visibility", "replicas", "min.insync.replicas",
}

// ackLoss is what a power cut may cost because of an ack level.
const ackLoss = "written: up to flush.ms (and one tick); synced: nothing that was acknowledged"

func setAck(a *text.Ack, v string) error {
	switch v {
	case "written":
		*a = text.AckWritten
	case "synced":
		*a = text.AckSynced
	case "replicated":
		return fmt.Errorf("replicated is not supported yet: use written or synced")
	default:
		return fmt.Errorf("%q is no ack level: use written or synced", v)
	}
	return nil
}

func setFlush(c *TopicConfig, v string) error {
	if v == "forever" {
		c.Flush = Forever
		return nil
	}
	d, err := text.ParseDuration(v, time.Millisecond)
	if err != nil {
		return fmt.Errorf("%w; or forever", err)
	}
	c.Flush = d
	return nil
}
