package disk

import (
	"errors"
	"fmt"
	"path"

	"sluice/wire/batch"
)

// recoverSpare decides what next.seg is (F1); end is the offset after the last named segment.
//
//	zeros only                    the roll had not come to its first append: dropped
//	first batch continues at end  the roll had: it is the next segment and gets its name
//	anything else                 set aside whole; batches in it that begin after end are possible loss
func (p *opener) recoverSpare(end uint64) error {
	name := p.l.path(spareName)
	f, err := p.l.fs.Open(ByOpen, name)
	if err != nil {
		return fmt.Errorf("open the spare segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", name, joinClose(err, f))
	}
	w := window{by: ByOpen, file: f, limit: size}
	last, err := lastNonZero(&w, 0)
	if err != nil {
		return fmt.Errorf("scan %s: %w", name, joinClose(err, f))
	}
	if last < 0 {
		if err := f.Close(ByOpen); err != nil {
			return fmt.Errorf("close %s: %w", name, err)
		}
		if err := p.l.fs.Remove(ByOpen, name); err != nil {
			return fmt.Errorf("remove the unused spare: %w", err)
		}
		return nil
	}
	_, _, err = w.batch(0, end, maxOffset)
	if err == nil {
		return p.adoptSpare(&segment{base: end, live: newHandle(f), unnamed: true})
	}
	if !isBad(err) {
		return fmt.Errorf("scan %s: %w", name, joinClose(err, f))
	}
	return p.setSpareAside(&w, end, last+1)
}

// adoptSpare finishes the roll: the predecessor is cut to size and synced before anything can follow it, then the spare
// gets its name, and only then may it be taken for the active segment.
func (p *opener) adoptSpare(s *segment) error {
	l := p.l
	n := len(p.named)
	p.named = append(p.named, s) // from here on abandon closes it
	if n > 0 && p.named[n-1].base != s.base {
		if err := p.sealPredecessor(p.named[n-1]); err != nil {
			return err
		}
	} else if n > 0 { // an empty file has the name that the spare is about to get, and gives way
		empty := p.named[n-1]
		p.named = append(p.named[:n-1], s)
		if err := empty.live.release(ByOpen); err != nil {
			return fmt.Errorf("close an empty segment: %w", err)
		}
	}
	if err := p.recoverTail(s, spareName); err != nil {
		return err
	}
	name := l.path(segmentName(s.base))
	if err := l.fs.Rename(ByOpen, l.path(spareName), name); err != nil {
		return full(fmt.Errorf("rename %s to %s: %w", l.path(spareName), name, err))
	}
	s.unnamed = false
	return p.syncDir()
}

func (p *opener) sealPredecessor(s *segment) error {
	l := p.l
	if err := l.cutToSize(ByOpen, s); err != nil {
		return err
	}
	if s.size.Load() < minBatch {
		return p.hole(s.base, s.end.Load(), s, "the file is too short to hold a batch")
	}
	// As at a roll: without its index the segment is only slower to read.
	if err := l.writeIndex(ByOpen, s.base, s.index, s.end.Load(), s.size.Load()); err != nil {
		l.log.Sugar().Warnf("recovery goes on without an index: %v", err)
	}
	return l.seal(ByOpen, s)
}

// setSpareAside keeps a spare that doesn't continue the log under a name of its own.
func (p *opener) setSpareAside(w *window, end uint64, used int64) error {
	l := p.l
	stem := baseName(end)
	if b, err := w.peek(0, batch.HeaderSize); err == nil {
		if h, err := batch.ParseHeader(b); err == nil && h.BaseOffset <= maxOffset {
			stem = baseName(h.BaseOffset)
		}
	}
	next, found, err := findLost(w, spot{0, end}, w.limit)
	if err == nil {
		err = w.file.Sync(ByOpen) // a killed process may have left it in memory only
	}
	if err = joinClose(err, w.file); err != nil {
		return fmt.Errorf("scan %s: %w", l.path(spareName), err)
	}
	if found {
		p.rec.lost(end, next)
	}
	name, _, err := p.cutName(stem, nil, 0, 0)
	if err != nil {
		return err
	}
	if err := l.fs.Rename(ByOpen, l.path(spareName), l.path(name)); err != nil {
		return full(fmt.Errorf("set the spare segment aside: %w", err))
	}
	p.rec.Cut += used
	p.rec.CutFile = l.path(name)
	return p.syncDir()
}

// syncDirs makes the partition's directory, and its name in the topic's, durable.
func (p *opener) syncDirs() error {
	if err := p.syncDir(); err != nil {
		return err
	}
	if err := p.l.fs.SyncDir(ByOpen, path.Dir(p.l.dir)); err != nil {
		return fmt.Errorf("sync directory %s: %w", path.Dir(p.l.dir), err)
	}
	return nil
}

// joinClose adds the result of closing f, which an opening gives up, to err.
func joinClose(err error, f File) error { return errors.Join(err, f.Close(ByOpen)) }
