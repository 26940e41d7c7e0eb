package batch

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// Records that lie about themselves. Each is one record's bytes but for its length, which is put before it unless given.
func TestRecordFaults(t *testing.T) {
	const c = 0x80
	wide := []byte{c, c, c, c, 0x10}                     // bit 32 of a varint
	long := []byte{c, c, c, c, c, 0}                     // six bytes
	wide64 := []byte{c, c, c, c, c, c, c, c, c, 2}       // bit 64 of a varlong
	long64 := []byte{c, c, c, c, c, c, c, c, c, c, c, c} // never ends
	huge := []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}         // 2^31-1
	lowest := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}       // -2^31
	bytesOf := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	b := func(p ...byte) []byte { return p }
	for _, x := range []struct {
		name   string
		body   []byte
		length []byte // nil: the right one
		want   string
	}{
		{"empty record", nil, b(0), "record 0: its attribute byte is cut off"},
		{"attributes only", b(0), nil, "record 0: its time is cut off"},
		{"time cut", b(0, c), nil, "record 0: its time is cut off"},
		{"time wide", bytesOf(b(0), wide64, b(0, 1, 1, 0)), nil, "record 0: its time is a number too wide"},
		{"time endless", bytesOf(b(0), long64), nil, "record 0: its time is a number too wide"},
		{"no offset delta", b(0, 0), nil, "record 0: its offset delta is cut off"},
		{"offset delta wide", bytesOf(b(0, 0), wide), nil, "record 0: its offset delta is a number too wide"},
		{"offset delta long", bytesOf(b(0, 0), long), nil, "record 0: its offset delta is a number too wide"},
		{"offset delta 1", b(0, 0, 2, 1, 1, 0), nil, "record 0: its offset delta is 1"},
		{"offset delta -1", b(0, 0, 1, 1, 1, 0), nil, "record 0: its offset delta is -1"},
		{"no key", b(0, 0, 0), nil, "record 0: its key is cut off"},
		{"key -2", b(0, 0, 0, 3, 1, 0), nil, "record 0: its key has a negative length"},
		{"key lowest", bytesOf(b(0, 0, 0), lowest, b(1, 0)), nil, "record 0: its key has a negative length"},
		{"key wide", bytesOf(b(0, 0, 0), wide, b(1, 0)), nil, "record 0: its key is a number too wide"},
		{"key beyond by one", b(0, 0, 0, 6, 1, 0), nil, "record 0: its key goes beyond its end"},
		{"key beyond", bytesOf(b(0, 0, 0), huge), nil, "record 0: its key goes beyond its end"},
		{"no value", b(0, 0, 0, 1), nil, "record 0: its value is cut off"},
		{"value -2", b(0, 0, 0, 1, 3, 0), nil, "record 0: its value has a negative length"},
		{"value wide", bytesOf(b(0, 0, 0, 1), wide), nil, "record 0: its value is a number too wide"},
		{"value beyond by one", b(0, 0, 0, 1, 4, 0), nil, "record 0: its value goes beyond its end"},
		{"value beyond", bytesOf(b(0, 0, 0, 1), huge), nil, "record 0: its value goes beyond its end"},
		{"no header count", b(0, 0, 0, 1, 1), nil, "record 0: its header count is cut off"},
		{"header count -1", b(0, 0, 0, 1, 1, 1), nil, "record 0: its header count is -1, but 0 bytes are left"},
		{"header count wide", bytesOf(b(0, 0, 0, 1, 1), wide), nil, "record 0: its header count is a number too wide"},
		{"header count lie", bytesOf(b(0, 0, 0, 1, 1), huge, b(0, 1, 0, 1)), nil, "record 0: its header count is 2147483647, but 4 bytes are left"},
		{"header count one more", b(0, 0, 0, 1, 1, 4, 2, 'h', 1), nil, "record 0: its header count is 2, but 3 bytes are left"},
		{"header count one more, room", b(0, 0, 0, 1, 1, 4, 4, 'h', 'h', 1), nil, "record 0: its header key is cut off"},
		{"header count one less", b(0, 0, 0, 1, 1, 2, 0, 1, 0, 1), nil, "record 0: 2 bytes are left over at its end"},
		{"header key null", b(0, 0, 0, 1, 1, 2, 1, 1), nil, "record 0: its header key has a negative length"},
		{"header key -2", b(0, 0, 0, 1, 1, 2, 3, 1), nil, "record 0: its header key has a negative length"},
		{"header key wide", bytesOf(b(0, 0, 0, 1, 1, 2), wide), nil, "record 0: its header key is a number too wide"},
		{"header key beyond", b(0, 0, 0, 1, 1, 2, 4, 'h'), nil, "record 0: its header key goes beyond its end"},
		{"no header value", b(0, 0, 0, 1, 1, 2, 2, 'h'), nil, "record 0: its header value is cut off"},
		{"header value -2", b(0, 0, 0, 1, 1, 2, 0, 3), nil, "record 0: its header value has a negative length"},
		{"header value beyond", b(0, 0, 0, 1, 1, 2, 0, 2), nil, "record 0: its header value goes beyond its end"},
		{"left over in record", b(0, 0, 0, 1, 1, 0, 0), nil, "record 0: 1 byte is left over at its end"},
		{"no record at all", nil, b(0)[:0], "record 0: its length is cut off"},
		{"length -1", b(0, 0, 0, 1, 1, 0), b(1), "record 0: its length is -1, but 6 bytes are left"},
		{"length wide", b(0, 0, 0, 1, 1, 0), wide, "record 0: its length is a number too wide"},
		{"length cut", nil, b(c), "record 0: its length is cut off"},
		{"length one more", b(0, 0, 0, 1, 1, 0), b(14), "record 0: its length is 7, but 6 bytes are left"},
		{"length 2^31-1", b(0, 0, 0, 1, 1, 0), huge, "record 0: its length is 2147483647, but 6 bytes are left"},
		{"length one less", b(0, 0, 0, 1, 1, 0), b(10), "record 0: its header count is cut off"},
		{"left over behind records", b(0, 0, 0, 1, 1, 0, 0xAA), b(12), "1 byte is left over after its last record"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.length == nil { // not len 0: that is a batch without the length itself
				x.length = b(byte(2 * len(x.body)))
			}
			sealed := seal(None, 1, bytesOf(x.length, x.body))
			_, err := Check(sealed, 1<<20)
			wantFault(t, err, x.want, false)
			_, _, err = walk(sealed, 0)
			wantFault(t, err, x.want, false) // the same walk, the same words
			if _, err := Verify(sealed); err != nil {
				t.Errorf("Verify looked into records: %v", err)
			}
		})
	}
}

