package client

import (
	"time"

	"sluice/wire/text"
)

// From says where a Consumer starts. The zero From is the oldest record there is.
type From struct {
	given bool
	at    text.From
}

// Oldest is the oldest record there is.
func Oldest() From { return From{true, text.From{Kind: text.FromOldest}} }

// Newest is the end of the log: only what is appended later.
func Newest() From { return From{true, text.From{Kind: text.FromNewest}} }

// Offset is the record with that offset, at most 2^63-1; the end of the log is one, too.
func Offset(offset uint64) From {
	return From{true, text.From{Kind: text.FromOffset, Value: int64(offset)}}
}

// Last is the last n records, or all if there are fewer.
func Last(n int64) From { return From{true, text.From{Kind: text.FromLast, Value: n}} }

// Since is the first record whose time is at or after t, or the end if there is none.
func Since(t time.Time) From {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++ // records have whole milliseconds, and the one cut off here would be before t
	}
	return From{true, text.From{Kind: text.FromTime, Value: ms}}
}

// ParseFrom reads what the command line and the protocol take: an offset, oldest, newest, -N, or @ and a time
// (RFC 3339 or Unix milliseconds).
func ParseFrom(s string) (From, error) {
	at, err := text.ParseFrom(s)
	return From{true, at}, err
}

func (f From) String() string { return string(f.append(nil)) }

// valid reports whether a line can carry f: numbers end at 2^63-1, and only a time may be negative.
func (f From) valid() bool { return f.at.Value >= 0 || f.at.Kind == text.FromTime }

// offset gives the offset that f names, if it names one.
func (f From) offset() (uint64, bool) {
	return uint64(f.at.Value), f.given && f.at.Kind == text.FromOffset
}

func (f From) append(dst []byte) []byte {
	if !f.given {
		return text.AppendFrom(dst, text.From{Kind: text.FromOldest})
	}
	return text.AppendFrom(dst, f.at)
}
