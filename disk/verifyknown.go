package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// knownLog is what a log's small files say about it.
type knownLog struct {
	marked bool
	mark   mark
	epochs epochTable // nil: not known
	gaps   []Gap
}

// isState tells the names of the small files.
func isState(name string) bool {
	for _, ours := range []string{marksName, epochsName, epochsName + secondCopy, gapsName, gapsName + secondCopy, producersNames[0], producersNames[1]} {
		if name == ours {
			return true
		}
	}
	return false
}

// floor is an offset that the log had reached, durably: by its mark, and by its last epoch, which began at a synced end.
func (k *knownLog) floor() uint64 {
	off := k.mark.tail.off
	if k.epochs != nil {
		off = max(off, k.epochs.last().first)
	}
	return off
}

// declared tells whether all of [from, next) is given up.
func (k *knownLog) declared(from, next uint64) bool {
	for _, g := range k.gaps {
		if g.From <= from && from < g.Next {
			from = g.Next
		}
	}
	return from >= next
}

// endBefore is where the segment of base must end: where the next one begins, or the declared gap before that.
func (k *knownLog) endBefore(base, next uint64) uint64 {
	for i := len(k.gaps) - 1; i >= 0; i-- {
		if g := k.gaps[i]; g.Next == next && g.From >= base {
			next = g.From
		}
	}
	return next
}

// markIn is how far the last segment, of that base, must at least go: the zero spot, when nothing is known.
func (k *knownLog) markIn(base uint64) spot {
	switch {
	case !k.marked || k.mark.base < base:
		return spot{0, base}
	case k.mark.base == base:
		return k.mark.tail.spot
	}
	return spot{0, k.endBefore(base, k.mark.base)}
}

// load reads the small files and reports what is wrong with them.
func (c *logCheck) load() (k knownLog) {
	k.marked, k.mark = c.marks()
	c.small(epochsName, "the next start of the server, or sluice repair, makes it anew from the batches", func() (err error) {
		k.epochs, _, err = loadEpochs(c.fs, ByTool, c.l.dir)
		return err
	})
	c.small(gapsName, "what was given up shows as damage until the gaps are declared again: sluice repair", func() (err error) {
		k.gaps, err = loadGaps(c.fs, ByTool, c.l.dir)
		return err
	})
	c.producers()
	return k
}

// producers looks at both copies of what is known of the producers. Each is whole at any moment, as it gets its name last.
func (c *logCheck) producers() {
	for i, name := range producersNames {
		_, err := loadSnapshot(c.fs, ByTool, c.l.dir, i)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		c.tell(Finding{Severity: Problem, File: name, Pos: -1, What: fmt.Sprint(err),
			Do: "harmless while the other copy is good; if neither is, the next start makes them anew from the log's last batches, and tells what it does not know"})
	}
}

// small looks at both copies of a file, and at what it says.
func (c *logCheck) small(name, lost string, load func() error) {
	at := c.at
	at.Severity, at.File = Problem, c.l.path(name)
	before := c.sum.Problems
	var raw json.RawMessage
	c.twofold(at, &raw, lost)
	err := load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && c.sum.Problems == before {
		at.What, at.Do = fmt.Sprint(err), lost
		c.found(at)
	}
}

// marks reads the newest mark. A slot that is no good is what a crash leaves of a write; two of them are damage that
// costs nothing but the proof of where the log ended.
func (c *logCheck) marks() (bool, mark) {
	f := Finding{Severity: Note, File: marksName, Pos: -1}
	var m marks
	var err error
	c.calm(func() bool { // a slot that is read while it is written is neither what it was nor what it becomes
		m, err = loadMarks(c.fs, ByTool, c.l.dir)
		return errors.Is(err, fs.ErrNotExist) || err == nil && m.good[0] && m.good[1]
	})
	i := m.newest()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, mark{}
	case err != nil:
		f.Severity, f.What, f.Do = Problem, fmt.Sprintf("it cannot be read: %v", err), repairDo
	case i < 0:
		f.Severity, f.What = Problem, "neither of its two slots is good, so nothing tells how far the log was synced"
		f.Do = "the next start of the server scans the last segment whole and writes the file anew"
	case !m.good[1-i]:
		f.What, f.Pos = "one of its two slots is not good, as after a crash while it was written; the other one counts", int64(1-i)*slotApart
	default:
		return true, m.slot[i]
	}
	c.tell(f)
	if i < 0 {
		return false, mark{}
	}
	return true, m.slot[i]
}
