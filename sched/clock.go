package sched

import (
	"context"
	"time"
)

// Clock tells the wall-clock time. It is a parameter wherever a time is stored,
// so that tests and fault injection can move it; durations and timeouts use the
// monotonic clock of package time instead.
type Clock func() time.Time

// Tick calls send every interval until ctx is done, then returns nil. A send
// that takes longer than the interval makes ticks rarer, never concurrent, so
// that a busy stage is not buried in them.
func Tick(ctx context.Context, interval time.Duration, send func(now time.Time)) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			send(now)
		case <-ctx.Done():
			return nil
		}
	}
}
