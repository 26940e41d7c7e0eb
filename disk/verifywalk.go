package disk

import (
	"fmt"
	"iter"

	"go.uber.org/zap"

	"sluice/wire/batch"
)

// pieceKind says what a stretch of a segment's file is.
type pieceKind int

const (
	pieceWhole  pieceKind = iota // a proved batch
	pieceHole                    // damage: its offsets cannot be served, and batches or the segment's end follow
	pieceTorn                    // bytes behind the last whole batch of a file whose end nothing names
	pieceZeros                   // nothing but zeros up to the file's end: space allocated ahead
	pieceBehind                  // bytes behind the offset where the segment ends
)

// piece is a stretch of a file, bytes [at.pos, after.pos) and offsets [at.off, after.off).
type piece struct {
	kind      pieceKind
	at, after spot
	head      batch.Header // of a whole batch
	bytes     []byte       // of a whole batch, until the next piece
	why       string       // of any other
}

// walk goes over a segment's file from its start to its last byte, and over damage, for those who look at files while
// no Log, or another process's, has them open.
type walk struct {
	l    *Log // bare: names, and what resume needs
	v    view // up to a known end; then, if it is open, up to what is found
	w    window
	file patient
	at   spot
	size int64 // of the file
	open bool  // behind v the file may go on: it is the last one, or no segment of the log
}

// bareLog is enough of a Log to find one's way in its files.
func bareLog(f FS, dir string) *Log { return &Log{fs: f, dir: dir, log: zap.NewNop()} }

// newWalk begins in a file that must hold offsets [base, end.off), and end at end.pos if that is not 0; with open, only
// at least them. epochs may be nil. The caller closes f.
func newWalk(l *Log, f File, epochs epochTable, base uint64, end spot, open bool) (*walk, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	k := &walk{l: l, file: patient{File: f}, at: spot{0, base}, size: size, open: open}
	k.v = view{seg: &segment{base: base}, base: base, size: size, end: end.off, file: &k.file}
	if end.pos > 0 {
		k.v.size = min(size, end.pos)
	}
	k.w = window{by: ByTool, file: &k.file, limit: size, epochs: epochs}
	return k, nil
}

// pieces yields the file's pieces in order. The error is that of a device that fails too often; nothing follows it.
func (k *walk) pieces() iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		for k.at.off < k.v.end || k.at.pos < k.size {
			p, err := k.next()
			if !yield(p, err) || err != nil {
				return
			}
			k.at = p.after
		}
	}
}

func (k *walk) next() (piece, error) {
	if k.at.off >= k.v.end && !k.open {
		return k.rest(pieceBehind)
	}
	end := k.v.end
	if k.at.off >= end {
		end = maxOffset
	}
	h, b, err := k.w.batch(k.at.pos, k.at.off, end)
	if err == nil {
		return piece{kind: pieceWhole, at: k.at, after: spot{k.at.pos + int64(h.Size), h.Next()}, head: h, bytes: b[:h.Size]}, nil
	}
	if !isBad(err) {
		return piece{at: k.at}, err
	}
	if k.at.off >= k.v.end {
		found, failed := k.extend()
		if failed != nil {
			return piece{at: k.at}, failed
		}
		if !found {
			return k.rest(pieceTorn)
		}
	}
	good, failed := k.l.resumeBehind(&k.w, &k.v, k.at)
	if failed != nil {
		return piece{at: k.at}, failed
	}
	return piece{kind: pieceHole, at: k.at, after: good, why: k.why(good, err)}, nil
}

// why says what a hole is, up to where batches go on, or the file ends.
func (k *walk) why(good spot, err error) string {
	switch left := k.size - k.at.pos; {
	case left == 0:
		return fmt.Sprintf("the file ends here, and the log goes on at offset %d: the next segment is missing, or this one was cut short", good.off)
	case left < batch.HeaderSize:
		return fmt.Sprintf("the file ends inside a batch, and the log goes on at offset %d", good.off)
	case good.off == k.at.off:
		return fmt.Sprintf("%d bytes between the batches belong to none of them", good.pos-k.at.pos)
	}
	return k.file.reason(k.at.pos, good.pos, err)
}

// extend moves the end behind the last batch that can be proved: another one, or the end of what is not zero, follows it.
func (k *walk) extend() (found bool, err error) {
	last, err := lastNonZero(&k.w, k.at.pos)
	if err != nil {
		return false, err
	}
	s := k.w.behind(k.at.off, k.at.pos, last+1)
	for pos, h := range s.in(k.at.pos, last+1) {
		after := spot{pos + int64(h.Size), h.Next()}
		_, err := k.w.header(after.pos, after.off, maxOffset)
		if err != nil && !isBad(err) {
			return false, err
		}
		if err == nil || after.pos > last {
			k.v.size, k.v.end, found = after.pos, after.off, true
		}
	}
	return found, s.err
}

// rest is what lies behind the last batch: all of it at once.
func (k *walk) rest(kind pieceKind) (piece, error) {
	last, err := lastNonZero(&k.w, k.at.pos)
	p := piece{kind: kind, at: k.at, after: spot{k.size, k.at.off}}
	switch {
	case err != nil:
		return piece{at: k.at}, err
	case last < k.at.pos:
		p.kind = pieceZeros
	case k.open && last+1 < k.size:
		p.after.pos = last + 1 // zeros follow
	}
	return p, nil
}
