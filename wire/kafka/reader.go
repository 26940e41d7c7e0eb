package kafka

import (
	"encoding/binary"
	"math"
	"strconv"
)

// FrameError tells where a frame is malformed. No later byte can mend it, and what follows on its connection means nothing.
type FrameError struct {
	At  int    // byte position in the frame's header or body, whichever Why speaks of
	Why string // the rest of a sentence about the request
}

func (e *FrameError) Error() string {
	return "the request is malformed: " + e.Why + ", at byte " + strconv.Itoa(e.At)
}

// reader decodes fields one after the other. It fails once and stays failed: then every field is zero, and every count is 0.
type reader struct {
	b    []byte
	pos  int
	why  string // what was wrong first; "" while all is well
	at   int    // where
	what string // what b is
}

func (r *reader) failed() bool { return r.why != "" }

func (r *reader) fail(why string) {
	if r.why == "" {
		r.why, r.at, r.pos = why, r.pos, len(r.b)
	}
}

// err is nil, or a *FrameError.
func (r *reader) err() error {
	if !r.failed() {
		return nil
	}
	return &FrameError{At: r.at, Why: r.what + " " + r.why}
}

// done fails if something is left over.
func (r *reader) done() {
	if r.pos != len(r.b) {
		r.fail("goes on behind its last field")
	}
}

const cutOff = "is cut off"

// take gives the next n bytes, as a view that nobody can append to; nil if they are not there.
func (r *reader) take(n int) []byte {
	if r.failed() || n < 0 || n > len(r.b)-r.pos {
		r.fail(cutOff)
		return nil
	}
	r.pos += n
	return r.b[r.pos-n : r.pos : r.pos]
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// uvarint is a number of at most 32 bits in groups of seven. Longer forms of a small number are allowed, as in Kafka.
func (r *reader) uvarint() uint32 {
	var u uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.take(1)
		if b == nil {
			return 0
		}
		if shift == 28 && b[0] > 0x0f {
			break
		}
		u |= uint32(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return u
		}
	}
	r.fail("has a number too wide")
	return 0
}

// compact is a length as flexible versions have it: one more than it is, 0 for null, here -1.
func (r *reader) compact() int { return int(r.uvarint()) - 1 }

// count is the number of elements of an array, -1 for null. Every element has at least one byte, so a claim of more than is left is
// refused here, and a walk over the elements is no longer than the frame.
func (r *reader) count(flexible bool) int {
	n := 0
	if flexible {
		n = r.compact()
	} else {
		n = int(r.int32())
	}
	if r.failed() {
		return 0
	}
	if n > len(r.b)-r.pos {
		r.fail("claims " + strconv.Itoa(n) + " elements")
		return 0
	}
	return max(n, -1)
}

// array is count where null may not stand.
func (r *reader) array(flexible bool) int {
	n := r.count(flexible)
	if n < 0 {
		r.fail("has null for an array")
		return 0
	}
	return n
}

// nullable is a string, nil for null.
func (r *reader) nullable(flexible bool) []byte {
	n := 0
	if flexible {
		n = r.compact()
	} else {
		n = int(r.int16())
	}
	if n < 0 || r.failed() {
		return nil
	}
	if n > math.MaxInt16 {
		r.fail("has a string of " + strconv.Itoa(n) + " bytes")
		return nil
	}
	return r.take(n)
}

// string is nullable where null may not stand.
func (r *reader) string(flexible bool) []byte {
	s := r.nullable(flexible)
	if s == nil {
		r.fail("has null for a string")
	}
	return s
}

// bytes are nil for null.
func (r *reader) bytes(flexible bool) []byte {
	n := 0
	if flexible {
		n = r.compact()
	} else {
		n = int(r.int32())
	}
	if n < 0 || r.failed() {
		return nil
	}
	return r.take(n)
}

// tags reads over what flexible versions have behind each structure, and gives their number.
func (r *reader) tags(flexible bool) int {
	if !flexible {
		return 0
	}
	n := int(r.uvarint())
	for range n {
		r.uvarint()
		r.take(int(r.uvarint()))
		if r.failed() {
			return 0
		}
	}
	return n
}
