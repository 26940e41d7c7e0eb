package stages

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"sluice/wire/text"
)

// admission is what keeps appends from being taken at all, whatever their log.
type admission struct {
	room *room
	loop *text.Error // set by the start, before any stage runs; nil: no crash loop
}

// refusal is the answer to an append, or nil. Any goroutine.
func (a *admission) refusal() *text.Error {
	if a.loop != nil {
		return a.loop
	}
	return a.room.refusal()
}

// youngFor is how long a run must last for its end to be no part of a crash loop.
const youngFor = time.Minute

// beginRun counts the runs that died soon after their start. A record that kills
// each server that takes or opens it would do so for ever, and a supervisor would
// start it for ever; so after crash_loop.deaths in a row a run is read-only (A6).
func (s *Server) beginRun() {
	if s.conf.CrashLoop == 0 {
		return
	}
	deaths, err := s.store.BeginRun()
	if s.deaths = deaths; err != nil {
		s.log.Warn("it can't be noted that this run begins: a crash loop may not be noticed", zap.Error(err))
	}
	if int64(deaths) < s.conf.CrashLoop {
		return
	}
	why := fmt.Sprintf("the last %d runs of this server died within %v of their start: appends are refused and reads go on until it is stopped cleanly once (SIGTERM or SHUTDOWN) and started again; find and mend first what ended those runs (setting crash_loop.deaths)", deaths, youngFor)
	s.admission.loop = &text.Error{Code: text.CodeRefused, Skip: -1, Text: why}
	s.log.Error(why)
}

// settleRun notes that the run has lasted. A read-only run proves nothing by that.
func (s *Server) settleRun(ctx context.Context) error {
	t := time.NewTimer(youngFor)
	defer t.Stop()
	select {
	case <-t.C:
		if err := s.store.SettleRun(); err != nil {
			s.log.Warn("it can't be noted that this run has lasted: its end may count as that of a crash loop", zap.Error(err))
		}
	case <-ctx.Done():
	}
	return nil
}

// endRun notes an orderly end. deaths is what the next run begins with.
func (s *Server) endRun(deaths int) {
	if s.conf.CrashLoop == 0 {
		return
	}
	if err := s.store.EndRun(deaths); err != nil {
		s.log.Warn("it can't be noted that this run ended in order", zap.Error(err))
	}
}
