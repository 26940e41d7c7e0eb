package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"

	"sluice/wire/batch"
)

// DumpOptions say what to show: a partition from an offset on, or, with File, a single file, of whatever log.
type DumpOptions struct {
	Topic     string
	Partition int
	From      uint64
	File      string // a segment or a .cut file, relative to the file system's root
	Live      bool   // as VerifyOptions.Live
}

// DumpKind says what a piece of a file is.
type DumpKind string

const (
	DumpBatch  DumpKind = "batch"
	DumpDamage DumpKind = "damage" // whole batches, or the known end of the file, follow
	DumpTorn   DumpKind = "torn"   // bytes behind the last whole batch of the last file; on a live directory, being written
)

// DumpPiece is a stretch of a file: bytes [Pos, End), offsets [From, Next). Equal offsets: none, or not known.
type DumpPiece struct {
	Kind       DumpKind
	File       string
	Pos, End   int64
	From, Next uint64
	Why        string // of what is no batch

	Header batch.Header // of a batch
	// Records are those of a batch from DumpOptions.From on, decoded; until the visit returns. An error, that of decoding,
	// comes last.
	Records iter.Seq2[batch.Record, error]
}

// Dump visits the batches of a log, and what is between them, in the order of their offsets, until visit returns an
// error, which it returns. Damage does not stop it. It changes nothing and works on a directory that a server has open.
// Errors: fs.ErrNotExist for what is not there; I/O, where a device fails too often.
func Dump(f FS, o DumpOptions, visit func(DumpPiece) error) error {
	if o.File != "" {
		l := bareLog(f, path.Dir(o.File))
		return (&dumper{l: l, o: o, visit: visit}).single(path.Base(o.File))
	}
	if _, err := listTopics(f, o.Topic); err != nil {
		return err
	}
	dir := path.Join(topicDir(o.Topic), fmt.Sprint(o.Partition))
	silent := &verifier{fs: f, o: VerifyOptions{Live: o.Live}, report: func(Finding) {}}
	c := &logCheck{verifier: silent, at: Finding{Topic: o.Topic, Partition: o.Partition}, l: bareLog(f, dir), indexes: map[uint64]bool{}}
	c.known = c.load() // before the names, as Verify does
	list, err := listLog(f, dir, o.Live)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no partition %d of topic %q: %w", o.Partition, o.Topic, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	c.names(list)
	return (&dumper{l: c.l, o: o, visit: visit, c: c}).log()
}

type dumper struct {
	l     *Log
	o     DumpOptions
	c     *logCheck // nil for a single file
	visit func(DumpPiece) error

	reader batch.Reader
}

// log goes over the segments from the one on that holds the offset asked for.
func (d *dumper) log() error {
	segs, end := d.c.segs, uint64(0)
	for i, s := range segs {
		if s.base > end && d.o.From < s.base {
			if err := d.between(s, end); err != nil {
				return err
			}
		}
		if end = d.c.known.markIn(s.base).off; i+1 < len(segs) {
			end = d.c.known.endBefore(s.base, segs[i+1].base)
		}
		if d.o.From >= end && i+1 < len(segs) {
			continue
		}
		to, err := d.file(s, end, i+1 == len(segs))
		if err != nil {
			return err
		}
		end = max(end, to)
	}
	if !d.c.spare && !d.o.Live {
		return nil
	}
	return d.tail(segs, end)
}

// tail goes on behind the last named segment: with next.seg, or, beside a server, with what has become of it since the
// names were listed.
func (d *dumper) tail(segs []logFile, end uint64) error {
	for {
		base, used, err := d.spare()
		if err != nil || used && base == end || !d.o.Live {
			if err == nil {
				_, err = d.file(logFile{end, spareName}, d.c.known.markIn(end).off, true)
			}
			return err
		}
		next := logFile{end, segmentName(end)}
		switch {
		case !slices.Contains(segs, next) && d.c.there(next.name):
			segs = append(segs, next)
		case used && base > end && len(segs) > 0: // the last one has got more since it was looked at
			next = segs[len(segs)-1]
			d.o.From = max(d.o.From, end)
		default:
			return nil
		}
		to, err := d.file(next, d.c.known.markIn(next.base).off, true)
		if err != nil || to <= end {
			return err
		}
		end = to
	}
}

