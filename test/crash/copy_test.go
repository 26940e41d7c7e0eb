package crash

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
)

// A copy of a running server's directory opens as after a power cut: all that was synced before the copying began is in it,
// and what is in it is a front of the log. The order makes it so: first marks, which must not promise bytes that were
// written after them; then the spare and the segments from the last to the first, so that a segment is never
// older than the one behind it; a name that is gone meanwhile means a roll, and the topic is begun again.
func TestH5CopyOfALiveDirectory(t *testing.T) {
	seed := firstSeed(t)
	r := newRound(t, seed)
	t.Logf("seed %d", seed)
	r.vary()
	s := r.start()
	r.create(s.Text)
	l, err := witness.StartLoad(s.Text, r.rec, r.logs, 3, 0, r.rng.Uint64())
	if err != nil {
		t.Fatal(err)
	}
	<-l.On
	w := r.dial(s.Text)
	for range 5 {
		promised := map[string]uint64{}
		for _, log := range r.logs {
			if _, err := w.Ask("HEAD %s", log); err != nil {
				t.Fatal(err)
			}
			promised[log] = w.Uint("synced")
		}
		r.opensAsAFront(s.Text, copyLive(t, r.data), promised)
	}
	if err := l.End(); err != nil {
		t.Error(err)
	}
	s.Kill()
}

// opensAsAFront starts a server on a copy and compares it with the one that goes on.
func (r *round) opensAsAFront(addr, data string, promised map[string]uint64) {
	r.t.Helper()
	c := newRound(r.t, r.seed)
	c.data, c.logs = data, r.logs
	c.verify(false)
	s := c.start()
	var whole, part oracle.Recorder // apart: the copy is a log that no client of ours writes to
	original, copied := dialOrFail(r.t, addr, &whole), dialOrFail(r.t, s.Text, &part)
	for _, log := range r.logs {
		e, err := copied.Scan(log)
		if err != nil {
			r.t.Fatalf("%s of the copy: %v\n%s", log, err, s.Log())
		}
		if n := uint64(len(e.Records)); n < promised[log] {
			r.t.Errorf("%s of the copy has %d records, and %d were synced before it was made", log, n, promised[log])
		}
		var want []oracle.Record
		for len(want) < len(e.Records) {
			got, err := original.Fetch(log, uint64(len(want)), 0)
			if err != nil || len(got.Records) == 0 {
				r.t.Fatalf("%s: %d records, %v", log, len(want), err)
			}
			want = append(want, got.Records...)
		}
		if !slices.Equal(want[:len(e.Records)], e.Records) {
			r.t.Errorf("%s of the copy is not a front of the original", log)
		}
		if _, err := copied.Append(log, "synced", 100); err != nil {
			r.t.Errorf("%s of the copy takes no append: %v", log, err)
		}
		r.t.Logf("%s: %d records in the copy, %d of them promised", log, len(e.Records), promised[log])
	}
	c.stop(s)
}

func dialOrFail(t *testing.T, addr string, rec *oracle.Recorder) *witness.Conn {
	t.Helper()
	w, err := witness.Dial(addr, rec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// copyLive copies a data directory while its server runs.
func copyLive(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	logs, err := filepath.Glob(filepath.Join(from, "topics", "*", "*", "marks"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, marks := range logs {
		dir, err := filepath.Rel(from, filepath.Dir(marks))
		if err != nil {
			t.Fatal(err)
		}
		for copyLog(t, filepath.Join(from, dir), filepath.Join(to, dir)) != nil {
			continue // a roll
		}
	}
	small, err := filepath.Glob(filepath.Join(from, "topics", "*", "topic.json*"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(from, "node.json*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(small, more...) {
		rel, err := filepath.Rel(from, name)
		if err != nil {
			t.Fatal(err)
		}
		copyFile(t, name, filepath.Join(to, rel))
	}
	return to
}

// copyLog gives an error if a name went away while it copied.
func copyLog(t *testing.T, from, to string) error {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o755)); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(from, "marks"), filepath.Join(to, "marks"))
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries) // the spare and other names with letters, then segments from the last to the first
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".tmp" || e.Name() == "marks" {
			continue
		}
		if err := copyFile(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyFile gives an error only if there is no such file.
func copyFile(t *testing.T, from, to string) error {
	t.Helper()
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return nil
}
