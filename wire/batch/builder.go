package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// Builder makes one batch at a time at the end of a caller's slice. Each batch is Reset, Add once or more, Finish.
// It is reused for ever and allocates nothing but growth of that slice; the first LZ4 brings a table of 128 KiB and a scratch
// buffer that grows to the largest compressed batch, which both stay.
type Builder struct {
	buf   []byte // the caller's bytes, then header and records
	start int    // where the batch begins in buf
	count int32
	base  int64 // Unix ms, of the first record
	max   int64 // Unix ms

	lz4     *lz4.Compressor
	scratch []byte // compressed records, on their way into buf
}

// Reset begins a batch at len(dst); bytes before it stay. Until Finish, dst belongs to the Builder.
func (b *Builder) Reset(dst []byte) {
	b.start = len(dst)
	b.buf = slices.Grow(dst, HeaderSize)[:b.start+HeaderSize]
	b.count = 0
}

// Add appends a record. Nil is null, for key, value and a header's value. The first record's time is the batch's base
// time; times may go back. The bytes are copied.
func (b *Builder) Add(ms int64, key, value []byte, headers []RecordHeader) {
	if len(b.buf) < b.start+HeaderSize {
		panic("BUG: Builder.Add without Reset")
	}
	if b.count == 0 {
		b.base, b.max = ms, ms
	}
	b.max = max(b.max, ms)
	delta := ms - b.base // wraps for times 292 million years apart; readers wrap it back

	body := 1 + varintSize(delta) + varintSize(int64(b.count)) +
		nullableSize(key) + nullableSize(value) + varintSize(int64(len(headers)))
	for i := range headers {
		body += varintSize(int64(len(headers[i].Key))) + len(headers[i].Key) + nullableSize(headers[i].Value)
	}
	pos := len(b.buf)
	b.buf = slices.Grow(b.buf, varintSize(int64(body))+body)
	p := b.buf[:pos+varintSize(int64(body))+body]

	pos = putVarint(p, pos, int64(body))
	p[pos] = 0 // attributes
	pos = putVarint(p, pos+1, delta)
	pos = putVarint(p, pos, int64(b.count))
	pos = putNullable(p, pos, key)
	pos = putNullable(p, pos, value)
	pos = putVarint(p, pos, int64(len(headers)))
	for i := range headers {
		pos = putVarint(p, pos, int64(len(headers[i].Key)))
		pos += copy(p[pos:], headers[i].Key)
		pos = putNullable(p, pos, headers[i].Value)
	}
	b.buf = p
	b.count++
}

func nullableSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

func putNullable(b []byte, pos int, v []byte) int {
	if v == nil {
		return putVarint(b, pos, -1)
	}
	pos = putVarint(b, pos, int64(len(v)))
	return pos + copy(b[pos:], v)
}

// RecordSize is an upper bound of the bytes that Add of a record without headers adds to the batch; -1 is the length of null.
func RecordSize(keyLen, valueLen int) int {
	const fixed = 5 + 1 + 10 + 5 + 1 // length, attributes, time, offset delta, header count: each at its widest
	return fixed + varintSize(int64(keyLen)) + max(keyLen, 0) + varintSize(int64(valueLen)) + max(valueLen, 0)
}

// Count is the number of records added since Reset.
func (b *Builder) Count() int { return int(b.count) }

// Size is the size in bytes of the batch, if it were finished now with codec None.
func (b *Builder) Size() int { return len(b.buf) - b.start }

// Finish completes the batch and returns dst with it appended: base offset 0, epoch and producer -1, checksum set.
// The Builder lets go of the slice; the next call is Reset.
// Errors, with dst as Reset got it: a codec other than None and LZ4, a batch larger than MaxSize.
func (b *Builder) Finish(codec Codec) ([]byte, error) {
	buf, start := b.buf, b.start
	b.buf, b.start = nil, 0 // the sent buffer is no longer ours; a late Add panics
	if b.count == 0 || buf == nil {
		panic("BUG: Builder.Finish of an empty batch")
	}
	dst := buf[:start]
	if codec != None && codec != LZ4 {
		return dst, fmt.Errorf("batch: cannot encode %v; use none or lz4", codec)
	}
	if codec == LZ4 && len(buf)-start <= MaxSize { // what is too large as it is, no Reader would decode under a cap of MaxSize
		b.compress(buf[start+HeaderSize:])
		buf = append(buf[:start+HeaderSize], b.scratch...)
	}
	if size := len(buf) - start; size > MaxSize {
		return dst, fmt.Errorf("batch: its size of %d bytes is above the limit of %d; send fewer or smaller records", size, MaxSize)
	}
	b.putHeader(buf[start:], codec)
	return buf, nil
}

func (b *Builder) compress(records []byte) {
	if b.lz4 == nil {
		b.lz4 = new(lz4.Compressor)
	}
	b.scratch = appendLZ4(b.scratch[:0], records, b.lz4)
}

func (b *Builder) putHeader(p []byte, codec Codec) {
	be := binary.BigEndian
	SetBase(p, 0, -1)
	be.PutUint32(p[atLength:], uint32(len(p)-beforeLength))
	p[atMagic] = magic
	be.PutUint16(p[atAttributes:], uint16(codec))
	be.PutUint32(p[atLastDelta:], uint32(b.count-1))
	be.PutUint64(p[atBaseTime:], uint64(b.base))
	be.PutUint64(p[atMaxTime:], uint64(b.max))
	be.PutUint64(p[atProducer:], ^uint64(0))
	be.PutUint16(p[atProducerEpoch:], ^uint16(0))
	be.PutUint32(p[atSequence:], ^uint32(0))
	be.PutUint32(p[atCount:], uint32(b.count))
	be.PutUint32(p[atCRC:], crc32.Checksum(p[atAttributes:], castagnoli))
}
