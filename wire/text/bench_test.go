package text

import (
	"testing"

	"sluice/wire/batch"
)

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{
		"MSG greetings 5", "MSG orders/12 512 ack=synced key=16 time=1795471200000", "BATCH orders/12 65536 ack=written",
		"FETCH orders/12 123456789 bytes=1048576 wait=250ms min=1", "READ orders @2026-11-23T22:00:00Z limit=100",
	} {
		line := []byte(s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			r := new(Request)
			for b.Loop() {
				if e := Parse(line, r); e != nil {
					b.Fatal(e)
				}
			}
		})
	}
}

func BenchmarkAppendAppended(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 256)
	for b.Loop() {
		buf = AppendAppended(buf[:0], 123456789, 123456790, AckWritten, 123450000)
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 2048)
	rec := &batch.Record{Offset: 123456789, Time: 1795471200000, Key: make([]byte, 16), Value: make([]byte, 512)}
	for b.Loop() {
		buf = AppendRecord(buf[:0], rec)
	}
}

func BenchmarkParseAnswer(b *testing.B) {
	for _, s := range []string{
		"OK first=123456789 next=123456790 ack=written synced=123450000", "REC offset=123456789 time=1795471200000 key=16 n=512",
	} {
		line := []byte(s)
		b.Run(s[:3], func(b *testing.B) {
			b.ReportAllocs()
			a := new(Answer)
			for b.Loop() {
				if err := ParseAnswer(line, a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
