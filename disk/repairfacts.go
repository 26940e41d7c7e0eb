package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sluice/wire/batch"
)

// This file is what a repair makes anew from the batches: the epoch table, the mark and the indexes.

// note takes the epoch of the next batch into the table that is made when the stored one is lost.
func (l *logRepair) note(h batch.Header) {
	if len(l.table) == 0 || h.Epoch > l.table.last().epoch && h.BaseOffset > l.table.last().first {
		l.table = append(l.table, epochStart{h.Epoch, h.BaseOffset})
	}
}

// retable writes the epoch table anew where no copy of it is good.
func (l *logRepair) retable() error {
	_, _, err := loadEpochs(l.fs, ByTool, l.l.dir)
	if !errors.Is(err, errDamaged) || len(l.table) == 0 {
		return notLost(err)
	}
	if !l.did(epochsName, 0, 0, "made anew from the batches") {
		return nil
	}
	if err := saveEpochs(l.fs, ByTool, l.l.dir, l.table); err != nil {
		return err
	}
	return l.syncDir()
}

// bases lists the log's segments as they are now.
func (l *logRepair) bases() (all []uint64) {
	for name, there := range l.names {
		if base, ending, ok := splitName(name); ok && there && ending == logEnding {
			all = append(all, base)
		}
	}
	slices.SortFunc(all, cmp.Compare[uint64])
	return all
}

// runAt is the run that the segment of that base begins with. False: the segment is empty.
func (l *logRepair) runAt(base uint64) (run, bool) {
	i := slices.IndexFunc(l.runs, func(r run) bool { return r.from.off == base })
	if i < 0 {
		return run{}, false
	}
	return l.runs[i], true
}

// markFits tells whether the mark speaks of a file that is there, and of a place in it.
func (l *logRepair) markFits() bool {
	m := l.known.mark
	if r, ok := l.runAt(m.base); ok && r.from.pos == 0 {
		return m.tail.pos <= r.to.pos && m.tail.off <= r.to.off
	}
	return slices.Contains(l.bases(), m.base) && m.tail.pos == 0
}

// remark writes the durable mark anew where it was lost, or speaks of a file that was split. It moves to the end of the
// log, whose last file is synced before.
func (l *logRepair) remark() error {
	bases := l.bases()
	if errors.Is(l.marksAt, fs.ErrNotExist) || len(bases) == 0 || l.marksAt == nil && (!l.known.marked || l.markFits()) {
		return nil
	}
	base := bases[len(bases)-1]
	m := mark{base: base, tail: tail{spot: spot{0, base}}, visible: base, epoch: l.known.mark.epoch}
	if r, ok := l.runAt(base); ok {
		m.tail, m.visible = r.last, r.to.off
		m.tail.pos -= r.from.pos
		m.tail.last -= r.from.pos
	}
	if l.known.epochs != nil {
		m.epoch = max(m.epoch, l.known.epochs.last().epoch)
	}
	if !l.did(marksName, 0, 0, "the durable mark is set to offset %d, the end of the log", m.tail.off) {
		return nil
	}
	if err := l.syncFile(segmentName(base)); err != nil {
		return err
	}
	f := markFile{dir: l.l.dir}
	var err error
	if f.file, err = l.fs.Open(ByTool, l.l.path(marksName)); err != nil {
		return err
	}
	if f.have, err = readMarks(f.file, ByTool, l.l.dir); err == nil {
		err = f.store(l.fs, ByTool, m)
	}
	return errors.Join(err, f.close(ByTool))
}

func (l *logRepair) syncFile(name string) error {
	f, err := l.fs.Open(ByTool, l.l.path(name))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(ByTool), f.Close(ByTool)); err != nil {
		return fmt.Errorf("sync %s: %w", l.l.path(name), err)
	}
	return nil
}

// reindex makes the indexes of sealed segments that have none or a wrong one, and removes those of no segment: an index
// is derived.
func (l *logRepair) reindex() error {
	bases := l.bases()
	for _, base := range l.indexes {
		if !slices.Contains(bases, base) && l.did(indexName(base), 0, 0, "an index without its segment is removed") {
			if err := l.fs.Remove(ByTool, l.l.path(indexName(base))); err != nil {
				return err
			}
		}
	}
	if len(bases) == 0 {
		return nil
	}
	for _, base := range bases[:len(bases)-1] {
		i := slices.IndexFunc(l.segs, func(s *source) bool { return s.base == base && !s.replace })
		if i >= 0 && l.segs[i].badIndex == "" && !l.segs[i].trim {
			continue
		}
		l.sum.Indexes++
		if !l.did(indexName(base), 0, 0, "made anew from the segment") {
			continue
		}
		if err := l.index(base); err != nil {
			return err
		}
	}
	return nil
}

func (l *logRepair) index(base uint64) error {
	f, err := l.fs.Open(ByTool, l.l.path(segmentName(base)))
	if err != nil {
		return err
	}
	k, err := newWalk(l.l, f, nil, base, spot{}, true)
	if err == nil {
		ix := newMemIndex(k.size, defaultIndexInterval)
		for p, failed := range k.pieces() {
			if err = failed; err != nil {
				break
			}
			if p.kind == pieceWhole {
				ix.note(p.at.off-base, p.at.pos, p.head.MaxTime, p.head.CRC)
			}
		}
		ix.publish()
		if err == nil {
			err = l.l.writeIndex(ByTool, base, ix, k.at.off, k.size)
		}
	}
	return errors.Join(err, f.Close(ByTool))
}
