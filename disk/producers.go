package disk

import (
	"math"
	"sync/atomic"
	"time"

	"sluice/sched"
	"sluice/wire/batch"
)

// A producer with an id numbers its records, so that a batch that it sends twice is appended once. What a log knows of its
// producers is the writer's: looked up and changed without a lock, and without an allocation for a producer that is known.
// It follows from the log's batches alone. So that opening need not read them all, the roller writes it to a file now and
// then (producersfile.go), and opening goes on from there (producersrecover.go).

// SequencesKept is how many batches of each producer are known again: as many as Kafka's clients have in flight.
const SequencesKept = 5

const (
	// producersPerLog bounds the producers that one log knows. The limit of connections out of the box: each of them may be
	// one. A snapshot of so many has 1 MB.
	producersPerLog = 10_000

	// producersLeast is how many each log may know however many others do, so that those at work in one log are not
	// forgotten for the sake of others that have left elsewhere.
	producersLeast = 16
)

// Sequence is what a batch says of its producer: records [First, First+Count) of an epoch of it, counted modulo 2^31.
type Sequence struct {
	ID    int64
	Epoch int16
	First int32
	Count int32
}

func (s Sequence) last() int32 { return (s.First + s.Count - 1) & math.MaxInt32 }

func following(seq int32) int32 { return (seq + 1) & math.MaxInt32 }

// sequenceOf is the sequence of a stored or checked batch. False: it has none, as its producer has no id, or as it is one
// that a server wrote.
func sequenceOf(h batch.Header) (Sequence, bool) {
	return Sequence{h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Count}, h.ProducerID >= 0 && h.BaseSequence >= 0
}

// Judgement is what a batch's sequence makes of it.
type Judgement uint8

const (
	Fresh      Judgement = iota // to be appended
	Duplicate                   // it is in the log
	OutOfOrder                  // it does not follow its producer's last batch
	Fenced                      // its producer has a newer epoch
	Unready                     // the log can't take sequences yet; Maintain changes that
	Later                       // ahead only: there is a place for its producer once what is gathered has been appended
)

// Verdict is a judgement with what it is founded on.
type Verdict struct {
	Judgement
	First    uint64 // Duplicate: the offset of its first record
	Epoch    int16  // OutOfOrder, Fenced: the producer's
	Sequence int32  // OutOfOrder: the one that is due
}

// Producers bounds what all logs of a store together know of producers. Any goroutine.
type Producers struct {
	most int64
	kept time.Duration
	held atomic.Int64
}

// NewProducers returns a bound of `most` producers, counted once for each log that knows them (about 160 bytes each);
// above it each log may still know 16. A producer that has appended nothing for longer than `kept` is forgotten.
func NewProducers(most int64, kept time.Duration) *Producers {
	return &Producers{most: most, kept: kept}
}

// Held is how many are known now.
func (p *Producers) Held() int64 { return p.held.Load() }

// sequenced is a batch that is in the log.
type sequenced struct {
	first, last int32
	base        uint64
}

// producer is what a log knows of one producer. Those of a table are linked in the order of their last append, or gathering.
type producer struct {
	id           int64
	used         int64 // Unix ms of the last append
	newer, older int32 // index + 1; 0: there is none

	epoch   int16
	n       uint8 // batches that are known: the last n. 0: none, it was only asked for
	batches [SequencesKept]sequenced

	// What is gathered for the next write, and not in the log yet. It counts while round is the table's.
	round     uint64
	nextEpoch int16
	nextLast  int32

	doubtful bool // opening: a batch that can't be read may be its last one
}

// producerTable is the producers of one log.
type producerTable struct {
	bound  *Producers
	clock  sched.Clock
	byID   map[int64]int32 // index in all
	all    []producer
	free   []int32
	newest int32 // index + 1, of the list; 0: it is empty
	oldest int32
	round  uint64 // from 1 on: 0 is that of who was never gathered

	forgotten int64 // that were still within their time
}

func newProducerTable(bound *Producers, clock sched.Clock) *producerTable {
	return &producerTable{bound: bound, clock: clock, round: 1, byID: make(map[int64]int32)}
}

func (t *producerTable) now() int64 { return t.clock().UnixMilli() }

