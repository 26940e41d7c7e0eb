package stages

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/text"
)

// flusher does fdatasync, for all commands at once that wait for the same log
// (group commit). A log belongs to exactly one, so it never has two syncs in
// flight. In: from the writers what must be synced, from connections FLUSH,
// from the clock ticks, from the controller logs to adopt and to forget. Out:
// answers, and work to the roller. Ends when its inbox is closed, after a last
// sync of everything.
type flusher struct {
	in     chan *command
	ticks  once // from the clock
	roller chan<- *command
	stats  *stats

	run struct { // touched by the Run goroutine only
		logs []*partition // adopted
		due  []*partition // to sync in this pass
	}
}

func newFlusher(c FlusherConfig, roller chan<- *command, s *stats) *flusher {
	return &flusher{in: make(chan *command, c.Queue), ticks: once{cmd: command{op: opTick}}, roller: roller, stats: s}
}

// request asks for a sync of the log that nobody waits for. Any goroutine may
// call it while the flusher runs.
func (f *flusher) request(p *partition) { p.sync.send(f.in) }

// Run takes all that waits already, then syncs each log once for all of it.
func (f *flusher) Run(context.Context) error {
	for cmd := range f.in {
		f.take(cmd)
		f.fill()
		for _, p := range f.run.due {
			f.sync(p)
		}
		f.run.due = f.run.due[:0]
	}
	for _, p := range f.run.logs {
		f.sync(p) // the last one, whatever flush.ms says
	}
	return nil
}

func (f *flusher) fill() {
	for range cap(f.in) {
		select {
		case cmd, ok := <-f.in:
			if !ok {
				return
			}
			f.take(cmd)
		default:
			return
		}
	}
}

func (f *flusher) take(cmd *command) {
	p := cmd.part
	switch cmd.op {
	case opTick:
		f.ticks.queued.Store(false)
		f.tick(time.Now())
	case opAdopt:
		p.f.lastSync = time.Now().UnixNano()
		f.run.logs = append(f.run.logs, p)
	case opForget:
		f.sync(p) // whoever waits for it gets an answer first
		p.f.closed = true
		f.run.logs = slices.DeleteFunc(f.run.logs, func(q *partition) bool { return q == p })
		f.run.due = slices.DeleteFunc(f.run.due, func(q *partition) bool { return q == p })
		cmd.done()
	case opSync:
		switch {
		case cmd == &p.sync.cmd:
			p.sync.queued.Store(false) // before the sync, so that a later write can ask again
		case p.f.closed: // a FLUSH that found the topic before it was dropped
			cmd.fail(errDropped)
		default:
			p.f.waiting.append(cmd)
		}
		if !p.f.closed {
			f.list(p)
		}
	default:
		panic(fmt.Sprintf("BUG: flusher got op %d", cmd.op))
	}
}

func (f *flusher) list(p *partition) {
	if !p.f.listed {
		p.f.listed = true
		f.run.due = append(f.run.due, p)
	}
}

// tick lists the logs whose written bytes have grown old enough. A log that was
// idle is synced at the first tick after its write; a busy one every flush.ms.
func (f *flusher) tick(now time.Time) {
	for _, p := range f.run.logs {
		if p.log.IndexDue() { // nobody else would ask for it while nothing is appended
			p.maintain.send(f.roller)
		}
		c := p.topic.conf.Load()
		switch {
		case p.log.Err() != nil:
		case c.Sync == SyncDsync: // no sync of ours moves its durable point, so the tick leaves the mark
			f.mark(p)
			f.maintain(p)
		case c.Sync == SyncData && c.Flush != Forever && p.log.Dirty() && now.UnixNano()-p.f.lastSync >= int64(c.Flush):
			f.list(p)
		}
	}
}

// flushDue tells whether the log holds so much unsynced that a sync should begin now,
// which no ack waits for. Beyond disk.CheckpointBytes one is due whatever the topic's
// settings say: a start after a crash scans what lies behind the last mark. The writer
// asks, after each pass.
func (p *partition) flushDue() bool {
	c := p.topic.conf.Load()
	if c.Sync == SyncDsync { // the flusher is asked for the mark only
		due := p.w.unmarked > disk.CheckpointBytes
		if due {
			p.w.unmarked = 0
		}
		return due
	}
	bytes, records := p.log.Unsynced()
	if bytes > disk.CheckpointBytes {
		return true
	}
	return c.Sync == SyncData && records > 0 && (c.Flush == 0 || bytes >= c.FlushBytes || records >= uint64(c.FlushMessages))
}

// mark leaves on disk how far the log is durable. It tells its failure itself.
func (f *flusher) mark(p *partition) {
	_ = p.log.Mark(disk.ByFlusher) // a failed log has logged why, and for want of room the next mark will do
}

// maintain asks for the roller behind work in a log: a synced segment may now be
// sealed, or a log that wants to wake has found this one busy. A log that has failed
// needs no more work, but the roller must tell so to a writer that waits for a spare.
func (f *flusher) maintain(p *partition) {
	if p.log.MaintenanceDue() || p.log.Err() != nil && p.waitsForSpare.Load() {
		p.maintain.send(f.roller)
	}
}

// sync makes durable what the log holds, and answers all that waited (I2).
//
// When it fails, the durable point stays where it is, and what was written above it
// stays visible (I16): readers of visibility "written" have seen it, and taking it
// back would show them two ends of one log. Each batch is proved when it is read, so a
// page that the kernel dropped reads as CORRUPT, not as something else; and the start
// behind it begins a new epoch, which tells apart what took these offsets since (I3).
func (f *flusher) sync(p *partition) {
	p.f.listed = false
	began := time.Now()
	p.f.lastSync = began.UnixNano()
	dirty := p.log.Dirty()
	p.syncSince.Store(max(1, int64(f.stats.uptime())))
	durable, err := p.log.Sync()
	if dirty {
		f.stats.synced(err)
	}
	for p.f.waiting.head != nil {
		cmd := p.f.waiting.pop()
		if err != nil && !sched.Planted("ack-after-failed-sync") {
			cmd.fail(syncError(p, cmd, err))
			continue
		}
		cmd.durable, cmd.reached = durable, text.AckSynced
		cmd.done()
	}
	if err == nil {
		f.mark(p) // behind the answers, none of which waits for it
	}
	p.syncSince.Store(0)
	f.maintain(p)
}

// syncError says what a failed sync means for a command that waited for it.
func syncError(p *partition, cmd *command, err error) *text.Error {
	if cmd.verb == text.VerbFlush {
		return &text.Error{Code: text.CodeLogFailed, Skip: -1, Text: fmt.Sprintf("%s takes no appends: %v", p, err)}
	}
	return &text.Error{Code: text.CodeUnknown, Skip: -1, Text: fmt.Sprintf("the sync failed, and the records may be there, once: %v", err)}
}
