package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// recover finds the end of the log. Only the last named segment and the spare can hold anything that is not known to be
// whole; they are scanned, what is torn is set aside (I7), and the spare, if batches are in it, becomes the last segment.
func (p *opener) recover() error {
	var end uint64
	if n := len(p.named); n > 0 {
		last := p.named[n-1]
		if err := p.openSegment(last, segmentName(last.base)); err != nil {
			return err
		}
		end = last.end.Load()
	}
	if p.spare {
		if err := p.recoverSpare(end); err != nil {
			return err
		}
	}
	if len(p.named) == 0 {
		return p.createFirst()
	}
	last := p.named[len(p.named)-1]
	if err := last.live.file.Sync(ByOpen); err != nil { // batches of a killed process may be in memory only
		return fmt.Errorf("sync %s: %w", p.l.fileName(last), err)
	}
	if last.end.Load() == 0 {
		return p.syncDirs() // whoever made this file may have been killed before
	}
	return nil
}

// createFirst makes the empty log's segment, durable down from the partition's directory.
func (p *opener) createFirst() error {
	l := p.l
	name := l.path(segmentName(0))
	f, err := l.fs.Create(ByOpen, name)
	if err != nil {
		return full(fmt.Errorf("create %s: %w", name, err))
	}
	s := &segment{live: newHandle(f), index: newMemIndex(l.opt.SegmentBytes, l.opt.IndexInterval)}
	p.named = append(p.named, s)
	size := nextAllocation(0, l.opt.SegmentBytes)
	if err := f.Allocate(ByOpen, size); err != nil {
		return full(fmt.Errorf("allocate %d bytes for %s: %w", size, name, err))
	}
	s.allocated.Store(size)
	if err := f.Sync(ByOpen); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return p.syncDirs()
}

// openSegment opens the segment in that file, finds its end, and cuts what is torn.
func (p *opener) openSegment(s *segment, file string) error {
	f, err := p.l.fs.Open(ByOpen, p.l.path(file))
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	s.live, s.sealed = newHandle(f), false
	return p.recoverTail(s, file)
}

// recoverTail scans an open segment of known base, builds its index, and cuts behind the last whole batch.
func (p *opener) recoverTail(s *segment, file string) error {
	size, err := s.live.file.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", p.l.path(file), err)
	}
	s.index = newMemIndex(p.l.opt.SegmentBytes, p.l.opt.IndexInterval)
	w := window{by: ByOpen, file: s.live.file, limit: size}
	at := spot{0, s.base}
	for at.pos < size {
		h, _, err := w.batch(at.pos, at.off, maxOffset)
		if isBad(err) {
			break
		}
		if err != nil {
			return fmt.Errorf("scan %s at %d: %w", p.l.path(file), at.pos, err)
		}
		s.index.note(at.off-s.base, at.pos, h.MaxTime, h.CRC)
		at = spot{at.pos + int64(h.Size), h.Next()}
	}
	s.index.publish()
	s.size.Store(at.pos)
	s.end.Store(at.off)
	s.allocated.Store(size)
	p.rec.Scanned += at.pos
	return p.cutTail(s, file, &w, at)
}

// cutTail sets aside what follows the last whole batch, unless it is zeros: those are space allocated ahead. The copy is
// durable before the original is cut, so a crash in between only makes the next opening find the same.
func (p *opener) cutTail(s *segment, file string, w *window, at spot) error {
	last, err := lastNonZero(w, at.pos)
	if err != nil {
		return fmt.Errorf("scan %s at %d: %w", p.l.path(file), at.pos, err)
	}
	if last < at.pos {
		return nil
	}
	if err := p.saveCut(s.base, w, at.pos, last+1); err != nil {
		return err
	}
	if next, found, err := findLost(w, at, w.limit); err != nil {
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
		return p.syncDir()
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
	return p.syncDir()
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

func (p *opener) syncDir() error {
	if err := p.l.fs.SyncDir(ByOpen, p.l.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", p.l.dir, err)
	}
	return nil
}

// removeIfThere removes a file that may be missing already.
func removeIfThere(f FS, by By, name string) error {
	if err := f.Remove(by, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
