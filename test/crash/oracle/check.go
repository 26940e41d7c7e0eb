package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Kind says what is wrong with a history.
type Kind string

const (
	LostWrite    Kind = "lost-write"          // acknowledged or read, and gone although its level promised more
	Phantom      Kind = "phantom"             // read, though nobody had sent it, or it was gone before
	Duplicate    Kind = "duplicate"           // one value at two offsets
	Inconsistent Kind = "inconsistent-offset" // one offset, two values, within an epoch or without a power cut between
	AbortedRead  Kind = "aborted-read"        // read, though its request had failed
	NonMonotonic Kind = "nonmonotonic"        // an end or a synced point that went back
	Dense        Kind = "dense"               // an offset left out
	Order        Kind = "order"               // a client's records not in the order they were sent in
	RealTime     Kind = "real-time"           // an offset below one that was acknowledged before the request was sent
	Partial      Kind = "partial"             // a part of a batch
	Epoch        Kind = "epoch"               // an epoch that went back, or that was not new when it had to be
	Dishonest    Kind = "dishonest-ack"       // an answer that contradicts itself about what is synced
)

// Violation is one thing that no honest log does.
type Violation struct {
	Kind Kind
	Log  string
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Kind, v.Log, v.Text) }

// manyViolations bounds what is told of one log: the first ones say what is wrong, thousands more would not.
const manyViolations = 50

// Check finds what is wrong in a history, log by log, in the order in which it shows.
func Check(events []*Event) []Violation {
	logs := map[string][]*Event{}
	var ends []*Event
	for _, e := range events {
		if e.Op.ends() {
			ends = append(ends, e)
		} else {
			logs[e.Log] = append(logs[e.Log], e)
		}
	}
	var all []Violation
	for _, log := range slices.Sorted(maps.Keys(logs)) {
		c := newChecker(log)
		c.sweep(append(logs[log], ends...))
		c.atTheEnd()
		all = append(all, c.found...)
	}
	return all
}

// sending is an append, and what was known when it was sent.
type sending struct {
	*Event
	run  int
	read bool // one of its values was read
}

// slot is what is known of one offset since the last power cut.
type slot struct {
	value  Value
	epoch  int32 // -1: not known yet
	since  int64 // when it was first told
	synced bool  // it was acknowledged as synced
}

// mark is what has been told of a log's ends so far.
type mark struct{ end, synced uint64 }

type place struct {
	epoch  int32
	offset uint64
}

// checker goes through the events of one log in the order of time.
type checker struct {
	log   string
	found []Violation

	sent    map[Value]*sending
	clients map[uint32][]*sending // by connection, in the order of sending
	floor   map[*Event]mark       // what was told before a request was sent
	ends    []Op                  // of the runs so far

	told   mark             // in this life: the time since the last power cut
	at     map[uint64]*slot // in this life
	where  map[Value]uint64
	epochs map[int]int32 // of the records that each run has appended, where they were read
	active map[int]bool  // the runs that have appended for certain

	// What a power cut had to keep, until a scan shows what it has kept.
	before map[uint64]*slot
	keep   uint64 // everything below was told to be synced

	gone  map[Value]bool // taken by a power cut
	given map[place]Value
}

func newChecker(log string) *checker {
	return &checker{
		log: log, sent: map[Value]*sending{}, clients: map[uint32][]*sending{}, floor: map[*Event]mark{},
		at: map[uint64]*slot{}, where: map[Value]uint64{}, epochs: map[int]int32{}, active: map[int]bool{},
		gone: map[Value]bool{}, given: map[place]Value{},
	}
}

func (c *checker) fault(kind Kind, format string, args ...any) {
	if len(c.found) < manyViolations {
		c.found = append(c.found, Violation{kind, c.log, fmt.Sprintf(format, args...)})
	}
}

// sweep visits every event twice, when it was invoked and when it was completed.
func (c *checker) sweep(events []*Event) {
	type point struct {
		tick  int64
		e     *Event
		visit func(*Event)
	}
	points := make([]point, 0, 2*len(events))
	for _, e := range events {
		points = append(points, point{e.Invoke, e, c.invoked})
		if e.Complete > e.Invoke {
			points = append(points, point{e.Complete, e, c.completed})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.tick, b.tick) })
	for _, p := range points {
		p.visit(p.e)
	}
}

func (c *checker) invoked(e *Event) {
	switch {
	case e.Op.ends():
		c.ended(e.Op)
	case e.Op == Append:
		s := &sending{Event: e, run: len(c.ends)}
		for _, v := range e.Values {
			c.sent[v] = s
		}
		c.clients[e.Client] = append(c.clients[e.Client], s)
	}
	c.floor[e] = c.told
}

