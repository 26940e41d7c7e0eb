package disk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// small are options under which a few hundred records make several segments with several index entries each.
var small = disk.LogOptions{SegmentBytes: 16 << 10, IndexInterval: 1 << 10}

// fill appends batches of 1 to 4 records until the log has n offsets, and returns the records. Values have 0 to 400 bytes,
// moved by seed, so that two logs with the same offsets have other positions.
func fill(t testing.TB, e *env, n uint64, seed int) []rec {
	t.Helper()
	var all []rec
	for e.l.Next() < n {
		var recs []rec
		for range min(1+e.l.Next()%4, n-e.l.Next()) {
			i := len(all) + len(recs)
			recs = append(recs, rec{int64(1000 + i), fmt.Sprint(i) + strings.Repeat("x", (i*37+seed)%400)})
		}
		e.append(t, build(t, recs...))
		all = append(all, recs...)
	}
	return all
}

// cursors gives, for an offset, every kind of cursor a reader may come with.
func cursors(t *testing.T, l, other *disk.Log, from uint64) map[string]*disk.Cursor {
	at := func(l *disk.Log, from uint64) *disk.Cursor {
		var c disk.Cursor
		_, err := l.ReadAt(make([]byte, 2000), from, &c)
		must(t, err)
		return &c
	}
	all := map[string]*disk.Cursor{
		"nil":  nil,
		"zero": new(disk.Cursor),
		"end":  at(l, l.Next()-1),
		"old":  at(l, from/2),
	}
	if from > 0 {
		all["of the one before"] = at(l, from-1)
		all["of another log"] = at(other, from-1) // claims this offset, perhaps in this segment, at a wrong position
	}
	return all
}

// TestReadEveryOffset reads from each offset, with each kind of cursor, into buffers around the size of a batch.
func TestReadEveryOffset(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	want := fill(t, e, 400, 0)
	other := newEnv(t, fstest.NewMem(), small)
	fill(t, other, 400, 200)
	for _, state := range []string{"live", "reopened"} {
		if state == "reopened" {
			e.reopen(t)
		}
		if n := e.l.Info().Segments; n < 4 {
			t.Fatalf("only %d segments", n)
		}
		var r batch.Reader
		for from := range e.l.Next() {
			for kind, c := range cursors(t, e.l, other.l, from) {
				for _, size := range []int{0, 60, 61, 700, 5000} {
					got, _ := readChunk(t, &r, e.l, from, size, c)
					if len(got) == 0 || !slices.Equal(got, want[from:int(from)+len(got)]) {
						t.Fatalf("%s, offset %d, cursor %s, buffer %d: got %v", state, from, kind, size, got)
					}
				}
			}
		}
		if got := readAll(t, e.l, 0, 3000); !slices.Equal(got, want) {
			t.Fatalf("%s: reading all gives %d records, want %d", state, len(got), len(want))
		}
	}
	e.close(t)
	other.close(t)
}

// readChunk reads once.
func readChunk(t *testing.T, r *batch.Reader, l *disk.Log, from uint64, size int, c *disk.Cursor) ([]rec, disk.Chunk) {
	t.Helper()
	ch, err := l.ReadAt(make([]byte, size), from, c)
	must(t, err)
	h, err := batch.ParseHeader(ch.Bytes)
	must(t, err)
	if h.BaseOffset > from || h.Next() <= from {
		t.Fatalf("the first batch has [%d, %d), asked for %d", h.BaseOffset, h.Next(), from)
	}
	return records(t, r, ch, from), ch
}

func TestReadRange(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	buf := make([]byte, 1000)
	ch, err := e.l.ReadAt(buf, 0, nil)
	if err != nil || len(ch.Bytes) != 0 || ch.Next != 0 {
		t.Fatalf("an empty log reads %v, %v", ch, err)
	}
	_, err = e.l.ReadAt(buf, 1, nil)
	wantIs(t, err, disk.ErrOutOfRange)
	fill(t, e, 10, 0)
	ch, err = e.l.ReadAt(buf, 10, nil)
	if err != nil || len(ch.Bytes) != 0 || ch.Next != 10 {
		t.Fatalf("the end reads %v, %v", ch, err)
	}
	_, err = e.l.ReadAt(buf, 11, nil)
	wantIs(t, err, disk.ErrOutOfRange)
	must(t, e.l.Close())
	_, err = e.l.ReadAt(buf, 0, nil)
	if err == nil {
		t.Fatal("a closed log was read")
	}
}

// TestChunkStaysInSegment: a chunk never crosses a border, however large the buffer.
func TestChunkStaysInSegment(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	want := fill(t, e, 300, 0)
	var r batch.Reader
	chunks, from := 0, uint64(0)
	for from < e.l.Next() {
		got, ch := readChunk(t, &r, e.l, from, 1<<20, nil)
		if !slices.Equal(got, want[from:ch.Next]) {
			t.Fatalf("chunk at %d is wrong", from)
		}
		chunks, from = chunks+1, ch.Next
	}
	if n := e.l.Info().Segments; chunks != n {
		t.Fatalf("%d chunks in %d segments", chunks, n)
	}
	e.close(t)
}

// TestOversizedBatch: a batch larger than a segment goes alone into one.
func TestOversizedBatch(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	var want []rec
	for i, n := range []int{100, 40 << 10, 100, 50 << 10, 60 << 10, 100} {
		r := rec{int64(i), strings.Repeat(fmt.Sprint(i), n)}
		want = append(want, r)
		e.append(t, build(t, r))
	}
	if n := e.l.Info().Segments; n != 6 {
		t.Fatalf("%d segments", n)
	}
	if got := readAll(t, e.l, 0, 100); !slices.Equal(got, want) {
		t.Fatal("what was read is not what was appended")
	}
	e.reopen(t)
	if got := readAll(t, e.l, 0, 100); !slices.Equal(got, want) {
		t.Fatal("what was read after reopening is not what was appended")
	}
	e.close(t)
}

func TestOffsetAt(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	var all []rec
	for i := range 300 {
		// Times rise by 10, with steps back, and one record far in the future early on.
		ms := int64(1000 + 10*i - 70*(i%5))
		if i == 40 {
			ms = 2500
		}
		recs := []rec{{ms, strings.Repeat("x", 200)}, {ms + 3, "y"}}
		e.append(t, build(t, recs...))
		all = append(all, recs...)
	}
	want := func(ms int64) uint64 {
		for i, r := range all {
			if r.ms >= ms {
				return uint64(i)
			}
		}
		return uint64(len(all))
	}
	check := func(state string) {
		t.Helper()
		for ms := int64(900); ms < 4200; ms++ {
			if got, err := e.l.OffsetAt(ms, true); err != nil || got != want(ms) {
				t.Fatalf("%s: at %d: got %d, %v; want %d", state, ms, got, err, want(ms))
			}
		}
	}
	check("live")
	e.reopen(t)
	check("reopened")
	for _, name := range listNames(t, e.fs, "topics/t/0", ".idx") {
		must(t, e.fs.Remove("test", name))
	}
	e.reopen(t)
	check("without indexes")
	e.close(t)
}

// listNames lists the files in dir with that ending, with the directory's name before.
func listNames(t testing.TB, f disk.FS, dir, ending string) []string {
	t.Helper()
	list, err := f.List("test", dir)
	must(t, err)
	var out []string
	for _, e := range list {
		if strings.HasSuffix(e.Name, ending) {
			out = append(out, dir+"/"+e.Name)
		}
	}
	return out
}
