package text

import "math"

// ParseNumber reads a number as lines have it: decimal digits, 0 to 2^63-1, no sign, no leading zeros.
func ParseNumber[T ~string | ~[]byte](s T) (int64, bool) {
	u, ok := parseUint(s)
	return int64(u), ok && u <= math.MaxInt64
}

// parseUint is ParseNumber up to 2^64-1, the range AppendUint writes.
func parseUint[T ~string | ~[]byte](s T) (uint64, bool) {
	const digits = len("18446744073709551615")
	if len(s) == 0 || len(s) > digits || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	var v uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if i == digits-1 && (v > math.MaxUint64/10 || v*10 > math.MaxUint64-uint64(d)) {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, true
}

// parseInt also takes a minus sign: answers carry the times of records, and those may lie before 1970.
func parseInt(s []byte) (int64, bool) {
	if len(s) == 0 || s[0] != '-' {
		return ParseNumber(s)
	}
	u, ok := parseUint(s[1:])
	if !ok || u == 0 || u > -math.MinInt64 {
		return 0, false
	}
	return -int64(u), true // 2^63 wraps onto MinInt64, and its negation is itself
}

// parseLength reads a length where -1 stands for null.
func parseLength(s []byte) (int64, bool) {
	if string(s) == "-1" {
		return -1, true
	}
	return ParseNumber(s)
}
