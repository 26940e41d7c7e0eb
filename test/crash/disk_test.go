package crash

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
	"sluice/test/process"
	"sluice/wire/text"
)

// A patient is a server with two topics, of which one is going to fall ill. Nothing is synced that is not asked for.
type patient struct {
	*round
	s *process.Server
	w *witness.Conn
}

const ill, well = "ill", "well"

func newPatient(t *testing.T, data, settings string) *patient {
	t.Helper()
	p := &patient{round: newRound(t, 1)}
	p.data, p.logs = data, []string{ill, well}
	p.set("stages.flusher.tick", "0")
	p.set("stages.flusher.count", "2")
	p.begin()
	for _, line := range []string{"CREATE " + ill + settings, "CREATE " + well} {
		if _, err := p.w.Ask("%s", line); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		p.fine(ill, "written")
		p.fine(ill, "synced")
		p.fine(well, "synced")
	}
	return p
}

func (p *patient) begin() {
	p.t.Helper()
	p.s = p.start()
	p.w = p.dial(p.s.Text)
}

// segment is the file of the log's first segment.
func (p *patient) segment() string { return filepath.Join(p.dir(), "00000000000000000000.log") }

func (p *patient) dir() string { return filepath.Join(p.data, "topics", ill, "0") }

func (p *patient) fine(log, ack string) {
	p.t.Helper()
	if _, err := p.w.Append(log, ack, 100); err != nil {
		p.t.Fatalf("an append to the topic %q with ack=%s: %v\n%s", log, ack, err, p.s.Log())
	}
}

func code(err error) string {
	if e, ok := errors.AsType[*text.Error](err); ok {
		return e.Code.String()
	}
	return fmt.Sprint(err)
}

// refused sends an append that must be answered with one of these codes.
func (p *patient) refused(ack string, codes ...string) error {
	p.t.Helper()
	_, err := p.w.Append(ill, ack, 100)
	for _, c := range codes {
		if code(err) == c {
			return err
		}
	}
	p.t.Fatalf("an append with ack=%s was answered %v, want %v\n%s", ack, err, codes, p.s.Log())
	return nil
}

// failed checks that the log takes nothing any more, tells why, can be read, and that the other topic has noticed nothing.
func (p *patient) failed(why string) {
	p.t.Helper()
	for _, ack := range []string{"synced", "written"} {
		if err := p.refused(ack, "LOG_FAILED"); !strings.Contains(err.Error(), why) {
			p.t.Errorf("the log tells %q, want %q in it", err, why)
		}
	}
	if _, err := p.w.Ask("FLUSH %s", ill); code(err) != "LOG_FAILED" {
		p.t.Errorf("FLUSH: %v", err)
	}
	if e, err := p.w.Read(ill, 0, 3); err != nil || len(e.Records) != 3 {
		p.t.Errorf("a failed log is not read: %v", err)
	}
	stats, err := p.w.Ask("STATS")
	if err != nil || !strings.Contains(string(stats), why) {
		p.t.Errorf("STATS does not tell %q: %v\n%s", why, err, stats)
	}
	p.fine(well, "synced")
}

// recovers ends the server, however it can be ended, starts it again, and looks at everything.
func (p *patient) recovers(how oracle.Op) {
	p.t.Helper()
	p.s.Kill()
	p.rec.End(how)
	p.begin()
	p.scan(p.s)
	p.fine(ill, "synced")
	p.fine(well, "synced")
	p.scan(p.s)
	p.stop(p.s)
	p.tidy()
	check(p.t, p.rec.Events())
}

// An fdatasync of the running server fails once: who waits for it gets UNKNOWN, the log takes nothing more and is not synced
// again although a second try would return 0, other topics go on, and a restart recovers.
func TestB1FsyncErrorInTheRunningServer(t *testing.T) {
	p := newPatient(t, t.TempDir(), "")
	i := inject(t, p.s, "fdatasync:error=EIO:delay_enter=300000:when=1", p.segment())
	answers := make(chan error)
	for range 4 { // who comes while the sync is under way waits for the next one, which there will not be
		w := p.dial(p.s.Text)
		go func() { // joined by the receives below
			_, err := w.Append(ill, "synced", 100)
			answers <- err
		}()
	}
	unknown := 0
	for range 4 {
		err := <-answers
		if code(err) == "UNKNOWN" {
			unknown++
		} else if code(err) != "LOG_FAILED" { // it came when all was over
			t.Errorf("an append that waits for a sync that fails: %v", err)
		}
	}
	if unknown == 0 {
		t.Error("nobody was told that the outcome is unknown")
	}
	p.failed("input/output error")
	if calls := i.end(); len(calls) != 1 || !strings.Contains(calls[0], "EIO") {
		t.Errorf("the file was synced again: %q", calls)
	}
	p.failed("input/output error")
	p.recovers(oracle.Kill)
}

