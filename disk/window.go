package disk

import (
	"errors"
	"fmt"
	"io"

	"sluice/sched"
	"sluice/wire/batch"
)

// windowSize is what a scan reads at once, bytes: large enough for a disk, small enough for every open log to have one.
const windowSize = 256 << 10

// window reads a file's first limit bytes through a buffer that follows the reader.
type window struct {
	by     By
	file   File
	limit  int64
	epochs epochTable // what each batch's epoch must be; nil: not checked
	buf    []byte
	cached bool // ErrCold instead of a read that would wait for the device

	from int64 // position of buf[0]
	n    int   // bytes of buf that are read
}

// peek returns the bytes at pos: at least want of them, fewer only where the file or limit ends. They are valid until
// the next call. What it takes in memory is bounded by limit and by want, which is a batch's checked size.
func (w *window) peek(pos int64, want int) ([]byte, error) {
	if pos >= w.limit {
		return nil, nil
	}
	want = int(min(int64(want), w.limit-pos))
	if at := pos - w.from; at >= 0 && at+int64(want) <= int64(w.n) {
		return w.buf[at:w.n], nil
	}
	if want > len(w.buf) {
		w.buf = make([]byte, min(max(int64(want), windowSize), w.limit))
	}
	b := w.buf[:min(int64(len(w.buf)), w.limit-pos)]
	read := w.file.ReadAt
	if w.cached {
		read = w.file.ReadCached
	}
	n, err := read(w.by, b, pos)
	w.from, w.n = pos, n
	if n < want && err != nil && !errors.Is(err, io.EOF) { // else what is wrong behind is found by who comes there
		w.n = 0
		return nil, err
	}
	return b[:n], nil
}

// badBatch says why there is no good batch at a position. It is a fact about the bytes, not an I/O error.
type badBatch struct{ why string }

func (e *badBatch) Error() string { return e.why }

func bad(format string, args ...any) error { return &badBatch{fmt.Sprintf(format, args...)} }

func isBad(err error) bool {
	_, ok := errors.AsType[*badBatch](err) // allocates nothing, unlike errors.As
	return ok
}

// header decodes the header at pos of the batch that must have that base and end at or before limit and at offset max.
// Errors: *badBatch, I/O.
func (w *window) header(pos int64, base, max uint64) (batch.Header, error) {
	b, err := w.peek(pos, batch.HeaderSize)
	if err != nil {
		return batch.Header{}, err
	}
	h, err := batch.ParseHeader(b)
	if err != nil {
		return batch.Header{}, bad("no batch header there: %s", faultOf(err))
	}
	return h, w.fits(h, pos, base, max)
}

func (w *window) fits(h batch.Header, pos int64, base, max uint64) error {
	switch {
	case h.BaseOffset != base:
		return bad("the batch there has base offset %d, not %d", h.BaseOffset, base)
	case w.epochs != nil && h.Epoch != w.epochs.at(base):
		return bad("the batch there has epoch %d, the log had %d at that offset", h.Epoch, w.epochs.at(base))
	case h.Next() > max:
		return bad("the batch there ends at offset %d, the segment at %d", h.Next(), max)
	case int64(h.Size) > w.limit-pos:
		return bad("the batch there has %d bytes, the file only %d more", h.Size, w.limit-pos)
	}
	return nil
}

// faultOf is what is wrong with a batch, without its place in a request, which it has none of.
func faultOf(err error) string {
	if f, ok := errors.AsType[*batch.Fault](err); ok {
		return f.Why
	}
	return err.Error()
}

// batch reads and checks, checksum included, the batch at pos that must have that base and end at or before max.
// The bytes begin with the batch and may go on after it. Errors as header's.
func (w *window) batch(pos int64, base, max uint64) (batch.Header, []byte, error) {
	h, err := w.header(pos, base, max)
	if err != nil {
		return h, nil, err
	}
	b, err := w.peek(pos, h.Size)
	if err != nil {
		return h, nil, err
	}
	if _, err := batch.Verify(b); err != nil && !sched.Planted("accept-crc-mismatch") {
		return h, nil, bad("the batch there is damaged: %s", faultOf(err))
	}
	return h, b, nil
}

// prove is batch without holding the batch: it reads it in pieces.
func (w *window) prove(at spot, max uint64) (batch.Header, error) {
	h, err := w.header(at.pos, at.off, max)
	if err == nil {
		err = w.proveBytes(at.pos, h)
	}
	return h, err
}

// proveBytes checks the checksum of the batch at pos, whose header is known.
func (w *window) proveBytes(pos int64, h batch.Header) error {
	var p batch.Pieces
	p.Reset(h)
	for end := pos + int64(h.Size); pos < end; {
		b, err := w.peek(pos, 1)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return bad("the file ends in the batch there")
		}
		b = b[:min(int64(len(b)), end-pos)]
		p.Add(b)
		pos += int64(len(b))
	}
	if err := p.Err(); err != nil && !sched.Planted("accept-crc-mismatch") {
		return bad("the batch there is damaged: %s", faultOf(err))
	}
	return nil
}
