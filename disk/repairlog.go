package disk

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// repairEnding marks the originals that a repair has kept; a later one looks into them.
const repairEnding = "-repair" + cutEnding

// logRepair is the repair of one log.
type logRepair struct {
	*repairer
	topic   string
	part    int
	changed bool

	l       *Log
	known   knownLog
	names   map[string]bool
	files   []source  // all that batches may be taken from
	segs    []*source // those of them that are segments of the log as it is, by base
	runs    []run     // what the log will consist of, by offset
	table   epochTable
	indexes []uint64
	spare   bool
	marksAt error // of reading the marks
}

func (l *logRepair) run() error {
	dir := path.Join(topicDir(l.topic), fmt.Sprint(l.part))
	l.l = bareLog(l.fs, dir)
	if err := l.list(); err != nil {
		return err
	}
	for _, name := range []string{epochsName, gapsName} {
		if err := l.mend(Repaired{Topic: l.topic, Partition: l.part}, l.l.path(name)); err != nil {
			return err
		}
	}
	l.load()
	if err := l.nameSpare(); err != nil {
		return err
	}
	if err := l.scan(); err != nil {
		return err
	}
	return l.apply()
}

// did reports a step; what it changes is changed only if this returns true.
func (l *logRepair) did(file string, from, next uint64, format string, args ...any) bool {
	l.changed = true
	l.report(Repaired{Topic: l.topic, Partition: l.part, File: l.l.path(file), From: from, Next: next, What: fmt.Sprintf(format, args...)})
	return !l.o.DryRun
}

func (l *logRepair) list() error {
	found, err := l.fs.List(ByTool, l.l.dir)
	if err != nil {
		return err
	}
	l.names = make(map[string]bool)
	for _, e := range found {
		base, ending, ok := splitName(e.Name)
		l.names[e.Name] = !e.Dir
		switch {
		case e.Dir:
		case e.Name == spareName:
			l.spare = true
		case ok && (ending == logEnding || strings.HasPrefix(ending, "-repair") && strings.HasSuffix(ending, cutEnding)):
			l.files = append(l.files, source{name: e.Name, file: e.Name, base: base, size: e.Size})
		case ok && ending == idxEnding:
			l.indexes = append(l.indexes, base)
		}
	}
	return nil
}

// load reads the small files, as far as they are good.
func (l *logRepair) load() {
	silent := &verifier{fs: l.fs, report: func(Finding) {}}
	l.known = (&logCheck{verifier: silent, at: Finding{Topic: l.topic, Partition: l.part}, l: l.l}).load()
	var m marks
	m, l.marksAt = loadMarks(l.fs, ByTool, l.l.dir)
	if l.marksAt == nil && (!m.good[0] || !m.good[1]) {
		l.marksAt = errDamaged
	}
}

// nameSpare gives a spare that is in use its name, as the next opening would: one that continues the log, or one that
// the durable mark speaks of.
func (l *logRepair) nameSpare() error {
	if !l.spare {
		return nil
	}
	s := source{name: spareName, file: spareName}
	base, batches, err := l.firstBase(&s)
	if err != nil {
		return err
	}
	last, end, err := l.namedEnd()
	switch {
	case err != nil:
		return err
	case l.known.marked && s.size >= minBatch && (last == nil || l.known.mark.base > last.base):
		base = l.known.mark.base
	case batches == 0 || base != end:
		return nil // the next opening drops it, or sets it aside
	}
	name := segmentName(base)
	if last != nil && last.base == base { // empty: it gives way
		if err := l.keep(last, "it is empty, and the segment made ahead begins at the same offset"); err != nil {
			return err
		}
	}
	l.names[name] = true
	l.files = append(l.files, source{name: name, file: name, base: base, size: s.size})
	if !l.did(name, 0, 0, "the segment made ahead, which is in use, gets its name") {
		l.files[len(l.files)-1].file = spareName
		return nil
	}
	if err := l.fs.Rename(ByTool, l.l.path(spareName), l.l.path(name)); err != nil {
		return full(err)
	}
	return l.syncDir()
}

