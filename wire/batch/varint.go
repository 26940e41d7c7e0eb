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
// The one-byte case is here so that it is inlined: most numbers of most records take it.
func varint32(b []byte, pos int) (int32, int) {
	if uint(pos) < uint(len(b)) && b[pos] < 0x80 {
		return unzigzag32(uint32(b[pos])), pos + 1
	}
	return varint32Slow(b, pos)
}

func varint32Slow(b []byte, pos int) (int32, int) {
	u, next := uvarint(b, pos, 32)
	return unzigzag32(uint32(u)), next
}

// varint64 is varint32 for a varlong.
func varint64(b []byte, pos int) (int64, int) {
	if uint(pos) < uint(len(b)) && b[pos] < 0x80 {
		return unzigzag64(uint64(b[pos])), pos + 1
	}
	return varint64Slow(b, pos)
}

func varint64Slow(b []byte, pos int) (int64, int) {
	u, next := uvarint(b, pos, 64)
	return unzigzag64(u), next
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

func unzigzag32(u uint32) int32 { return int32(u>>1) ^ -int32(u&1) }
func unzigzag64(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
func zigzag(v int64) uint64     { return uint64(v)<<1 ^ uint64(v>>63) }

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
