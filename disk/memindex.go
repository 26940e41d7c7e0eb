package disk

import (
	"sort"
	"sync/atomic"
)

// entry is a point of the sparse index: the batch with base offset base+rel starts at byte pos of the segment, and no
// batch before pos holds a time above before (Unix ms; minTime for the first entry).
type entry struct {
	rel    uint32
	pos    uint32
	before int64
}

const (
	minTime    = -1 << 63
	maxTime    = 1<<63 - 1
	chunkSize  = 256 // entries: one allocation in 1 MiB of log at the usual interval
	maxRel     = 1<<32 - 1
	maxSegment = 1 << 32 // bytes: every batch of a segment starts at a position of 32 bits
	minBatch   = 61      // bytes of the smallest header, so the most entries a segment can need
)

// memIndex is the index of a segment that still grows. The writer adds entries and publishes them by their count; any
// goroutine looks them up without a lock. A full table only makes the index coarser.
type memIndex struct {
	chunks []atomic.Pointer[[chunkSize]entry] // length fixed: growing it would race with readers
	count  atomic.Int64                       // entries that readers may see

	// Writer only (the opener before, the roller after the roll).
	interval int64
	added    int64 // entries written, published or not
	lastPos  int64
	maxTime  int64 // of the batches noted so far
	shown    struct{ lastPos, maxTime int64 }
	first    uint32 // checksum field of the batch that the first entry points at
}

func newMemIndex(segmentBytes, interval int64) *memIndex {
	entries := segmentBytes/max(interval, minBatch) + 2
	ix := &memIndex{interval: interval, chunks: make([]atomic.Pointer[[chunkSize]entry], (entries+chunkSize-1)/chunkSize)}
	ix.reset()
	return ix
}

func (ix *memIndex) reset() {
	ix.added, ix.lastPos, ix.maxTime = 0, -1, minTime
	ix.publish()
}

// note takes the batch at pos in; nobody sees it before publish.
func (ix *memIndex) note(rel uint64, pos, batchMaxTime int64, crc uint32) {
	if ix.added == 0 {
		ix.first = crc
	}
	if ix.lastPos < 0 || pos-ix.lastPos >= ix.interval {
		ix.add(rel, pos)
	}
	ix.maxTime = max(ix.maxTime, batchMaxTime)
}

func (ix *memIndex) add(rel uint64, pos int64) {
	c := int(ix.added / chunkSize)
	if c >= len(ix.chunks) || rel > maxRel || pos >= maxSegment {
		return
	}
	chunk := ix.chunks[c].Load()
	if chunk == nil {
		chunk = new([chunkSize]entry)
		ix.chunks[c].Store(chunk)
	}
	chunk[ix.added%chunkSize] = entry{uint32(rel), uint32(pos), ix.maxTime}
	ix.added++
	ix.lastPos = pos
}

// publish shows readers what was noted.
func (ix *memIndex) publish() {
	ix.shown.lastPos, ix.shown.maxTime = ix.lastPos, ix.maxTime
	ix.count.Store(ix.added)
}

// discard forgets what was noted since publish: those batches were cut back out of the file.
func (ix *memIndex) discard() {
	ix.lastPos, ix.maxTime = ix.shown.lastPos, ix.shown.maxTime
	ix.added = ix.count.Load()
}

func (ix *memIndex) len() int { return int(ix.count.Load()) }

func (ix *memIndex) at(i int) (entry, error) { return ix.chunks[i/chunkSize].Load()[i%chunkSize], nil }

// points is an index in memory or in a file: len entries in order.
type points interface {
	len() int
	at(i int) (entry, error)
}

// whole is an index that covers its segment from the start, and what a file of it says besides its entries.
type whole interface {
	points
	about() (maxTime int64, first uint32)
}

// about may be called once the segment takes no more appends.
func (ix *memIndex) about() (maxTime int64, first uint32) { return ix.maxTime, ix.first }

// spliced is the index of a segment that was not scanned from its start at opening: of what was there before, and of what
// was appended since. Until the roller has built the first, only the segment's start is known of that part, and nothing
// of its times.
type spliced struct{ front, back *memIndex }

func (s *spliced) len() int { return max(s.frontLen(), 1) + s.back.len() }

func (s *spliced) frontLen() int {
	if s.front == nil {
		return 0
	}
	return s.front.len()
}

func (s *spliced) at(i int) (entry, error) {
	if i < s.frontLen() {
		return s.front.at(i)
	}
	if i == 0 {
		return entry{before: minTime}, nil
	}
	e, err := s.back.at(i - max(s.frontLen(), 1))
	if s.front == nil {
		e.before = maxTime
	} else {
		e.before = max(e.before, s.front.maxTime)
	}
	return e, err
}

func (s *spliced) about() (maxTime int64, first uint32) {
	return max(s.front.maxTime, s.back.maxTime), s.front.first
}

// lastBefore finds the last entry for which past is false, given that past turns from false to true once; -1 for none. It
// looks around the entry near first, in steps that double; 0: it may be anywhere.
func lastBefore(p points, near int, past func(entry) bool) (int, entry, error) {
	var bad error
	behind := func(i int) bool {
		e, err := p.at(i)
		if err != nil {
			bad = err
		}
		return bad != nil || past(e)
	}
	from, to := 0, p.len() // past is false before from, and true from to on
	for step := 1; near > 0 && near < to; step *= 2 {
		if behind(near) {
			to = near
			break
		}
		from, near = near+1, near+step
	}
	n := from + sort.Search(to-from, func(i int) bool { return behind(from + i) })
	if bad != nil || n == 0 {
		return -1, entry{}, bad
	}
	e, err := p.at(n - 1)
	return n - 1, e, err
}
