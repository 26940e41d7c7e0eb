package disk

import (
	"errors"
	"fmt"
	"io"

	"sluice/sched"
)

// cutTail sets aside what follows the last whole batch, unless it is zeros: those are space allocated ahead. The copy is
// durable before the original is cut, so a crash in between only makes the next opening find the same.
func (p *opener) cutTail(s *segment, file string) error {
	w := p.window(s)
	at := spot{s.size.Load(), s.end.Load()}
	last, err := lastNonZero(&w, at.pos)
	if err != nil {
		return fmt.Errorf("scan %s at %d: %w", p.l.path(file), at.pos, err)
	}
	if last < at.pos {
		return nil
	}
	if !sched.Planted("cut-without-copy") {
		if err := p.saveCut(s.base, &w, at.pos, last+1); err != nil {
			return err
		}
	}
	if next, found, err := findLost(&w, at, w.limit); err != nil {
		return fmt.Errorf("scan %s at %d: %w", p.l.path(file), at.pos, err)
	} else if found {
		p.rec.lost(at.off, next)
	}
	if err := s.live.file.Truncate(ByOpen, at.pos); err != nil {
		return fmt.Errorf("cut the torn end of %s: %w", p.l.path(file), err)
	}
	if err := s.live.file.Sync(ByOpen); err != nil {
		return fmt.Errorf("sync %s after cutting its torn end: %w", p.l.path(file), err)
	}
	s.allocated.Store(at.pos)
	// An index from before the cut speaks of bytes that are gone.
	if err := removeIfThere(p.l.fs, ByOpen, p.l.path(indexName(s.base))); err != nil {
		return fmt.Errorf("remove the index of a cut segment: %w", err)
	}
	return nil
}

// lastNonZero is the position of the last byte at or after pos that is not zero; pos-1 if there is none.
func lastNonZero(w *window, pos int64) (int64, error) {
	last := pos - 1
	for pos < w.limit {
		b, err := w.peek(pos, 1)
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return last, nil // the file is shorter than it said
		}
		for i, c := range b {
			if c != 0 {
				last = pos + int64(i)
			}
		}
		pos += int64(len(b))
	}
	return last, nil
}

// saveCut copies bytes [pos, end) of a segment to a file of their own. A file that already holds just these bytes, from
// an opening that crashed afterwards, will do.
func (p *opener) saveCut(base uint64, w *window, pos, end int64) error {
	l := p.l
	name, done, err := p.cutName(fmt.Sprintf("%s-%d", baseName(base), pos), w, pos, end)
	if err != nil {
		return err
	}
	p.rec.Cut += end - pos
	p.rec.CutFile = l.path(name)
	if done {
		return p.l.syncDir(ByOpen)
	}
	aside := l.path(name + tmpEnding)
	f, err := l.fs.Create(ByOpen, aside)
	if err != nil {
		return full(fmt.Errorf("set a torn end aside: %w", err))
	}
	err = copyRange(f, w, pos, end)
	if err == nil {
		err = f.Sync(ByOpen)
	}
	if err = errors.Join(err, f.Close(ByOpen)); err != nil {
		return full(fmt.Errorf("set a torn end aside in %s: %w", aside, err))
	}
	if err := l.fs.Rename(ByOpen, aside, l.path(name)); err != nil {
		return full(fmt.Errorf("set a torn end aside: %w", err))
	}
	return p.l.syncDir(ByOpen)
}

// cutName finds a free name for cut bytes, or (done) a file that holds them already.
func (p *opener) cutName(stem string, w *window, pos, end int64) (name string, done bool, err error) {
	for n := 0; ; n++ {
		name = stem + cutEnding
		if n > 0 {
			name = fmt.Sprintf("%s-%d%s", stem, n, cutEnding)
		}
		if !p.names[name] {
			p.names[name] = true
			return name, false, nil
		}
		if w == nil {
			continue
		}
		if same, err := p.holds(name, w, pos, end); err != nil || same {
			return name, same, err
		}
	}
}

// holds tells whether a file holds exactly the bytes [pos, end) of w.
func (p *opener) holds(name string, w *window, pos, end int64) (same bool, err error) {
	f, err := p.l.fs.Open(ByOpen, p.l.path(name))
	if err != nil {
		return false, fmt.Errorf("compare with an earlier cut: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(ByOpen)) }()
	size, err := f.Size()
	if err != nil || size != end-pos {
		return false, err
	}
	var other []byte
	for pos < end {
		b, err := w.peek(pos, 1)
		if err != nil {
			return false, err
		}
		b = b[:min(int64(len(b)), end-pos)]
		other = append(other[:0], b...)
		if err := readFull(ByOpen, f, other, size-(end-pos)); err != nil {
			return false, err
		}
		if string(other) != string(b) {
			return false, nil
		}
		pos += int64(len(b))
	}
	return true, nil
}

func copyRange(f File, w *window, pos, end int64) error {
	for from := pos; pos < end; {
		b, err := w.peek(pos, 1)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return io.ErrUnexpectedEOF
		}
		b = b[:min(int64(len(b)), end-pos)]
		if _, err := f.WriteAt(ByOpen, b, pos-from); err != nil {
			return err
		}
		pos += int64(len(b))
	}
	return nil
}
