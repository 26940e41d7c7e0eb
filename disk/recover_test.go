package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// image is a log's directory: names and contents.
type image map[string]string

func takeImage(t testing.TB, f disk.FS) image {
	t.Helper()
	im := make(image)
	list, err := f.List("test", "topics/t/0")
	must(t, err)
	for _, e := range list {
		im[e.Name] = string(load(t, f, "topics/t/0/"+e.Name))
	}
	return im
}

func putImage(t testing.TB, f disk.FS, im image) {
	t.Helper()
	list, err := f.List("test", "topics/t/0")
	must(t, err)
	for _, e := range list {
		must(t, f.Remove("test", "topics/t/0/"+e.Name))
	}
	for name, b := range im {
		save(t, f, "topics/t/0/"+name, []byte(b))
	}
	must(t, f.SyncDir("test", "topics/t/0"))
}

// opened opens the log on that image, and once more after a Close; the second time must find nothing to do. It returns
// what the first found, the records, and the directory.
func opened(t testing.TB, e *env, im image) (disk.Recovery, []rec, image) {
	t.Helper()
	putImage(t, e.fs, im)
	e.openLog(t)
	first := e.rec
	got := readAll(t, e.l, 0, 3000)
	if n := uint64(len(got)); e.l.Next() != n || e.l.Durable() != n {
		t.Fatalf("%d records, next %d, durable %d", n, e.l.Next(), e.l.Durable())
	}
	must(t, e.l.Close())
	after := takeImage(t, e.fs)
	e.openLog(t)
	if e.rec.Cut != 0 || e.rec.CutFile != "" || e.rec.LostFrom != e.rec.LostNext {
		t.Fatalf("the second opening still found %+v", e.rec)
	}
	if again := readAll(t, e.l, 0, 3000); !slices.Equal(again, got) {
		t.Fatal("the second opening shows other records")
	}
	must(t, e.l.Close())
	wantImage(t, takeImage(t, e.fs), after)
	return first, got, after
}

func wantImage(t testing.TB, got, want image) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Fatalf("%s changed or is gone", name)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("there are %d files, want %d", len(got), len(want))
	}
}

// tail is an image of one segment and what is in it.
func tail(t testing.TB) (e *env, bytes string, at []place, want []rec) {
	t.Helper()
	e = newEnv(t, fstest.NewMem(), disk.LogOptions{})
	want = fill(t, e, 12, 0)
	must(t, e.l.Close())
	b := load(t, e.fs, seg0)
	return e, string(b), places(t, b), want
}

// wantPrefix wants the records of the first n batches, and the cut bytes in their file.
func wantPrefix(t *testing.T, got, want []rec, at []place, n int, r disk.Recovery, after image, cut string) {
	t.Helper()
	end := uint64(0)
	pos := 0
	if n > 0 {
		end, pos = at[n-1].next, at[n-1].end
	}
	if !slices.Equal(got, want[:end]) {
		t.Fatalf("%d records are there, want %d", len(got), end)
	}
	cut = strings.TrimRight(cut, "\x00")
	name := fmt.Sprintf("00000000000000000000-%d.cut", pos)
	if r.Cut != int64(len(cut)) || after[name] != cut || (r.CutFile == "topics/t/0/"+name) != (cut != "") {
		t.Fatalf("cut %d bytes into %q, holding %d; want %d", r.Cut, r.CutFile, len(after[name]), len(cut))
	}
	if len(after["00000000000000000000.log"]) != pos {
		t.Fatalf("the segment has %d bytes, want %d", len(after["00000000000000000000.log"]), pos)
	}
}

// TestA3TornTail cuts the file at every byte of its last two batches, with and without allocated space behind.
func TestA3TornTail(t *testing.T) {
	e, b, at, want := tail(t)
	for end := at[len(at)-2].pos; end <= len(b); end++ {
		for _, zeros := range []int{0, 1, 5000} {
			r, got, after := opened(t, e, image{"00000000000000000000.log": b[:end] + strings.Repeat("\x00", zeros)})
			n := 0
			for n < len(at) && len(strings.TrimRight(b[:at[n].end], "\x00")) <= end && at[n].end <= end+zeros {
				n++
			}
			pos := at[n-1].end
			wantPrefix(t, got, want, at, n, r, after, b[min(pos, end):end])
			if r.LostFrom != r.LostNext {
				t.Fatalf("loss reported: %+v", r)
			}
		}
	}
}

