package batch

import (
	"fmt"
	"testing"
)

func BenchmarkBuilder(b *testing.B) {
	for _, c := range []struct {
		codec       Codec
		size, count int
	}{{None, 1 << 10, 1}, {None, 1 << 10, 64}, {None, 100, 640}, {LZ4, 1 << 10, 64}} {
		b.Run(fmt.Sprintf("%v/%dx%d", c.codec, c.count, c.size), func(b *testing.B) {
			var (
				bld   Builder
				buf   = make([]byte, 0, 1<<20)
				value = make([]byte, c.size)
			)
			b.ReportAllocs()
			b.SetBytes(int64(c.count * c.size))
			for b.Loop() {
				bld.Reset(buf)
				for i := range c.count {
					bld.Add(1_700_000_000_000+int64(i), nil, value, nil)
				}
				if _, err := bld.Finish(c.codec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// batch64K is a batch of 64 KiB, in values of that many bytes.
func batch64K(b *testing.B, codec Codec, value int) []byte {
	b.Helper()
	entries := make([]entry, 64<<10/value)
	for i := range entries {
		entries[i] = entry{time: 1_700_000_000_000 + int64(i), value: noise(value)}
	}
	return build(b, codec, entries...)
}

func BenchmarkCheck(b *testing.B) {
	for _, value := range []int{10, 100, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("64KiB of %d", value), func(b *testing.B) {
			p := batch64K(b, None, value)
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if _, err := Check(p, MaxSize); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	p := batch64K(b, None, 1<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := Verify(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	for _, codec := range []Codec{None, LZ4} {
		for _, value := range []int{100, 1 << 10} {
			b.Run(fmt.Sprintf("%v/64KiB of %d", codec, value), func(b *testing.B) {
				p := batch64K(b, codec, value)
				var (
					r   Reader
					rec Record
				)
				b.ReportAllocs()
				b.SetBytes(int64(len(p)))
				for b.Loop() {
					if err := r.Reset(p, MaxSize); err != nil {
						b.Fatal(err)
					}
					for r.Next(&rec) {
					}
					if r.Err() != nil {
						b.Fatal(r.Err())
					}
				}
			})
		}
	}
}
