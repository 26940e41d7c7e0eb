package disk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// machine is a log against its model, a slice of records.
type machine struct {
	mem     *fstest.Mem
	opt     disk.LogOptions
	s       *disk.Store
	l       *disk.Log
	want    []rec
	durable uint64
	cursor  disk.Cursor

	epoch int32 // of the last append
	begun bool  // this run may append in it
	owed  bool  // the one before was killed, after it had begun
}

// TestModel drives a log through whatever its stages and its operator may do, against a slice.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{mem: fstest.NewMem(), opt: disk.LogOptions{
			SegmentBytes:  rapid.SampledFrom([]int64{100, 2 << 10, 16 << 10, 200 << 10}).Draw(t, "segment"),
			IndexInterval: rapid.SampledFrom([]int64{1, 300, 4 << 10}).Draw(t, "interval"),
		}}
		m.open(t)
		m.openLog(t)
		m.begun = true
		t.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"roll":     m.roll,
			"sync":     m.sync,
			"mark":     m.mark,
			"maintain": m.maintain,
			"read":     m.read,
			"time":     m.time,
			"reopen":   m.reopen,
			"kill":     m.kill,
			"":         m.check,
		})
	})
}

func ok(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) open(t *rapid.T) {
	s, err := disk.OpenStore(restarted{m.mem}, disk.StoreOptions{}, nop)
	ok(t, err)
	m.s = s
	topics, err := s.Topics(disk.ByController)
	ok(t, err)
	if len(topics) == 0 {
		ok(t, s.CreateTopic(disk.ByController, "t", nil))
	}
}

func (m *machine) openLog(t *rapid.T) {
	l, r, err := m.s.OpenLog(disk.ByOpen, "t", 0, m.opt)
	ok(t, err)
	ok(t, l.Err())
	if r.Cut != 0 || r.LostFrom != r.LostNext {
		t.Fatalf("opening found %+v", r)
	}
	m.l = l
	m.durable = l.Durable()
	if m.durable != uint64(len(m.want)) {
		t.Fatalf("opened up to %d, want %d", m.durable, len(m.want))
	}
}

func (m *machine) append(t *rapid.T) {
	var p []byte
	var recs []rec
	for range rapid.IntRange(1, 3).Draw(t, "batches") {
		var b batch.Builder
		b.Reset(p)
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			n := rapid.SampledFrom([]int{0, 10, 300, 3000}).Draw(t, "size")
			r := rec{rapid.Int64Range(0, 500).Draw(t, "ms"), fmt.Sprintf("%-*d", n, len(m.want)+len(recs))}
			b.Add(r.ms, nil, []byte(r.value), nil)
			recs = append(recs, r)
		}
		var err error
		p, err = b.Finish(rapid.SampledFrom([]batch.Codec{batch.None, batch.LZ4}).Draw(t, "codec"))
		ok(t, err)
	}
	for !fits(m.l, len(p)) && !m.l.Roll() {
		m.sync(t)
		m.maintain(t)
	}
	if !m.begun && m.owed {
		m.epoch++
	}
	m.begun, m.owed = true, false
	first, next, err := m.l.Append(p)
	ok(t, err)
	if first != uint64(len(m.want)) || next != first+uint64(len(recs)) {
		t.Fatalf("appended [%d, %d) behind %d records", first, next, len(m.want))
	}
	m.want = append(m.want, recs...)
	if h, err := batch.ParseHeader(p); err != nil || h.BaseOffset != first || h.Epoch != m.epoch {
		t.Fatalf("stamped %+v, %v", h, err)
	}
}

// roll asks for a new segment; in a run that has not begun only an append may.
func (m *machine) roll(*rapid.T) {
	if m.begun {
		m.l.Roll()
	}
}

func (m *machine) sync(t *rapid.T) {
	durable, err := m.l.Sync()
	ok(t, err)
	if durable != m.l.Next() {
		t.Fatalf("synced to %d of %d", durable, m.l.Next())
	}
	m.durable = durable
	m.wantSynced(t)
}

// wantSynced: a power cut could take nothing but indexes, and names that recovery does without.
func (m *machine) wantSynced(t *rapid.T) {
	for _, name := range m.mem.Unsynced() {
		if name != "topics/t/0/" && name != marksFile && !strings.HasSuffix(name, ".idx") {
			t.Fatalf("a power cut could take %s", name)
		}
	}
}

func (m *machine) mark(t *rapid.T) { ok(t, m.l.Mark(disk.ByFlusher)) }

func (m *machine) maintain(t *rapid.T) {
	_, err := m.l.Maintain()
	ok(t, err)
}

func (m *machine) read(t *rapid.T) {
	from := rapid.Uint64Range(0, uint64(len(m.want))+1).Draw(t, "from")
	c := rapid.SampledFrom([]*disk.Cursor{nil, new(disk.Cursor), &m.cursor}).Draw(t, "cursor")
	buf := make([]byte, rapid.SampledFrom([]int{10, 200, 1000, 20000}).Draw(t, "buffer"))
	ch, err := m.l.ReadAt(buf, from, c)
	switch {
	case from > uint64(len(m.want)):
		if !errors.Is(err, disk.ErrOutOfRange) {
			t.Fatalf("behind the end: %v", err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case from == uint64(len(m.want)) && (len(ch.Bytes) != 0 || ch.Next != from):
		t.Fatalf("at the end: %v", ch)
	case from < uint64(len(m.want)) && ch.Next <= from:
		t.Fatalf("from %d to %d", from, ch.Next)
	}
	m.wantChunk(t, ch, from)
}

func (m *machine) wantChunk(t *rapid.T, ch disk.Chunk, from uint64) {
	var r batch.Reader
	var x batch.Record
	for b := ch.Bytes; len(b) > 0; {
		h, err := batch.Verify(b)
		ok(t, err)
		ok(t, r.Reset(b, batch.MaxSize))
		for r.Next(&x) {
			if x.Offset >= from && (rec{x.Time, string(x.Value)}) != m.want[x.Offset] {
				t.Fatalf("offset %d is not what was appended", x.Offset)
			}
		}
		ok(t, r.Err())
		b = b[h.Size:]
	}
}

func (m *machine) time(t *rapid.T) {
	ms := rapid.Int64Range(-1, 510).Draw(t, "ms")
	want := slices.IndexFunc(m.want, func(r rec) bool { return r.ms >= ms })
	if want < 0 {
		want = len(m.want)
	}
	if got, err := m.l.OffsetAt(ms, true); err != nil || got != uint64(want) {
		t.Fatalf("time %d is at %d, %v; want %d", ms, got, err, want)
	}
}

func (m *machine) reopen(t *rapid.T) {
	ok(t, m.l.Close())
	m.wantSynced(t)
	m.begun = false
	m.openLog(t)
}

// kill ends the process: its files stay as they are, its locks go.
func (m *machine) kill(t *rapid.T) {
	m.begun, m.owed = false, m.begun || m.owed
	m.open(t)
	m.openLog(t)
}

func (m *machine) check(t *rapid.T) {
	info := m.l.Info()
	if m.l.Next() != uint64(len(m.want)) || m.l.Durable() < m.durable || m.l.Oldest() != 0 || m.l.Err() != nil ||
		m.l.Dirty() != (m.l.Durable() < m.l.Next()) || info.ActiveBase > m.l.Next() {
		t.Fatalf("next %d, durable %d, oldest %d, %v, %+v; want %d and at least %d",
			m.l.Next(), m.l.Durable(), m.l.Oldest(), m.l.Err(), info, len(m.want), m.durable)
	}
}
