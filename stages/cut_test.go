package stages

import (
	"context"
	"strings"
	"testing"
	"time"

	"sluice/disk/fstest"
)

// finished waits for the server's end, which must not hang on anyone.
func finished(t *testing.T, s *Server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
}

// A stop that is cut short also ends a connection whose request waits for memory.
func TestStopIsCutShortWhileMemoryIsAwaited(t *testing.T) {
	conf := noTicks()
	conf.Memory.Append = 1 << 20
	s := startServerOn(t, fstest.NewMem(), conf)
	all := s.appendMemory.TryLease(1 << 20)
	c := dial(t, s)
	c.send("CREATE t\nMSG t 5000\n%s\n", strings.Repeat("x", 5000))
	c.want("OK")
	waitFor(t, func() bool { return s.stats.requests.Load() == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err == nil {
		t.Error("the stop says it was clean")
	}
	finished(t, s)
	all.Release()
}
