package stages

import (
	"strings"
	"syscall"
	"testing"

	"sluice/disk/fstest"
)

// TestB1StopWithAFailedLog: a stop that leaves written records behind which could not be synced is not called clean, and says
// which they are: the exit status of the server is 1 then.
func TestB1StopWithAFailedLog(t *testing.T) {
	bad := newGate(flusherSync("t"))
	close(bad.open)
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if bad.match(op) {
			return syscall.EIO
		}
		return nil
	}), noTicks())
	c := dial(t, s)
	c.send("MSG u 1 ack=synced\na\nMSG t 1\na\nMSG t 1 ack=synced\nb\nCLOSE\n")
	c.want("OK first=0 next=1 ack=synced synced=1", "OK first=0 next=1 ack=written synced=0")
	c.refused("ERR UNKNOWN - the sync failed")
	c.want("OK")
	err := s.Stop(t.Context())
	if err == nil || !strings.Contains(err.Error(), "log t: the records from 0 to before 2 may not be safe: ") || strings.Contains(err.Error(), "log u") {
		t.Errorf("the stop says: %v", err)
	}
}
