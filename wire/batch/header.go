package batch

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
)

const (
	HeaderSize = 61       // bytes before the records
	MaxSize    = 64 << 20 // bytes of the largest batch, header and all; longer claims are refused before memory is taken
)

// Byte positions in the header. The checksum covers everything from atAttributes on, so that a server may set what
// stands before it (base offset, epoch) without a new checksum.
const (
	atBase          = 0
	atLength        = 8
	atEpoch         = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atBaseTime      = 27
	atMaxTime       = 35
	atProducer      = 43
	atProducerEpoch = 51
	atSequence      = 53
	atCount         = 57

	beforeLength = atLength + 4 // bytes that the length field doesn't count: the offset and itself
	magic        = 2
)

// Bits of the attributes. Everything above these is unknown to a client's batch, delete horizon (bit 6, a broker's own) included.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

// minRecord is the size of the smallest record: seven fields of one byte each.
const minRecord = 7

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Codec is the compression of a batch's records, numbered as Kafka numbers it. Values above Zstd can stand in a
// stored header; they are no codec.
type Codec uint8

const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String names the codec as Kafka's configuration does: none, gzip, snappy, lz4, zstd; else "codec 5".
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return "codec " + strconv.Itoa(int(c))
}

// Header is the first HeaderSize bytes of a batch, decoded.
type Header struct {
	BaseOffset        uint64
	Size              int // whole batch in bytes: the length field + 12
	Epoch             int32
	CRC               uint32
	Attributes        int16
	LastOffsetDelta   int32
	BaseTime, MaxTime int64 // Unix ms
	ProducerID        int64 // -1: none, and then the next two mean nothing
	ProducerEpoch     int16
	BaseSequence      int32 // of the first record; 0 follows 2147483647
	Count             int32
}

// Codec tells how the records are compressed.
func (h Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// Transactional tells whether the batch belongs to a transaction.
func (h Header) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control tells whether the batch is a server's mark at the end of a transaction, which readers don't show.
func (h Header) Control() bool { return h.Attributes&attrControl != 0 }

// Next is the offset after the last record.
func (h Header) Next() uint64 { return h.BaseOffset + uint64(h.Count) }

// Size is the size in bytes of the whole batch, as its first 12 bytes claim it: HeaderSize to MaxSize.
// Errors: ErrShort under 12 bytes, a *Fault when the claim is out of bounds.
func Size(b []byte) (int, error) {
	if len(b) < beforeLength {
		return 0, ErrShort
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	size := int64(length) + beforeLength
	if size < HeaderSize {
		return 0, faultf("its length field is %d, which is less than the %d bytes that follow it in every header", length, HeaderSize-beforeLength).of(TooSmall)
	}
	if size > MaxSize {
		return 0, faultf("its size of %d bytes is above the limit of %d", size, MaxSize).of(TooLarge)
	}
	return int(size), nil
}

// ParseHeader decodes the header at the front of b and checks it against itself. It looks at no record and no checksum.
// Errors: ErrShort under HeaderSize bytes, a *Fault for a wrong size, magic, or count.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	if _, err := Size(b); err != nil {
		return Header{}, err
	}
	if f := checkMagic(b); f != nil {
		return Header{}, f
	}
	h := ReadHeader(b)
	if f := checkCount(h); f != nil {
		return Header{}, f
	}
	return h, nil
}

// ReadHeader decodes the header at the front of b and believes all of it. b holds at least a header.
func ReadHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	be := binary.BigEndian
	return Header{
		BaseOffset:      be.Uint64(b[atBase:]),
		Size:            int(int32(be.Uint32(b[atLength:]))) + beforeLength,
		Epoch:           int32(be.Uint32(b[atEpoch:])),
		CRC:             be.Uint32(b[atCRC:]),
		Attributes:      int16(be.Uint16(b[atAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[atLastDelta:])),
		BaseTime:        int64(be.Uint64(b[atBaseTime:])),
		MaxTime:         int64(be.Uint64(b[atMaxTime:])),
		ProducerID:      int64(be.Uint64(b[atProducer:])),
		ProducerEpoch:   int16(be.Uint16(b[atProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[atSequence:])),
		Count:           int32(be.Uint32(b[atCount:])),
	}
}

func checkMagic(b []byte) *Fault {
	if b[atMagic] != magic {
		return faultf("its magic is %d, not 2", int8(b[atMagic]))
	}
	return nil
}

func checkCount(h Header) *Fault {
	switch {
	case h.Count <= 0:
		return faultf("its record count is %d; a batch has at least one", h.Count)
	case int64(h.LastOffsetDelta)+1 != int64(h.Count):
		return faultf("its last offset delta %d and its record count %d don't agree", h.LastOffsetDelta, h.Count)
	}
	return nil
}

// SetBase writes the base offset and the leader epoch into the batch at the front of b. Both stand outside the checksum.
// b holds at least a header.
func SetBase(b []byte, base uint64, epoch int32) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint64(b[atBase:], base)
	binary.BigEndian.PutUint32(b[atEpoch:], uint32(epoch))
}

// SetProducer writes into b, one whole batch, who produced it and the sequence number of its first record, and mends the checksum.
func SetProducer(b []byte, id int64, epoch int16, sequence int32) {
	_ = b[HeaderSize-1]
	be := binary.BigEndian
	be.PutUint64(b[atProducer:], uint64(id))
	be.PutUint16(b[atProducerEpoch:], uint16(epoch))
	be.PutUint32(b[atSequence:], uint32(sequence))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}