// What is odd, but allowed.
func TestRecordsAccepted(t *testing.T) {
	for name, records := range map[string][]byte{
		"smallest":                   {12, 0, 0, 0, 1, 1, 0},
		"attributes of the future":   {12, 0xff, 0, 0, 1, 1, 0},
		"numbers longer than needed": {30, 0, 0x80, 0, 0x80, 0x80, 0x80, 0x80, 0, 0x81, 0, 0x81, 0, 0x80, 0x80, 0},
		"length longer than needed":  {0x8c, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0},
		"widest time":                {30, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 1, 1, 0},
	} {
		b := seal(None, 1, records)
		if _, err := Check(b, 1<<20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, _, err := walk(b, 0)
		if err != nil || len(got) != 1 || got[0].key != nil || got[0].value != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestCheckSizeLimit(t *testing.T) {
	if _, err := Check(golden, len(golden)); err != nil {
		t.Error(err)
	}
	_, err := Check(golden, len(golden)-1)
	wantFault(t, err, "its size of 84 bytes is above the limit of 83", false)
	// The claim alone decides, before anything of the batch is there.
	_, err = Check(golden[:12], len(golden)-1)
	wantFault(t, err, "its size of 84 bytes is above the limit of 83", false)
	if _, err := Check(golden[:12], len(golden)); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
}

// Compressed records are not opened, and their count is believed only as far as it can be true.
func TestCheckCompressed(t *testing.T) {
	if _, err := Check(seal(Zstd, 1000, []byte("not zstd")), 1<<20); err != nil {
		t.Error(err)
	}
	_, err := Check(seal(Zstd, 1, nil), 1<<20)
	wantFault(t, err, "it has no bytes of records", false)
	if _, err := Check(seal(Zstd, MaxSize/7, []byte{1}), 1<<20); err != nil {
		t.Error(err)
	}
	_, err = Check(seal(Zstd, MaxSize/7+1, []byte{1}), 1<<20)
	wantFault(t, err, "its record count is 9586981, but 67108864 bytes decoded hold at most 9586980", false)
}

func TestCheckAll(t *testing.T) {
	second := build(t, None, append(goldenEntries, mixed(8)...)...)
	three := bytes.Join([][]byte{golden, second, golden}, nil)
	s, err := CheckAll(three, 1<<20)
	if err != nil || s != (Summary{Batches: 3, Records: 14}) {
		t.Fatal(s, err)
	}
	last := len(three) - len(golden)
	for _, c := range []struct {
		name  string
		b     []byte
		max   int
		want  Fault
		words string
	}{
		{"empty", nil, 1000, Fault{Why: "it is cut off: only 0 bytes are there"}, "batch 0 at byte 0 is refused: it is cut off: only 0 bytes are there"},
		{"one byte over", append(bytes.Clone(golden), 0), 1000, Fault{Batch: 1, Pos: 84, Why: "it is cut off: only 1 byte is there"},
			"batch 1 at byte 84 is refused: it is cut off: only 1 byte is there"},
		{"header over", append(bytes.Clone(golden), golden[:61]...), 1000, Fault{Batch: 1, Pos: 84, Why: "it is cut off: only 61 bytes are there"}, ""},
		{"zeros over", append(bytes.Clone(golden), make([]byte, 12)...), 1000,
			Fault{Kind: TooSmall, Batch: 1, Pos: 84, Why: "its length field is 0, which is less than the 49 bytes that follow it in every header"}, ""},
		{"third batch cut", three[:len(three)-1], 2000, Fault{Batch: 2, Pos: last, Why: "it is cut off: only 83 bytes are there"}, ""},
		{"second too large", three, 84, Fault{Kind: TooLarge, Batch: 1, Pos: 84, Why: fmt.Sprintf("its size of %d bytes is above the limit of 84", len(second))}, ""},
		{"crc of the third", at(three, last+83, 1), 2000, Fault{Kind: Checksum, Batch: 2, Pos: last, Why: "its checksum is 9db927a4, but its bytes give 6fd2a4a7"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := CheckAll(c.b, c.max)
			var f *Fault
			if !errors.As(err, &f) || *f != c.want || s != (Summary{}) {
				t.Fatalf("%v, %+v, want %+v", s, err, c.want)
			}
			if c.words != "" && f.Error() != c.words {
				t.Errorf("reads %q, want %q", f.Error(), c.words)
			}
		})
	}
}

// TestPieces: however a batch is cut in pieces, the sum of them proves it, and nothing less does.
func TestPieces(t *testing.T) {
	h, err := ParseHeader(golden)
	if err != nil {
		t.Fatal(err)
	}
	var p Pieces
	for size := 1; size <= len(golden); size++ {
		p.Reset(h)
		for b := golden; len(b) > 0; b = b[min(size, len(b)):] {
			if p.Err() != ErrShort {
				t.Fatalf("pieces of %d: %d bytes to come, and yet %v", size, len(b), p.Err())
			}
			p.Add(b[:min(size, len(b))])
		}
		if err := p.Err(); err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		flipped := bytes.Clone(golden)
		flipped[max(size-1, atAttributes)] ^= 1
		p.Reset(h)
		p.Add(flipped[:size])
		p.Add(flipped[size:])
		if f := new(Fault); !errors.As(p.Err(), &f) || f.Kind != Checksum {
			t.Fatalf("flipped at %d: %v", size-1, p.Err())
		}
	}
}