// namedEnd finds the last named segment and where its batches end.
func (l *logRepair) namedEnd() (last *source, end uint64, err error) {
	for i := range l.files {
		if f := &l.files[i]; strings.HasSuffix(f.name, logEnding) && (last == nil || f.base > last.base) {
			last = f
		}
	}
	if last == nil {
		return nil, 0, nil
	}
	look := source{name: last.name, file: last.file, base: last.base, tail: true}
	err = l.collect(&look, l.known.markIn(look.base))
	return last, look.end(), err
}

func (l *logRepair) syncDir() error {
	if err := l.fs.SyncDir(ByTool, l.l.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", l.l.dir, err)
	}
	return nil
}

// judge decides which segments are replaced: all that are not one run from their first byte on. The last one may have
// behind its run what the next opening cuts off or takes for space ahead; unless others will come behind it.
func (l *logRepair) judge(end uint64) {
	for _, s := range l.segs {
		mark := l.known.markIn(s.base)
		switch {
		case len(s.runs) == 0:
			s.replace = s.base != end || !s.tail || mark.off > s.base
		case len(s.runs) > 1 || s.runs[0].from != spot{0, s.base}:
			s.replace = true
		case s.tail && s.runs[0].to.off == end || s.runs[0].to.pos == s.size:
		case s.zeros:
			s.trim = true
		default:
			s.replace = true
		}
	}
}

// plan finds what no file holds, and the offset where the log ends.
func (l *logRepair) plan() (gaps []Gap, end uint64) {
	why := func(from uint64) string {
		for _, s := range l.segs {
			for _, h := range s.holes {
				if h.at.off == from {
					return fmt.Sprintf("%s at %d: %s", s.name, h.at.pos, h.why)
				}
			}
		}
		return "no file holds them"
	}
	declare := func(from, next uint64) {
		i := slices.IndexFunc(l.known.gaps, func(g Gap) bool { return g.From == from && g.Next == next })
		if i >= 0 {
			gaps = append(gaps, l.known.gaps[i])
			return
		}
		gaps = append(gaps, Gap{from, next, why(from)})
	}
	for _, r := range l.runs {
		if r.from.off > end {
			declare(end, r.from.off)
		}
		end = r.to.off
	}
	last := l.known.floor()
	if n := len(l.segs); n > 0 {
		last = max(last, l.segs[n-1].base)
	}
	if last > end {
		declare(end, last)
	}
	return gaps, max(end, last)
}

