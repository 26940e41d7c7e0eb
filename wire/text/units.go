package text

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

type unit struct {
	name string
	size int64
}

// Largest first: formatting takes the first that divides the value.
var byteUnits = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

const byteHint = "use a number of bytes, or a number and KiB, MiB, GiB or TiB"

// ParseBytes reads a size in bytes: "4096", "64KiB", "1MiB", "4GiB", "1TiB". Whole numbers only, and no KB or MB, which
// mean 1000 to some and 1024 to others.
func ParseBytes(s string) (int64, error) {
	size, number := int64(1), s
	for _, u := range byteUnits {
		if head, ok := strings.CutSuffix(s, u.name); ok {
			size, number = u.size, head
			break
		}
	}
	n, ok := ParseNumber(number)
	if !ok {
		return 0, fmt.Errorf("bad size %s: %s", quote(s), byteHint)
	}
	if n > math.MaxInt64/size {
		return 0, fmt.Errorf("size %s is beyond 2^63-1 bytes: use a smaller one", quote(s))
	}
	return n * size, nil
}

// FormatBytes gives the shortest form that ParseBytes reads back exactly, for n of 0 and more.
func FormatBytes(n int64) string { return formatUnits(n, byteUnits) }

var durationUnits = []unit{
	{"d", int64(day)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)}, {"s", int64(time.Second)},
	{"ms", int64(time.Millisecond)}, {"us", int64(time.Microsecond)}, {"ns", 1},
}

const day = 24 * time.Hour

const durationHint = "use a number and a unit, as in 250ms, 10s, 1h30m or 7d"

// ParseDuration reads a duration of 0 and more: what Go reads ("250ms", "1h30m", "1.5s"), with days in front if wanted
// ("7d", "1d12h"; whole ones). A number alone counts units of bare; with bare 0 only the number 0 may stand alone.
func ParseDuration(s string, bare time.Duration) (time.Duration, error) {
	if n, ok := ParseNumber(s); ok && (bare > 0 || n == 0) {
		return times(s, n, bare)
	}
	var days time.Duration
	rest := s
	if head, tail, ok := strings.Cut(s, "d"); ok {
		n, number := ParseNumber(head)
		if !number {
			return 0, badDuration(s)
		}
		d, err := times(s, n, day)
		if err != nil || tail == "" {
			return d, err
		}
		days, rest = d, tail
		if rest[0] < '.' || rest[0] > '9' {
			return 0, badDuration(s) // a sign or a second "d" has no place behind days
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, badDuration(s)
	}
	if d > math.MaxInt64-days {
		return 0, longDuration(s)
	}
	return days + d, nil
}

func times(s string, n int64, size time.Duration) (time.Duration, error) {
	if n > 0 && n > math.MaxInt64/int64(size) {
		return 0, longDuration(s)
	}
	return time.Duration(n) * size, nil
}

func badDuration(s string) error { return fmt.Errorf("bad duration %s: %s", quote(s), durationHint) }

func longDuration(s string) error {
	return fmt.Errorf("duration %s is beyond 292 years: use a shorter one", quote(s))
}

// FormatDuration gives a form that ParseDuration reads back exactly, for d of 0 and more: the largest unit that divides
// d, so that 90m stays 90m and does not become 1h30m0s.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return formatUnits(int64(d), durationUnits)
}

func formatUnits(n int64, units []unit) string {
	for _, u := range units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
