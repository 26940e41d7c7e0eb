package disk

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Recovery tells what opening a log found and did.
type Recovery struct {
	Scanned int64         // bytes of batches checked
	Took    time.Duration // by LogOptions.Clock
	Cut     int64         // bytes of a torn tail that were set aside
	CutFile string        // where they are, relative to the root; the last one, if there are several

	// Possible loss: whole batches lay behind a hole and were set aside with what was cut. Offsets [LostFrom, LostNext)
	// were given to records once and will be given again. Equal: nothing of the kind.
	LostFrom, LostNext uint64
}

// lost widens the range of possible loss.
func (r *Recovery) lost(from, next uint64) {
	if r.LostFrom == r.LostNext {
		r.LostFrom = from
	}
	r.LostFrom, r.LostNext = min(r.LostFrom, from), max(r.LostNext, next)
}

func (o LogOptions) withDefaults() (LogOptions, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.IndexInterval == 0 {
		o.IndexInterval = defaultIndexInterval
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.SegmentBytes < 0 || o.SegmentBytes > maxSegment {
		return o, fmt.Errorf("disk: segment size %d is not between 1 and %d bytes", o.SegmentBytes, int64(maxSegment))
	}
	if o.IndexInterval < 0 {
		return o, fmt.Errorf("disk: index interval %d is negative", o.IndexInterval)
	}
	return o, nil
}

// opener is the work of opening one log.
type opener struct {
	l   *Log
	rec Recovery

	named []*segment // by base; sizes are the files'
	spare bool       // there is a next.seg
	names map[string]bool
}

// openLog opens the log in dir, or makes an empty one there. Whatever is found, a crash at any point of it and another
// opening lead to the same end.
func openLog(fs FS, dir string, o LogOptions, log *zap.Logger) (*Log, Recovery, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, Recovery{}, err
	}
	began := o.Clock()
	p := opener{l: &Log{fs: fs, dir: dir, opt: o, log: log}, names: make(map[string]bool)}
	if err := p.run(); err != nil {
		return nil, p.rec, errors.Join(err, p.abandon())
	}
	p.rec.Took = o.Clock().Sub(began)
	return p.l, p.rec, nil
}

func (p *opener) run() error {
	if err := p.list(); err != nil {
		return err
	}
	if err := p.checkNames(); err != nil {
		return err
	}
	if err := p.recover(); err != nil {
		return err
	}
	p.publish()
	return nil
}

// abandon closes what a failed opening had opened.
func (p *opener) abandon() error {
	var errs []error
	for _, s := range p.named {
		if s.live != nil {
			errs = append(errs, s.live.release(ByOpen))
		}
	}
	return errors.Join(errs...)
}

// list sorts the directory's names into ours and others. What was written aside and never renamed is removed.
func (p *opener) list() error {
	if err := p.l.fs.MkdirAll(ByOpen, p.l.dir); err != nil {
		return fmt.Errorf("open log %s: %w", p.l.dir, err)
	}
	found, err := p.l.fs.List(ByOpen, p.l.dir)
	if err != nil {
		return fmt.Errorf("open log %s: %w", p.l.dir, err)
	}
	for _, e := range found {
		p.names[e.Name] = true
		base, ending, ok := splitName(e.Name)
		switch {
		case e.Dir:
			p.foreign(e)
		case e.Name == spareName:
			p.spare = true
		case strings.HasSuffix(e.Name, tmpEnding) && isOurs(strings.TrimSuffix(e.Name, tmpEnding)):
			if err := p.l.fs.Remove(ByOpen, p.l.path(e.Name)); err != nil {
				return fmt.Errorf("remove an unfinished file: %w", err)
			}
		case ok && ending == logEnding:
			s := &segment{base: base, sealed: true}
			s.size.Store(e.Size)
			p.named = append(p.named, s)
		case !isOurs(e.Name):
			p.foreign(e)
		}
	}
	return nil
}

func (p *opener) foreign(e Entry) {
	p.l.log.Warn("a file that is not the log's lies in its directory and is left alone", zap.String("file", p.l.path(e.Name)))
}

// splitName takes a name like 00000000000000000042.log apart. Offsets end at 2^63-1, as the protocols' do.
func splitName(name string) (base uint64, ending string, ok bool) {
	if len(name) <= baseDigits {
		return 0, "", false
	}
	base, err := strconv.ParseUint(name[:baseDigits], 10, 63)
	return base, name[baseDigits:], err == nil && name[0] != '+'
}

// isOurs tells the names that a log makes: segment, index, and cut bytes.
func isOurs(name string) bool {
	_, ending, ok := splitName(name)
	return ok && (ending == logEnding || ending == idxEnding || strings.HasSuffix(ending, cutEnding))
}

// checkNames fails for holes that names and sizes show. They are never closed by renumbering (C6, C8).
func (p *opener) checkNames() error {
	if len(p.named) == 0 {
		return nil
	}
	if first := p.named[0]; first.base != 0 {
		return p.hole(0, first.base, first, "the log's first segments are missing")
	}
	for i, s := range p.named[:len(p.named)-1] {
		after := p.named[i+1]
		s.end.Store(after.base)
		if s.size.Load() < minBatch {
			return p.hole(s.base, after.base, s, "the file is too short to hold a batch")
		}
	}
	return nil
}

func (p *opener) hole(from, next uint64, s *segment, why string) error {
	return fmt.Errorf("open log %s: %w", p.l.dir, &CorruptError{From: from, Next: next, Where: p.l.place(s.base, s.size.Load()), Why: why})
}

// publish makes the log from what is now known to be there. Everything was synced on the way.
func (p *opener) publish() {
	l := p.l
	active := p.named[len(p.named)-1]
	l.list.segs = p.named
	for _, s := range p.named[:len(p.named)-1] {
		l.list.bytes += s.size.Load()
	}
	l.oldest.Store(p.named[0].base)
	l.state.Store(&state{active: active})
	l.next.Store(active.end.Load())
	l.durable.Store(active.end.Load())
}

// maxOffset bounds the offsets a log can reach.
const maxOffset = math.MaxInt64
