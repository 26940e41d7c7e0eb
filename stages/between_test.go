package stages

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/disk/fstest"
)

// A5: the process, or the power, is gone between write, sync and answer. The client has
// no answer, so the outcome is unknown to it: the record is there once, or not at all,
// and what had been acknowledged before is there in any case. A power cut can't take
// what was synced, nor a kill what was written.
func TestA5GoneBetweenWriteSyncAndAck(t *testing.T) {
	for _, c := range []struct {
		name, behind string // the operation that is the last
		kill, power  string // values of t afterwards; power: with nothing kept that is not synced
	}{
		{"before the write", "", "a", "a"},
		{"between write and sync", "writer write topics/t/", "a b", "a"},
		{"between sync and answer", "flusher sync topics/t/", "a b", "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := fstest.NewMem()
			var armed atomic.Bool
			came, open := make(chan struct{}), make(chan struct{})
			hold := func() {
				if armed.CompareAndSwap(true, false) {
					close(came)
					<-open
				}
			}
			fs := fstest.Trace(fstest.Fail(mem, func(op fstest.Op) error {
				if c.behind == "" && op.Kind == fstest.Write && strings.HasPrefix(op.Name, "topics/t/") {
					hold()
				}
				return nil
			}), func(line string) {
				if c.behind != "" && strings.HasPrefix(line, c.behind) {
					hold()
				}
			})
			s := startServerOn(t, fs, noTicks())
			client := dial(t, s)
			client.send("MSG t 1 ack=synced\na\n")
			client.want("OK first=0 next=1 ack=synced synced=1")
			armed.Store(true)
			client.send("MSG t 1 ack=synced\nb\n")
			<-came
			killed, cut, torn := mem.Kill(), mem.Crash(rand.New(rand.NewPCG(1, 2)), 0), mem.Crash(rand.New(rand.NewPCG(1, 2)), 0.5)
			close(open)
			for _, next := range []struct {
				how, want string
				mem       *fstest.Mem
			}{{"kill", c.kill, killed}, {"power cut", c.power, cut}, {"torn", "", torn}} {
				got := valuesAfterwards(t, next.mem)
				if next.want != "" && got != next.want || got != "a" && got != "a b" {
					t.Errorf("%s: the log holds %q, want %q", next.how, got, next.want)
				}
			}
		})
	}
}

// valuesAfterwards starts a server on what is left, reads the log t, and appends to it.
func valuesAfterwards(t *testing.T, mem *fstest.Mem) string {
	t.Helper()
	s := startServerOn(t, mem, noTicks())
	c := dial(t, s)
	c.send("READ t 0\n")
	var values []string
	for line := c.line(); !strings.HasPrefix(line, "OK next="); line = c.line() {
		values = append(values, c.line())
	}
	c.send("MSG t 1\nc\n")
	c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", len(values), len(values)+1))
	return strings.Join(values, " ")
}
