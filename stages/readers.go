package stages

import (
	"context"
	"fmt"
)

// readers is a bounded pool: its size is the number of disk reads at once, so
// that cold reads take neither threads nor the disk from the rest. In: reads
// from the responders, each with a buffer of its own, so that a worker never
// waits for a slow client's memory. Out: the same reads, with whole batches.
// Ends when its inbox is closed.
type readers struct {
	in    chan *command
	stats *stats
}

func newReaders(c ReadersConfig, s *stats) *readers {
	return &readers{in: make(chan *command, c.Queue), stats: s}
}

// Run serves one read after the other; several goroutines run it.
func (r *readers) Run(context.Context) error {
	for cmd := range r.in {
		q := &cmd.read
		switch cmd.op {
		case opRead:
			q.chunk, q.fault = cmd.part.log.ReadAt(q.space, q.offset, &q.cursor)
			r.stats.read(len(q.chunk.Bytes))
		case opResolve:
			q.offset, q.fault = cmd.part.log.OffsetAt(q.from.Value, true)
		default:
			panic(fmt.Sprintf("BUG: readers got op %d", cmd.op))
		}
		cmd.done()
	}
	return nil
}