// spare is the base offset of the first batch in next.seg. False: there is none.
func (d *dumper) spare() (base uint64, used bool, err error) {
	f, err := d.l.fs.Open(ByTool, d.l.path(spareName))
	if err != nil {
		return 0, false, nil // if it is missed, the next opening tells
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	w := window{by: ByTool, file: f, limit: batch.HeaderSize}
	b, err := w.peek(0, batch.HeaderSize)
	if err != nil {
		return 0, false, fmt.Errorf("dump %s: %w", d.l.path(spareName), err)
	}
	h, bad := batch.ParseHeader(b)
	return h.BaseOffset, bad == nil, nil
}

// between tells of offsets that no file holds.
func (d *dumper) between(s logFile, end uint64) error {
	why := "the segments that held them are missing"
	for _, g := range d.c.known.gaps {
		if g.From <= end && end < g.Next {
			why = "a declared gap: " + g.Why
		}
	}
	return d.visit(DumpPiece{Kind: DumpDamage, File: d.l.path(s.name), From: end, Next: s.base, Why: why})
}

// file visits the pieces of a segment's file, and returns the offset behind the last batch.
func (d *dumper) file(s logFile, end uint64, last bool) (to uint64, err error) {
	f, err := d.l.fs.Open(ByTool, d.l.path(s.name))
	if errors.Is(err, fs.ErrNotExist) && d.o.Live { // renamed or removed meanwhile
		return end, nil
	}
	if err != nil {
		return end, d.visit(DumpPiece{Kind: DumpDamage, File: d.l.path(s.name), From: s.base, Next: max(end, s.base), Why: fmt.Sprintf("it cannot be opened: %v", err)})
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	k, err := newWalk(d.l, f, d.c.known.epochs, s.base, spot{0, end}, last || s.name == spareName || end == s.base)
	if err != nil {
		return end, fmt.Errorf("dump %s: %w", d.l.path(s.name), err)
	}
	judged := uint64(maxOffset)
	if d.o.Live && last {
		judged = end
	}
	return d.walk(k, s.name, judged)
}

// walk visits the pieces of a file. From the offset `judged` on a server may be writing: what is no batch there is one
// that was looked at too early, and no damage.
func (d *dumper) walk(k *walk, name string, judged uint64) (to uint64, err error) {
	for p, err := range k.pieces() {
		if err != nil {
			return k.at.off, fmt.Errorf("dump %s at %d: %w", d.l.path(name), p.at.pos, err)
		}
		if p.kind == pieceZeros || p.after.off <= d.o.From && p.after.off > p.at.off {
			continue
		}
		out := DumpPiece{Kind: DumpBatch, File: d.l.path(name), Pos: p.at.pos, End: p.after.pos, From: p.at.off, Next: p.after.off,
			Why: p.why, Header: p.head, Records: d.records(p)}
		switch {
		case p.kind == pieceWhole:
		case p.at.off >= judged:
			out.Kind, out.Why = DumpTorn, "the server is writing here: not judged"
		case p.kind == pieceHole:
			out.Kind = DumpDamage
		case p.kind == pieceTorn:
			out.Kind, out.Why = DumpTorn, "no whole batch"
		case p.kind == pieceBehind:
			out.Kind, out.Why = DumpTorn, "behind the offset where the next segment begins"
		}
		if err := d.visit(out); err != nil {
			return k.at.off, err
		}
	}
	return k.at.off, nil
}

// records decodes a batch when they are asked for.
func (d *dumper) records(p piece) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		var r batch.Record
		if d.reader.Reset(p.bytes, batch.MaxSize) == nil {
			for d.reader.Next(&r) {
				if r.Offset >= d.o.From && !yield(r, nil) {
					return
				}
			}
		}
		if err := d.reader.Err(); err != nil {
			yield(batch.Record{}, err)
		}
	}
}

// single visits a file that may come from anywhere: what offsets it holds, its batches tell.
func (d *dumper) single(name string) (err error) {
	f, err := d.l.fs.Open(ByTool, d.l.path(name))
	if err != nil {
		return fmt.Errorf("dump a file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(ByTool)) }()
	k, err := newWalk(d.l, f, nil, 0, spot{}, true)
	if err != nil {
		return fmt.Errorf("dump %s: %w", name, err)
	}
	s := k.w.behind(0, 0, k.size)
	for pos, h := range s.in(0, k.size) {
		k.at = spot{pos, h.BaseOffset}
		break
	}
	if s.err != nil {
		return fmt.Errorf("dump %s: %w", name, s.err)
	}
	k.v.base, k.v.end = k.at.off, k.at.off
	if k.at.pos > 0 {
		err := d.visit(DumpPiece{Kind: DumpDamage, File: d.l.path(name), End: k.at.pos, Why: "no whole batch"})
		if err != nil {
			return err
		}
	}
	_, err = d.walk(k, name, maxOffset)
	return err
}
