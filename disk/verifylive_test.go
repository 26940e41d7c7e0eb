package disk_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// TestVerifyBesideTheServer: while a log is appended to, synced and rolled, verify and dump find nothing wrong in it.
func TestVerifyBesideTheServer(t *testing.T) {
	root := t.TempDir()
	e := newEnv(t, disk.OS(root), small)
	records := 8000
	if testing.Short() {
		records = 2000
	}
	done := make(chan error, 1)
	go func() { done <- appendMany(e, records) }()
	for over := false; !over; {
		select {
		case err := <-done:
			must(t, err)
			over = true
		default:
		}
		lines, _ := verify(t, disk.OSReadOnly(root), disk.VerifyOptions{Live: true})
		for _, line := range lines {
			if !strings.HasPrefix(line, "note ") {
				t.Errorf("beside the server: %s", line)
			}
		}
		if err := disk.Dump(disk.OSReadOnly(root), disk.DumpOptions{Topic: "t", Live: true}, noDamage); err != nil {
			t.Error(err)
		}
	}
	e.close(t)
	if lines, sum := verify(t, disk.OSReadOnly(root), disk.VerifyOptions{}); len(lines) > 0 || sum.Records != e.l.Next() {
		t.Errorf("when it is closed: %+v %q", sum, lines)
	}
}

func noDamage(p disk.DumpPiece) error {
	if p.Kind == disk.DumpDamage {
		return fmt.Errorf("dump shows damage: %+v", p)
	}
	return nil
}

// appendMany is writer, flusher and roller in one, for so many records.
func appendMany(e *env, records int) error {
	var b batch.Builder
	for n := range records {
		b.Reset(nil)
		b.Add(int64(n), nil, []byte(strings.Repeat("z", n*37%900)), nil)
		p, err := b.Finish(batch.None)
		if err != nil {
			return err
		}
		for room, empty := e.l.Room(); int64(len(p)) > room && !empty && !e.l.Roll(); {
			_, err := e.l.Sync()
			_, failed := e.l.Maintain()
			if err = errors.Join(err, failed); err != nil {
				return err
			}
		}
		if _, _, err := e.l.Append(p); err != nil {
			return err
		}
		if n%7 == 0 {
			_, err = e.l.Sync()
			err = errors.Join(err, e.l.Mark(disk.ByFlusher))
		}
		if e.l.MaintenanceDue() {
			_, failed := e.l.Maintain()
			err = errors.Join(err, failed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestInUse: a directory is in use while its store is open, and asking does not keep one from being opened.
func TestInUse(t *testing.T) {
	root := t.TempDir()
	for _, open := range []bool{false, true, false} {
		var s *disk.Store
		if open {
			s = openStore(t, disk.OS(root))
		}
		for range 2 {
			if live, err := disk.InUse(root); err != nil || live != open {
				t.Errorf("in use: %v, %v; open: %v", live, err, open)
			}
		}
		if open {
			must(t, s.Close())
		}
	}
	if _, err := os.Stat(root + "/LOCK"); err != nil {
		t.Error(err)
	}
}

// TestB8VerifyTellsUnreadablePages: a page that the device cannot give is damage with its reason, and the rest is read.
func TestB8VerifyTellsUnreadablePages(t *testing.T) {
	s := newSick(t)
	f := &weak{FS: s.fs, name: s.segs[1], pages: map[int64]bool{1: true}}
	lines, sum := verify(t, f, disk.VerifyOptions{})
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "damage "+s.segs[1]+"@") || !strings.Contains(lines[0], "it cannot be read: input/output error") ||
		sum.Batches < 80 {
		t.Errorf("%+v %q", sum, lines)
	}
	f.name = idxOf(s.segs[1])
	f.pages[0] = true
	if lines, _ := verify(t, f, disk.VerifyOptions{}); len(lines) != 1 || !strings.HasPrefix(lines[0], "problem "+f.name) {
		t.Errorf("%q", lines)
	}
	closed := fstest.Fail(s.fs, func(op fstest.Op) error {
		if op.Kind == fstest.Open && op.Name == s.segs[1] {
			return syscall.EACCES
		}
		return nil
	})
	lines, _ = verify(t, closed, disk.VerifyOptions{})
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "damage "+s.segs[1]+" [71,139): it cannot be read: permission denied") {
		t.Errorf("%q", lines)
	}
}

// TestVerifyDecodesRecords: compressed records are decoded; a batch that its producer made wrong is noted, and is no
// damage of the log.
func TestVerifyDecodesRecords(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	for _, codec := range []batch.Codec{batch.None, batch.LZ4} { // those that a Builder makes; wire/batch has tests of all
		e.append(t, pair(t, codec))
	}
	lie := pair(t, batch.None)
	lie[22] = byte(batch.Gzip) // its records are no gzip
	binary.BigEndian.PutUint32(lie[17:], crc32.Checksum(lie[21:], crc32.MakeTable(crc32.Castagnoli)))
	e.append(t, lie)
	e.close(t)
	lines, sum := verify(t, e.fs, disk.VerifyOptions{})
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "note "+seg0+"@") || !strings.Contains(lines[0], "[4,6): the batch is as its producer sent it") ||
		sum.Records != 6 {
		t.Errorf("%+v %q", sum, lines)
	}
}

func pair(t *testing.T, codec batch.Codec) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(nil)
	for range 2 {
		b.Add(1, []byte("key"), []byte(strings.Repeat("value", 50)), nil)
	}
	p, err := b.Finish(codec)
	must(t, err)
	return p
}

// writing is a file system on which a server seems to be at work: the first looks at some small files come between two
// renames, or while a slot is written.
type writing struct {
	disk.FS
	left map[string]int // looks that go wrong, by name
}

func (w *writing) Open(by disk.By, name string) (disk.File, error) {
	f, err := w.FS.Open(by, name)
	if err != nil || w.left[name] == 0 {
		return f, err
	}
	w.left[name]--
	if strings.HasSuffix(name, "/marks") {
		return torn{f}, nil
	}
	return nil, errors.Join(os.ErrNotExist, f.Close(by))
}

type torn struct{ disk.File }

func (f torn) ReadAt(by disk.By, p []byte, pos int64) (int, error) {
	n, err := f.File.ReadAt(by, p, pos)
	if n > 0 {
		p[n-1] ^= 1
	}
	return n, err
}

// TestVerifyLooksAgainBesideTheServer: what the server was just writing is no problem; without a server it is one.
func TestVerifyLooksAgainBesideTheServer(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	e.append(t, pair(t, batch.None))
	e.close(t)
	for _, name := range []string{"node.json.2", "topics/t/topic.json", "topics/t/0/epochs", "topics/t/0/marks"} {
		for _, live := range []bool{true, false} {
			lines, sum := verify(t, &writing{e.fs, map[string]int{name: 2}}, disk.VerifyOptions{Live: live})
			if got := sum.Problems + sum.Damages; got != map[bool]int{true: 0, false: 1}[live] {
				t.Errorf("%s, live %v: %q", name, live, lines)
			}
		}
	}
}
