package fstest_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

const by disk.By = "test"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// put makes a file with content.
func put(t testing.TB, f disk.FS, name, content string) {
	t.Helper()
	file, err := f.Create(by, name)
	must(t, err)
	n, err := file.WriteAt(by, []byte(content), 0)
	must(t, err)
	if n != len(content) {
		t.Fatalf("wrote %d of %d bytes", n, len(content))
	}
	must(t, file.Close(by))
}

func get(t testing.TB, f disk.FS, name string) string {
	t.Helper()
	file, err := f.Open(by, name)
	must(t, err)
	size, err := file.Size()
	must(t, err)
	b := make([]byte, size)
	n, err := file.ReadAt(by, b, 0)
	if n != len(b) {
		t.Fatalf("read %d of %d bytes: %v", n, size, err)
	}
	must(t, file.Close(by))
	return string(b)
}

// TestConformance holds every file system to the contract of disk.FS.
func TestConformance(t *testing.T) {
	quiet := func(string) {}
	fine := func(fstest.Op) error { return nil }
	for name, make := range map[string]func(t *testing.T) disk.FS{
		"os":         func(t *testing.T) disk.FS { return disk.OS(t.TempDir()) },
		"mem":        func(t *testing.T) disk.FS { return fstest.NewMem() },
		"trace":      func(t *testing.T) disk.FS { return fstest.Trace(fstest.NewMem(), quiet) },
		"fail":       func(t *testing.T) disk.FS { return fstest.Fail(fstest.NewMem(), fine) },
		"trace fail": func(t *testing.T) disk.FS { return fstest.Trace(fstest.Fail(disk.OS(t.TempDir()), fine), quiet) },
	} {
		for _, c := range conformance {
			t.Run(name+"/"+c.name, func(t *testing.T) { c.test(t, make(t)) })
		}
	}
}

