package disk

import (
	"errors"
	"io"
	"sort"
)

// ScrubCursor is where a scrub of one log has come to, with the buffer it reads through. The zero value begins a round.
// It belongs to one goroutine and one log.
type ScrubCursor struct {
	base uint64 // the segment to go on with, or the first one behind this
	at   spot   // in it; position 0: not begun
	w    window
	file patient
}

// Scrub re-reads the next bytes of the log's sealed segments, at most max of them or else one batch, and proves each
// batch. n is how many bytes it went over. io.EOF ends a round: the next call begins again at the oldest segment. The
// active segment is left out: its bytes are re-read once they are sealed.
//
// A *CorruptError tells damage, once a round: the cursor has moved behind it. Pages that the device cannot read are such
// damage, unless they are many: that is an I/O error, as is a segment that cannot be opened, and the cursor has then
// moved behind the segment. errClosed: the log is closed.
//
// Between calls no file is open; a call has one descriptor, two while it looks for the end of damage, which may take it
// through the whole segment. It allocates a buffer once, and for batches larger than that. One goroutine at a time for
// each cursor.
func (l *Log) Scrub(c *ScrubCursor, max int64) (n int64, err error) {
	v, ok, err := l.sealedFrom(c.base)
	if err != nil {
		return 0, err
	}
	if !ok {
		c.base = 0
		return 0, io.EOF
	}
	if v.base != c.base || c.at.pos == 0 {
		c.base, c.at = v.base, spot{0, v.base}
		c.w.from, c.w.n = 0, 0 // what was read in the last round is read again
	}
	// Not one of those that readers share: it would push out of memory's reach what they have read of late.
	if v.file, err = l.fs.Open(ByScrub, l.readName(v.seg, dataFile)); err != nil {
		c.leave(&v) // or one file that cannot be opened would keep the others from being read
		return 0, l.unread(&v, err)
	}
	defer func(f File) { err = errors.Join(err, f.Close(ByScrub)) }(v.file)
	c.file = patient{File: v.file}
	v.file = &c.file
	c.w.by, c.w.file, c.w.limit, c.w.epochs = ByScrub, v.file, v.size, v.epochs
	// The bytes of the device are wanted, not those that the kernel remembers; where that fails, those are all there is.
	_ = v.file.Evict(ByScrub, c.at.pos, min(max, v.size)+windowSize)
	n, err = l.scrub(&v, c, max)
	if c.at.off >= v.end {
		c.leave(&v)
	}
	return n, err
}

// leave ends work on a segment. Offsets may be missing behind it, so the next one is found by base and not by end.
func (c *ScrubCursor) leave(v *view) { c.base, c.at = v.base+1, spot{} }

// sealedFrom looks at the first segment with that base or a later one. False: there is none, or it is not sealed.
func (l *Log) sealedFrom(base uint64) (v view, ok bool, err error) {
	l.list.RLock()
	defer l.list.RUnlock()
	if l.list.closed {
		return view{}, false, errLogClosed
	}
	segs := l.list.segs
	i := sort.Search(len(segs), func(i int) bool { return segs[i].base >= base })
	if i == len(segs) || !segs[i].sealed {
		return view{}, false, nil
	}
	s := segs[i]
	return view{seg: s, base: s.base, end: s.end.Load(), size: s.size.Load(), log: l, epochs: l.epochTable()}, true, nil
}

func (l *Log) scrub(v *view, c *ScrubCursor, max int64) (n int64, err error) {
	for c.at.off < v.end {
		h, err := c.w.header(c.at.pos, c.at.off, v.end)
		if err == nil && n > 0 && n+int64(h.Size) > max {
			return n, nil
		}
		if err == nil {
			_, _, err = c.w.batch(c.at.pos, c.at.off, v.end)
		}
		if err != nil {
			from := c.at.pos
			err = l.scrubOver(v, c, err)
			return n + c.at.pos - from, err
		}
		c.at = spot{c.at.pos + int64(h.Size), h.Next()}
		n += int64(h.Size)
	}
	return n, nil
}

// scrubOver moves the cursor behind what could not be proved, and returns the error to tell.
func (l *Log) scrubOver(v *view, c *ScrubCursor, why error) error {
	if isBad(why) {
		hole, good, err := l.resume(ByScrub, v, startAt(c.at))
		if err == nil {
			c.at = good
			v.seg.checked.forget() // or readers would go on being sent it
			d := &CorruptError{From: hole.off, Next: good.off, Where: l.place(v.base, hole.pos), Why: c.file.reason(hole.pos, good.pos, why)}
			l.damage.CompareAndSwap(nil, d) // the scrubber tells of each
			return d
		}
		why = err
	}
	at := c.at
	c.at = spot{v.size, v.end}
	return l.placed(v, at.pos, why)
}
