package text

import (
	"strconv"

	"sluice/wire/batch"
)

// AppendOK begins an OK line: fields and AppendEOL follow.
func AppendOK(dst []byte) []byte { return append(dst, "OK"...) }

// AppendDataHead begins a DATA line for n bytes: fields, AppendEOL, the bytes, and AppendEOL follow.
func AppendDataHead(dst []byte, n int) []byte {
	return strconv.AppendInt(append(dst, "DATA "...), int64(n), 10)
}

// AppendUint appends " name=123".
func AppendUint(dst []byte, name string, v uint64) []byte {
	return strconv.AppendUint(appendName(dst, name), v, 10)
}

// AppendInt appends " name=123" or " name=-1".
func AppendInt(dst []byte, name string, v int64) []byte {
	return strconv.AppendInt(appendName(dst, name), v, 10)
}

// AppendStr appends " name=value", the value percent-encoded and never cut.
func AppendStr(dst []byte, name, v string) []byte {
	return AppendEscaped(appendName(dst, name), v)
}

// AppendEOL ends a line, or the bytes behind one. Answers always end in CRLF.
func AppendEOL(dst []byte) []byte { return append(dst, '\r', '\n') }

// AppendAppended appends the whole answer to a MSG or BATCH: its records are [first, next), ack is the level that was
// reached, and records before synced survive a power cut.
func AppendAppended(dst []byte, first, next uint64, ack Ack, synced uint64) []byte {
	dst = strconv.AppendUint(append(dst, "OK first="...), first, 10)
	dst = strconv.AppendUint(append(dst, " next="...), next, 10)
	dst = append(append(dst, " ack="...), ack.String()...)
	dst = strconv.AppendUint(append(dst, " synced="...), synced, 10)
	return AppendEOL(dst)
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	return append(dst, '=')
}

// AppendRecord appends a whole REC: its line, the key's bytes directly followed by the value's, and an EOL.
func AppendRecord(dst []byte, r *batch.Record) []byte {
	return AppendEOL(append(append(AppendRecordHead(dst, r), r.Key...), r.Value...))
}

// AppendRecordHead appends the line of a REC: key, value, and AppendEOL follow. It is for a value too large to copy.
// Headers are only counted, and only where there are any.
func AppendRecordHead(dst []byte, r *batch.Record) []byte {
	dst = strconv.AppendUint(append(dst, "REC offset="...), r.Offset, 10)
	dst = strconv.AppendInt(append(dst, " time="...), r.Time, 10)
	dst = strconv.AppendInt(append(dst, " key="...), length(r.Key), 10)
	dst = strconv.AppendInt(append(dst, " n="...), length(r.Value), 10)
	if r.HeaderCount > 0 {
		dst = AppendInt(dst, "headers", int64(r.HeaderCount))
	}
	return AppendEOL(dst)
}

// length is -1 for null.
func length(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}
