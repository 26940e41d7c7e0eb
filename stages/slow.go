package stages

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"sluice/sched"
)

// A sync that takes longer than stages.flusher.slow makes its log degraded: appends
// with ack=synced and FLUSH wait for it, all else goes on (B9). Nobody can end such a
// sync, or ask for a second one, so this only says so: STATS and /healthz while it
// lasts, the log once when it is noticed and once when it is over.

// watchSyncs looks for them until the ticks end, and for files that were removed.
func (s *Server) watchSyncs(ctx context.Context) error {
	every := min(max(s.conf.Flusher.Slow/4, 10*time.Millisecond), time.Second)
	return sched.Tick(ctx, every, func(time.Time) {
		for _, t := range s.catalog.all() {
			for _, p := range t.parts {
				s.watchSync(p)
				p.log.CheckFile()
			}
		}
	})
}

func (s *Server) watchSync(p *partition) {
	took := s.syncing(p)
	switch slow := took > s.conf.Flusher.Slow; {
	case slow && !p.slow.Swap(true):
		s.log.Warn("a sync hangs: appends that wait for it wait on, reads and appends with ack=written go on; look at the disk",
			zap.Stringer("log", p), zap.Duration("so far", took))
	case !slow && p.slow.Swap(false):
		s.log.Warn("the sync that hung is over", zap.Stringer("log", p))
	}
}

// syncing is how long the log's sync has been under way; 0: none is.
func (s *Server) syncing(p *partition) time.Duration {
	since := p.syncSince.Load()
	if since == 0 {
		return 0
	}
	return s.stats.uptime() - time.Duration(since)
}

// degraded says what is wrong with a log that takes appends: for how long a sync has hung, or which damage was met first
// in this run. Else it is empty.
func (s *Server) degraded(p *partition) string {
	if took := s.syncing(p); took > s.conf.Flusher.Slow {
		return fmt.Sprintf("a sync has been under way for %v", took.Round(100*time.Millisecond))
	}
	if d := p.log.Damage(); d != nil {
		return d.Error()
	}
	return ""
}
