package disk_test

import (
	"fmt"

	"sluice/disk"
	"sluice/wire/batch"
)

// world is what a data directory must hold, as its clients know it.
type world map[string]*topicHist

// topicHist is the life of a topic. Between a call and its return it may be there or not.
type topicHist struct {
	must, may bool // it is there for certain; it may be there, if only after the next power cut
	there     bool // for the process at work
	opt       disk.LogOptions
	logs      []*logHist
}

// logHist is what is known of one log. Its records are those the log holds, or, after a crash and until it is looked at,
// those it may hold: some prefix of them, and nothing else.
type logHist struct {
	recs    []known
	writing []byte // the append under way
	floor   uint64 // what a kill leaves
	durable uint64 // what a power cut leaves
	behind  int64  // bytes appended behind the durable mark, as far as that is known; negative: it may be lost
	seen    *seen
	begun   bool      // the process at work has appended; before that it changes nothing, and writes no mark
	l       *disk.Log // of the process at work
}

// known is a record as its readers saw it.
type known struct {
	value string
	epoch int32
	in    sent
}

// sent is the batch that a record came in, if its producer has an id.
type sent struct {
	id    int64 // from 1; 0: it has none
	first int32
	base  uint64
}

// branch is the world after a crash, for a future of its own.
func (w world) branch(power bool) world {
	b := make(world, len(w))
	for name, t := range w {
		logs := make([]*logHist, len(t.logs))
		for i, h := range t.logs {
			logs[i] = h.branch(power)
		}
		b[name] = &topicHist{must: t.must, may: t.may, opt: t.opt, logs: logs}
	}
	return b
}

func (h *logHist) branch(power bool) *logHist {
	h.look()
	past := h.seen.freeze()
	h.seen = &seen{before: past}
	b := &logHist{floor: h.floor, durable: h.durable, behind: h.behind, seen: &seen{before: past}}
	if power {
		b.floor, b.behind = h.durable, -1
	}
	b.recs = h.recs[:len(h.recs):len(h.recs)]
	if h.writing != nil {
		b.recs = append(b.recs, stamped(h.writing, uint64(len(h.recs)))...)
		b.adds(len(h.writing))
	}
	return b
}

// stamped is the records of an append under way, if it has come as far as to have its offsets.
func stamped(b []byte, next uint64) []known {
	h, err := batch.ParseHeader(b)
	if err != nil || h.BaseOffset != next {
		return nil
	}
	return recordsIn(b, next)
}

func (h *logHist) adds(n int) {
	if h.behind >= 0 {
		h.behind += int64(n)
	}
}

// look takes what the log at work says.
func (h *logHist) look() {
	if h.l != nil {
		h.durable = max(h.durable, h.l.Durable())
	}
}

// found takes what a reader of the reopened log saw for the truth, if it may be.
func (h *logHist) found(got []known) error {
	if n := uint64(len(got)); n < h.floor {
		return fmt.Errorf("lost: %d records are left, %d were promised", n, h.floor)
	}
	if err := h.known(got); err != nil {
		return err
	}
	h.recs, h.floor, h.durable = got, uint64(len(got)), uint64(len(got))
	return h.show(0)
}

// known wants nothing but what was appended.
func (h *logHist) known(got []known) error {
	for off, r := range got {
		if off >= len(h.recs) {
			return fmt.Errorf("phantom: offset %d holds %.20q, nobody appended it", off, r.value)
		}
		if r != h.recs[off] {
			return fmt.Errorf("phantom: offset %d holds %.20q of epoch %d, appended was %.20q in epoch %d",
				off, r.value, r.epoch, h.recs[off].value, h.recs[off].epoch)
		}
	}
	return nil
}

// show notes that readers have seen the records from an offset on.
func (h *logHist) show(from uint64) error {
	for off := from; off < uint64(len(h.recs)); off++ {
		if err := h.seen.note(off, h.recs[off]); err != nil {
			return err
		}
	}
	return nil
}

// seen is what readers have ever seen in a log, in this future and in the past before it.
type seen struct {
	before *seen
	values map[placeSeen]string
}

// freeze is what has been seen so far. What s sees from now on must go into another one.
func (s *seen) freeze() *seen {
	if len(s.values) == 0 && s.before != nil {
		return s.before
	}
	return s
}

type placeSeen struct {
	epoch  int32
	offset uint64
}

// note fails when readers have seen another value at that offset in that epoch (I3).
func (s *seen) note(off uint64, r known) error {
	at := placeSeen{r.epoch, off}
	for p := s; p != nil; p = p.before {
		if v, ok := p.values[at]; ok {
			if v != r.value {
				return fmt.Errorf("reused: offset %d had %.20q and has %.20q, both in epoch %d", off, v, r.value, r.epoch)
			}
			return nil
		}
	}
	if s.values == nil {
		s.values = make(map[placeSeen]string)
	}
	s.values[at] = r.value
	return nil
}
