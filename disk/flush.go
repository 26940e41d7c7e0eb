package disk

import (
	"fmt"

	"sluice/sched"
)

// Sync makes what is appended durable and returns the new durable point. A rolled segment comes first, then the active
// one; each file's sync moves the point to the end that file had before the sync, so it never passes a file that is not
// synced itself (I2). Nothing unsynced means no system call. The first error fails the log and is never retried (I6):
// the kernel may have dropped the pages and would answer a second sync with success. FLUSHER ONLY.
func (l *Log) Sync() (durable uint64, err error) {
	for !l.enter(gateFlusher) {
		if durable, over, err := l.syncedAsleep(); over {
			return durable, err
		}
	}
	defer l.leave(gateFlusher)
	return l.sync(ByFlusher)
}

// syncedAsleep tells what came of the sync of a log that falls asleep, and waits for it. Not over: it stays awake.
func (l *Log) syncedAsleep() (durable uint64, over bool, err error) {
	l.falling.Lock()
	defer l.falling.Unlock()
	err = l.Err()
	return l.Durable(), err != nil || !l.Dirty(), err
}

func (l *Log) sync(by By) (uint64, error) {
	if err := l.Err(); err != nil {
		return l.Durable(), err
	}
	st := l.state.Load() // both at once: a new active segment without its predecessor would take the point too far
	if st.prev != nil && !st.prev.synced.Load() {
		if err := l.syncSegment(by, st.prev); err != nil {
			return l.Durable(), err
		}
	}
	err := l.syncSegment(by, st.active)
	return l.Durable(), err
}

// syncSegment moves the durable point to the segment's end, and marks the segment synced if that end is final.
func (l *Log) syncSegment(by By, s *segment) error {
	final := s.rolled.Load() // before the end: what was appended later is not meant
	end, sum := s.written.get()
	if end.off > l.durable.Load() && !(final && sched.Planted("durable-past-unsynced-file")) {
		if err := l.syncTo(by, s, end, sum); err != nil {
			return err
		}
	}
	if final {
		s.synced.Store(true) // from here on the roller may take the file away
	}
	return nil
}

func (l *Log) syncTo(by By, s *segment, end tail, sum int64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := l.Err(); err != nil { // the writer may have got the error that this sync would not be told of
		return err
	}
	if sched.Planted("mark-before-sync") {
		l.covered(s, 0, end, sum)
		_ = l.Mark(by) // a bug built in on purpose
	}
	var err error
	if by != ByRoller || !sched.Planted("sleep-unsynced") {
		err = s.live.file.Sync(by)
	}
	if err != nil && sched.Planted("retry-sync") {
		err = s.live.file.Sync(by)
	}
	if err != nil && !sched.Planted("ignore-sync-error") {
		return l.fail(fmt.Errorf("sync %s: %w", l.path(segmentName(s.base)), err))
	}
	l.covered(s, 0, end, sum)
	return nil
}
