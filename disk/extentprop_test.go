package disk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// chance is a random log and its model: a slice of records, and which of them are lost.
type chance struct {
	t    *testing.T
	rng  *rand.Rand
	e    *env
	mem  *fstest.Mem // nil on the operating system's
	want []rec
	lost []bool
	what string

	files disk.StoreOptions
}

// TestReadsOfRandomLogs reads logs of random batches, codecs, segments and indexes, some of them damaged or repaired, on both
// file systems, warm and cold, from every offset and time in every way, and wants what a slice of records has. Again with
// SLUICE_SEED; SLUICE_LOGS more of them.
func TestReadsOfRandomLogs(t *testing.T) {
	first := seed()
	for n := range fromEnv("SLUICE_LOGS", 24) {
		t.Run(fmt.Sprintf("SLUICE_SEED=%d", first+n), func(t *testing.T) {
			c := &chance{t: t, rng: rand.New(rand.NewPCG(first+n, 4))}
			defer func() {
				if t.Failed() {
					t.Log(c.what)
				}
			}()
			c.make()
			c.readAll()
			c.cool()
			c.readEverywhere()
			c.askTimes()
			must(t, c.e.l.Close())
			must(t, c.e.s.Close())
		})
	}
}

func (c *chance) note(format string, args ...any) { c.what += fmt.Sprintf(format+"; ", args...) }

func pick[T any](c *chance, from ...T) T { return from[c.rng.IntN(len(from))] }

func (c *chance) make() {
	t := c.t
	var f disk.FS
	if c.rng.IntN(4) == 0 {
		f = disk.OS(t.TempDir())
		c.note("os")
	} else {
		c.mem = fstest.NewMem()
		f = c.mem
	}
	o := disk.LogOptions{SegmentBytes: pick[int64](c, 2<<10, 8<<10, 32<<10, 1<<20), IndexInterval: pick[int64](c, 64, 512, 4<<10)}
	c.files = disk.StoreOptions{Files: pick(c, 0, 17)}
	c.note("%+v %+v", o, c.files)
	c.e = &env{fs: f, opt: o}
	c.open(f)
	must(t, c.e.s.CreateTopic(disk.ByController, "t", nil))
	c.e.openLog(t)
	size, records, end := pick(c, 10, 200, 2000), pick(c, 1, 4, 30), pick(c, 1, 30, 300)
	c.fill(end, records, size)
	switch c.rng.IntN(4) {
	case 0:
		c.note("live")
	case 1:
		c.note("reopened")
		c.e.reopen(t)
	case 2:
		c.note("killed, and went on")
		c.open(restarted{f})
		c.e.openLog(t)
		c.fill(end+end/2, records, size)
	case 3:
		must(t, c.e.l.Close())
		names, at := listNames(t, f, logDir, ".log"), make(map[string][]place)
		for _, name := range names {
			at[name] = places(t, load(t, f, name))
		}
		for range 1 + c.rng.IntN(3) {
			c.damage(names, at)
		}
		if c.rng.IntN(2) == 0 {
			c.note("repaired")
			must(t, c.e.s.Close())
			repair(t, f, disk.RepairOptions{})
			c.open(f)
		}
		c.e.openLog(t)
	}
}

// open opens the store, which may have few descriptors.
func (c *chance) open(f disk.FS) {
	var err error
	c.e.s, err = disk.OpenStore(f, c.files, nop)
	must(c.t, err)
}

// fill appends until there are n records.
func (c *chance) fill(n, most, size int) {
	for len(c.want) < n {
		var recs []rec
		for range 1 + c.rng.IntN(most) {
			ms := int64(1000 + 3*(len(c.want)+len(recs)) - c.rng.IntN(40)*c.rng.IntN(2))
			recs = append(recs, rec{ms, fmt.Sprint(len(c.want)+len(recs), strings.Repeat("v", c.rng.IntN(size)))})
		}
		p := build(c.t, recs...)
		if c.rng.IntN(3) == 0 {
			p = compressed(c.t, p, pick(c, kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()))
		}
		c.e.append(c.t, p)
		c.want = append(c.want, recs...)
	}
	c.lost = append(c.lost, make([]bool, len(c.want)-len(c.lost))...)
}

