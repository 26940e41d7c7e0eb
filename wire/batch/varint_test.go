package batch

import (
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestVarintBorders(t *testing.T) {
	const c = 0x80
	for _, x := range []struct {
		b      []byte
		v32    int32
		next32 int
		v64    int64
		next64 int
	}{
		{[]byte{}, 0, varintCut, 0, varintCut},
		{[]byte{0}, 0, 1, 0, 1},
		{[]byte{1}, -1, 1, -1, 1},
		{[]byte{0x7e}, 63, 1, 63, 1},
		{[]byte{0x7f}, -64, 1, -64, 1},
		{[]byte{c}, 0, varintCut, 0, varintCut},
		{[]byte{c, 1}, 64, 2, 64, 2},
		{[]byte{c, 0}, 0, 2, 0, 2},
		{[]byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 9}, math.MaxInt32, 5, math.MaxInt32, 5},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, math.MinInt32, 5, math.MinInt32, 5},
		{[]byte{c, c, c, c, 0x10}, 0, varintWide, 1 << 31, 5},
		{[]byte{c, c, c, c, c}, 0, varintWide, 0, varintCut},
		{[]byte{c, c, c, c, c, 0}, 0, varintWide, 0, 6},
		{[]byte{c, c, c, c}, 0, varintCut, 0, varintCut},
		{[]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 0, varintWide, math.MaxInt64, 10},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 0, varintWide, math.MinInt64, 10},
		{[]byte{c, c, c, c, c, c, c, c, c, 2}, 0, varintWide, 0, varintWide},
		{[]byte{c, c, c, c, c, c, c, c, c, c, 0}, 0, varintWide, 0, varintWide},
		{[]byte{c, c, c, c, c, c, c, c, c}, 0, varintWide, 0, varintCut},
	} {
		if v, next := varint32(x.b, 0); next != x.next32 || next > 0 && v != x.v32 {
			t.Errorf("varint32 of %x: %d, %d", x.b, v, next)
		}
		if v, next := varint64(x.b, 0); next != x.next64 || next > 0 && v != x.v64 {
			t.Errorf("varint64 of %x: %d, %d", x.b, v, next)
		}
	}
	if _, next := varint32([]byte{0}, 7); next != varintCut {
		t.Error("a position behind the end is a cut")
	}
}

// The standard library's zig-zag varint is the same form.
func TestVarintRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v") >> rapid.IntRange(0, 63).Draw(t, "shift")
		want := binary.AppendVarint(nil, v)
		got := make([]byte, 10)
		if n := putVarint(got, 0, v); n != len(want) || string(got[:n]) != string(want) || varintSize(v) != n {
			t.Fatalf("%d is %x, want %x; size %d", v, got[:n], want, varintSize(v))
		}
		if back, next := varint64(want, 0); back != v || next != len(want) {
			t.Fatalf("%d came back as %d, next %d", v, back, next)
		}
		if back, next := varint32(want, 0); v == int64(int32(v)) && (int64(back) != v || next != len(want)) || v != int64(int32(v)) && next != varintWide {
			t.Fatalf("%d came back as %d, next %d", v, back, next)
		}
	})
}
