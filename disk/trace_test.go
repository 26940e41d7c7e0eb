package disk_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

var update = flag.Bool("update", false, "write the golden files anew; read the difference before committing it")

// tracer collects the lines of fstest.Trace and headings between them.
type tracer struct {
	mu    sync.Mutex
	lines []string
}

func (tr *tracer) line(s string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, s)
}

func (tr *tracer) title(format string, args ...any) {
	tr.line("\n" + fmt.Sprintf("# "+format, args...))
}

// take returns the lines so far and forgets them.
func (tr *tracer) take() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	lines := tr.lines
	tr.lines = nil
	return lines
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(name, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s is not what happens; run with -update and look at the difference. Got:\n%s", name, got)
	}
}

// TestI8F1GoldenRoll is the life of a log in operations: who does what, and in which order (I8, F1).
func TestI8F1GoldenRoll(t *testing.T) {
	var tr tracer
	mem := fstest.NewMem()
	f := fstest.Trace(mem, tr.line)
	e := &env{fs: f, opt: disk.LogOptions{SegmentBytes: 256 << 10, IndexInterval: 4 << 10}}
	e.s = openStore(t, f)
	must(t, e.s.CreateTopic(disk.ByController, "t", nil))
	tr.take()
	tr.title("open an empty log")
	e.openLog(t)
	p := sized(t, "x", 20<<10)
	for range 2 {
		tr.title("fill three quarters; the allocation grows ahead of use, then the spare is made")
		for e.l.Next()%12 < 10 {
			goldenAppend(t, e, p)
		}
		tr.title("sync, and the durable mark")
		_, err := e.l.Sync()
		must(t, err)
		must(t, e.l.Mark(disk.ByFlusher))
		tr.title("fill up, and append into the spare before anything is synced")
		for fits(e.l, len(p)) {
			goldenAppend(t, e, p)
		}
		if !e.l.Roll() {
			t.Fatal("there is no spare to roll to")
		}
		goldenAppend(t, e, p)
		tr.title("sync: the old segment, then the new")
		_, err = e.l.Sync()
		must(t, err)
		must(t, e.l.Mark(disk.ByFlusher))
		tr.title("maintain: finish the roll")
		e.maintain(t)
	}
	tr.title("close")
	must(t, e.l.Close())
	tr.title("open again, and begin to append")
	e.openLog(t)
	e.begin(t)
	goldenAppend(t, e, p)
	im := takeImage(t, mem)
	sofar := tr.take()
	must(t, e.l.Close())
	tr.take()
	putImage(t, mem, im)
	tr.title("after a kill: scan behind the mark, and begin with a new epoch")
	e.openLog(t)
	e.begin(t)
	must(t, e.l.Close())
	lines := append(sofar, tr.take()...)
	for _, line := range lines {
		if strings.HasPrefix(line, "writer ") && !strings.HasPrefix(line, "writer write ") {
			t.Errorf("on the append path: %s", line)
		}
	}
	golden(t, "roll.trace", strings.TrimPrefix(strings.Join(lines, "\n"), "\n")+"\n")
}

func goldenAppend(t *testing.T, e *env, p []byte) {
	t.Helper()
	_, _, err := e.l.Append(p)
	must(t, err)
	e.maintain(t)
}

func wantLines(t *testing.T, tr *tracer, want ...string) {
	t.Helper()
	if got := tr.take(); !slices.Equal(got, want) {
		t.Fatalf("operations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	seg0  = "topics/t/0/00000000000000000000.log"
	spare = "topics/t/0/next.seg"
)

// rolled is a log with records in segment 0 and in the spare that follows it, none of them synced.
func rolled(t *testing.T, f disk.FS) *env {
	t.Helper()
	e := newEnv(t, f, disk.LogOptions{SegmentBytes: 16 << 10, IndexInterval: 1 << 10})
	for fits(e.l, 4<<10) {
		e.append(t, sized(t, "a", 3<<10))
	}
	if !e.l.Roll() {
		t.Fatal("there is no spare to roll to")
	}
	_, _, err := e.l.Append(sized(t, "b", 1000))
	must(t, err)
	return e
}

// TestI2SyncOrderAfterRoll: the durable point passes a segment's end only after that file's own sync (I2).
func TestI2SyncOrderAfterRoll(t *testing.T) {
	var tr tracer
	var broken string
	f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Kind == fstest.Sync && op.Name == broken {
			return syscall.EIO
		}
		return nil
	})
	e := rolled(t, fstest.Trace(f, tr.line))
	border := e.l.Next() - 1
	tr.take()
	broken = spare
	durable, err := e.l.Sync()
	if durable != border || e.l.Durable() != border || err == nil {
		t.Fatalf("durable %d, %v; want the border %d and an error", durable, err, border)
	}
	wantLines(t, &tr, "flusher sync "+seg0, "flusher sync "+spare+" = input/output error")
	_, err = e.l.Sync()
	wantIs(t, err, disk.ErrFailed)
	wantIs(t, err, syscall.EIO)
	wantLines(t, &tr) // never again
}

func TestSyncNothingTwice(t *testing.T) {
	var tr tracer
	e := rolled(t, fstest.Trace(fstest.NewMem(), tr.line))
	tr.take()
	for range 2 {
		durable, err := e.l.Sync()
		must(t, err)
		if durable != e.l.Next() || e.l.Dirty() {
			t.Fatalf("durable %d of %d", durable, e.l.Next())
		}
	}
	wantLines(t, &tr, "flusher sync "+seg0, "flusher sync "+spare)
	e.close(t)
}

// TestSyncBeforeRollCounts: a file that was synced after its last write is not synced again after the roll.
func TestSyncBeforeRollCounts(t *testing.T) {
	var tr tracer
	e := newEnv(t, fstest.Trace(fstest.NewMem(), tr.line), disk.LogOptions{SegmentBytes: 16 << 10})
	e.append(t, sized(t, "a", 14<<10))
	_, err := e.l.Sync()
	must(t, err)
	if !e.l.Roll() {
		t.Fatal("there is no spare to roll to")
	}
	_, _, err = e.l.Append(sized(t, "b", 100))
	must(t, err)
	tr.take()
	_, err = e.l.Sync()
	must(t, err)
	wantLines(t, &tr, "flusher sync "+spare)
	e.maintain(t)
	e.close(t)
}
