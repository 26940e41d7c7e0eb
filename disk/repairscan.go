package disk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sluice/wire/batch"
)

type rawJSON = json.RawMessage

// notLost: what is missing or damaged in both copies cannot be mended, and is no failure of mending.
func notLost(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// source is a file that batches are taken from.
type source struct {
	name    string // in the log's directory, or what it will be when the log is repaired
	file    string // where it is: name, or what it was or is renamed to
	base    uint64 // where its batches begin, or should
	size    int64
	runs    []run
	tail    bool // what follows the last run may be left to the next opening: the log's last file
	zeros   bool // nothing but zeros follows the last run
	trim    bool // those zeros are cut off
	replace bool // it is set aside, and its runs get files of their own
	holes   []piece

	badIndex string // what is wrong with its index; "": nothing
}

// run is a stretch of whole batches in a file, one after the other.
type run struct {
	src      *source
	from, to spot
	batches  int
	last     tail // the last of them
}

// scan reads the log's files and decides from which of them each offset is taken:
//
//	first    the segments under the name of their first batch; what the server serves now stays as it is
//	then     files under a wrong name, and those that a repair has set aside: a repair that was interrupted may have
//	         left batches nowhere else
func (l *logRepair) scan() error {
	var second []*source
	for i := range l.files {
		s := &l.files[i]
		base, batches, err := l.firstBase(s)
		if err != nil {
			return err
		}
		switch kept := strings.HasSuffix(s.name, cutEnding); {
		case batches > 1 && base != s.base:
			s.base, s.replace = base, !kept
			s.holes = []piece{{why: fmt.Sprintf("its first batch has base offset %d", base)}}
			second = append(second, s)
		case kept:
			second = append(second, s)
		default:
			l.segs = append(l.segs, s)
		}
	}
	for i, s := range l.segs {
		end, last := spot{0, maxOffset}, i+1 == len(l.segs)
		if !last {
			end.off = l.segs[i+1].base
		} else {
			end = l.known.markIn(s.base)
		}
		s.tail = last
		if err := l.collect(s, end); err != nil {
			return err
		}
		l.runs = append(l.runs, s.runs...)
	}
	for _, s := range second {
		if err := l.adopt(s); err != nil {
			return err
		}
	}
	slices.SortFunc(l.runs, func(a, b run) int { return cmp.Compare(a.from.off, b.from.off) })
	return nil
}

// firstBase is the base offset of the whole batch at the file's start. The checksum does not cover it, so one batch may
// owe it to a flipped bit; two, of which the second continues the first, do not.
func (l *logRepair) firstBase(s *source) (base uint64, batches int, err error) {
	err = l.open(s, 0, spot{}, func(k *walk) error {
		b, err := k.w.peek(0, batch.HeaderSize)
		if err != nil {
			return err
		}
		h, bad := batch.ParseHeader(b)
		if bad != nil || h.BaseOffset > maxOffset {
			return nil // damage, which collect meets again
		}
		base = h.BaseOffset
		if _, _, err = k.w.batch(0, base, maxOffset); err == nil {
			batches++
			if _, err = k.w.header(int64(h.Size), h.Next(), maxOffset); err == nil {
				batches++
			}
		}
		if isBad(err) {
			return nil
		}
		return err
	})
	return base, batches, err
}

// open walks a file with what the log knows.
func (l *logRepair) open(s *source, base uint64, end spot, do func(*walk) error) (err error) {
	f, err := l.fs.Open(ByTool, l.l.path(s.file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	k, err := newWalk(l.l, f, l.known.epochs, base, end, end.off == 0 || s.tail)
	if err != nil {
		return err
	}
	s.size = k.size
	if err := do(k); err != nil {
		return fmt.Errorf("%s: %w", l.l.path(s.name), err)
	}
	return nil
}

// collect finds the runs of a segment. In the last one they end where the next opening would cut.
func (l *logRepair) collect(s *source, end spot) error {
	return l.open(s, s.base, end, func(k *walk) error {
		ix := openIndexCheck(l.l, k)
		for p, err := range k.pieces() {
			if err != nil {
				return err // nothing is set aside that could not be read: another try may have more luck
			}
			l.o.Progress.Done.Add(p.after.pos - p.at.pos)
			switch {
			case p.kind == pieceWhole:
				s.add(p)
				ix.batch(p)
				l.note(p.head)
			case p.kind == pieceZeros:
				s.zeros = true
			case s.tail && p.at.off >= end.off:
				return ix.close()
			case p.kind == pieceBehind:
				p.why = "bytes follow its last batch"
				fallthrough
			default:
				s.holes = append(s.holes, p)
			}
		}
		s.badIndex = ix.verdict(k.size, s.end())
		return ix.close()
	})
}

// end is the offset behind the file's last batch.
func (s *source) end() uint64 {
	if len(s.runs) == 0 {
		return s.base
	}
	return s.runs[len(s.runs)-1].to.off
}

func (s *source) add(p piece) {
	last := tail{spot: p.after, last: p.at.pos, crc: p.head.CRC}
	if n := len(s.runs); n > 0 && s.runs[n-1].to == p.at {
		s.runs[n-1].to, s.runs[n-1].last = p.after, last
		s.runs[n-1].batches++
		return
	}
	s.runs = append(s.runs, run{src: s, from: p.at, to: p.after, batches: 1, last: last})
}

// adopt takes the batches that no segment has. Behind the log's end only what continues it counts: all else is the torn
// end of a file that was cut.
func (l *logRepair) adopt(s *source) error {
	err := l.open(s, s.base, spot{}, func(k *walk) error {
		for p, err := range k.pieces() {
			if err != nil {
				return err
			}
			if p.kind == pieceWhole && l.uncovered(p, s) {
				s.add(p)
			}
		}
		return nil
	})
	// A batch alone may owe its offset to a flipped bit.
	s.runs = slices.DeleteFunc(s.runs, func(r run) bool { return r.batches == 1 && r.from != spot{0, s.base} })
	l.runs = append(l.runs, s.runs...)
	return err
}

// uncovered: no run holds an offset of the piece, and it lies within the log, or right behind it.
func (l *logRepair) uncovered(p piece, s *source) bool {
	end := l.known.floor()
	for _, r := range slices.Concat(l.runs, s.runs) {
		if p.at.off < r.to.off && r.from.off < p.after.off {
			return false
		}
		end = max(end, r.to.off)
	}
	return p.after.off <= end || p.at.off == end
}