// The same for a topic whose appends are synced by the write itself.
func TestB1SyncedWriteErrorInTheRunningServer(t *testing.T) {
	p := newPatient(t, t.TempDir(), " sync=dsync")
	i := inject(t, p.s, "pwritev2,fdatasync:error=EIO:when=1+", p.segment())
	p.refused("synced", "UNKNOWN")
	p.failed("input/output error")
	if calls := i.end(); len(calls) != 1 {
		t.Errorf("more than one call on the file: %q", calls)
	}
	p.recovers(oracle.Kill)
}

// A write of the running server fails, always: it is answered UNKNOWN, nothing more is written to that log, other topics go
// on, and a restart recovers.
func TestB2WriteErrorInTheRunningServer(t *testing.T) {
	p := newPatient(t, t.TempDir(), "")
	i := inject(t, p.s, "pwrite64,pwritev,pwritev2:error=EIO:when=1+", p.segment())
	p.refused("written", "UNKNOWN")
	p.failed("input/output error")
	if calls := i.end(); len(calls) != 1 {
		t.Errorf("more than one call on the file: %q", calls)
	}
	p.recovers(oracle.Kill)
}

// An fsync of a log's directory fails while it rolls: no record is acknowledged as synced that depends on it, the log takes
// nothing more, and a restart has everything that was acknowledged.
func TestB3DirectorySyncErrorInTheRunningServer(t *testing.T) {
	p := newPatient(t, t.TempDir(), " segment.bytes=16KiB")
	i := inject(t, p.s, "fsync:error=EIO:when=1+", p.dir())
	for n := 0; ; n++ {
		_, err := p.w.Append(ill, []string{"written", "synced"}[n%2], 3000)
		if c := code(err); c == "UNKNOWN" || c == "LOG_FAILED" {
			break
		} else if err != nil || n > 100 {
			t.Fatalf("after %d appends: %v", n, err)
		}
	}
	p.failed("input/output error")
	if calls := i.end(); len(calls) != 1 {
		t.Errorf("the directory was synced again: %q", calls)
	}
	p.recovers(oracle.Kill)
}

// An fdatasync of the running server does not return: who waits for it waits, appends to the same log that need no sync and
// other topics go on, and when it returns the answer comes.
func TestB9HungSyncInTheRunningServer(t *testing.T) {
	p := newPatient(t, t.TempDir(), "")
	i := inject(t, p.s, "fdatasync:delay_enter=600000000:when=1", p.segment())
	waiting := p.dial(p.s.Text)
	answered := make(chan error, 1)
	go func() { // joined by the receive below
		_, err := waiting.Append(ill, "synced", 100)
		answered <- err
	}()
	for n := 0; ; n++ { // until it hangs for certain: the first append of the other connection is in the log
		if _, next, err := p.w.Head(ill); err != nil || next > 10 {
			break
		}
		if n > 1_000_000 {
			t.Fatal("the append that waits is not in the log")
		}
	}
	for range 50 {
		p.fine(ill, "written")
		p.fine(well, "synced")
	}
	if e, err := p.w.Read(ill, 10, 100); err != nil || len(e.Records) != 51 {
		t.Errorf("a log whose sync hangs is not read: %v", err)
	}
	select {
	case err := <-answered:
		t.Fatalf("answered before its sync has returned: %v", err)
	default:
	}
	i.end()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the sync returned, and the answer is %v", err)
		}
	case <-time.After(witness.Limit):
		t.Fatal("the sync has returned, and no answer came")
	}
	p.fine(ill, "synced")
	p.recovers(oracle.Kill)
}
