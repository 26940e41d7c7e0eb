package disk

import (
	"errors"
	"fmt"
	"io"
)

// indexCheck compares an index file with its segment while that one is walked.
type indexCheck struct {
	name string
	base uint64
	x    *indexFile
	why  string // what is wrong with it, the first thing only; "": nothing so far

	i       int   // the entry to come
	next    entry // what it says, if there is one
	maxTime int64 // of the batches so far
	blind   bool  // behind damage: maxTime is not known any more
}

// openIndexCheck opens the index of a walk's segment. What is wrong with it is kept for finish.
func openIndexCheck(l *Log, k *walk) *indexCheck {
	c := &indexCheck{name: indexName(k.v.base), base: k.v.base, maxTime: minTime}
	f, err := l.fs.Open(ByTool, l.path(c.name))
	if err != nil {
		c.lie("it cannot be opened: %v", err)
		return c
	}
	c.x = &indexFile{f: f}
	v, err := indexClaims(f, k)
	var sum *summary
	if err == nil {
		sum, err = c.x.check(&v)
	}
	switch {
	case sum != nil: // the batch that the first entry points at is looked at when its turn comes
		c.load()
	case errors.Is(err, errBadIndex), errors.Is(err, io.ErrUnexpectedEOF):
		c.lie("it is damaged, or that of another segment")
	default:
		c.lie("it cannot be read: %v", err)
	}
	return c
}

// indexClaims is the walk's segment as its index describes it: whether the two agree is seen at the end of the walk, and
// a segment that lost its end must not put the blame on its index.
func indexClaims(f File, k *walk) (view, error) {
	v := k.v
	size, err := f.Size()
	if err != nil {
		return v, err
	}
	b := make([]byte, summaryBytes)
	if err := readFull(ByTool, f, b, max(size-summaryBytes, 0)); err != nil {
		return v, err
	}
	sum, _ := parseSummary(b)
	v.size, v.end = sum.size, sum.next
	return v, nil
}

func (c *indexCheck) close() error {
	if c == nil || c.x == nil {
		return nil
	}
	return c.x.f.Close(ByTool)
}

func (c *indexCheck) lie(format string, args ...any) {
	if c.why == "" {
		c.why = fmt.Sprintf(format, args...)
	}
}

// load reads the entry to come. False: there is none, or nothing is believed any more.
func (c *indexCheck) load() bool {
	if c.why != "" || c.i >= c.x.len() {
		return false
	}
	var err error
	if c.next, err = c.x.at(c.i); err != nil {
		c.lie("it cannot be read: %v", err)
	}
	return err == nil
}

// more tells whether there is an entry to come.
func (c *indexCheck) more() bool { return c.why == "" && c.i < c.x.len() }

// batch compares a batch with the entry to come.
func (c *indexCheck) batch(p piece) {
	c.missed(p.at.pos)
	if c.more() && int64(c.next.pos) == p.at.pos {
		switch {
		case c.base+uint64(c.next.rel) != p.at.off:
			c.lie("its entry %d says that offset %d is at byte %d, where offset %d is", c.i, c.base+uint64(c.next.rel), c.next.pos, p.at.off)
		case c.i == 0 && c.x.sum.first != p.head.CRC:
			c.lie("it is another segment's: the batch at its first entry has another checksum")
		case !c.blind && c.next.before != c.maxTime:
			c.lie("its entry %d names another highest time of the batches before it than they have", c.i)
		}
		c.i++
		c.load()
	}
	c.maxTime = max(c.maxTime, p.head.MaxTime)
}

// missed: an entry points before pos, and no batch began there.
func (c *indexCheck) missed(pos int64) {
	if c.more() && int64(c.next.pos) < pos {
		c.lie("its entry %d points at byte %d, where no batch begins", c.i, c.next.pos)
	}
}

// skip passes the entries that point into damage: they may be right.
func (c *indexCheck) skip(p piece) {
	c.missed(p.at.pos)
	c.blind = true
	for c.more() && int64(c.next.pos) < p.after.pos {
		c.i++
		c.load()
	}
}

// verdict says what is wrong, once the whole segment was gone over: so many bytes, up to that offset.
func (c *indexCheck) verdict(size int64, end uint64) string {
	switch {
	case c.why != "" || c.blind:
	case c.more():
		c.lie("its entry %d points at byte %d, behind the last batch", c.i, c.next.pos)
	case c.x.sum.maxTime != c.maxTime:
		c.lie("it names another highest time of the segment than its batches have")
	case c.x.len() == 0:
		c.lie("it has no entries")
	case c.x.sum.size != size || c.x.sum.next != end:
		c.lie("it is for a segment of %d bytes that ends at offset %d", c.x.sum.size, c.x.sum.next)
	}
	return c.why
}
