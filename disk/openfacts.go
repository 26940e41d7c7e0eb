package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"go.uber.org/zap"
)

// loadFacts reads the small files: what is known of the log without its segments. The epoch table may have to be made
// from the segments; it is nil then.
func (p *opener) loadFacts() error {
	if err := p.loadMark(); err != nil {
		return err
	}
	l := p.l
	if p.names[gapsName] || p.names[gapsName+secondCopy] {
		gaps, err := loadGaps(l.fs, ByOpen, l.dir)
		if errors.Is(err, errDamaged) {
			p.tell(gapsName, "no copy is good; the gaps show as damage again")
		} else if err != nil {
			return err
		}
		l.gaps = gaps
	}
	t, mend, err := loadEpochs(l.fs, ByOpen, l.dir)
	switch {
	case err == nil && mend:
		p.mendEpochs(t)
	case errors.Is(err, errDamaged):
		p.tell(epochsName, "no copy is good; made anew from the batches")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err == nil {
		l.epochs.Store(&t)
		p.table = true
	}
	return nil
}

func (p *opener) loadMark() error {
	l, name := p.l, p.l.path(marksName)
	if !p.names[marksName] {
		return nil
	}
	file, err := l.fs.Open(ByOpen, name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	f := &l.progress.marks
	f.file, f.there = file, true
	if f.have, err = readMarks(file, ByOpen, l.dir); err != nil {
		return err
	}
	i := f.have.newest()
	switch {
	case i < 0:
		p.tell(marksName, "no slot is good; the last segment is scanned whole")
	case !f.have.good[1-i]:
		p.tell(marksName, "one slot is damaged; the other one is used")
	}
	if i >= 0 {
		p.mark, p.marked = f.have.slot[i], true
	}
	return nil
}

// mendEpochs writes a lost copy anew. It may wait for better times: the other copy is good.
func (p *opener) mendEpochs(t epochTable) {
	err := saveEpochs(p.l.fs, ByOpen, p.l.dir, t)
	if err == nil {
		err = p.l.syncDir(ByOpen)
	}
	if err != nil {
		p.l.log.Warn("a damaged copy of the epoch table could not be written anew", zap.String("log", p.l.dir), zap.Error(err))
		return
	}
	p.tell(epochsName, "one copy was missing or damaged; written anew from the other")
}

func (p *opener) tell(name, what string) {
	p.rec.Repaired = append(p.rec.Repaired, name+": "+what)
	p.l.log.Warn("one of the log's small files is damaged", zap.String("file", p.l.path(name)), zap.String("what", what))
}

// floor is an offset that the log had reached, durably: by its mark, and by its last epoch, which began at a synced end.
func (p *opener) floor() uint64 {
	var off uint64
	if p.marked {
		off = p.mark.tail.off
	}
	if p.table {
		off = max(off, p.l.epochTable().last().first)
	}
	return off
}

// isNew: there is nothing, or what a creation that was cut short has left.
func (p *opener) isNew() bool { return len(p.named) == 0 && p.spare == nil && p.floor() == 0 }

// create makes an empty log, durable down from the partition's directory. The marks come last: a creation that is cut
// short before owes an epoch, which costs nothing.
func (p *opener) create() error {
	l := p.l
	if err := p.createFirst(); err != nil {
		return err
	}
	if p.marked || l.epochTable() != nil && l.epochTable().last() != (epochStart{}) {
		p.tell(segmentName(0), "missing, and made anew: the log has begun before, and owes an epoch")
		if l.epochTable() == nil {
			l.epochs.Store(&epochTable{{}})
		}
		return p.syncDirs()
	}
	t := epochTable{{}}
	if err := saveEpochs(l.fs, ByOpen, l.dir, t); err != nil {
		return err
	}
	l.epochs.Store(&t)
	if err := l.progress.marks.store(l.fs, ByOpen, mark{}); err != nil {
		return err
	}
	l.progress.begun.Store(true)
	return p.syncDirs()
}

// createFirst makes the empty log's segment.
func (p *opener) createFirst() error {
	l := p.l
	name := l.path(segmentName(0))
	f, err := l.fs.Create(ByOpen, name)
	if err != nil {
		return full(fmt.Errorf("create %s: %w", name, err))
	}
	s := &segment{live: newHandle(f)}
	s.index = newMemIndex(l.opt.SegmentBytes, l.opt.IndexInterval)
	s.lookup = s.index
	p.named = append(p.named, s)
	size := nextAllocation(0, l.opt.SegmentBytes)
	if err := f.Allocate(ByOpen, size); err != nil {
		return full(fmt.Errorf("allocate %d bytes for %s: %w", size, name, err))
	}
	s.allocated.Store(size)
	if err := f.Sync(ByOpen); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// syncDirs makes the partition's directory durable, and the names that lead to it: whoever made the topic may have been
// killed before, and nobody syncs them once there are records.
func (p *opener) syncDirs() error {
	if err := p.l.syncDir(ByOpen); err != nil {
		return err
	}
	for _, dir := range []string{path.Dir(p.l.dir), topicsDir} {
		if err := p.l.fs.SyncDir(ByOpen, dir); err != nil {
			return fmt.Errorf("sync directory %s: %w", dir, err)
		}
	}
	return nil
}