// TestA3C1FlippedTail flips each bit of the last batch, and each byte of the one before it, behind which a whole batch shows
// that something was lost.
func TestA3C1FlippedTail(t *testing.T) {
	e, b, at, want := tail(t)
	im := takeImage(t, e.fs)
	delete(im, "marks") // what lies behind a mark is meant; the mark itself has its own test
	last, before := at[len(at)-1], at[len(at)-2]
	for i := before.pos; i < last.end; i++ {
		for bit := range 8 {
			if i < last.pos && bit > 0 {
				continue
			}
			c := []byte(b)
			c[i] ^= 1 << bit
			n, at1 := len(at)-2, before
			if i >= last.pos {
				n, at1 = len(at)-1, last
			}
			im["00000000000000000000.log"] = string(c)
			r, got, after := opened(t, e, im)
			pos := 0
			if n > 0 {
				pos = at[n-1].end
			}
			wantPrefix(t, got, want, at, n, r, after, string(c[pos:]))
			wantLoss := n == len(at)-2 // the last batch is whole behind the hole
			if lost := r.LostFrom != r.LostNext; lost != wantLoss && !selfLoss(c, at1) {
				t.Fatalf("byte %d bit %d: loss %+v", i, bit, r)
			}
			if wantLoss && (r.LostFrom != before.first || r.LostNext < last.next) {
				t.Fatalf("byte %d: loss %+v, want [%d, %d)", i, r, before.first, last.next)
			}
		}
	}
}

// selfLoss: with another base, the damaged batch is itself a whole one behind a hole.
func selfLoss(b []byte, at place) bool {
	h, err := batch.Verify(b[at.pos:])
	return err == nil && h.BaseOffset > at.first
}

// TestA3AppendsGoOnAfterCut: the next record gets the offset of the first one cut.
func TestA3AppendsGoOnAfterCut(t *testing.T) {
	e, b, at, want := tail(t)
	last := at[len(at)-1]
	putImage(t, e.fs, image{"00000000000000000000.log": b[:last.end-9] + strings.Repeat("\x00", 100)})
	e.openLog(t)
	first, _ := e.append(t, build(t, rec{7, "new"}))
	if first != last.first {
		t.Fatalf("appended at %d, want %d", first, last.first)
	}
	e.reopen(t)
	if got := readAll(t, e.l, 0, 100); !slices.Equal(got, append(want[:last.first:last.first], rec{7, "new"})) {
		t.Fatal("what was read is not what was appended")
	}
	e.close(t)
}

// TestA4CutTwice: the second cut at the same place gets a name of its own; the same cut again does not (A4).
func TestA4CutTwice(t *testing.T) {
	e, b, at, _ := tail(t)
	last := at[len(at)-1]
	torn := func(n int) image { return image{"00000000000000000000.log": b[:last.end-n]} }
	_, _, after := opened(t, e, torn(1))
	name := fmt.Sprintf("00000000000000000000-%d.cut", last.pos)
	same := torn(1)
	same[name] = after[name]
	_, _, after = opened(t, e, same)
	if after[name] != same[name] || len(after) != 2 {
		t.Fatalf("files %d", len(after))
	}
	other := torn(2)
	other[name] = same[name]
	r, _, after := opened(t, e, other)
	second := fmt.Sprintf("00000000000000000000-%d-1.cut", last.pos)
	if r.CutFile != "topics/t/0/"+second || after[name] != same[name] || after[second] != b[last.pos:last.end-2] {
		t.Fatalf("cut into %s", r.CutFile)
	}
}

// TestA4RecoveryIsDurable: when a log is open, a power cut takes nothing of what opening did.
func TestA4RecoveryIsDurable(t *testing.T) {
	e, b, at, _ := tail(t)
	old, more := b[:at[2].pos], b[at[2].pos:]
	const first = "00000000000000000000.log"
	for name, im := range map[string]image{
		"new":             {},
		"torn":            {first: b[:len(b)-9]},
		"roll under way":  {first: old + zeros, "next.seg": more + zeros},
		"roll and torn":   {first: old + zeros, "next.seg": more[:len(more)-9]},
		"spare set aside": {first: old[:len(old)-9], "next.seg": more},
	} {
		t.Run(name, func(t *testing.T) {
			putImage(t, e.fs, im)
			e.openLog(t)
			for _, name := range e.fs.(*fstest.Mem).Unsynced() {
				if !strings.HasSuffix(name, ".idx") {
					t.Errorf("a power cut could take %s", name)
				}
			}
			must(t, e.l.Close())
		})
	}
}

// TestC7ForeignFiles are left alone, and unfinished ones of ours removed (C7).
func TestC7ForeignFiles(t *testing.T) {
	e, b, _, want := tail(t)
	foreign := image{
		"README": "x", "1.log": "x", "0000000000000000000x.log": "x", "99999999999999999999.log": "x",
		"00000000000000000000.log.bak": "x", "+0000000000000000001.log": "x", "x.tmp": "x",
	}
	im := image{"00000000000000000000.log": b, "00000000000000000000.idx.tmp": "x", "00000000000000000000-5.cut.tmp": "x", "00000000000000000007-5.cut": "y"}
	for name, text := range foreign {
		im[name] = text
	}
	_, got, after := opened(t, e, im)
	if !slices.Equal(got, want) {
		t.Fatal("what was read is not what was appended")
	}
	delete(im, "00000000000000000000.idx.tmp")
	delete(im, "00000000000000000000-5.cut.tmp")
	wantImage(t, after, im)
}

