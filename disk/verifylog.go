package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sluice/wire/batch"
)

// logCheck is the look at one log.
type logCheck struct {
	*verifier
	at      Finding // topic and partition; whoever reports fills in the rest
	l       *Log
	segs    []logFile       // by base
	indexes map[uint64]bool // by base
	spare   bool
	known   knownLog
	reader  batch.Reader
}

// logFile is a segment by its name.
type logFile struct {
	base uint64
	name string // relative to the log's directory
}

// log looks at one log. A directory that cannot be listed is a finding.
func (v *verifier) log(topic string, p int) {
	v.sum.Logs++
	dir := fmt.Sprintf("%s/%d", topicDir(topic), p)
	c := &logCheck{verifier: v, at: Finding{Topic: topic, Partition: p, Pos: -1}, l: bareLog(v.fs, dir), indexes: map[uint64]bool{}}
	c.known = c.load() // before the names: what a mark tells of is in files that are there by now
	list, err := listLog(v.fs, dir, v.o.Live)
	if err != nil {
		c.tell(c.unreadable("", err))
		return
	}
	c.names(list)
	c.segments()
	for _, base := range slices.Sorted(maps.Keys(c.indexes)) {
		if !slices.ContainsFunc(c.segs, func(s logFile) bool { return s.base == base }) {
			c.tell(Finding{Severity: Problem, File: indexName(base), Pos: -1, What: "an index without its segment", Do: repairDo})
		}
	}
}

// listLog lists a log's directory. Beside a server one listing is not enough: a file that is renamed meanwhile may be in
// it under neither name, while one that is renamed later is in it. What had its name in the first has it in the second.
func listLog(f FS, dir string, live bool) ([]Entry, error) {
	list, err := f.List(ByTool, dir)
	if err != nil || !live {
		return list, err
	}
	newest := uint64(0)
	for _, e := range list {
		if base, ending, ok := splitName(e.Name); ok && ending == logEnding {
			newest = max(newest, base)
		}
	}
	list, err = f.List(ByTool, dir)
	return slices.DeleteFunc(list, func(e Entry) bool {
		base, ending, ok := splitName(e.Name)
		return ok && (ending == logEnding || ending == idxEnding) && base > newest
	}), err
}

// The two ways out of damage; docs/damage.md has the steps.
const (
	restoreDo = "restore the file from a copy; or give the range up for good: sluice repair declares it a gap and keeps the bytes"
	repairDo  = "harmless; sluice repair puts it right"
)

// tell reports a finding about a file of the log.
func (c *logCheck) tell(f Finding) {
	f.Topic, f.Partition = c.at.Topic, c.at.Partition
	f.File = c.l.path(f.File)
	c.found(f)
}

// unreadable is what a failed open, list or read means: on a live directory, a file may just have been renamed.
func (c *logCheck) unreadable(name string, err error) Finding {
	f := Finding{Severity: Damage, File: name, Pos: -1, What: fmt.Sprintf("it cannot be read: %v", err), Do: restoreDo}
	if errors.Is(err, fs.ErrNotExist) && c.o.Live {
		f.Severity, f.What, f.Do = Note, "it was renamed or removed while verify ran", "run verify again"
	}
	return f
}

// names sorts the directory's names.
func (c *logCheck) names(list []Entry) {
	for _, e := range list {
		base, ending, ok := splitName(e.Name)
		at := Finding{Severity: Note, File: e.Name, Pos: -1}
		switch {
		case ok && e.Dir && (ending == logEnding || ending == idxEnding):
			at.Severity, at.What, at.Do = Problem, "a directory has the name of a file of the log", "move it away"
			c.tell(at)
		case e.Name == spareName && !e.Dir:
			c.spare = true
		case ok && ending == logEnding:
			c.segs = append(c.segs, logFile{base, e.Name})
		case ok && ending == idxEnding:
			c.indexes[base] = true
		case ok && strings.HasSuffix(ending, cutEnding) && !e.Dir:
			at.What = fmt.Sprintf("%d bytes that a recovery or a repair took out of the log and kept", e.Size)
			at.Do = "sluice dump --file shows them; remove the file when nobody misses them"
			c.tell(at)
		case !e.Dir && isState(e.Name):
		default:
			c.stranger(c.l.dir, c.at, e)
		}
	}
	slices.SortFunc(c.segs, func(a, b logFile) int { return cmp.Compare(a.base, b.base) })
}

