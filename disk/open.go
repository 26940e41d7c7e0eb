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
	Clean    bool          // the log had been closed in order, or is new
	Mark     uint64        // offset of the durable mark that was believed; 0 without one
	Scanned  int64         // bytes of batches checked
	Replayed int64         // bytes of batches read for what is known of their producers
	Took     time.Duration // by LogOptions.Clock
	Cut      int64         // bytes of a torn tail that were set aside
	CutFile  string        // where they are, relative to the root; the last one, if there are several
	Repaired []string      // small files of which a copy was damaged or missing, and what became of that
	Made     bool          // there was nothing, and an empty log was made
	Migrated bool          // the log has files of the format before marks and epochs only

	// Possible loss: whole batches lay behind a hole and were set aside with what was cut, or readers had been shown more
	// than is left. Offsets [LostFrom, LostNext) were given to records once and will be given again, in another epoch.
	// Equal: nothing of the kind.
	LostFrom, LostNext uint64
}

// lost widens the range of possible loss.
func (r *Recovery) lost(from, next uint64) {
	if r.LostFrom == r.LostNext {
		r.LostFrom, r.LostNext = from, next
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
	if o.Producers == nil {
		o.Producers = NewProducers(producersPerLog, 24*time.Hour)
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
	spare *segment   // next.seg, while it is not in named; nil: there is none, or none that counts
	names map[string]bool

	mark   mark // the newest
	marked bool // there is one
	table  bool // the epoch table was read, and not made from batches
	clean  bool // the log was closed in order, and the files agree

	broken error // why the log can only be read: from then on nothing is changed
}

// openLog opens the log in dir, or makes an empty one there. Whatever is found, a crash at any point of it and another
// opening lead to the same end. Errors are those of listing and reading, and of making a new log; what else is wrong is
// told by Err of the log, which can be read as far as it is whole.
func openLog(fs FS, files *files, dir string, o LogOptions, log *zap.Logger) (*Log, Recovery, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, Recovery{}, err
	}
	began := o.Clock()
	p := opener{l: &Log{fs: fs, files: files, dir: dir, opt: o, log: log}, names: make(map[string]bool)}
	p.l.progress.marks.dir = dir
	p.l.producers.bound = o.Producers
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
	if err := p.loadFacts(); err != nil {
		return err
	}
	if p.isNew() {
		if err := p.create(); err != nil {
			return err
		}
		p.rec.Made = true
		p.publish()
		if !p.l.files.tryAdmit(p.l) { // its first append is on its way
			p.sleep()
		}
		return nil
	}
	p.checkNames()
	if err := p.recover(); err != nil {
		return err
	}
	p.recoverProducers()
	p.closeSpare()
	p.publish()
	p.sleep()
	return nil
}

// sleep closes the log's files. What opening wrote is synced; or else the log can only be read, and has told why.
func (p *opener) sleep() {
	l := p.l
	l.gate.Store(gateAsleep)
	err := l.closeSegments(ByOpen)
	if failed := l.progress.marks.close(ByOpen); failed != nil {
		err = errors.Join(err, l.fail(failed))
	}
	if err != nil {
		l.log.Warn("an opening's files could not be closed", zap.String("log", l.dir), zap.Error(err))
	}
}

// abandon closes what a failed opening had opened.
func (p *opener) abandon() error {
	p.l.producers.drop()
	errs := []error{p.l.progress.marks.close(ByOpen)}
	for _, s := range append(p.named, p.spare) {
		if s != nil && s.live != nil {
			errs = append(errs, s.live.release(ByOpen))
			s.live = nil
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
			p.spare = &segment{unnamed: true}
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

// isOurs tells the names that a log makes: segment, index, cut bytes, and the small files.
func isOurs(name string) bool {
	switch strings.TrimSuffix(name, secondCopy) {
	case epochsName, gapsName, producersName:
		return true
	}
	_, ending, ok := splitName(name)
	return name == marksName || ok && (ending == logEnding || ending == idxEnding || strings.HasSuffix(ending, cutEnding))
}

// checkNames finds what names and sizes show to be missing. It is never closed by renumbering (C6, C8). A segment that is
// missing in the middle does not show: the one before it then seems to reach further than it does, and reads find out.
func (p *opener) checkNames() {
	if len(p.named) == 0 {
		return
	}
	if first := p.named[0]; first.base != 0 && !p.declared(0, first.base) {
		p.damage(0, first.base, p.l.place(first.base, 0), "the log's first segments are missing")
	}
	for i, s := range p.named[:len(p.named)-1] {
		after := p.named[i+1]
		s.end.Store(after.base)
		for _, g := range p.l.gaps {
			if g.Next == after.base && g.From >= s.base {
				s.end.Store(g.From)
			}
		}
		if end := s.end.Load(); s.size.Load() < minBatch && end > s.base {
			p.damage(s.base, end, p.l.place(s.base, s.size.Load()), "the file is too short to hold a batch")
		}
	}
}

// declared tells whether a declared gap covers [from, next).
func (p *opener) declared(from, next uint64) bool {
	for _, g := range p.l.gaps {
		if g.From <= from && next <= g.Next {
			return true
		}
	}
	return false
}

// damage makes the log one that is only read. The first damage is the one that is told.
func (p *opener) damage(from, next uint64, where, why string) {
	p.breaks(fmt.Errorf("%w; `sluice verify` lists all damage, `sluice repair` sets it aside",
		&CorruptError{From: from, Next: next, Where: where, Why: why}))
}

func (p *opener) breaks(why error) {
	if p.broken == nil {
		p.broken = why
	}
}

// apply changes something, unless the log can only be read; from an error on that is the case.
func (p *opener) apply(change func() error) {
	if p.broken != nil {
		return
	}
	if err := change(); err != nil {
		p.breaks(full(fmt.Errorf("recover %s: %w; it is read only until a restart finds this mended", p.l.dir, err)))
	}
}

// publish makes the log from what is now known to be there. Everything below its end is durable.
func (p *opener) publish() {
	l := p.l
	active := p.named[len(p.named)-1]
	l.list.segs = p.named
	for _, s := range p.named[:len(p.named)-1] {
		l.list.bytes += s.size.Load()
	}
	end, _ := active.written.get()
	l.state.Store(&state{active: active})
	l.next.Store(active.end.Load())
	l.durable.Store(active.end.Load())
	l.progress.mu.base, l.progress.mu.tail = active.base, end
	l.progress.clean, p.rec.Clean = p.clean, p.clean || l.progress.begun.Load()
	if active.front.pos > 0 {
		l.indexWanted.Store(true) // it may be already: a look behind damage wants one, too
	}
	l.progress.seen = p.mark.epoch
	l.owe()
	if p.broken != nil {
		_ = l.fail(p.broken) // Err tells it from now on
	}
}

// maxOffset bounds the offsets a log can reach.
const maxOffset = math.MaxInt64
