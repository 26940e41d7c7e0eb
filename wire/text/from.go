package text

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// FromKind says how a From is to be understood.
type FromKind uint8

const (
	FromOffset FromKind = iota // the offset itself
	FromOldest                 // the oldest record there is
	FromNewest                 // the end: only what comes later
	FromLast                   // the last N records, at most all; N = 0 is the end
	FromTime                   // the first record at or after a time, else the end
)

// From says where reading starts. Value is the offset, N, or Unix milliseconds; 0 for oldest and newest.
// Only a time may be negative: an RFC 3339 one before 1970.
type From struct {
	Kind  FromKind
	Value int64
}

const fromHint = "use an offset, oldest, newest, -N, or @ and a time (RFC 3339 or Unix milliseconds)"

// ParseFrom reads an offset, "oldest", "newest", "-N", or "@" and a time, which is RFC 3339 or Unix milliseconds and may
// be percent-encoded. A time between two milliseconds is the later one, as a record at the earlier is before it.
func ParseFrom[T ~string | ~[]byte](s T) (From, error) {
	f, ok := parseFrom([]byte(s))
	if !ok {
		return From{}, fmt.Errorf("bad start %s: %s", quote(s), fromHint)
	}
	return f, nil
}

func parseFrom(s []byte) (From, bool) {
	if len(s) == 0 {
		return From{}, false
	}
	switch s[0] {
	case '-':
		n, ok := ParseNumber(s[1:])
		return From{FromLast, n}, ok
	case '@':
		ms, ok := parseTime(s[1:])
		return From{FromTime, ms}, ok
	case 'o':
		return From{Kind: FromOldest}, string(s) == "oldest"
	case 'n':
		return From{Kind: FromNewest}, string(s) == "newest"
	}
	n, ok := ParseNumber(s)
	return From{FromOffset, n}, ok
}

// AppendFrom appends the form that ParseFrom reads. A time before 1970 has only the RFC 3339 form, which begins at the
// year 0: earlier times become that, and are still before every record.
func AppendFrom(dst []byte, f From) []byte {
	switch f.Kind {
	case FromOldest:
		return append(dst, "oldest"...)
	case FromNewest:
		return append(dst, "newest"...)
	case FromLast:
		dst = append(dst, '-')
	case FromTime:
		dst = append(dst, '@')
		if f.Value < 0 {
			t := time.UnixMilli(max(f.Value, yearZero)).UTC()
			return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		}
	}
	return strconv.AppendInt(dst, f.Value, 10)
}

// String is the form that ParseFrom reads.
func (f From) String() string { return string(AppendFrom(nil, f)) }

var yearZero = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// parseTime reads what follows the "@".
func parseTime(s []byte) (int64, bool) {
	var buf [128]byte // 35 bytes are the longest time with nanoseconds, 105 if all of them are encoded
	if bytes.IndexByte(s, '%') >= 0 {
		if len(s) > len(buf) {
			return 0, false
		}
		n, bad := unescapeInto(buf[:], s)
		if bad >= 0 {
			return 0, false
		}
		s = buf[:n]
	}
	if ms, ok := ParseNumber(s); ok {
		return ms, true
	}
	return parseRFC3339(s)
}

// parseRFC3339 gives Unix milliseconds, rounded up. The standard library's parser would do, but it allocates for zones
// that are no whole hour, and a fine line costs no allocation.
func parseRFC3339(s []byte) (int64, bool) {
	const stamp = "0000-00-00T00:00:00"
	if len(s) <= len(stamp) || !shaped(s[:len(stamp)], stamp) {
		return 0, false
	}
	year := int(s[0]-'0')*1000 + int(s[1]-'0')*100 + twoDigits(s[2:])
	month, day := twoDigits(s[5:]), twoDigits(s[8:])
	hour, minute, second := twoDigits(s[11:]), twoDigits(s[14:]), twoDigits(s[17:])
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	date := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if date.Day() != day { // the 30th of February became a day in March
		return 0, false
	}
	ms, rest, ok := parseFraction(s[len(stamp):])
	if !ok {
		return 0, false
	}
	east, ok := parseZone(rest)
	// A zone can lead before the year 0, which no time that we write can.
	return max(date.UnixMilli()+ms-east.Milliseconds(), yearZero), ok
}

// shaped tells whether s has a digit wherever form has one, and form's own byte elsewhere.
func shaped(s []byte, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i, c := range s {
		digit := '0' <= c && c <= '9'
		if form[i] == '0' && !digit || form[i] != '0' && c != form[i] {
			return false
		}
	}
	return true
}

func twoDigits(s []byte) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

// parseFraction reads ".digits", if s begins so, as milliseconds rounded up, and gives what follows.
func parseFraction(s []byte) (ms int64, rest []byte, ok bool) {
	if s[0] != '.' {
		return 0, s, true
	}
	i, unit, over := 1, int64(100), false
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		d := int64(s[i] - '0')
		ms += d * unit
		over = over || unit == 0 && d > 0
		unit /= 10
	}
	if over {
		ms++
	}
	return ms, s[i:], i > 1
}

// parseZone reads "Z" or "+hh:mm" or "-hh:mm", and gives how far east of Greenwich that is.
func parseZone(s []byte) (time.Duration, bool) {
	if string(s) == "Z" {
		return 0, true
	}
	if !shaped(s, "+00:00") && !shaped(s, "-00:00") {
		return 0, false
	}
	hours, minutes := twoDigits(s[1:]), twoDigits(s[4:])
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	east := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		east = -east
	}
	return east, true
}
