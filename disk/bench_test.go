package disk_test

import (
	"fmt"
	"testing"

	"sluice/disk"
)

// BenchmarkAppend is the writer's part of an append, on the operating system's files, with rolls and no sync between them.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d", size), func(b *testing.B) {
			e := newEnv(b, disk.OS(b.TempDir()), disk.LogOptions{SegmentBytes: 64 << 20})
			p := sized(b, "x", size)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				e.append(b, p)
			}
			e.close(b)
		})
	}
}

// BenchmarkAppendSync is an append with its own fdatasync: the price of ack=synced without company.
func BenchmarkAppendSync(b *testing.B) {
	e := newEnv(b, disk.OS(b.TempDir()), disk.LogOptions{SegmentBytes: 64 << 20})
	p := sized(b, "x", 1<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		e.append(b, p)
		if _, err := e.l.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	e.close(b)
}

// BenchmarkReadTail reads the active segment in order.
func BenchmarkReadTail(b *testing.B) {
	e := newEnv(b, disk.OS(b.TempDir()), disk.LogOptions{SegmentBytes: 64 << 20})
	p := sized(b, "x", 1<<10)
	for range 1000 {
		e.append(b, p)
	}
	buf := make([]byte, 64<<10)
	var c disk.Cursor
	from := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		ch, err := e.l.ReadAt(buf, from, &c)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(ch.Bytes)))
		if from = ch.Next; from == e.l.Next() {
			from = 0
		}
	}
	e.close(b)
}

// BenchmarkLocate finds extents in memory: as a follower does at the end of the log, as a consumer that reads on, and
// anywhere, in the active segment and in sealed ones.
func BenchmarkLocate(b *testing.B) {
	for _, c := range []struct {
		name    string
		segment int64
		most    int64
		cursor  bool
	}{
		{"active 16 KiB, reading on", 256 << 20, 16 << 10, true},
		{"active 16 KiB, anywhere", 256 << 20, 16 << 10, false},
		{"active 1 MiB, reading on", 256 << 20, 1 << 20, true},
		{"sealed 16 KiB, reading on", 8 << 20, 16 << 10, true},
		{"sealed 16 KiB, anywhere", 8 << 20, 16 << 10, false},
		{"sealed 1 MiB, reading on", 8 << 20, 1 << 20, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := newEnv(b, disk.OS(b.TempDir()), disk.LogOptions{SegmentBytes: c.segment})
			p := sized(b, "x", 1000)
			for range 32 << 10 {
				e.append(b, p)
			}
			var x disk.Extent
			for from := uint64(0); from < e.l.Next(); from = x.Next {
				must(b, e.l.Locate(&x, from, 1<<20, nil, true))
				must(b, x.Release())
			}
			var cur disk.Cursor
			from, i := uint64(0), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				use := &cur
				if !c.cursor {
					i++
					use, from = nil, i*7919%e.l.Next()
				}
				must(b, e.l.Locate(&x, from, c.most, use, false))
				must(b, x.Release())
				if from = x.Next; from == e.l.Next() {
					from = 0
				}
			}
			e.close(b)
		})
	}
}
