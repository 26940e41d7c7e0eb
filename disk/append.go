package disk

import (
	"errors"
	"fmt"
	"io"
	"math"

	"sluice/wire/batch"
)

// Room is how many bytes the active segment takes before it would pass segment.bytes. An empty one also takes a single
// batch that is larger. A log that sleeps, or has not begun, has no room: a Roll that fails, and a Maintain, let it take
// appends. A failed log has room for everything: its Append then tells why. WRITER ONLY.
func (l *Log) Room() (bytes int64, empty bool) {
	if l.failure.Load() != nil {
		return math.MaxInt64, false
	}
	if l.shut = !l.progress.begun.Load() || !l.awake(); l.shut {
		return 0, false
	}
	l.touch()
	size := l.state.Load().active.size.Load()
	return max(l.opt.SegmentBytes-size, 0), size == 0
}

// Append stores p: whole, checked batches back to back, for which there was Room. It stamps base offsets and the epoch
// into p itself, writes p with one call, and then shows it to readers. The records have offsets [first, next). With Dsync
// they are durable, as all before them is. Batches with sequences have been judged before. WRITER ONLY.
//
// Errors: ErrAsleep and ErrFailed (the log fell asleep or failed earlier, nothing was written); ErrNoSpace (nothing of p is in the file, proven by a
// synced cut back; the log goes on); any other is the failure of this very write: the outcome is unknown, and the log
// has failed.
func (l *Log) Append(p []byte) (first, next uint64, err error) {
	if err := l.Err(); err != nil {
		return 0, 0, err
	}
	if !l.progress.begun.Load() {
		panic("BUG: append to a log that has not begun")
	}
	if !l.enter(gateWriter) {
		l.progress.wanted.Store(true)
		return 0, 0, ErrAsleep
	}
	defer l.leave(gateWriter)
	l.touch()
	seg := l.state.Load().active
	first, pos := l.next.Load(), seg.size.Load()
	end := l.stamp(seg, p, first, pos)
	if next = end.off; next > maxOffset {
		return 0, 0, l.fail(fmt.Errorf("append to %s: its offsets have reached the last one, %d; go on in a new topic", l.dir, int64(maxOffset)))
	}
	if n := int64(len(p)); n > l.largest.Load() {
		l.largest.Store(n)
	}
	if l.opt.Dsync { // such a write is a sync, too
		seg.syncing.Lock()
		defer seg.syncing.Unlock()
	}
	n, err := l.write(seg.live.file, p, pos)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		if !l.opt.Dsync {
			seg.syncing.Lock()
			defer seg.syncing.Unlock()
		}
		return 0, 0, l.appendFailed(seg, pos, err)
	}
	seg.checked.grow(spot{pos, first})
	seg.index.publish()
	seg.size.Store(end.pos)
	seg.end.Store(next)
	sum := l.progress.written.Add(int64(n))
	seg.written.set(end, sum)
	if l.producers.sequences > 0 {
		l.noteSequences(p)
	}
	l.handProducers(seg.base, end, sum)
	l.next.Store(next) // last: readers load it first, so the bytes it promises are there
	if l.opt.Dsync {
		l.covered(seg, first, end, sum)
	}
	return first, next, nil
}

func (l *Log) write(f File, p []byte, pos int64) (int, error) {
	if l.opt.Dsync {
		return f.WriteSync(ByWriter, p, pos)
	}
	return f.WriteAt(ByWriter, p, pos)
}

// stamp gives the batches in p their offsets, from first on, and notes them in the index; it returns where they end.
func (l *Log) stamp(seg *segment, p []byte, first uint64, pos int64) tail {
	t := tail{spot: spot{pos, first}}
	epoch := l.Epoch()
	l.producers.sequences = 0
	for rest := p; len(rest) > 0; {
		h, err := batch.ParseHeader(rest)
		if err != nil || h.Size > len(rest) {
			panic(fmt.Sprintf("BUG: append of bytes that nobody checked: %v", err))
		}
		batch.SetBase(rest, t.off, epoch)
		seg.index.note(t.off-seg.base, t.pos, h.MaxTime, h.CRC)
		if h.ProducerID >= 0 {
			l.producers.sequences++
		}
		h.BaseOffset = t.off
		t.step(h)
		rest = rest[h.Size:]
	}
	return t
}

// appendFailed decides what a failed write means. Without space nothing else is wrong: if the file can be proven to end
// where it ended before, the append did not happen. Any other error leaves the outcome open.
func (l *Log) appendFailed(seg *segment, pos int64, err error) error {
	name := l.path(segmentName(seg.base))
	if !noSpace(err) {
		return l.fail(fmt.Errorf("append to %s at %d: %w", name, pos, err))
	}
	if cut := seg.live.file.Truncate(ByWriter, pos); cut != nil {
		return l.fail(fmt.Errorf("cut %s back to %d after %w: %w", name, pos, err, cut))
	}
	if cut := seg.live.file.Sync(ByWriter); cut != nil {
		return l.fail(fmt.Errorf("sync %s, cut back to %d after %w: %w", name, pos, err, cut))
	}
	seg.allocated.Store(pos)
	seg.index.discard()
	return fmt.Errorf("append to %s at %d: %w", name, pos, errors.Join(ErrNoSpace, err))
}

// Roll makes the spare the active segment, in memory only (I8). False: there is no spare yet; the roller now knows that
// one is wanted (MaintenanceDue), but cannot make it before the last roll is done, which needs a Sync. Or the log has not
// begun, or sleeps, which the roller then knows. An empty active segment is as good as a new one and stays. WRITER ONLY.
func (l *Log) Roll() bool {
	// What Room said is what counts: should the gate have opened since, there may be room, and no reason to roll.
	if l.shut || !l.progress.begun.Load() || !l.enter(gateWriter) {
		l.shut = false
		l.progress.wanted.Store(true)
		return false
	}
	defer l.leave(gateWriter)
	st := l.state.Load()
	old, s := st.active, st.spare
	if old.size.Load() == 0 {
		return true
	}
	if s == nil {
		l.spareWanted.Store(true)
		return false
	}
	s.base = l.next.Load()
	s.end.Store(s.base)
	s.written.set(tail{spot: spot{0, s.base}}, l.progress.written.Load())
	old.rolled.Store(true)

	l.list.Lock()
	l.list.segs = append(l.list.segs, s)
	l.list.bytes += old.size.Load()
	l.list.Unlock()

	l.spareWanted.Store(false)
	l.step(st, state{active: s, prev: old})
	return true
}
