package disk

import (
	"errors"
)

// Close ends the log after its writer, flusher and roller have let go: everything is synced, a roll is finished, the
// active segment cut to its size. A log that sleeps is woken for that, if there is anything to do; one that has failed is
// only closed. It may wait for descriptors. Readers at work finish; later ones get an error.
func (l *Log) Close() error {
	l.falling.Lock() // the roller may have chosen it to make room for another one
	defer l.falling.Unlock()
	l.over = true
	l.rebuild.stop()
	l.quench()
	release, err := l.wakeToClose()
	defer release()
	errs := []error{err}
	if l.Err() == nil && l.state.Load().active.live != nil {
		errs = append(errs, l.settle())
	}
	l.closeProducers()
	errs = append(errs, l.dropSpare(ByController))
	l.list.Lock()
	l.list.closed = true
	l.list.Unlock()
	errs = append(errs, l.closeSegments(ByController))
	if l.Err() == nil && err == nil {
		errs = append(errs, l.markClosed())
	}
	errs = append(errs, l.progress.marks.close(ByController))
	l.files.leave(l)
	l.files.forgetLog(l)
	if l.onClose != nil {
		l.onClose()
	}
	return errors.Join(errs...)
}

// wakeToClose opens the files of a log that sleeps, unless it is as it was after the last stop.
func (l *Log) wakeToClose() (release func(), err error) {
	p := &l.progress
	if l.awake() || l.Err() != nil || !p.begun.Load() && p.clean {
		return func() {}, nil
	}
	release = l.files.lease()
	return release, l.openFiles(ByController)
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
	if cut := l.cutToSize(ByController, l.state.Load().active); cut != nil {
		err = errors.Join(err, l.fail(cut))
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

// dropSpare removes a spare that was never used. Its name need not be gone durably: opening drops an empty one. That of a
// log that has failed stays where it is.
func (l *Log) dropSpare(by By) error {
	st := l.state.Load()
	if st.spare == nil {
		return nil
	}
	err := st.spare.live.release(by)
	if l.Err() == nil {
		err = errors.Join(err, removeIfThere(l.fs, by, l.path(spareName)))
	}
	l.step(st, state{active: st.active})
	return err
}
