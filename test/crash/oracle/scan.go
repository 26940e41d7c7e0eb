package oracle

import (
	"maps"
	"slices"
)

// scanned compares the whole of a log with what must be in it.
func (c *checker) scanned(e *Event) {
	there := make(map[uint64]Value, len(e.Records))
	for _, r := range e.Records {
		there[r.Offset] = r.Value
	}
	if e.From+uint64(len(e.Records)) != e.End {
		c.fault(Dense, "a scan of [%d, %d) got %d records", e.From, e.End, len(e.Records))
	}
	for _, o := range slices.Sorted(maps.Keys(c.at)) {
		if s := c.at[o]; s.since < e.Invoke && there[o] != s.value {
			c.fault(LostWrite, "%v at offset %d is gone: %s", s.value, o, shape(e, o))
		}
	}
	c.batches(e)
	c.orders(e)
	c.gaps(e)
	c.afterCut(e, there)
}

// shape tells where in the log a loss is, since that names its cause.
func shape(e *Event, o uint64) string {
	switch {
	case o >= e.End:
		return "a lost suffix"
	case o < e.From:
		return "a lost prefix"
	}
	return "a hole in the middle"
}

// batches: one batch is there as a whole, in its own order, or not at all.
func (c *checker) batches(e *Event) {
	value := func(i int) Value {
		if i < 0 || i >= len(e.Records) {
			return Value{}
		}
		return e.Records[i].Value
	}
	for i, r := range e.Records {
		s := c.sent[r.Value]
		if s == nil || len(s.Values) == 1 {
			continue
		}
		k := slices.Index(s.Values, r.Value)
		if k > 0 && value(i-1) != s.Values[k-1] || k < len(s.Values)-1 && value(i+1) != s.Values[k+1] {
			c.fault(Partial, "%v at offset %d is without its neighbours in the batch %v", r.Value, r.Offset, s.Values)
		}
	}
}

// orders: what one connection has sent stands in the log in that order.
func (c *checker) orders(e *Event) {
	last := map[uint32]Record{}
	for _, r := range e.Records {
		if before := last[r.Value.Client]; before.Value.Client != 0 && before.Value.N >= r.Value.N {
			c.fault(Order, "%v at offset %d stands behind %v at %d", r.Value, r.Offset, before.Value, before.Offset)
		}
		last[r.Value.Client] = r
	}
}

// gaps: answers leave in the order of the requests. So if one was acknowledged and is there, whatever its connection sent
// before is there too, unless it was refused; what was sent with ack=none included.
func (c *checker) gaps(e *Event) {
	there := make(map[Value]bool, len(e.Records))
	for _, r := range e.Records {
		there[r.Value] = true
	}
	for _, client := range slices.Sorted(maps.Keys(c.clients)) {
		var missing *sending
		for _, s := range c.clients[client] {
			switch {
			case s.Complete == 0 && !there[s.Values[0]] && missing == nil:
				missing = s
			case s.Outcome == OK && there[s.Values[0]] && missing != nil:
				c.fault(LostWrite, "%v is gone; %v, sent behind it on the same connection, was acknowledged and is there", missing.Values[0], s.Values[0])
				missing = nil
			}
		}
	}
}

// afterCut looks, once, what a power cut has taken.
func (c *checker) afterCut(e *Event, there map[uint64]Value) {
	for _, o := range slices.Sorted(maps.Keys(c.before)) {
		old := c.before[o]
		now, ok := there[o]
		if ok && now == old.value {
			continue
		}
		if old.synced || o < c.keep {
			c.fault(LostWrite, "%v at offset %d was synced, and is gone: %s", old.value, o, shape(e, o))
		}
		if s := c.sent[now]; ok && s != nil && s.run < len(c.ends) {
			c.fault(Inconsistent, "offset %d held %v before the power cut, and %v, which is as old, behind it", o, old.value, now)
		}
		c.gone[old.value] = true
		epoch, known := old.epoch, old.epoch >= 0
		if !known {
			epoch, known = c.epochs[c.sent[old.value].run]
		}
		if known {
			c.given[place{epoch, o}] = old.value
		}
	}
	c.before = nil
}

// atTheEnd checks what only the whole history shows.
func (c *checker) atTheEnd() {
	told := map[*sending]bool{}
	for _, s := range c.sent {
		if s.read && s.Outcome == Fail && !told[s] {
			told[s] = true
			c.fault(AbortedRead, "%v was read, and its request was answered %s", s.Values[0], s.Code)
		}
	}
	runs := slices.Sorted(maps.Keys(c.epochs))
	for i, run := range runs[min(1, len(runs)):] {
		before := runs[i]
		old, now := c.epochs[before], c.epochs[run]
		unclean := false
		for i, how := range c.ends[before:run] { // a run that has not appended leaves a log as clean as it was
			unclean = unclean || how != Stop && how != Halt && c.active[before+i]
		}
		if now < old || unclean && now == old {
			c.fault(Epoch, "run %d has appended in epoch %d, run %d in %d, with an unclean end between: %t", before, old, run, now, unclean)
		}
	}
}
