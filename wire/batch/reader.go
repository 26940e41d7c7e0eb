package batch

// Reader walks the records of one stored batch after the other. The zero value is ready for Reset. It keeps its decode
// buffer, which only exists once a compressed batch was read, and is never larger than the largest cap it was given (and 128 KiB,
// once that was one of zstd). One goroutine at a time.
type Reader struct {
	decoded []byte // the decode buffer, at its full size
	records []byte // what Next walks: a view of the batch, or of decoded
	h       Header
	pos     int
	index   int32
	err     error
}

// Reset begins with the batch at the front of b, which Verify has proved (the checksum isn't computed again). Compressed
// records are decoded here, all at once, into at most maxDecoded bytes; uncompressed ones stay where they are, and have no cap.
// Errors: ErrDecodedTooLarge, also for a frame of zstd that names no size, might exceed the cap, and asks for a window larger than it; a *Fault when
// the bytes can't be decoded; ErrShort when b isn't whole. After an error Next returns false.
func (r *Reader) Reset(b []byte, maxDecoded int) error {
	r.records, r.pos, r.index, r.h = nil, 0, 0, Header{}
	r.err = r.open(b, maxDecoded)
	return r.err
}

func (r *Reader) open(b []byte, maxDecoded int) error {
	h, err := ParseHeader(b)
	if err != nil {
		return err
	}
	if len(b) < h.Size {
		return ErrShort
	}
	records := b[HeaderSize:h.Size]
	if h.Codec() != None {
		if records, err = r.decode(h.Codec(), records, maxDecoded); err != nil {
			return err
		}
	}
	r.h, r.records = h, records
	return nil
}

// Next sets rec to the next record and tells whether there was one. Its bytes are views into b or into the decode
// buffer, valid until the next Reset. In batches of type LogAppendTime every record has the batch's time.
func (r *Reader) Next(rec *Record) bool {
	if r.index >= r.h.Count || r.err != nil {
		return false
	}
	next, f := parseRecord(r.records, r.pos, r.index, rec)
	if f != nil {
		r.err = f
		return false
	}
	rec.Offset += r.h.BaseOffset
	if r.h.Attributes&attrLogAppendTime != 0 {
		rec.Time = r.h.MaxTime
	} else {
		rec.Time += r.h.BaseTime
	}
	r.pos = next
	r.index++
	if r.index == r.h.Count && next != len(r.records) {
		r.err = leftOver(len(r.records) - next) // the record itself is whole; Err tells after it
	}
	return true
}

// Err is what ended the walk early, a *Fault or the error of Reset, or nil.
func (r *Reader) Err() error { return r.err }
