package disk

import (
	"errors"
	"fmt"
)

// Close ends the log after its writer, flusher and roller have let go: everything is synced, a roll is finished, the
// active segment cut to its size. A log that has failed is only closed. Readers at work finish; later ones get an error.
func (l *Log) Close() error {
	errs := []error{l.rebuild.stop(ByController)}
	if l.Err() == nil {
		errs = append(errs, l.settle())
	}
	if l.Err() == nil {
		errs = append(errs, l.dropSpare())
	} else if s := l.state.Load().spare; s != nil {
		errs = append(errs, s.live.release(ByController))
	}
	l.list.Lock()
	l.list.closed = true
	var held []*handle
	for _, s := range l.list.segs {
		if s.live != nil {
			held = append(held, s.live)
			s.live, s.index, s.lookup = nil, nil, nil
		}
	}
	l.list.Unlock()
	for _, h := range held {
		if err := h.release(ByController); err != nil {
			errs = append(errs, l.fail(fmt.Errorf("close log %s: %w", l.dir, err)))
		}
	}
	if l.Err() == nil {
		errs = append(errs, l.markClosed())
	}
	errs = append(errs, l.progress.marks.close(ByController))
	if l.onClose != nil {
		l.onClose()
	}
	return errors.Join(errs...)
}

// settle brings the files into the state in which the next opening finds nothing to do.
func (l *Log) settle() error {
	if _, err := l.sync(ByController); err != nil {
		return err
	}
	err := errors.Join(l.finishRoll(ByController))
	if l.Err() != nil {
		return err
	}
	active := l.state.Load().active
	length, sizeErr := active.live.file.Size() // allocated is but a hint, and an allocation that failed may have left a part
	if sizeErr != nil {
		return errors.Join(err, l.fail(fmt.Errorf("size of %s: %w", l.fileName(active), sizeErr)))
	}
	if length != active.size.Load() {
		if cut := l.cutToSize(ByController, active); cut != nil {
			err = errors.Join(err, l.fail(cut))
		}
	}
	return err
}

// markClosed writes the last mark, with the word that the log was closed in order: the next opening then scans nothing
// and owes no epoch. One that began uncleanly, and took no append to pay its epoch with, still owes it.
func (l *Log) markClosed() error {
	p := &l.progress
	begun := p.begun.Load()
	if p.marks.file == nil || !begun && p.clean {
		return nil
	}
	m, moved := l.mark()
	if m.clean = begun; !m.clean && !moved {
		return nil
	}
	if st := l.state.Load(); st.prev == nil { // the active segment may be empty; it is where the next opening looks
		m.base = st.active.base
		m.tail, _ = st.active.written.get()
	}
	if err := p.marks.store(l.fs, ByController, m); err != nil {
		return l.fail(err)
	}
	return nil
}

// dropSpare removes a spare that was never used. Its name need not be gone durably: opening drops an empty one.
func (l *Log) dropSpare() error {
	s := l.state.Load().spare
	if s == nil {
		return nil
	}
	return errors.Join(s.live.release(ByController), removeIfThere(l.fs, ByController, l.path(spareName)))
}
