package stages

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"sluice/disk"
)

// roller does what would make an append wait: it allocates ahead, keeps a spare
// segment ready, and seals and names the segments that are full (I8). In: logs
// with such work, from writers and flushers. Out: to the writers, the logs
// whose spare they wait for. Ends when its inbox is closed.
type roller struct {
	in    chan *command // one place a log, and one for each to forget
	stats *stats
	log   *zap.Logger
}

func newRoller(maxLogs int64, s *stats, log *zap.Logger) *roller {
	return &roller{in: make(chan *command, 2*maxLogs), stats: s, log: log}
}

// Run does one log's work after the other.
func (r *roller) Run(context.Context) error {
	for cmd := range r.in {
		p := cmd.part
		if cmd.op == opForget {
			cmd.done()
			continue
		}
		p.maintain.queued.Store(false) // before the work, so that what comes up meanwhile is asked for again
		ready, err := p.log.Maintain()
		if err != nil {
			r.report(p, err)
		} else {
			p.noRoom = false
		}
		if ready {
			err = nil // what failed beside it, such as an index, is no reason to refuse appends
		}
		if (ready || err != nil) && p.waitsForSpare.Swap(false) {
			p.writer.spares <- spare{part: p, err: err}
		}
	}
	return nil
}

// report tells of a failure. Only a log that has failed is at its end; all else is
// tried again with the next append that asks for it.
func (r *roller) report(p *partition, err error) {
	switch {
	case p.log.Err() != nil: // which it has told itself
	case errors.Is(err, disk.ErrNoSpace):
		if !p.noRoom { // it is tried again behind each append: once is enough
			r.log.Warn("no room to reserve what the log needs next; appends go on while they find room without", zap.Stringer("log", p), zap.Error(err))
		}
		p.noRoom = true
	default:
		r.log.Warn("work on the log's files failed, and will be tried again", zap.Stringer("log", p), zap.Error(err))
	}
}
