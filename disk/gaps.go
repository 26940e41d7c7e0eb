package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

const gapsName = "gaps"

// Gap is a range of offsets that an operator has given up: [From, Next) answers *CorruptError, and is no reason to keep
// the log from taking appends.
type Gap struct {
	From uint64 `json:"from"`
	Next uint64 `json:"next"`
	Why  string `json:"why"`
}

// loadGaps reads the declared gaps of the log in dir, by offset; none without a file. Errors: errDamaged, I/O.
func loadGaps(f FS, by By, dir string) ([]Gap, error) {
	var gaps []Gap
	name := path.Join(dir, gapsName)
	_, err := loadTwofold(f, by, name, &gaps)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i, g := range gaps {
		if g.From >= g.Next || g.Next > maxOffset || i > 0 && g.From < gaps[i-1].Next {
			return nil, fmt.Errorf("%s is %w: entry %d is out of order or too large", name, errDamaged, i)
		}
	}
	return gaps, nil
}

// saveGaps writes both copies; the caller makes their names durable.
func saveGaps(f FS, by By, dir string, gaps []Gap) error {
	return saveTwofold(f, by, path.Join(dir, gapsName), gaps)
}

// Gaps are the declared gaps, by offset. Any goroutine.
func (l *Log) Gaps() []Gap { return slices.Clone(l.gaps) }

// hole is the error for offsets [from, next), which lie between two segments; the file before them is the one of base.
func (l *Log) hole(from, next uint64, where string) error {
	for _, g := range l.gaps {
		if g.From < next && from < g.Next {
			return &CorruptError{From: from, Next: next, Where: where, Why: "given up in a repair: " + g.Why}
		}
	}
	return l.met(&CorruptError{From: from, Next: next, Where: where, Why: "no segment holds them"})
}
