package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
)

// view is one segment as a reader sees it: what was whole when it was taken stays readable until release. Its file is
// either the log's own, which a log that is awake has open for writing, or one that readers share.
type view struct {
	seg   *segment
	base  uint64
	size  int64  // bytes of whole batches
	end   uint64 // offset after the last of them
	file  File
	held  *handle   // the log's own
	pin   *readFile // of any other segment
	index points    // of an unsealed segment

	log    *Log
	epochs epochTable
}

// window begins to look at the view's file.
func (v *view) window(by By) window {
	return window{by: by, file: v.file, limit: v.size, epochs: v.epochs}
}

// view pins the file of the segment that holds offset from, until release. Without wait it answers from what is open
// already; with it, it waits for the disk, and for a descriptor: so whoever holds one view does not ask for another one.
// Errors: ErrCold without wait; *CorruptError for a missing file and between segments; I/O.
func (l *Log) view(from uint64, wait bool) (view, error) {
	v, err := l.pick(from)
	if err != nil || v.held != nil {
		return v, err
	}
	mode := pinOpen
	if wait {
		mode = pinWait
	}
	if v.pin, err = l.pinFile(v.seg, dataFile, mode); err != nil {
		return view{}, l.unread(&v, err)
	}
	v.file = v.pin.file
	return v, nil
}

// unread says why the file of a view could not be opened.
func (l *Log) unread(v *view, err error) error {
	switch {
	case errors.Is(err, ErrCold), errors.Is(err, errClosed):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return l.met(&CorruptError{From: v.base, Next: v.end, Where: l.place(v.base, 0), Why: "the file is missing"})
	}
	return fmt.Errorf("open to read: %w", err)
}

// pick finds the segment that holds offset from, and keeps its file open if the log has it so.
func (l *Log) pick(from uint64) (view, error) {
	l.list.RLock()
	defer l.list.RUnlock()
	segs := l.list.segs
	if l.list.closed {
		return view{}, errLogClosed
	}
	if l.unreadable != nil {
		return view{}, fmt.Errorf("log %s could not be opened: %w", l.dir, l.unreadable)
	}
	i := sort.Search(len(segs), func(i int) bool { return segs[i].base > from }) - 1
	if i < 0 {
		return view{}, l.hole(0, segs[0].base, l.place(segs[0].base, 0))
	}
	s := segs[i]
	v := view{seg: s, base: s.base, held: s.live, index: s.lookup, log: l, epochs: l.epochTable()}
	v.end = s.end.Load() // before size, as the writer stores them the other way round
	v.size = s.size.Load()
	if from >= v.end && i+1 < len(segs) {
		return view{}, l.hole(v.end, segs[i+1].base, l.place(s.base, v.size))
	}
	if v.held != nil {
		v.held.refs.Add(1) // cannot be dead: the log gives its own reference up under the lock
		v.file = v.held.file
	}
	return v, nil
}

// release ends the view; its error joins err.
func (v *view) release(err *error) {
	var failed error
	switch {
	case v.held != nil:
		if failed = v.held.release(ByReader); failed != nil { // the last to let go of it: the close was the log's (I6)
			failed = v.log.fail(failed)
		}
	case v.pin != nil:
		v.pin.unpin()
	}
	if failed != nil {
		*err = errors.Join(*err, fmt.Errorf("close after reading: %w", failed))
	}
}
