package disk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/wire/batch"
)

// rec is a record as the tests' models know it.
type rec struct {
	ms    int64
	value string
}

// build makes one batch of records.
func build(t testing.TB, recs ...rec) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(nil)
	for _, r := range recs {
		b.Add(r.ms, nil, []byte(r.value), nil)
	}
	p, err := b.Finish(batch.None)
	must(t, err)
	return p
}

// sized makes a batch of one record whose value has n bytes and begins with name.
func sized(t testing.TB, name string, n int) []byte {
	t.Helper()
	return build(t, rec{1000, name + strings.Repeat(" ", n-len(name))})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, f disk.FS) *disk.Store {
	t.Helper()
	s, err := disk.OpenStore(f, disk.StoreOptions{}, zap.NewNop())
	must(t, err)
	return s
}

// env is a store with topic "t" and its log 0.
type env struct {
	fs  disk.FS
	opt disk.LogOptions
	s   *disk.Store
	l   *disk.Log
	rec disk.Recovery
}

func newEnv(t testing.TB, f disk.FS, o disk.LogOptions) *env {
	t.Helper()
	e := &env{fs: f, opt: o, s: openStore(t, f)}
	must(t, e.s.CreateTopic(disk.ByController, "t", nil))
	e.openLog(t)
	return e
}

func (e *env) openLog(t testing.TB) {
	t.Helper()
	var err error
	e.l, e.rec, err = e.s.OpenLog(disk.ByOpen, "t", 0, e.opt)
	must(t, err)
}

// close closes log and store, and wants no work left for the next opening.
func (e *env) close(t testing.TB) {
	t.Helper()
	must(t, e.l.Close())
	must(t, e.s.Close())
	if exists(t, e.fs, spare) || len(listNames(t, e.fs, "topics/t/0", ".tmp")) > 0 {
		t.Fatalf("closing left %v", files(t, e.fs, "topics/t/0"))
	}
}

func (e *env) reopen(t testing.TB) {
	t.Helper()
	must(t, e.l.Close())
	e.openLog(t)
}

// begin lets a log take appends, as a writer's first one does.
func (e *env) begin(t testing.TB) {
	t.Helper()
	if room, _ := e.l.Room(); room > 0 {
		return
	}
	e.l.Roll()
	_, err := e.l.Maintain()
	must(t, err)
}

// append appends like a writer with roller and flusher at hand.
func (e *env) append(t testing.TB, p []byte) (first, next uint64) {
	t.Helper()
	for !fits(e.l, len(p)) && !e.l.Roll() {
		_, err := e.l.Sync()
		must(t, err)
		_, err = e.l.Maintain()
		must(t, err)
	}
	first, next, err := e.l.Append(p)
	must(t, err)
	e.maintain(t)
	return first, next
}

func (e *env) maintain(t testing.TB) {
	t.Helper()
	for i := 0; e.l.MaintenanceDue(); i++ {
		if i > 100 {
			t.Fatal("maintenance never ends")
		}
		_, err := e.l.Maintain()
		must(t, err)
	}
}

// readAll reads [from, Next) in chunks of size bytes, more where a batch needs more.
func readAll(t testing.TB, l *disk.Log, from uint64, size int) []rec {
	t.Helper()
	var got []rec
	var c disk.Cursor
	var r batch.Reader
	buf := make([]byte, size)
	for {
		ch, err := l.ReadAt(buf, from, &c)
		must(t, err)
		if len(ch.Bytes) == 0 {
			if ch.Next != from {
				t.Fatalf("empty chunk leads from %d to %d", from, ch.Next)
			}
			return got
		}
		got = append(got, records(t, &r, ch, from)...)
		from = ch.Next
	}
}

// records decodes a chunk, from an offset on, and checks that offsets are dense.
func records(t testing.TB, r *batch.Reader, ch disk.Chunk, from uint64) []rec {
	t.Helper()
	var got []rec
	for b := ch.Bytes; len(b) > 0; {
		h, err := batch.Verify(b)
		must(t, err)
		must(t, r.Reset(b, batch.MaxSize))
		var x batch.Record
		for r.Next(&x) {
			if x.Offset < from {
				continue
			}
			if x.Offset != from {
				t.Fatalf("offset %d, want %d", x.Offset, from)
			}
			got = append(got, rec{x.Time, string(x.Value)})
			from++
		}
		must(t, r.Err())
		b = b[h.Size:]
	}
	if from != ch.Next {
		t.Fatalf("chunk ends at %d and says %d", from, ch.Next)
	}
	return got
}

// files lists a directory as "name size" lines.
func files(t testing.TB, f disk.FS, dir string) []string {
	t.Helper()
	list, err := f.List("test", dir)
	must(t, err)
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %d", e.Name, e.Size))
	}
	return out
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// load returns a file's content.
func load(t testing.TB, f disk.FS, name string) []byte {
	t.Helper()
	file, err := f.Open("test", name)
	must(t, err)
	size, err := file.Size()
	must(t, err)
	b := make([]byte, size)
	if n, err := file.ReadAt("test", b, 0); n != len(b) {
		t.Fatal(err)
	}
	must(t, file.Close("test"))
	return b
}

// save makes a file have that content.
func save(t testing.TB, f disk.FS, name string, b []byte) {
	t.Helper()
	if err := f.Remove("test", name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	file, err := f.Create("test", name)
	must(t, err)
	_, err = file.WriteAt("test", b, 0)
	must(t, err)
	must(t, file.Close("test"))
}

func exists(t testing.TB, f disk.FS, name string) bool {
	t.Helper()
	file, err := f.Open("test", name)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	must(t, err)
	must(t, file.Close("test"))
	return true
}

var errBroken = errors.New("broken on purpose")

// restarted is the file system as the next process sees it: locks went with the old one.
type restarted struct{ disk.FS }

func (restarted) Lock(disk.By, string) (io.Closer, error) { return io.NopCloser(nil), nil }

var nop = zap.NewNop()

// fits is how a writer asks whether n bytes go into the active segment.
func fits(l *disk.Log, n int) bool {
	room, empty := l.Room()
	return empty || int64(n) <= room
}
