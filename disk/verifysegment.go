package disk

import (
	"errors"
	"fmt"

	"sluice/wire/batch"
)

// segmentCheck is the look at one file of a log.
type segmentCheck struct {
	*logCheck
	s    logFile
	k    *walk
	end  spot
	last bool // of the log: it may grow, be torn, and have zeros behind its batches

	index *indexCheck

	// Of the last segment, behind what is known to be synced: where whole batches end, and how far others follow.
	cut  *piece
	lost uint64
}

// run goes over the file and returns the offset behind the last batch that counts.
func (c *segmentCheck) run() uint64 {
	at := spot{0, c.s.base}
	if !c.last && c.k.size < minBatch {
		c.damage(piece{at: at, after: c.end, why: fmt.Sprintf("the file has %d bytes, too few for a batch", c.k.size)})
		return c.end.off
	}
	for p, err := range c.k.pieces() {
		if err != nil {
			c.damage(piece{at: p.at, after: spot{c.k.size, max(c.end.off, p.at.off)}, why: fmt.Sprintf("the file cannot be read from here on: %v", err)})
			return max(c.end.off, p.at.off)
		}
		c.piece(p)
		c.sum.Bytes += p.after.pos - p.at.pos
		c.o.Progress.Done.Add(p.after.pos - p.at.pos)
		if c.cut == nil {
			at = p.after
		}
		if p.kind == pieceWhole && at.off == c.end.off && c.end.pos > 0 && at.pos != c.end.pos {
			c.tell(c.finding(Problem, piece{at: at, after: at}, fmt.Sprintf("the durable mark says that offset %d is at byte %d", at.off, c.end.pos)))
		}
	}
	c.torn()
	if c.index == nil {
		return max(at.off, c.end.off)
	}
	if why := c.index.verdict(c.k.size, c.end.off); why != "" {
		c.tell(Finding{Severity: Problem, File: c.index.name, Pos: -1, What: "the index does not fit its segment: " + why,
			Do: "reads do not trust it and are only slower; sluice repair, or the server itself, makes it anew"})
	}
	return max(at.off, c.end.off)
}

func (c *segmentCheck) piece(p piece) {
	flux := c.last && p.at.off >= c.end.off // not known to be synced
	switch {
	case p.kind == pieceWhole && c.cut != nil:
		c.lost = p.after.off
	case p.kind == pieceWhole:
		c.batch(p)
	case p.kind == pieceZeros && c.last:
	case p.kind == pieceZeros:
		f := c.finding(Problem, p, fmt.Sprintf("%d zeros follow the segment's last batch", p.after.pos-p.at.pos))
		f.Do = repairDo
		c.blind()
		c.tell(f)
	case p.kind == pieceBehind:
		c.behind(p)
	case flux && c.cut == nil:
		p.bytes = nil
		c.cut = &p
	case !flux:
		c.damage(p)
	}
}

// batch looks at what the checksum does not say: the records themselves, and the index.
func (c *segmentCheck) batch(p piece) {
	c.sum.Batches++
	c.sum.Records += uint64(p.head.Count)
	if c.index != nil {
		c.index.batch(p)
	}
	err := c.reader.Reset(p.bytes, batch.MaxSize)
	for r := (batch.Record{}); err == nil && c.reader.Next(&r); {
	}
	if err = errors.Join(err, c.reader.Err()); err != nil {
		f := c.finding(Note, p, fmt.Sprintf("the batch is as its producer sent it, but its records cannot be decoded: %v", c.reader.Err()))
		f.Do = "only FETCH and raw TAIL can read it"
		c.tell(f)
	}
}

func (c *segmentCheck) finding(s Severity, p piece, what string) Finding {
	return Finding{Severity: s, File: c.s.name, Pos: p.at.pos, From: p.at.off, Next: p.after.off, What: what}
}

func (c *segmentCheck) damage(p piece) {
	f := c.finding(Damage, p, p.why)
	f.Do = restoreDo
	if p.at.off == p.after.off {
		f.Severity, f.Do = Problem, repairDo
	}
	c.tell(f)
	if c.index != nil {
		c.index.skip(p)
	}
}

// torn tells about bytes of the last segment that are no batches of the log, behind what is known to be synced.
func (c *segmentCheck) torn() {
	if c.cut == nil {
		return
	}
	f := c.finding(Note, *c.cut, "")
	f.Next = f.From
	switch {
	case c.o.Live:
		f.What = "from here on the server is writing: not judged"
	case c.lost == 0:
		f.What = "a torn end, as a crash leaves it: no whole batch follows"
		f.Do = "the next start cuts it off, and keeps it in a .cut file"
	default:
		f.Severity, f.Next = Problem, c.lost
		f.What = "a hole behind what was synced, and whole batches behind it: what a crash may leave; their records are lost to the log"
		f.Do = "the next start cuts all of it off, and keeps it in a .cut file; sluice dump --file shows its records"
	}
	c.tell(f)
}

// blind keeps what is wrong with the segment from being blamed on its index.
func (c *segmentCheck) blind() {
	if c.index != nil {
		c.index.blind = true
	}
}

// behind tells about bytes of a sealed segment behind its last batch.
func (c *segmentCheck) behind(p piece) {
	n := p.after.pos - p.at.pos
	c.blind()
	f := c.finding(Problem, p, fmt.Sprintf("%d bytes follow the segment's last batch", n))
	f.Do = repairDo
	h, _, err := c.k.w.batch(p.at.pos, p.at.off, maxOffset)
	switch {
	case err == nil:
		f.Next = h.Next()
		f.What = fmt.Sprintf("%d bytes follow the offset at which the next segment begins: batches from %d on are there twice, and are the same", n, p.at.off)
		same, err := c.sameAsNext(p)
		if err != nil {
			f = c.unreadable(segmentName(p.at.off), err)
		} else if !same {
			f.Severity, f.Do = Damage, "compare the two with sluice dump --file; those in the next segment are served, and sluice repair sets these aside"
			f.What = fmt.Sprintf("%d bytes follow the offset at which the next segment begins: offsets from %d on are there twice, and are not the same", n, p.at.off)
		}
	case !isBad(err):
		f = c.unreadable(c.s.name, err)
	}
	c.tell(f)
}

// sameAsNext compares what follows the segment's end with the start of the segment that begins there.
func (c *segmentCheck) sameAsNext(p piece) (same bool, err error) {
	f, err := c.fs.Open(ByTool, c.l.path(segmentName(p.at.off)))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	size, err := f.Size()
	other := window{by: ByTool, file: f, limit: min(size, p.after.pos-p.at.pos)}
	for pos := int64(0); err == nil && pos < other.limit; {
		a, err := c.k.w.peek(p.at.pos+pos, 1)
		if err != nil {
			return false, err
		}
		b, err := other.peek(pos, 1)
		n := min(len(a), len(b))
		if err != nil || n == 0 || string(a[:n]) != string(b[:n]) {
			return false, err
		}
		pos += int64(n)
	}
	return err == nil, err
}
