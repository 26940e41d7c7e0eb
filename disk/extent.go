package disk

import (
	"errors"
	"fmt"
)

// Extent is whole batches of one segment, as they lie in its file. The zero value is ready, and is used again and again
// without allocation. It belongs to one goroutine at a time.
type Extent struct {
	Pos, Size  int64  // in the file, bytes; Size 0: from is the end of the log
	From, Next uint64 // base offset of the first batch, and the offset after the last

	log    *Log
	seg    *segment
	pinned bool
	v      view // while pinned
}

// Locate finds whole batches from the one that holds offset from: as many as lie in one segment and in most bytes, or that
// one alone if it is larger. The bytes have been checked, and their file stays open until Release, which comes before the
// next Locate or Pin. c may be nil.
//
// Without wait it answers from memory: ErrCold means that it would take a file that is not open, or bytes that the kernel
// would have to read, or that nobody has checked yet. With wait it does all that, which takes as long as it takes; the
// bytes are then in memory, and for one who reads on the kernel begins to read those behind them. Without wait it
// allocates nothing.
//
// Errors otherwise: ErrOutOfRange; *CorruptError when from cannot be served, with the offset to go on at; others are I/O
// errors, after which the same call may be tried again. After an error nothing is pinned. Any goroutine.
func (l *Log) Locate(x *Extent, from uint64, most int64, c *Cursor, wait bool) error {
	if x.pinned {
		panic("BUG: an extent is located anew while its file is pinned")
	}
	next := l.next.Load() // before the segment's size: what next promises is then in it
	if from > next && l.unreadable == nil {
		return fmt.Errorf("%w: offset %d, the end is %d", ErrOutOfRange, from, next)
	}
	v, err := l.view(from, wait)
	if err != nil {
		return err
	}
	*x = Extent{From: from, Next: from, log: l, seg: v.seg, pinned: true, v: v}
	x.v.end = min(v.end, next)
	if from == x.v.end { // the end of the log: any other segment holds more than that
		return x.Release()
	}
	var none Cursor
	if c == nil {
		c = &none
	}
	err = x.locate(from, most, c, wait)
	if errors.Is(err, errChanged) {
		if err = ErrCold; wait {
			err = x.locate(from, most, c, wait)
		}
	}
	return x.keep(err)
}

// errChanged: bytes that were checked before cannot be read, or are others now. What was known of the segment is forgotten.
var errChanged = errors.New("disk: bytes that were right before are not there any more")

// keep releases after an error.
func (x *Extent) keep(err error) error {
	if err == nil {
		return nil
	}
	if failed := x.Release(); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// Pin opens the file again after a Release, to send the bytes from at on, which counts from the extent's begin. With wait
// it brings them into memory. ErrCold as in Locate; any other error means that they cannot be had any more. After an
// error nothing is pinned.
func (x *Extent) Pin(at int64, wait bool) error {
	if x.pinned {
		panic("BUG: an extent is pinned twice")
	}
	v, err := x.log.view(x.From, wait)
	if err != nil {
		return err
	}
	x.v, x.pinned = v, true
	switch {
	case v.seg != x.seg:
		err = fmt.Errorf("%w: the segment that held offset %d is gone", ErrOutOfRange, x.From)
	case wait:
		s := takeScratch(wait)
		defer s.give()
		err = x.warm(s.buf, at)
	case !v.file.Cached(x.Pos+at, x.Size-at):
		err = ErrCold
	}
	return x.keep(err)
}

// warm reads what of the bytes from at on is not in memory. What cannot be read is forgotten, with the bytes around: then it
// is found out, batch by batch, how far the trouble reaches. Errors: errChanged.
func (x *Extent) warm(buf []byte, at int64) error {
	if x.v.file.Cached(x.Pos+at, x.Size-at) {
		return nil
	}
	for pos, end := x.Pos+at, x.Pos+x.Size; pos < end; pos += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), end-pos)]
		if n, err := x.v.file.ReadAt(ByReader, b, pos); n < len(b) {
			x.Doubt()
			return fmt.Errorf("read %s: %w: %w", x.log.place(x.v.base, pos+int64(n)), errChanged, err)
		}
	}
	return nil
}

// File is where the bytes are; valid while pinned.
func (x *Extent) File() File { return x.v.file }

// Release lets go of the file. Without one it does nothing. Its error is that of a close: what was read is good, but the
// log may have failed.
func (x *Extent) Release() (err error) {
	if x.pinned {
		x.v.release(&err)
		x.v, x.pinned = view{}, false
	}
	return err
}

// Doubt is called when fewer bytes came than the extent has, or a client says that they are damaged: what the segment
// holds is checked again before it is next located.
func (x *Extent) Doubt() {
	if x.seg != nil {
		x.seg.checked.forget()
	}
}
