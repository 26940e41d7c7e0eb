package batch

import (
	"errors"
	"hash/crc32"
)

// Verify proves the batch at the front of b as it is stored: the header against itself, all its bytes there, the
// checksum right. Control and transactional batches, any codec and any producer are fine. It allocates nothing when all is well.
// Errors: ErrShort, or a *Fault. The header is returned also with those of them that were found after it was read.
func Verify(b []byte) (Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	if len(b) < h.Size {
		return h, ErrShort
	}
	var p Pieces
	p.Reset(h)
	p.Add(b[:h.Size])
	return h, p.Err()
}

// Pieces proves the checksum of one batch after the other, each given in pieces: a large batch need not be in memory
// whole. It allocates nothing when all is well. The zero value is ready for Reset.
type Pieces struct {
	h    Header
	seen int
	sum  uint32
}

// Reset begins with the batch that has that header, from its first byte on.
func (p *Pieces) Reset(h Header) { *p = Pieces{h: h} }

// Add takes the batch's next bytes, header included; there are no more than it has.
func (p *Pieces) Add(b []byte) {
	if skip := max(atAttributes-p.seen, 0); skip < len(b) {
		p.sum = crc32.Update(p.sum, castagnoli, b[skip:])
	}
	p.seen += len(b)
}

// Err is nil when the whole batch was there and is right; else ErrShort or a *Fault.
func (p *Pieces) Err() error {
	if p.seen < p.h.Size {
		return ErrShort
	}
	if p.sum != p.h.CRC {
		return faultf("its checksum is %08x, but its bytes give %08x", p.h.CRC, p.sum).of(Checksum)
	}
	return nil
}

// Check proves the batch at the front of b as a client may send it: all that Verify does, a size of at most maxBytes,
// nothing in it that only a server writes, and, uncompressed, every record. It allocates nothing when all is well.
// The checksum comes before what it covers, so that damage on the way is told as such, and the order of the rest is Kafka's.
// Errors: ErrShort, or a *Fault. The header is returned also with those of them that were found after it was read.
func Check(b []byte, maxBytes int) (Header, error) {
	size, err := Size(b)
	if err != nil {
		return Header{}, err
	}
	if size > maxBytes { // before the bytes themselves are asked for: the limit decides, not what happens to be here
		return Header{}, faultf("its size of %d bytes is above the limit of %d", size, maxBytes).of(TooLarge)
	}
	if len(b) < size {
		return Header{}, ErrShort
	}
	if f := checkMagic(b); f != nil { // others have the checksum elsewhere
		return Header{}, f
	}
	h := ReadHeader(b)
	var p Pieces
	p.Reset(h)
	p.Add(b[:size])
	if err := p.Err(); err != nil {
		return h, err
	}
	if f := checkCount(h); f != nil {
		return h, f
	}
	if f := checkClient(h); f != nil {
		return h, f
	}
	if f := checkRecords(h, b[HeaderSize:h.Size]); f != nil {
		return h, f
	}
	return h, nil
}

// checkClient refuses what a header may say on disk, but not in a client's request.
func checkClient(h Header) *Fault {
	switch a := h.Attributes; {
	case h.Control():
		return faultf("it is a control batch, which only a server writes")
	case h.ProducerID < -1:
		return faultf("its producer id is %d; use -1 for none", h.ProducerID)
	case h.ProducerID >= 0 && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return faultf("its producer id is %d, but its epoch %d or its sequence number %d is negative", h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	case h.Codec() > Zstd:
		return faultf("its codec %d is unknown", h.Codec()).of(UnknownCodec)
	case a&attrLogAppendTime != 0:
		return faultf("its time type is LogAppendTime, which only a server sets").of(ServerTime)
	case h.Transactional():
		return faultf("it is transactional, which is not supported yet").of(Transactional)
	case a&^attrCodec != 0:
		return faultf("its attributes %#04x have unknown bits", uint16(a))
	}
	return nil
}

// checkRecords proves every record of an uncompressed batch. Compressed ones stay closed: no append waits for a
// decoder. Their count is bounded by what could ever be decoded, so that a few bytes can't claim billions of offsets.
func checkRecords(h Header, b []byte) *Fault {
	if h.Codec() != None {
		if len(b) == 0 {
			return faultf("it has no bytes of records")
		}
		if h.Count > MaxSize/minRecord {
			return faultf("its record count is %d, but %d bytes decoded hold at most %d", h.Count, MaxSize, MaxSize/minRecord)
		}
		return nil
	}
	var (
		rec Record
		pos int
		f   *Fault
	)
	for i := range h.Count {
		if pos, f = parseRecord(b, pos, i, &rec); f != nil {
			return f
		}
	}
	if pos != len(b) {
		return leftOver(len(b) - pos)
	}
	return nil
}

func leftOver(n int) *Fault {
	return faultf("%s left over after its last record", bytesAre(n))
}

// Summary tells what CheckAll found.
type Summary struct {
	Batches, Records int
	Sequenced        int // batches with a producer id
}

// CheckAll proves a payload of one or more batches back to back, as Check does each, with nothing left over.
// Every error is a *Fault that names the batch: a payload is whole, so one that ends early is malformed.
func CheckAll(b []byte, maxBytes int) (Summary, error) {
	var s Summary
	for pos := 0; pos < len(b) || pos == 0; {
		h, err := Check(b[pos:], maxBytes)
		if err != nil {
			return Summary{}, placed(err, s.Batches, pos, len(b)-pos)
		}
		s.Batches++
		s.Records += int(h.Count)
		if h.ProducerID >= 0 {
			s.Sequenced++
		}
		pos += h.Size
	}
	return s, nil
}

// placed turns an error of Check into the Fault of that batch.
func placed(err error, batch, pos, left int) *Fault {
	var f *Fault
	if !errors.As(err, &f) {
		f = faultf("it is cut off: only %s there", bytesAre(left))
	}
	f.Batch, f.Pos = batch, pos
	return f
}
