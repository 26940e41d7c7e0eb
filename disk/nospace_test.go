package disk_test

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestB4NoSpaceOnAppend: a write that finds no space is cut back, durably, and then it has not happened (B4): neither in
// the file nor in the index.
func TestB4NoSpaceOnAppend(t *testing.T) {
	var tr tracer
	var fail error
	f := fstest.Trace(fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.Kind == fstest.Write && op.By == disk.ByWriter {
			return fail
		}
		return nil
	}), tr.line)
	e := newEnv(t, f, small)
	plain := newEnv(t, fstest.NewMem(), small)
	for i := range 40 {
		p := build(t, rec{int64(1000 + i), strings.Repeat("x", 600)})
		plain.append(t, bytes.Clone(p))
		if i%4 == 1 && fits(e.l, len(p)) {
			size := e.l.Info().Bytes
			for _, fail = range []error{syscall.ENOSPC, &fstest.Short{N: 300, Err: syscall.EDQUOT}} {
				tr.take()
				_, _, err := e.l.Append(build(t, rec{9999, "refused"}))
				wantIs(t, err, disk.ErrNoSpace)
				must(t, e.l.Err())
				lines := tr.take()
				if len(lines) != 3 || !strings.HasPrefix(lines[0], "writer write") ||
					!strings.HasPrefix(lines[1], "writer truncate") || !strings.HasPrefix(lines[2], "writer sync") {
					t.Fatalf("operations %q", lines)
				}
			}
			fail = nil
			if e.l.Info().Bytes != size || e.l.Next() != uint64(i) {
				t.Fatalf("%d bytes, were %d; next %d", e.l.Info().Bytes, size, e.l.Next())
			}
		}
		e.append(t, p)
	}
	for _, x := range []*env{e, plain} {
		_, err := x.l.Sync()
		must(t, err)
		x.maintain(t)
	}
	for _, name := range listNames(t, plain.fs, "topics/t/0", ".idx") {
		if !bytes.Equal(load(t, e.fs, name), load(t, plain.fs, name)) {
			t.Errorf("%s is not what it would be without the refused appends", name)
		}
	}
	e.close(t)
	plain.close(t)
}

// TestB4NoSpaceNotProven: when the cut back fails, the outcome is open and the log has failed.
func TestB4NoSpaceNotProven(t *testing.T) {
	for _, kind := range []fstest.Kind{fstest.Truncate, fstest.Sync} {
		e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if op.By == disk.ByWriter && (op.Kind == fstest.Write || op.Kind == kind) {
				return syscall.ENOSPC
			}
			return nil
		}), small)
		_, _, err := e.l.Append(sized(t, "x", 100))
		wantIs(t, err, syscall.ENOSPC)
		wantIs(t, e.l.Err(), disk.ErrFailed)
		if err == nil || strings.Contains(err.Error(), disk.ErrNoSpace.Error()) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestB4NoSpaceAhead: no space for growth or for a spare harms nothing, is told as such, and passes (B4).
func TestB4NoSpaceAhead(t *testing.T) {
	for _, kind := range []fstest.Kind{fstest.Allocate, fstest.Create, fstest.Rename} {
		t.Run(string(kind), func(t *testing.T) {
			full := false
			e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
				if full && op.By == disk.ByRoller && op.Kind == kind {
					return syscall.ENOSPC
				}
				return nil
			}), small)
			var want []rec
			told := 0
			for i := range 60 {
				full = i%10 != 9
				r := rec{int64(1000 + i), strings.Repeat("x", 900)}
				p := build(t, r)
				for !fits(e.l, len(p)) && !e.l.Roll() {
					_, err := e.l.Sync()
					must(t, err)
					if _, err := e.l.Maintain(); err != nil {
						wantIs(t, err, disk.ErrNoSpace)
						told++
						full = told%3 != 0
					}
				}
				_, _, err := e.l.Append(p)
				must(t, err)
				want = append(want, r)
			}
			if told == 0 {
				t.Fatal("nobody was told")
			}
			full = false
			e.maintain(t)
			wantReads(t, e.l, want)
			e.reopen(t)
			wantReads(t, e.l, want)
			e.close(t)
		})
	}
}