// compressed is the batch with its records compressed by another implementation.
func compressed(t testing.TB, b []byte, codec kgo.CompressionCodec) []byte {
	t.Helper()
	z, err := kgo.DefaultCompressor(codec)
	must(t, err)
	var buf bytes.Buffer
	records, number := z.Compress(&buf, b[batch.HeaderSize:])
	b = append(bytes.Clone(b[:batch.HeaderSize]), records...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[22] |= byte(number)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// damage spoils a batch, or takes a whole segment away that another one follows.
func (c *chance) damage(names []string, at map[string][]place) {
	t := c.t
	i := c.rng.IntN(len(names))
	name, all := names[i], at[names[i]]
	if !exists(t, c.e.fs, name) || len(all) == 0 { // taken away before, or without a batch
		return
	}
	if i > 0 && i+1 < len(names) && c.rng.IntN(4) == 0 {
		c.note("%s missing", name)
		must(t, c.e.fs.Remove("test", name))
		c.lose(all[0].first, all[len(all)-1].next)
		return
	}
	j := c.rng.IntN(len(all))
	p, b := all[j], load(t, c.e.fs, name)
	if slices.Contains(c.lost[all[max(j-3, 0)].first:all[min(j+3, len(all)-1)].next], true) {
		return // a whole batch between damaged ones may not be told from bytes of a record
	}
	pos := p.pos + c.rng.IntN(p.end-p.pos)
	c.note("%s: byte %d of the batch [%d, %d) at %d", name, pos-p.pos, p.first, p.next, p.pos)
	b[pos] ^= 0x55
	save(t, c.e.fs, name, b)
	c.lose(p.first, p.next)
}

func (c *chance) lose(first, next uint64) {
	for i := first; i < next; i++ {
		c.lost[i] = true
	}
}

// cool empties the cache, on a file system that can.
func (c *chance) cool() {
	if c.mem != nil {
		c.mem.SetCold(c.rng.IntN(2) == 0)
	}
}

func (c *chance) size() int { return pick(c, 0, 100, 1000, 5000, 1<<20) }

// readAll reads the log from its begin in every way.
func (c *chance) readAll() {
	for _, w := range ways {
		var cur disk.Cursor
		c.cool()
		size := c.size()
		for from := uint64(0); from < uint64(len(c.want)); {
			from = c.read(w, from, size, &cur)
		}
		if ch, err := w.read(c.t, c.e.l, uint64(len(c.want)), size, &cur); err != nil || len(ch.Bytes) != 0 {
			c.t.Fatalf("%s: at the end: %d bytes, %v", w.name, len(ch.Bytes), err)
		}
	}
}

// readEverywhere reads from every offset in every way, with cursors from anywhere.
func (c *chance) readEverywhere() {
	var stray disk.Cursor
	for from := range uint64(len(c.want)) {
		for _, w := range ways {
			c.read(w, from, c.size(), pick(c, nil, &stray, new(disk.Cursor)))
		}
	}
	for _, w := range ways {
		_, err := w.read(c.t, c.e.l, uint64(len(c.want))+1, 100, nil)
		wantIs(c.t, err, disk.ErrOutOfRange)
	}
}

// read reads once, and returns where to read on.
func (c *chance) read(w way, from uint64, size int, cur *disk.Cursor) uint64 {
	t := c.t
	t.Helper()
	ch, err := w.read(t, c.e.l, from, size, cur)
	damage, bad := errors.AsType[*disk.CorruptError](err)
	switch {
	case !bad && err != nil:
		t.Fatalf("%s: offset %d: %v", w.name, from, err)
	case bad != c.lost[from]:
		t.Fatalf("%s: offset %d: lost is %t, and yet: %v", w.name, from, c.lost[from], err)
	case bad:
		if from < damage.From || from >= damage.Next || slices.Contains(c.lost[from:damage.Next], false) {
			t.Fatalf("%s: offset %d: %v; lost: %v", w.name, from, err, c.lost)
		}
		return damage.Next
	}
	c.compare(w, ch, from)
	return ch.Next
}

func (c *chance) compare(w way, ch disk.Chunk, from uint64) {
	t := c.t
	t.Helper()
	if ch.Next <= from {
		t.Fatalf("%s: read from %d to %d", w.name, from, ch.Next)
	}
	if slices.Contains(c.lost[from:ch.Next], true) {
		t.Fatalf("%s: [%d, %d) was read, of which some are lost", w.name, from, ch.Next)
	}
	var r batch.Reader
	if got := records(t, &r, ch, from); !slices.Equal(got, c.want[from:ch.Next]) {
		t.Fatalf("%s: from %d: got %v", w.name, from, got)
	}
	if c.rng.IntN(10) > 0 {
		return
	}
	resp := kmsg.NewFetchResponseTopicPartition()
	resp.RecordBatches = ch.Bytes
	p, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: int64(from)}, &resp, kgo.DefaultDecompressor(), nil)
	must(t, p.Err)
	var got []rec
	for _, r := range p.Records {
		got = append(got, rec{r.Timestamp.UnixMilli(), string(r.Value)})
	}
	if !slices.Equal(got, c.want[from:ch.Next]) {
		t.Fatalf("%s: from %d: franz-go reads %v", w.name, from, got)
	}
}

// askTimes asks for the offset of every time there is, and those around.
func (c *chance) askTimes() {
	last := int64(1000 + 3*len(c.want))
	for ms := int64(950); ms < last+3; ms += 1 + c.rng.Int64N(5) {
		want := uint64(len(c.want))
		for i, r := range c.want {
			if r.ms >= ms && !c.lost[i] {
				want = uint64(i)
				break
			}
		}
		for _, wait := range []bool{false, true} {
			got, err := c.e.l.OffsetAt(ms, wait)
			if !wait && errors.Is(err, disk.ErrCold) {
				continue
			}
			if err != nil || got != want {
				c.t.Fatalf("time %d, waiting %t: offset %d, %v; want %d", ms, wait, got, err, want)
			}
		}
	}
}
