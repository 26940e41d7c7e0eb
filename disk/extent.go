package disk

import (
	"errors"
	"fmt"

	"sluice/wire/batch"
)

// Extent is whole batches of one segment, as they lie in its file. The zero value is ready, and is used again and again
// without allocation. It belongs to one goroutine at a time.
type Extent struct {
	Pos, Size  int64  // in the file, bytes; Size 0: from is the end of the log
	From, Next uint64 // base offset of the first batch, and the offset after the last

	log    *Log
	pinned bool
	v      view // while pinned
}

// Locate finds whole batches from the one that holds offset from: as many as lie in one segment and in max bytes, or that
// one alone if it is larger. The bytes have been checked, and their file stays open until Release, which comes before the
// next Locate or Pin. c may be nil.
//
// Without wait it answers from memory: ErrCold means that it would take a file that is not open, or bytes that the kernel
// would have to read, or that nobody has checked yet. With wait it does all that, which takes as long as it takes; the
// bytes are then in memory, and the kernel begins to read those behind them.
//
// Errors otherwise: ErrOutOfRange; *CorruptError when from cannot be served, with the offset to go on at; others are I/O
// errors, after which the same call may be tried again. After an error nothing is pinned. Any goroutine.
func (l *Log) Locate(x *Extent, from uint64, max int64, c *Cursor, wait bool) error {
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
	*x = Extent{From: from, Next: from, log: l, pinned: true, v: v}
	if x.v.end = min(v.end, next); from < x.v.end { // else it is the end of the log: any other segment holds more than that
		if err = l.locate(x, from, max, c, wait); err == nil {
			return nil
		}
	}
	return errors.Join(err, x.Release())
}

func (l *Log) locate(x *Extent, from uint64, max int64, c *Cursor, wait bool) error {
	var none Cursor
	if c == nil {
		c = &none
	}
	ch, err := l.readFrom(&x.v, make([]byte, max), from, c, wait)
	if small, ok := errors.AsType[*BufferError](err); ok {
		ch, err = l.readFrom(&x.v, make([]byte, small.Need), from, c, wait)
	}
	if err != nil {
		return err
	}
	h, err := batch.ParseHeader(ch.Bytes)
	if err != nil {
		return err
	}
	x.Size, x.From, x.Next = int64(len(ch.Bytes)), h.BaseOffset, ch.Next
	x.Pos = c.at.pos - x.Size
	return nil
}

// Pin opens the file again after a Release, to send the bytes from at on, which counts from the extent's begin. The
// file's other bytes may be gone. Errors as Locate's; they, and ErrCold, mean that nothing is pinned.
func (x *Extent) Pin(at int64, wait bool) error {
	if x.pinned {
		panic("BUG: an extent is pinned twice")
	}
	v, err := x.log.view(x.From, wait)
	if err != nil {
		return err
	}
	x.v, x.pinned = v, true
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

// Doubt is called when fewer bytes came than the extent has, or a client says that they are damaged: they are checked
// again when they are next read.
func (x *Extent) Doubt() {}