var conformance = []struct {
	name string
	test func(t *testing.T, f disk.FS)
}{
	{"create and open", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "hello")
		if got := get(t, f, "a"); got != "hello" {
			t.Fatalf("got %q", got)
		}
		_, err := f.Create(by, "a")
		wantIs(t, err, fs.ErrExist)
		_, err = f.Open(by, "b")
		wantIs(t, err, fs.ErrNotExist)
		_, err = f.Create(by, "no/such/dir")
		wantIs(t, err, fs.ErrNotExist)
	}},
	{"rename", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "old")
		put(t, f, "b", "new")
		open, err := f.Open(by, "a")
		must(t, err)
		must(t, f.Rename(by, "b", "a"))
		if got := get(t, f, "a"); got != "new" {
			t.Fatalf("got %q", got)
		}
		_, err = f.Open(by, "b")
		wantIs(t, err, fs.ErrNotExist)
		b := make([]byte, 3)
		if _, err := open.ReadAt(by, b, 0); err != nil || string(b) != "old" {
			t.Fatalf("the replaced file reads %q, %v", b, err)
		}
		must(t, open.Close(by))
		wantIs(t, f.Rename(by, "x", "y"), fs.ErrNotExist)
	}},
	{"rename a directory", func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll(by, "d/e"))
		put(t, f, "d/e/a", "x")
		must(t, f.Rename(by, "d", "f"))
		if got := get(t, f, "f/e/a"); got != "x" {
			t.Fatalf("got %q", got)
		}
		must(t, f.SyncDir(by, "."))
	}},
	{"remove", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "hello")
		open, err := f.Open(by, "a")
		must(t, err)
		must(t, f.Remove(by, "a"))
		wantIs(t, f.Remove(by, "a"), fs.ErrNotExist)
		b := make([]byte, 5)
		if _, err := open.ReadAt(by, b, 0); err != nil || string(b) != "hello" {
			t.Fatalf("the removed file reads %q, %v", b, err)
		}
		must(t, open.Close(by))
		must(t, f.MkdirAll(by, "d"))
		put(t, f, "d/a", "x")
		if f.Remove(by, "d") == nil {
			t.Fatal("a directory with a file in it was removed")
		}
		must(t, f.Remove(by, "d/a"))
		must(t, f.Remove(by, "d"))
	}},
	{"directories and lists", func(t *testing.T, f disk.FS) {
		must(t, f.MkdirAll(by, "."))
		must(t, f.MkdirAll(by, "d/e"))
		must(t, f.MkdirAll(by, "d/e"))
		put(t, f, "d/b", "12345")
		put(t, f, "d/a", "")
		list, err := f.List(by, "d")
		must(t, err)
		want := []disk.Entry{{Name: "a"}, {Name: "b", Size: 5}, {Name: "e", Dir: true}}
		if !slices.Equal(list, want) {
			t.Fatalf("got %v, want %v", list, want)
		}
		_, err = f.List(by, "x")
		wantIs(t, err, fs.ErrNotExist)
		must(t, f.SyncDir(by, "d"))
		wantIs(t, f.SyncDir(by, "x"), fs.ErrNotExist)
		if f.MkdirAll(by, "d/a/c") == nil {
			t.Fatal("a directory was made below a file")
		}
	}},
	{"lock", func(t *testing.T, f disk.FS) {
		c, err := f.Lock(by, "LOCK")
		must(t, err)
		_, err = f.Lock(by, "LOCK")
		wantIs(t, err, disk.ErrLocked)
		must(t, c.Close())
		c, err = f.Lock(by, "LOCK")
		must(t, err)
		must(t, c.Close())
	}},
	{"read and write at", func(t *testing.T, f disk.FS) {
		file, err := f.Create(by, "a")
		must(t, err)
		_, err = file.WriteAt(by, []byte("cd"), 2)
		must(t, err)
		_, err = file.WriteAt(by, []byte("C"), 2)
		must(t, err)
		must(t, file.Sync(by))
		must(t, file.Close(by))
		if got := get(t, f, "a"); got != "\x00\x00Cd" {
			t.Fatalf("got %q", got)
		}
		file, err = f.Open(by, "a")
		must(t, err)
		b := make([]byte, 3)
		n, err := file.ReadAt(by, b, 3)
		if n != 1 || b[0] != 'd' {
			t.Fatalf("read %d bytes, %q", n, b)
		}
		wantIs(t, err, io.EOF)
		_, err = file.ReadAt(by, b, 9)
		wantIs(t, err, io.EOF)
		must(t, file.Close(by))
	}},
	{"truncate and allocate", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "abcdef")
		file, err := f.Open(by, "a")
		must(t, err)
		must(t, file.Truncate(by, 2))
		must(t, file.Allocate(by, 5))
		must(t, file.Allocate(by, 3)) // never shortens
		must(t, file.Close(by))
		if got := get(t, f, "a"); got != "ab\x00\x00\x00" {
			t.Fatalf("got %q", got)
		}
	}},
	{"write and sync", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "abcdef")
		file, err := f.Open(by, "a")
		must(t, err)
		for _, w := range []struct {
			p   string
			pos int64
		}{{"CD", 2}, {"", 9}, {"xyz", 7}} {
			n, err := file.WriteSync(by, []byte(w.p), w.pos)
			must(t, err)
			if n != len(w.p) {
				t.Fatalf("wrote %d bytes of %q", n, w.p)
			}
		}
		big := strings.Repeat("0123456789abcdef", 1<<14)
		_, err = file.WriteSync(by, []byte(big), 10)
		must(t, err)
		must(t, file.Close(by))
		if got := get(t, f, "a"); got != "abCDef\x00xyz"+big {
			t.Fatalf("got %d bytes, %.20q", len(got), got)
		}
	}},
	{"evict", func(t *testing.T, f disk.FS) {
		put(t, f, "a", "synced")
		file, err := f.Open(by, "a")
		must(t, err)
		must(t, file.Sync(by))
		_, err = file.WriteAt(by, []byte(", and not"), 6)
		must(t, err)
		must(t, file.Evict(by, 0, 6))
		must(t, file.Evict(by, 0, 0))
		must(t, file.Evict(by, 3, 1<<40))
		must(t, file.Close(by))
		if got := get(t, f, "a"); got != "synced, and not" {
			t.Fatalf("got %q", got)
		}
	}},
	{"read what is in memory", func(t *testing.T, f disk.FS) {
		big := strings.Repeat("0123456789abcdef", 1<<14)
		put(t, f, "a", big)
		file, err := f.Open(by, "a")
		must(t, err)
		b := make([]byte, len(big))
		_, err = file.ReadAt(by, b, 0)
		must(t, err)
		if _, kernel := file.Fd(); kernel && !file.Cached(0, int64(len(b))) {
			t.Skip("skipped: this system does not tell what is in memory")
		}
		clear(b)
		if n, err := file.ReadCached(by, b[1:], 1); n != len(b)-1 || err != nil || string(b[1:]) != big[1:] {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		n, err := file.ReadCached(by, b, int64(len(big)-3))
		if n != 3 || string(b[:3]) != "def" {
			t.Fatalf("read %d bytes, %q", n, b[:n])
		}
		wantIs(t, err, io.EOF)
		if _, err = file.ReadCached(by, b, int64(len(big))); !errors.Is(err, io.EOF) || file.Cached(1, int64(len(big))) || !file.Cached(9, 0) {
			t.Fatalf("at the end: %v", err)
		}
		must(t, file.Ahead(by, 0, 1<<20))
		must(t, file.Ahead(by, 5, 0))
		must(t, file.Close(by))
	}},
	{"space", func(t *testing.T, f disk.FS) {
		s, err := f.Space(by)
		must(t, err)
		if s.Free <= 0 || s.Free > s.Total {
			t.Fatalf("%d bytes free of %d", s.Free, s.Total)
		}
	}},
	{"closed", func(t *testing.T, f disk.FS) {
		file, err := f.Create(by, "a")
		must(t, err)
		must(t, file.Close(by))
		_, err = file.WriteAt(by, []byte("x"), 0)
		wantIs(t, err, fs.ErrClosed)
		wantIs(t, file.Close(by), fs.ErrClosed)
	}},
	{"allocate while writing", func(t *testing.T, f disk.FS) {
		file, err := f.Create(by, "a")
		must(t, err)
		const n = 200
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range n {
				if err := file.Allocate(by, int64(i)); err != nil {
					t.Error(err)
				}
			}
		})
		for i := range n {
			_, err := file.WriteAt(by, []byte("x"), int64(i))
			must(t, err)
		}
		wg.Wait()
		must(t, file.Close(by))
		if got := get(t, f, "a"); got != strings.Repeat("x", n) {
			t.Fatalf("an allocation took written bytes: %q", got)
		}
	}},
}

