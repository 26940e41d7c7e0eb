package stages

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"sluice/disk"
)

// roller does what would make an append wait: it wakes logs, allocates ahead,
// keeps a spare segment ready, and seals and names the segments that are full
// (I8). In: logs with such work, from writers and flushers. Out: to the
// writers, the logs whose spare they wait for. Ends when its inbox is closed.
type roller struct {
	in    chan *command // one place a log, and one for each to forget
	stats *stats
	log   *zap.Logger

	// Logs to be woken that find no place among those awake, in the order they came.
	// They are tried again behind every command: while there are any, each pass of a
	// writer and each sync asks for the roller (MaintenanceDue), and the controller does
	// behind each log that it closes. Run only.
	thirsty []*partition
}

func newRoller(maxLogs int64, s *stats, log *zap.Logger) *roller {
	return &roller{in: make(chan *command, 2*maxLogs), stats: s, log: log}
}

// Run does one log's work after the other.
func (r *roller) Run(context.Context) error {
	for cmd := range r.in {
		p := cmd.part
		if cmd.op == opForget {
			r.thirsty = slices.DeleteFunc(r.thirsty, func(q *partition) bool { return q == p })
			cmd.done()
		} else {
			p.maintain.queued.Store(false) // before the work, so that what comes up meanwhile is asked for again
			if !slices.Contains(r.thirsty, p) && !r.maintain(p) {
				r.thirsty = append(r.thirsty, p)
			}
		}
		for len(r.thirsty) > 0 && r.maintain(r.thirsty[0]) {
			r.thirsty = slices.Delete(r.thirsty, 0, 1)
		}
	}
	return nil
}

// maintain does one log's work. False: it must wait until another log can sleep.
func (r *roller) maintain(p *partition) bool {
	ready, err := p.log.Maintain()
	if errors.Is(err, disk.ErrNoFiles) {
		return false
	}
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
	return true
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
