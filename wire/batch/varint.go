package batch

import "math/bits"

// A varint is zig-zag, then little-endian groups of seven bits; the high bit says that more follow. Kafka's "varint" is
// 32 bits wide (at most 5 bytes), its "varlong" 64 (at most 10). Longer forms of a small number are allowed, as in Kafka.

// What the decoders return instead of a next position.
const (
	varintCut  = -1 // the bytes end before the number does
	varintWide = -2 // the number doesn't fit its width
)

// varint32 decodes the number at b[pos:] and the position after it, or a negative cause.
func varint32(b []byte, pos int) (int32, int) {
	if c, ok := single(b, pos); ok {
		return int32(c), pos + 1
	}
	u, next := uvarint(b, pos, 32)
	return int32(unzigzag(u)), next
}

// varint64 is varint32 for a varlong.
func varint64(b []byte, pos int) (int64, int) {
	if c, ok := single(b, pos); ok {
		return int64(c), pos + 1
	}
	u, next := uvarint(b, pos, 64)
	return unzigzag(u), next
}

// single decodes a number of one byte, if there is one at pos. It is small enough to be inlined, which the decoders
// aren't: most numbers of most records have one byte.
func single(b []byte, pos int) (int, bool) {
	if uint(pos) >= uint(len(b)) || b[pos] >= 0x80 {
		return 0, false
	}
	c := int(b[pos])
	return c>>1 ^ -(c & 1), true
}

func uvarint(b []byte, pos int, width uint) (uint64, int) {
	var u uint64
	for shift := uint(0); ; shift += 7 {
		if uint(pos) >= uint(len(b)) {
			return 0, varintCut
		}
		c := uint64(b[pos])
		pos++
		if left := width - shift; left < 7 && c>>left != 0 {
			return 0, varintWide // the last group has bits, or a promise of more, beyond the width
		}
		u |= (c & 0x7f) << shift
		if c < 0x80 {
			return u, pos
		}
	}
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }

// varintSize is the number of bytes that putVarint writes. A 32-bit number has the same form as a varint and as a varlong.
func varintSize(v int64) int {
	return (bits.Len64(zigzag(v)|1) + 6) / 7
}

// putVarint writes v at b[pos:] and returns the position after it. b has room.
func putVarint(b []byte, pos int, v int64) int {
	u := zigzag(v)
	for u >= 0x80 {
		b[pos] = byte(u) | 0x80
		u >>= 7
		pos++
	}
	b[pos] = byte(u)
	return pos + 1
}