// segments goes over the files in order. What lies between two of them, and before the first, is told on the way.
func (c *logCheck) segments() {
	c.gaps()
	if len(c.segs) > 0 && c.segs[0].base > 0 && !c.known.declared(0, c.segs[0].base) {
		c.tell(Finding{Severity: Damage, File: c.segs[0].name, Pos: 0, Next: c.segs[0].base,
			What: "the log's first segments are missing", Do: restoreDo})
	}
	end := uint64(0)
	for i, s := range c.segs {
		if i+1 < len(c.segs) {
			c.segment(s, spot{0, c.known.endBefore(s.base, c.segs[i+1].base)}, false)
			continue
		}
		end = c.segment(s, c.known.markIn(s.base), true)
	}
	if c.spare || c.o.Live { // a file that is renamed while names are listed may be under neither
		end = c.next(end)
	}
	if floor := c.known.floor(); end < floor && !c.known.declared(end, floor) {
		c.tell(Finding{Severity: Damage, File: segmentName(max(c.known.mark.base, end)), Pos: -1, From: end, Next: floor,
			What: "the log ends before the point up to which it was synced: its last bytes, or its last segments, are missing", Do: restoreDo})
	}
}

// gaps notes what was declared lost.
func (c *logCheck) gaps() {
	for _, g := range c.known.gaps {
		c.tell(Finding{Severity: Note, File: gapsName, Pos: -1, From: g.From, Next: g.Next, What: "a declared gap: " + g.Why})
	}
}

// segment goes over one file, and returns the offset behind its last batch that counts.
func (c *logCheck) segment(s logFile, end spot, last bool) uint64 {
	c.sum.Segments++
	f, err := c.fs.Open(ByTool, c.l.path(s.name))
	var k *walk
	if err == nil {
		k, err = newWalk(c.l, f, c.known.epochs, s.base, end, last)
	}
	if err != nil {
		bad := c.unreadable(s.name, err)
		bad.From, bad.Next = s.base, max(s.base, end.off)
		c.tell(bad)
		return bad.Next
	}
	sc := &segmentCheck{logCheck: c, s: s, k: k, end: end, last: last}
	switch {
	case last:
	case c.indexes[s.base]:
		sc.index = openIndexCheck(c.l, k)
	default:
		c.tell(Finding{Severity: Note, File: indexName(s.base), Pos: -1, What: "the segment has no index: reads from it are slower",
			Do: "the server makes it when it is missed; sluice repair makes it at once"})
	}
	to := sc.run()
	if err := errors.Join(f.Close(ByTool), sc.index.close()); err != nil {
		c.tell(c.unreadable(s.name, err))
	}
	return to
}

// next looks at next.seg: unused, or the active segment before its renaming, or something that the next start sets aside.
func (c *logCheck) next(end uint64) uint64 {
	used, err := c.spareUsed(end)
	at := Finding{Severity: Note, File: spareName, Pos: -1}
	marked := c.known.marked && c.known.mark.base == end && c.known.mark.tail.pos > 0
	switch {
	case err == nil && used || isBad(err) && marked && !c.o.Live:
		return c.segment(logFile{end, spareName}, c.known.markIn(end), true)
	case c.o.Live:
		return c.renamed(end)
	case err == nil:
		at.What, at.Do = "a segment made ahead, and not used", "the next start removes it"
		c.tell(at)
	case isBad(err):
		at.Severity = Problem
		at.What = fmt.Sprintf("a segment made ahead whose content does not continue the log at offset %d: %v", end, err)
		at.Do = "the next start sets it aside whole, as a .cut file"
		c.tell(at)
	default:
		c.tell(c.unreadable(spareName, err))
	}
	return end
}

// renamed goes on, beside a server, with segments that got their names after these were listed. One that does not begin
// where the last one seemed to end is left out: that one has got more meanwhile.
func (c *logCheck) renamed(end uint64) uint64 {
	s := logFile{end, segmentName(end)}
	if slices.Contains(c.segs, s) || !c.there(s.name) {
		return end
	}
	c.segs = append(c.segs, s)
	return c.next(c.segment(s, c.known.markIn(end), true))
}

// spareUsed tells whether next.seg holds anything. *badBatch: it does, and not what continues the log.
func (c *logCheck) spareUsed(end uint64) (used bool, err error) {
	f, err := c.fs.Open(ByTool, c.l.path(spareName))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	k, err := newWalk(c.l, f, c.known.epochs, end, spot{}, true)
	if err != nil {
		return false, err
	}
	last, err := lastNonZero(&k.w, 0)
	if err != nil || last < 0 {
		return false, err
	}
	_, _, err = k.w.batch(0, end, maxOffset)
	return true, err
}

// there tells whether a file can be opened.
func (c *logCheck) there(name string) bool {
	f, err := c.fs.Open(ByTool, c.l.path(name))
	return err == nil && f.Close(ByTool) == nil
}
