package disk

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"sluice/sched"
	"sluice/wire/batch"
)

// snapshotEvery is how many bytes a log gets before what it knows of its producers is written again: a few segments, as
// opening has to open each. Opening reads the batches behind what was written last: as many bytes, and what was unsynced
// when that was due, which is at most CheckpointBytes.
func (l *Log) snapshotEvery() int64 { return min(CheckpointBytes/2, 4*l.opt.SegmentBytes) }

// producerState is what a log knows of its producers, and where that is kept.
type producerState struct {
	bound *Producers

	// The writer's, once there is set; before that the opener's, then the roller's.
	table     *producerTable
	since     int64 // progress.written when a snapshot was last handed over
	sequences int   // in the append under way

	// A snapshot is in the log's directory, durably. Before that no sequence is appended, or opening would not know from
	// which offset on there may be some. Stored by the opener or the roller.
	there  atomic.Bool
	wanted atomic.Bool              // an append waits for that; stored by the writer
	handed atomic.Pointer[snapshot] // stored by the writer; cleared by the roller, having written it

	turn   int    // which file is the next to be written; its owner is that of marks
	stored uint64 // offset of the newest one
}

// Judge says what to do with p: one checked batch, or several of which none has a sequence. Without ahead, the log is taken
// as it is; with it, as it will be once the batches have been appended that were found Fresh since the last call without.
// A failed log judges nothing, and its Append tells why. It allocates nothing for a producer that is known. WRITER ONLY.
//
// Unready: nothing can be told before a Maintain. It is to be treated as a log without room.
// Later, ahead: the batch is for the next write.
func (l *Log) Judge(p []byte, ahead bool) Verdict {
	if l.failure.Load() != nil {
		return Verdict{}
	}
	ps := &l.producers
	there := ps.there.Load()
	if there && !ahead {
		ps.table.round++ // also for a batch without a sequence: what was gathered before it may have been refused
	}
	s, ok := sequenceOf(batch.ReadHeader(p))
	if !ok {
		return Verdict{}
	}
	if !there {
		ps.wanted.Store(true)
		l.progress.wanted.Store(true)
		return Verdict{Judgement: Unready}
	}
	return ps.table.judge(s, l.next.Load() == 0)
}

// noteSequences notes the sequences of p, which has just been appended at first and is stamped. Writer.
func (l *Log) noteSequences(p []byte) {
	if !l.producers.there.Load() {
		panic("BUG: append of sequences that nobody judged")
	}
	t := l.producers.table
	now := t.now()
	for len(p) > 0 {
		h := batch.ReadHeader(p)
		if s, ok := sequenceOf(h); ok {
			t.note(s, h.BaseOffset, now)
		}
		p = p[h.Size:]
	}
}

// handProducers gives the roller a snapshot to write, if one is due and it has none. Writer, behind an append that ends
// there.
func (l *Log) handProducers(base uint64, at tail, sum int64) {
	ps := &l.producers
	if !ps.there.Load() || sum-ps.since < l.snapshotEvery() || ps.handed.Load() != nil {
		return
	}
	ps.since = sum
	ps.handed.Store(ps.table.encode(base, at, l.dir))
	if n := ps.table.forgotten; n > 0 {
		ps.table.forgotten = 0
		l.log.Warn("more producers append to a log than are kept in mind; a batch that one of those left out sends again may be appended twice",
			zap.String("log", l.dir), zap.Int64("left out", n))
	}
}

// producersDue: a snapshot waits to be written, and all it is about is durable.
func (l *Log) producersDue() bool {
	s := l.producers.handed.Load()
	return s != nil && (s.at.off <= l.durable.Load() || sched.Planted("producers-before-sync"))
}

// storeHanded writes the snapshot that the writer has handed over. After an error the one before it holds; the next try
// comes with the next one. Roller.
func (l *Log) storeHanded() error {
	if !l.producersDue() {
		return nil
	}
	ps := &l.producers
	err := l.storeProducers(ByRoller, ps.handed.Load())
	ps.handed.Store(nil)
	return err
}

// storeProducers writes a snapshot over the older of the two.
func (l *Log) storeProducers(by By, s *snapshot) error {
	ps := &l.producers
	if err := saveSnapshot(l.fs, by, l.dir, ps.turn, s); err != nil {
		return fmt.Errorf("keep what is known of the producers: %w", err)
	}
	ps.turn, ps.stored = 1-ps.turn, s.at.off
	return nil
}

// knowProducers makes the log ready for the sequences that an append waits with: from here on opening can find them all.
// An error harms nothing. Roller.
func (l *Log) knowProducers() error {
	ps, p := &l.producers, &l.progress
	if !ps.wanted.Load() || ps.there.Load() {
		return nil
	}
	ps.wanted.Store(false)
	if ps.table == nil {
		ps.table = newProducerTable(ps.bound, l.opt.Clock)
	}
	p.mu.Lock()
	base, at := p.mu.base, p.mu.tail // behind it there is no sequence yet
	p.mu.Unlock()
	err := l.storeProducers(ByRoller, ps.table.encode(base, at, l.dir))
	if err == nil {
		err = l.syncDir(ByRoller)
	}
	if err != nil {
		ps.wanted.Store(true)
		return unmade(err)
	}
	ps.since = p.written.Load()
	ps.there.Store(true)
	return nil
}

// closeProducers leaves a snapshot of the log's end, so that the next opening has nothing to read for it. Without it that
// reads some batches more. The log is settled.
func (l *Log) closeProducers() {
	ps := &l.producers
	if ps.there.Load() && l.Err() == nil && l.progress.begun.Load() && !l.Dirty() && ps.stored != l.Next() {
		active := l.state.Load().active
		at, _ := active.written.get()
		if err := l.storeProducers(ByController, ps.table.encode(active.base, at, l.dir)); err != nil {
			l.log.Warn("the next start reads a part of the log again", zap.String("log", l.dir), zap.Error(err))
		}
	}
	ps.drop()
}

// drop forgets all. That there is a snapshot stays true.
func (ps *producerState) drop() {
	if ps.table != nil {
		ps.table.drop()
		ps.table = nil
	}
}