func (l *logRepair) apply() error {
	gaps, end := l.plan()
	l.judge(end)
	steps := []func() error{
		func() error { return l.declare(gaps) },
		l.trim,
		l.copyRuns,
		l.setAside,
		l.nameRuns,
		func() error { return l.makeLast(end) },
		l.retable,
		l.remark,
		l.reindex,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// declare stores the gaps before anything is moved: a gap that is declared and not there yet harms nothing.
func (l *logRepair) declare(gaps []Gap) error {
	if slices.Equal(gaps, l.known.gaps) {
		return nil
	}
	for _, g := range gaps {
		if !slices.Contains(l.known.gaps, g) {
			l.did(gapsName, g.From, g.Next, "declared a gap: %s", g.Why)
			l.sum.Gaps++
			l.sum.Lost += g.Next - g.From
		}
	}
	for _, g := range l.known.gaps {
		if !slices.Contains(gaps, g) {
			l.did(gapsName, g.From, g.Next, "a gap that is not one any more, or a larger one now, is taken back")
		}
	}
	if l.o.DryRun {
		return nil
	}
	if err := saveGaps(l.fs, ByTool, l.l.dir, gaps); err != nil {
		return err
	}
	return l.syncDir()
}

// moving yields the runs that get files of their own.
func (l *logRepair) moving(do func(run) error) error {
	for _, r := range l.runs {
		if r.src.replace || strings.HasSuffix(r.src.name, cutEnding) {
			if err := do(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *logRepair) copyRuns() error {
	return l.moving(func(r run) error {
		name := segmentName(r.from.off)
		if !l.did(name, r.from.off, r.to.off, "made of bytes %d to %d of %s", r.from.pos, r.to.pos, r.src.name) {
			return nil
		}
		return l.copyRun(r, l.l.path(name+tmpEnding))
	})
}

func (l *logRepair) copyRun(r run, aside string) (err error) {
	if err := removeIfThere(l.fs, ByTool, aside); err != nil {
		return err
	}
	from, err := l.fs.Open(ByTool, l.l.path(r.src.file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close(ByTool)) }()
	to, err := l.fs.Create(ByTool, aside)
	if err != nil {
		return full(err)
	}
	w := window{by: ByTool, file: from, limit: r.to.pos}
	err = copyRange(to, &w, r.from.pos, r.to.pos)
	if err == nil {
		err = to.Sync(ByTool)
	}
	return full(errors.Join(err, to.Close(ByTool)))
}

// setAside keeps the originals. Their new names are durable before anything takes the old ones.
func (l *logRepair) setAside() error {
	for i := range l.files {
		s := &l.files[i]
		if !s.replace {
			continue
		}
		why := "nothing in it is of use"
		if len(s.holes) > 0 {
			why = s.holes[0].why
		}
		if err := l.keep(s, why); err != nil {
			return err
		}
	}
	if l.o.DryRun {
		return nil
	}
	return l.syncDir()
}

// keep renames a segment to what people, and a later repair, find it by.
func (l *logRepair) keep(s *source, why string) error {
	base, _, _ := splitName(s.name)
	kept := baseName(base) + repairEnding
	for n := 1; l.names[kept]; n++ {
		kept = fmt.Sprintf("%s-repair-%d%s", baseName(base), n, cutEnding)
	}
	l.sum.Kept++
	l.names[kept], l.names[s.name] = true, false
	if !l.did(kept, 0, 0, "%s is kept under this name: %s", s.name, why) {
		return nil
	}
	s.file = kept
	return full(l.fs.Rename(ByTool, l.l.path(s.name), l.l.path(kept)))
}

// trim gives back the zeros behind a segment that takes no more appends.
func (l *logRepair) trim() error {
	for _, s := range l.segs {
		if !s.trim {
			continue
		}
		size := s.runs[0].to.pos
		if !l.did(s.name, 0, 0, "the zeros behind its last batch, from byte %d on, are cut off", size) {
			continue
		}
		f, err := l.fs.Open(ByTool, l.l.path(s.name))
		if err != nil {
			return err
		}
		err = f.Truncate(ByTool, size)
		if err == nil {
			err = f.Sync(ByTool)
		}
		if err = errors.Join(err, f.Close(ByTool)); err != nil {
			return fmt.Errorf("cut %s: %w", l.l.path(s.name), err)
		}
	}
	return nil
}

func (l *logRepair) nameRuns() error {
	return l.moving(func(r run) error {
		name := segmentName(r.from.off)
		l.names[name] = true
		if l.o.DryRun {
			return nil
		}
		return full(l.fs.Rename(ByTool, l.l.path(name+tmpEnding), l.l.path(name)))
	})
}

// makeLast makes the segment that takes the appends, where a gap is the last thing that the log has.
func (l *logRepair) makeLast(end uint64) error {
	name := segmentName(end)
	last := end == 0 || len(l.runs) > 0 && l.runs[len(l.runs)-1].to.off == end
	if !last && !l.names[name] {
		l.names[name] = true
		if l.did(name, 0, 0, "made empty, for what is appended behind the gap") {
			f, err := l.fs.Create(ByTool, l.l.path(name))
			if err != nil {
				return full(err)
			}
			if err := errors.Join(f.Sync(ByTool), f.Close(ByTool)); err != nil {
				return err
			}
		}
	}
	if !l.changed || l.o.DryRun {
		return nil
	}
	return l.syncDir()
}
