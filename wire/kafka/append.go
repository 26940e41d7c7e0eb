package kafka

import "encoding/binary"

// Encoders append to the caller's slice.

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

func appendUvarint(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

// appendCount is the length of an array or of bytes.
func appendCount(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return appendUvarint(dst, uint32(n)+1)
	}
	return appendInt32(dst, int32(n))
}

// appendString is a string that is not null, of at most 32,767 bytes.
func appendString[T ~string | ~[]byte](dst []byte, s T, flexible bool) []byte {
	if flexible {
		dst = appendUvarint(dst, uint32(len(s))+1)
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// maxMessage is how much of an error's sentence is sent.
const maxMessage = 1024

// appendMessage is an error's sentence, null where there is none.
func appendMessage(dst []byte, s string, flexible bool) []byte {
	switch {
	case s != "":
		return appendString(dst, s[:min(len(s), maxMessage)], flexible)
	case flexible:
		return append(dst, 0)
	}
	return appendInt16(dst, -1)
}

// appendTags is the end of a structure that has no tags.
func appendTags(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return dst
}

// beginFrame leaves room for the size, and appends the header of an answer.
func beginFrame(dst []byte, correlation int32, flexible bool) []byte {
	return appendTags(appendInt32(append(dst, 0, 0, 0, 0), correlation), flexible)
}

// endFrame fills in the size of the frame that begins at start.
func endFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}
