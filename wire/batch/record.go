package batch

// RecordHeader is one header of a record. A nil value is null; a key is never null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Its slices are views, valid as long as the Reader says.
type Record struct {
	Offset      uint64
	Time        int64  // Unix ms
	Key, Value  []byte // nil = null
	HeaderCount int

	headers []byte // the encoded headers, proved by parseRecord
}

// Headers yields the record's headers in their order. The values are views as the record's own; each key is a copy.
func (r *Record) Headers(yield func(RecordHeader) bool) {
	for pos := 0; pos < len(r.headers); {
		var key, value []byte
		key, pos = nullable(r.headers, pos)
		value, pos = nullable(r.headers, pos)
		if !yield(RecordHeader{Key: string(key), Value: value}) {
			return
		}
	}
}

// Causes that nullable adds to those of varint32.
const (
	lengthNegative = -3 // below -1, which stands for null
	lengthBeyond   = -4 // more bytes than are left
)

// nullable reads a length and that many bytes at b[pos:]; it returns them (nil for -1, never nil for 0) and the
// position after them, or a negative cause.
func nullable(b []byte, pos int) ([]byte, int) {
	n, ok := single(b, pos)
	if pos++; !ok {
		var wide int32
		if wide, pos = varint32(b, pos-1); pos < 0 {
			return nil, pos
		}
		n = int(wide)
	}
	if n < 0 {
		if n == -1 {
			return nil, pos
		}
		return nil, lengthNegative
	}
	if n > len(b)-pos {
		return nil, lengthBeyond
	}
	return b[pos : pos+n : pos+n], pos + n
}

// parseRecord proves and reads the record at b[pos:], the index-th of its batch, and returns the position after it.
// It is the only walk over a record: Check and Reader both use it, so that they can't disagree.
// r.Time is set to the time's delta and r.Offset to the offset's, which is the index.
func parseRecord(b []byte, pos int, index int32, r *Record) (int, *Fault) {
	length, pos := varint32(b, pos)
	if pos < 0 {
		return 0, fieldFault(index, "length", pos)
	}
	if length < 0 || int(length) > len(b)-pos {
		return 0, recordFault(index, "its length is %d, but %s left", length, bytesAre(len(b)-pos))
	}
	b = b[:pos+int(length)] // no field can leave the record
	pos++                   // attributes: Kafka defines none and lets any pass
	if pos > len(b) {
		return 0, fieldFault(index, "attribute byte", varintCut)
	}
	if r.Time, pos = varint64(b, pos); pos < 0 {
		return 0, fieldFault(index, "time", pos)
	}
	delta, pos := varint32(b, pos)
	if pos < 0 {
		return 0, fieldFault(index, "offset delta", pos)
	}
	if delta != index {
		return 0, recordFault(index, "its offset delta is %d", delta)
	}
	r.Offset = uint64(index)
	if r.Key, pos = nullable(b, pos); pos < 0 {
		return 0, fieldFault(index, "key", pos)
	}
	if r.Value, pos = nullable(b, pos); pos < 0 {
		return 0, fieldFault(index, "value", pos)
	}
	return parseHeaders(b, pos, index, r)
}

// parseHeaders ends parseRecord: b ends where the record does.
func parseHeaders(b []byte, pos int, index int32, r *Record) (int, *Fault) {
	count, pos := varint32(b, pos)
	if pos < 0 {
		return 0, fieldFault(index, "header count", pos)
	}
	// A header has at least two bytes; the bound keeps a lie from costing a long walk, and HeaderCount honest.
	if count < 0 || int(count) > (len(b)-pos)/2 {
		return 0, recordFault(index, "its header count is %d, but %s left", count, bytesAre(len(b)-pos))
	}
	r.HeaderCount = int(count)
	first := pos
	for range count {
		key, next := nullable(b, pos)
		if next >= 0 && key == nil {
			next = lengthNegative
		}
		if next < 0 {
			return 0, fieldFault(index, "header key", next)
		}
		if _, pos = nullable(b, next); pos < 0 {
			return 0, fieldFault(index, "header value", pos)
		}
	}
	if pos != len(b) {
		return 0, recordFault(index, "%s left over at its end", bytesAre(len(b)-pos))
	}
	r.headers = b[first:pos:pos]
	return pos, nil
}

func fieldFault(index int32, field string, cause int) *Fault {
	switch cause {
	case varintWide:
		return recordFault(index, "its %s is a number too wide", field)
	case lengthNegative:
		return recordFault(index, "its %s has a negative length", field)
	case lengthBeyond:
		return recordFault(index, "its %s goes beyond its end", field)
	}
	return recordFault(index, "its %s is cut off", field)
}