// TestOSReadOnly: all that only looks works, and all that changes something is refused and changes nothing.
func TestOSReadOnly(t *testing.T) {
	root := t.TempDir()
	rw := disk.OS(root)
	must(t, rw.MkdirAll(by, "d"))
	put(t, rw, "d/a", "hello")
	f := disk.OSReadOnly(root)
	if got := get(t, f, "d/a"); got != "hello" {
		t.Fatalf("got %q", got)
	}
	_, err := f.Open(by, "b")
	wantIs(t, err, fs.ErrNotExist)
	_, err = f.Space(by)
	must(t, err)
	file, err := f.Open(by, "d/a")
	must(t, err)
	must(t, file.Evict(by, 0, 5))
	for name, change := range map[string]func() error{
		"create":   func() error { _, err := f.Create(by, "b"); return err },
		"rename":   func() error { return f.Rename(by, "d/a", "b") },
		"remove":   func() error { return f.Remove(by, "d/a") },
		"mkdir":    func() error { return f.MkdirAll(by, "e") },
		"syncdir":  func() error { return f.SyncDir(by, "d") },
		"lock":     func() error { _, err := f.Lock(by, "LOCK"); return err },
		"write":    func() error { _, err := file.WriteAt(by, []byte("x"), 0); return err },
		"dsync":    func() error { _, err := file.WriteSync(by, []byte("x"), 0); return err },
		"allocate": func() error { return file.Allocate(by, 9) },
		"truncate": func() error { return file.Truncate(by, 0) },
		"sync":     func() error { return file.Sync(by) },
	} {
		if err := change(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	must(t, file.Close(by))
	list, err := rw.List(by, ".")
	must(t, err)
	if got := get(t, rw, "d/a"); got != "hello" || len(list) != 1 {
		t.Fatalf("something was changed: %q, %v", got, list)
	}
}

func TestTraceLines(t *testing.T) {
	var lines []string
	f := fstest.Trace(fstest.NewMem(), func(s string) { lines = append(lines, s) })
	must(t, f.MkdirAll(by, "d"))
	file, err := f.Create(by, "d/a")
	must(t, err)
	_, err = file.WriteAt(by, []byte("hello"), 3)
	must(t, err)
	must(t, f.Rename(by, "d/a", "d/b"))
	must(t, file.Sync(by))
	must(t, f.Rename(by, "d", "e"))
	must(t, file.Truncate(by, 4))
	_, err = file.Size()
	must(t, err)
	_, err = file.WriteSync(by, []byte("lo"), 4)
	must(t, err)
	must(t, file.Evict(by, 0, 4))
	must(t, file.Ahead(by, 1, 2))
	_, err = file.ReadCached(by, make([]byte, 2), 4)
	must(t, err)
	if _, ok := file.Fd(); ok || !file.Cached(0, 4) {
		t.Fatal("a descriptor that reads past the trace")
	}
	must(t, file.Close(by))
	_, err = f.Space(by)
	must(t, err)
	_, err = f.Create(by, "e/b")
	wantIs(t, err, fs.ErrExist)
	want := `test mkdir d
test create d/a
test write d/a 3+5
test rename d/a -> d/b
test sync d/b
test rename d -> e
test truncate e/b 4
- size e/b
test writesync e/b 4+2
test evict e/b 0+4
test ahead e/b 1+2
test readcached e/b 4+2
test close e/b
test space .
test create e/b = file exists`
	if got := strings.Join(lines, "\n"); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSetCold: what nobody has read or written since, and what was evicted, is not in memory.
func TestSetCold(t *testing.T) {
	m := fstest.NewMem()
	const page = 4096
	put(t, m, "a", strings.Repeat("x", 5*page+7))
	f, err := m.Open(by, "a")
	must(t, err)
	want := func(what string, n int, wantErr error, pages string) {
		t.Helper()
		got, err := f.ReadCached(by, make([]byte, 6*page), 0)
		have := ""
		for i := range int64(6) {
			have += map[bool]string{true: "w", false: "c"}[f.Cached(i*page, min(page, 5*page+7-i*page))]
		}
		if got != n || !errors.Is(err, wantErr) || have != pages {
			t.Fatalf("%s: %d bytes, %v, pages %s; want %d, %v, %s", what, got, err, have, n, wantErr, pages)
		}
	}
	want("at first", 5*page+7, io.EOF, "wwwwww")
	m.SetCold(true)
	want("cold", 0, disk.ErrCold, "cccccc")
	_, err = f.ReadAt(by, make([]byte, page), 10)
	must(t, err)
	want("two pages read", 2*page, disk.ErrCold, "wwcccc")
	_, err = f.WriteAt(by, []byte("y"), 5*page)
	must(t, err)
	want("one written", 2*page, disk.ErrCold, "wwcccw")
	must(t, f.Ahead(by, 0, 1<<20))
	must(t, f.Evict(by, 1, 2*page))
	want("one evicted", page, disk.ErrCold, "wccccw")
	m.SetCold(true)
	want("cold again", 0, disk.ErrCold, "cccccc")
	m.SetCold(false)
	want("warm", 5*page+7, io.EOF, "wwwwww")
	must(t, f.Close(by))
}

func TestFailShort(t *testing.T) {
	mem := fstest.NewMem()
	f := fstest.Fail(mem, func(op fstest.Op) error {
		switch {
		case op.Kind == fstest.Write:
			return &fstest.Short{N: 2, Err: syscall.EIO}
		case op.Kind == fstest.Sync && op.Name == "a" && op.By == by:
			return fmt.Errorf("sync: %w", syscall.ENOSPC)
		}
		return nil
	})
	file, err := f.Create(by, "a")
	must(t, err)
	n, err := file.WriteAt(by, []byte("hello"), 0)
	wantIs(t, err, syscall.EIO)
	wantIs(t, file.Sync(by), syscall.ENOSPC)
	if got := get(t, mem, "a"); n != 2 || got != "he" {
		t.Fatalf("wrote %d bytes, %q", n, got)
	}
}

func TestUnsynced(t *testing.T) {
	f := fstest.NewMem()
	must(t, f.MkdirAll(by, "d"))
	must(t, f.SyncDir(by, "."))
	put(t, f, "d/a", "x")
	if got := f.Unsynced(); !slices.Equal(got, []string{"d/", "d/a"}) {
		t.Fatalf("got %v", got)
	}
	file, err := f.Open(by, "d/a")
	must(t, err)
	must(t, file.Sync(by))
	must(t, file.Close(by))
	must(t, f.SyncDir(by, "d"))
	if got := f.Unsynced(); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	must(t, f.Remove(by, "d/a"))
	if got := f.Unsynced(); !slices.Equal(got, []string{"d/"}) {
		t.Fatalf("got %v", got)
	}
}