// ended notes what the end of a run allows to be lost.
func (c *checker) ended(how Op) {
	c.ends = append(c.ends, how)
	switch how {
	case Stop:
		c.told.synced = max(c.told.synced, c.told.end)
	case Power:
		if c.before == nil { // a cut before anybody has looked what an earlier one has left takes from the same
			c.before, c.keep = c.at, 0
		} else {
			maps.Copy(c.before, c.at)
		}
		c.keep = max(c.keep, c.told.synced)
		c.at, c.told = map[uint64]*slot{}, mark{}
	}
}

func (c *checker) completed(e *Event) {
	if e.Outcome != OK {
		return
	}
	floor := c.floor[e]
	switch e.Op {
	case Append:
		c.acked(e)
	case Read, Scan, Head:
		if e.End < floor.end {
			c.fault(NonMonotonic, "the end was %d, later it was told to be %d", floor.end, e.End)
		}
		c.read(e)
		c.told.end = max(c.told.end, e.End)
	}
	if e.Op == Append || e.Op == Head {
		if e.Synced < floor.synced {
			c.fault(NonMonotonic, "%d records were synced, later they were told to be %d", floor.synced, e.Synced)
		}
		c.told.synced = max(c.told.synced, e.Synced)
	}
	if e.Op == Scan {
		c.scanned(e)
	}
}

func (c *checker) acked(e *Event) {
	if e.Next-e.First != uint64(len(e.Values)) {
		c.fault(Dense, "%d records were acknowledged as [%d, %d)", len(e.Values), e.First, e.Next)
	}
	if e.Ack == "synced" && e.Synced < e.Next {
		c.fault(Dishonest, "[%d, %d) was acknowledged as synced, with synced=%d", e.First, e.Next, e.Synced)
	}
	for i, v := range e.Values {
		if s := c.seen(e, Record{e.First + uint64(i), -1, v}); s != nil && e.Ack == "synced" {
			s.synced = true
		}
	}
	c.told.end = max(c.told.end, e.Next)
}

// read takes in what a reader got.
func (c *checker) read(e *Event) {
	due, epoch := e.From, int32(-1)
	for _, r := range e.Records {
		if r.Offset != due {
			c.fault(Dense, "a read got offset %d where %d was due", r.Offset, due)
		}
		if r.Epoch >= 0 && r.Epoch < epoch {
			c.fault(Epoch, "offset %d is of epoch %d, the record before it of %d", r.Offset, r.Epoch, epoch)
		}
		due, epoch = r.Offset+1, max(epoch, r.Epoch)
		c.seen(e, r)
		if s := c.sent[r.Value]; s != nil {
			s.read = true
		}
	}
	if due > max(e.End, e.From) {
		c.fault(NonMonotonic, "a read got offset %d of a log that ends at %d", due-1, e.End)
	}
}

// seen takes in one record that was acknowledged or read. It gives nil where nothing can be kept of it.
func (c *checker) seen(e *Event, r Record) *slot {
	s := c.sent[r.Value]
	if s == nil || c.gone[r.Value] {
		why := "which nobody had sent"
		if s != nil {
			why = "which was gone after a power cut"
		}
		c.fault(Phantom, "offset %d holds %v, %s", r.Offset, r.Value, why)
		return nil
	}
	if o, placed := c.where[r.Value]; placed && o != r.Offset {
		c.fault(Duplicate, "%v is at offset %d, and at %d", r.Value, o, r.Offset)
	} else if floor := c.floor[s.Event].end; !placed && r.Offset < floor {
		c.fault(RealTime, "%v is at offset %d, and when it was sent the end was at %d", r.Value, r.Offset, floor)
	}
	c.where[r.Value] = r.Offset
	c.active[s.run] = true
	have := c.at[r.Offset]
	if have == nil {
		have = &slot{value: r.Value, epoch: -1, since: e.Complete}
		c.at[r.Offset] = have
	}
	if have.value != r.Value {
		c.fault(Inconsistent, "offset %d held %v, later %v", r.Offset, have.value, r.Value)
		return nil
	}
	if r.Epoch >= 0 {
		c.inEpoch(have, s, r)
	}
	return have
}

// inEpoch checks a record whose epoch is known.
func (c *checker) inEpoch(have *slot, s *sending, r Record) {
	if have.epoch >= 0 && have.epoch != r.Epoch {
		c.fault(Epoch, "offset %d was of epoch %d, later of %d", r.Offset, have.epoch, r.Epoch)
	}
	have.epoch = r.Epoch
	if old, ok := c.epochs[s.run]; ok && old != r.Epoch {
		c.fault(Epoch, "one run has appended in epoch %d, and offset %d in %d", old, r.Offset, r.Epoch)
	}
	c.epochs[s.run] = r.Epoch
	if v, ok := c.given[place{r.Epoch, r.Offset}]; ok && v != r.Value {
		c.fault(Inconsistent, "offset %d of epoch %d held %v before a power cut, and holds %v", r.Offset, r.Epoch, v, r.Value)
		delete(c.given, place{r.Epoch, r.Offset}) // once is enough to tell
	}
}
