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
