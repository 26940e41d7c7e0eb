package disk

import "fmt"

// fileKind is which file of a segment.
type fileKind int

const (
	dataFile fileKind = iota
	indexOfIt
	fileKinds
)

// readFile is a file that is open for readers: a sealed segment, its index, or the segment of a log that sleeps. Fields
// other than file and err are guarded by files.mu. The segment points at it until it is evicted or forgotten.
type readFile struct {
	files *files // nil: it is nobody's but its one reader's
	file  File
	err   error         // why it could not be opened
	ready chan struct{} // closed once file or err stands

	seg            *segment
	kind           fileKind
	pins           int
	dead           bool      // no longer the segment's: the last reader closes it
	before, behind *readFile // in the ring of those not in use
}

// pinMode is what a reader accepts for its file.
type pinMode int

const (
	pinOpen pinMode = iota // only what is open already: else ErrCold
	pinNow                 // it may be opened, but no other file waited for: by those who hold a pin already
	pinWait                // whatever it takes
)

// errNoPin: all descriptors for reading are in use.
var errNoPin = fmt.Errorf("disk: all descriptors for reading are in use")

// pin finds a file of the segment open, or opens it: once, however many ask at the same time, who then share the outcome.
// It stays open until unpin. Errors: ErrCold, errNoPin, errLogClosed, those of opening.
func (f *files) pin(l *Log, s *segment, kind fileKind, mode pinMode) (*readFile, error) {
	f.mu.Lock()
	for waits := false; ; waits = true {
		e := s.files[kind]
		switch {
		case l.ring.closed:
			f.mu.Unlock()
			return nil, errLogClosed
		case mode == pinOpen && (e == nil || e.file == nil || e.pins == 0 && f.mu.pinned >= f.pins):
			f.mu.Unlock()
			return nil, ErrCold
		case e != nil && (e.pins > 0 || f.mu.pinned < f.pins):
			return f.share(e)
		case e == nil && f.mu.pinned < f.pins && (f.freeLocked() > 0 || f.mu.idle.before != f.mu.idle):
			return f.openFor(l, s, kind)
		case mode == pinNow:
			f.mu.Unlock()
			return nil, errNoPin
		}
		if !waits {
			f.mu.info.Waits++
		}
		f.waitLocked()
	}
}

// share gives a file that is open, or being opened, one more user. It unlocks.
func (f *files) share(e *readFile) (*readFile, error) {
	f.mu.info.Hits++
	if e.pins == 0 {
		f.dropIdleLocked(e)
		f.mu.pinned++
	}
	e.pins++
	done := e.file != nil
	f.mu.Unlock()
	if !done {
		if <-e.ready; e.err != nil {
			err := e.err
			e.unpin()
			return nil, err
		}
	}
	return e, nil
}

// openFor opens a file for the first who asks. It unlocks.
func (f *files) openFor(l *Log, s *segment, kind fileKind) (*readFile, error) {
	e := &readFile{files: f, ready: make(chan struct{}), seg: s, kind: kind, pins: 1}
	s.files[kind] = e
	f.mu.info.Misses++
	f.mu.pinned++
	f.mu.cached++
	victims := f.evictLocked()
	f.mu.Unlock()
	closeAll(victims)
	file, err := l.fs.Open(ByReader, l.readName(s, kind))

	f.mu.Lock()
	if e.file, e.err = file, err; err != nil {
		f.forgetLocked(e) // the next one tries again
	}
	f.mu.Unlock()
	close(e.ready)
	if err != nil {
		e.unpin()
		return nil, err
	}
	return e, nil
}

// unpin lets go of the file.
func (e *readFile) unpin() {
	f := e.files
	if f == nil {
		closeAll([]*readFile{e})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.pins--; e.pins > 0 {
		return
	}
	if !e.dead {
		f.keepLocked(e)
		f.mu.pinned--
		f.freedLocked()
		return
	}
	f.mu.Unlock()
	closeAll([]*readFile{e})
	f.mu.Lock()
	f.mu.pinned-- // only now the descriptor is free
	f.mu.cached--
	f.freedLocked()
}

// keepLocked puts a file that nobody uses any more where it is evicted last.
func (f *files) keepLocked(e *readFile) {
	e.before, e.behind = f.mu.idle, f.mu.idle.behind
	e.before.behind, e.behind.before = e, e
}

func (f *files) dropIdleLocked(e *readFile) {
	e.before.behind, e.behind.before = e.behind, e.before
	e.before, e.behind = nil, nil
}

// dropLocked takes a file that nobody uses out of the cache.
func (f *files) dropLocked(e *readFile) {
	f.dropIdleLocked(e)
	f.forgetLocked(e)
}

// forgetLocked makes the next reader open the file anew; who uses it now goes on.
func (f *files) forgetLocked(e *readFile) {
	if e.seg.files[e.kind] == e {
		e.seg.files[e.kind] = nil
	}
	e.dead = true
}

// forget closes a segment's file as soon as nobody reads it any more, because it has changed, or is open elsewhere.
func (f *files) forget(s *segment, kind fileKind) {
	f.mu.Lock()
	e := s.files[kind]
	if e == nil {
		f.mu.Unlock()
		return
	}
	idle := e.pins == 0
	if idle {
		f.dropLocked(e)
	} else {
		f.forgetLocked(e)
	}
	f.mu.Unlock()
	if idle {
		f.closeDropped([]*readFile{e})
	}
}

// forgetLog takes all files of a log that is closed out of the cache, and keeps new ones from coming in.
func (f *files) forgetLog(l *Log) {
	var idle []*readFile
	f.mu.Lock()
	l.ring.closed = true
	for _, s := range l.list.segs {
		for _, e := range s.files {
			switch {
			case e == nil:
			case e.pins == 0:
				f.dropLocked(e)
				idle = append(idle, e)
			default:
				f.forgetLocked(e)
			}
		}
	}
	f.mu.Unlock()
	f.closeDropped(idle)
}

// closeDropped closes files that were dropped, and only then gives their descriptors free.
func (f *files) closeDropped(dropped []*readFile) {
	closeAll(dropped)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.cached -= len(dropped)
	f.freedLocked()
}

// closeAll closes files that were only read.
func closeAll(files []*readFile) {
	for _, e := range files {
		if e.file != nil {
			_ = e.file.Close(ByReader) // there is nothing that it could have lost
		}
	}
}

// readName is the path of a file that readers open by name. Of an unsealed segment that nobody has open: whoever closed it
// left it with its name, or the log was damaged and stays as it is.
func (l *Log) readName(s *segment, kind fileKind) string {
	if kind == indexOfIt {
		return l.path(indexName(s.base))
	}
	return l.fileName(s)
}

// pinFile opens the file of a view whose segment nobody has open for writing.
func (l *Log) pinFile(s *segment, kind fileKind, mode pinMode) (*readFile, error) {
	if l.files != nil {
		return l.files.pin(l, s, kind, mode)
	}
	file, err := l.fs.Open(ByReader, l.readName(s, kind))
	if err != nil {
		return nil, err
	}
	return &readFile{file: file}, nil
}
