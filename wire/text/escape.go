package text

import "fmt"

const hexDigits = "0123456789ABCDEF"

// plain reports whether c may stand in a value as it is. The rest is percent-encoded: the space and the control bytes
// because they would end the word or the line, '%' because it begins an escape, non-ASCII because a line is ASCII.
func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '%' }

// AppendEscaped appends s percent-encoded, so that it is one word of a line (no word at all if s is empty).
func AppendEscaped[T ~string | ~[]byte](dst []byte, s T) []byte {
	for i := range len(s) {
		dst = appendEscapedByte(dst, s[i])
	}
	return dst
}

func appendEscapedByte(dst []byte, c byte) []byte {
	if plain(c) {
		return append(dst, c)
	}
	return append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
}

// appendEscapedMax appends at most limit bytes, and "..." for what did not fit. It never cuts inside an escape.
func appendEscapedMax[T ~string | ~[]byte](dst []byte, s T, limit int) []byte {
	const dots = "..."
	start := len(dst)
	for i := range len(s) {
		was := len(dst)
		dst = appendEscapedByte(dst, s[i])
		if len(dst)-start > limit {
			return append(dst[:was], dots...)
		}
	}
	return dst
}

// Unescape gives the bytes that a percent-encoded value stands for. The error names the escape that is none.
func Unescape[T ~string | ~[]byte](s T) (string, error) {
	out := make([]byte, len(s))
	n, bad := unescapeInto(out, s)
	if bad >= 0 {
		return "", fmt.Errorf("bad escape at byte %s of %s: use %% and two hex digits", column(bad), quote(s))
	}
	return string(out[:n]), nil
}

// unescapeInto decodes s into dst, which is at least as long, and gives the length and the position in s of the first
// bad escape, -1 if there is none.
func unescapeInto[T ~string | ~[]byte](dst []byte, s T) (n, bad int) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return n, i
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi > 15 || lo > 15 {
				return n, i
			}
			c = hi<<4 | lo
			i += 2
		}
		dst[n] = c
		n++
	}
	return n, -1
}

// escapesFine is unescapeInto without a destination: values are checked when their line is, and decoded when needed.
func escapesFine(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15 {
			return false
		}
		i += 2
	}
	return true
}

// mustUnescape decodes what escapesFine has passed.
func mustUnescape(s []byte) string {
	v, err := Unescape(s)
	if err != nil {
		panic("BUG: a value that was not checked: " + err.Error())
	}
	return v
}

// unhex gives the value of a hex digit in either case, 255 if c is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