// judge looks at a batch against the log as it is once what is gathered in this round has been appended. A fresh one is
// gathered.
func (t *producerTable) judge(s Sequence, empty bool) Verdict {
	p := t.find(s.ID)
	if p == nil || p.n == 0 && p.round != t.round {
		// Nothing is known: it is new here, or it was forgotten. Then any sequence will do, but in a log that has no batch
		// at all, where one that does not begin at 0 has overtaken another.
		if empty && s.First != 0 {
			return Verdict{Judgement: OutOfOrder, Epoch: s.Epoch}
		}
		if p == nil {
			if p = t.add(s.ID, t.now()); p == nil {
				return Verdict{Judgement: Later}
			}
		}
		t.gather(p, s)
		return Verdict{}
	}
	epoch, last := p.epoch, p.batches[max(p.n, 1)-1].last
	if p.round == t.round {
		epoch, last = p.nextEpoch, p.nextLast
	}
	due := following(last)
	switch {
	case s.Epoch < epoch:
		return Verdict{Judgement: Fenced, Epoch: epoch}
	case s.Epoch > epoch && s.First != 0:
		return Verdict{Judgement: OutOfOrder, Epoch: epoch}
	case s.Epoch > epoch || s.First == due:
		t.gather(p, s)
		return Verdict{}
	}
	if s.Epoch == p.epoch {
		for _, b := range p.batches[:p.n] {
			if b.first == s.First && b.last == s.last() {
				return Verdict{Judgement: Duplicate, First: b.base, Epoch: epoch}
			}
		}
	}
	return Verdict{Judgement: OutOfOrder, Epoch: epoch, Sequence: due}
}

// gather makes it the newest: where the oldest is gathered, all are.
func (t *producerTable) gather(p *producer, s Sequence) {
	p.round, p.nextEpoch, p.nextLast = t.round, s.Epoch, s.last()
	t.touch(p)
}

// gathered tells whether its batch may be in the next write: forgotten now, it would be fresh once more when sent again.
func (t *producerTable) gathered(i int32) bool { return t.all[i].round == t.round }

// note takes up a batch that is in the log.
func (t *producerTable) note(s Sequence, base uint64, now int64) {
	p := t.find(s.ID)
	if p == nil {
		p = t.add(s.ID, now)
	}
	if s.Epoch != p.epoch {
		p.epoch, p.n = s.Epoch, 0
	}
	if p.n == SequencesKept {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = sequenced{s.First, s.last(), base}
	p.n++
	p.used, p.doubtful = now, false
	t.touch(p)
}

func (t *producerTable) find(id int64) *producer {
	if i, ok := t.byID[id]; ok {
		return &t.all[i]
	}
	return nil
}

// add makes a place for a producer, the newest. Those whose time is over give way first; where there is no room, the one
// that was silent longest. Nil: there is no room, and all are gathered.
func (t *producerTable) add(id, now int64) *producer {
	for t.oldest != 0 && t.expired(&t.all[t.oldest-1], now) && !t.gathered(t.oldest-1) {
		t.forget(t.oldest - 1)
	}
	if n := len(t.byID); n >= producersPerLog || n >= producersLeast && t.bound.held.Load() >= t.bound.most {
		if t.gathered(t.oldest - 1) {
			return nil
		}
		t.forget(t.oldest - 1)
		t.forgotten++
	}
	var i int32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = int32(len(t.all))
		t.all = append(t.all, producer{})
	}
	t.all[i] = producer{id: id, used: now}
	t.byID[id] = i
	t.bound.held.Add(1)
	t.link(i)
	return &t.all[i]
}

func (t *producerTable) expired(p *producer, now int64) bool {
	return now-p.used > t.bound.kept.Milliseconds()
}

func (t *producerTable) forget(i int32) {
	t.unlink(i)
	delete(t.byID, t.all[i].id)
	t.free = append(t.free, i)
	t.bound.held.Add(-1)
}

// doubtAll: none may be at the sequence that its last known batch ends with.
func (t *producerTable) doubtAll() {
	for i := t.oldest; i != 0; i = t.all[i-1].newer {
		t.all[i-1].doubtful = true
	}
}

// forgetDoubtful makes unknown who would be told that the next batch is out of order, for good, where it may be the right one.
func (t *producerTable) forgetDoubtful() {
	for i := t.oldest; i != 0; {
		at := i - 1
		i = t.all[at].newer
		if t.all[at].doubtful {
			t.forget(at)
		}
	}
}

// touch makes it the newest.
func (t *producerTable) touch(p *producer) {
	i := t.byID[p.id]
	if t.newest == i+1 {
		return
	}
	t.unlink(i)
	t.link(i)
}

func (t *producerTable) link(i int32) {
	p := &t.all[i]
	p.newer, p.older = 0, t.newest
	if t.newest != 0 {
		t.all[t.newest-1].newer = i + 1
	} else {
		t.oldest = i + 1
	}
	t.newest = i + 1
}

func (t *producerTable) unlink(i int32) {
	p := &t.all[i]
	if p.newer != 0 {
		t.all[p.newer-1].older = p.older
	} else {
		t.newest = p.older
	}
	if p.older != 0 {
		t.all[p.older-1].newer = p.newer
	} else {
		t.oldest = p.newer
	}
}

// drop gives the bound back what the log held of it.
func (t *producerTable) drop() { t.bound.held.Add(-int64(len(t.byID))) }