// FuzzRecover opens a log whose active segment and spare are arbitrary bytes: no panic, a prefix of whole batches, and
// the second opening finds nothing to do.
func FuzzRecover(f *testing.F) {
	_, b, at, _ := tail(f)
	f.Add([]byte(b), []byte{})
	f.Add([]byte(b[:len(b)-3]), []byte(b[at[1].pos:]))
	f.Add([]byte(b[:at[1].pos]), []byte(b[at[1].pos:]))
	f.Add([]byte(b[:at[1].pos]), []byte(b[at[2].pos:]))
	f.Add([]byte{}, []byte(b))
	f.Add([]byte(b[:at[1].pos]), bytes.Repeat([]byte{0, 0, 2}, 100))
	for i := range 61 {
		c := []byte(b)
		c[at[2].pos+i] ^= 0xff
		f.Add(c, []byte(b[:100]))
	}
	f.Fuzz(func(t *testing.T, active, spare []byte) {
		e := &env{fs: fstest.NewMem()}
		e.s = openStore(t, e.fs)
		must(t, e.s.CreateTopic(disk.ByController, "t", nil))
		must(t, e.fs.MkdirAll("test", "topics/t/0"))
		_, _, after := opened(t, e, image{"00000000000000000000.log": string(active), "next.seg": string(spare)})
		total := 0
		for _, text := range after {
			total += len(text)
		}
		if total > len(active)+len(spare)+1000 { // an index may have come
			t.Fatalf("%d bytes became %d", len(active)+len(spare), total)
		}
		must(t, e.s.Close())
	})
}

// FuzzSmallFiles opens a log whose marks, epoch table and gaps are arbitrary bytes: no panic, no record that was not
// appended, and what is whole is served or said to be damaged. A mark with a right checksum (seal) is believed more.
func FuzzSmallFiles(f *testing.F) {
	e, want, _, _ := marked(f)
	im := takeImage(f, e.fs)
	marks := []byte(im["marks"])
	f.Add(marks, []byte(im["epochs"]), []byte(im["epochs.2"]), []byte("x"), false)
	for i := range 88 {
		b := slices.Clone(marks)
		b[i]++
		b[4096+i]++
		f.Add(b, []byte(im["epochs"]), []byte{}, []byte{}, i%2 == 0)
	}
	for _, value := range []string{`{"epochs":[[0,0],[7,30]]}`, `{"epochs":[[3,0]]}`, `{"epochs":[[0,0],[0,1]]}`, `{"epochs":[]}`, `{"epochs":[[0,99]]}`, `[]`, `null`} {
		f.Add(marks, twofold(value), twofold(value), []byte{}, false)
	}
	for _, value := range []string{`[{"from":3,"next":9}]`, `[{"from":9,"next":3}]`, `[{"from":0,"next":40}]`, `{}`} {
		f.Add(marks, []byte(im["epochs"]), []byte{}, twofold(value), false)
	}
	f.Fuzz(func(t *testing.T, marks, first, second, gaps []byte, seal bool) {
		if seal && len(marks) >= 4184 {
			marks = slices.Clone(marks)
			for _, at := range []int{0, 4096} {
				readSlot(marks, at).forge(marks)
			}
		}
		im["marks"], im["epochs"], im["epochs.2"], im["gaps"] = string(marks), string(first), string(second), string(gaps)
		putImage(t, e.fs, im)
		s := openStore(t, e.fs)
		l, _, err := s.OpenLog(disk.ByOpen, "t", 0, disk.LogOptions{})
		must(t, err)
		for from := uint64(0); from < uint64(len(want)) && from < l.Next(); from++ {
			ch, err := l.ReadAt(make([]byte, 3000), from, nil)
			if damage, ok := errors.AsType[*disk.CorruptError](err); ok {
				from = damage.Next - 1
				continue
			}
			must(t, err)
			var r batch.Reader
			for i, x := range records(t, &r, ch, from) {
				if x != want[int(from)+i] {
					t.Fatalf("offset %d is not what was appended", int(from)+i)
				}
			}
		}
		must(t, l.Close())
	})
}

// twofold is a value as small files hold it.
func twofold(value string) []byte {
	return fmt.Appendf(nil, `{"value":%s,"crc32c":"%08x"}`, value, crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli)))
}
