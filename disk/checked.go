package disk

import (
	"slices"
	"sync"
	"sync/atomic"
)

// stretch is batches back to back, from one batch's begin to another's end.
type stretch struct{ from, to spot }

// maxStretches bounds what is remembered of a segment: 1 KiB. Beyond it the shortest one is forgotten, and checked again.
const maxStretches = 32

// checked is the batches of a segment that this process has proved: those it appended, and those it has read once. They
// can go to a socket unseen. Any goroutine.
type checked struct {
	born atomic.Pointer[spot]      // from here on this process appended
	list atomic.Pointer[[]stretch] // by position, apart; what is stored here is replaced, never changed
	mu   sync.Mutex                // of those who replace list; who reads takes no lock
	gen  atomic.Uint64             // how often all was forgotten; moves under mu
}

// grow is told of an append at that spot. WRITER ONLY.
func (c *checked) grow(at spot) {
	if c.born.Load() == nil {
		first := at // or each call would allocate
		c.born.Store(&first)
	}
}

// add is told that the batches of r are right, as they were found since gen was read. Does nothing if all was forgotten
// meanwhile: the bytes that were looked at may have been the kernel's, of a page that the device no longer has.
func (c *checked) add(r stretch, gen uint64) {
	if r.from == r.to {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen.Load() != gen {
		return
	}
	var have []stretch
	if list := c.list.Load(); list != nil {
		have = *list
	}
	all := make([]stretch, 0, len(have)+1)
	for _, h := range have {
		if h.to.pos < r.from.pos || h.from.pos > r.to.pos {
			all = append(all, h)
			continue
		}
		if h.from.pos < r.from.pos {
			r.from = h.from
		}
		if h.to.pos > r.to.pos {
			r.to = h.to
		}
	}
	if len(all) == maxStretches {
		i := 0
		for j, h := range all {
			if h.to.pos-h.from.pos < all[i].to.pos-all[i].from.pos {
				i = j
			}
		}
		all = slices.Delete(all, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(all, r.from.pos, func(h stretch, pos int64) int { return int(h.from.pos - pos) })
	all = slices.Insert(all, i, r)
	c.list.Store(&all)
}

// forget is told that something in the segment is not as it was.
func (c *checked) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen.Add(1)
	c.born.Store(nil)
	c.list.Store(nil)
}

// checkedAt finds the batches around the one at pos that are known to be right. False: nobody has looked.
func (s *segment) checkedAt(pos int64) (stretch, bool) {
	if born := s.checked.born.Load(); born != nil && pos >= born.pos {
		end, _ := s.written.get()
		return stretch{*born, end.spot}, pos < end.pos
	}
	if list := s.checked.list.Load(); list != nil {
		for _, r := range *list {
			if r.from.pos <= pos && pos < r.to.pos {
				return r, true
			}
		}
	}
	return stretch{}, false
}
