package disk

import "math"

// LeaderEpoch is the epoch of whoever takes appends now: Epoch, or, while a new one is owed (I3), that one, which the next
// append gets. Kafka's clients look whether their last record is still there when they hear of a newer epoch, and need to
// hear of it before the first append. A crash loop without appends tells the same epoch each time. Any goroutine.
func (l *Log) LeaderEpoch() int32 { return max(l.Epoch(), l.progress.owed) }

// owe notes which epoch an unclean start owes. The opener calls it.
func (l *Log) owe() {
	p := &l.progress
	if !p.clean && !p.begun.Load() && l.epochTable() != nil {
		p.owed = min(max(l.Epoch(), p.seen), math.MaxInt32-1) + 1
	}
}

// EpochAt is the epoch of the record at that offset; at the log's end, of the last one. Any goroutine.
func (l *Log) EpochAt(offset uint64) int32 { return l.epochTable().at(offset) }
