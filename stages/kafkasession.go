package stages

import (
	"bytes"
	"math"
	"math/rand/v2"

	"sluice/disk"
	"sluice/wire/kafka"
)

// fetchSession is what a client that fetches from many partitions need not say, nor be told, each time: after a first request that names
// all of them, it names only those that have changed, and is told of those with news. It belongs to its connection, which is the one that
// all fetches of such a client take: so it needs no table, no lock and nobody's leave but that of memory.fetch, and ends with the
// connection. Who comes with it to another one is told that it is not known, and begins anew.
type fetchSession struct {
	id    int32 // 0: there is none
	epoch int32 // of the next request; from 1 on
	byID  bool
	hint  int // where the next part that a request names is, if it names them in order
	first int // the part that is looked at first, so that no busy one keeps the room from the others
}

// begin makes the session that a request with all its partitions asked for, if it did. While memory.fetch is half used nobody gets
// one: a session keeps what it has paid for as long as its client likes, and the other half is for those who only fetch.
func (f *fetchState) begin() {
	f.session = fetchSession{}
	if f.req.SessionEpoch != 0 || len(f.parts) == 0 || f.paid > 0 && f.crowded() {
		return
	}
	f.session = fetchSession{id: 1 + rand.Int32N(math.MaxInt32-1), epoch: 1, byID: f.byID()}
	for i := range f.parts {
		f.parts[i].told.end = -1
	}
}

// crowded tells whether half of memory.fetch is used.
func (f *fetchState) crowded() bool {
	used, total := f.budget.Used()
	return used > total/2
}

// settle gives back what was paid for a fetch that is answered, if others may need it before its client comes again.
func (f *fetchState) settle() {
	if f.session.id == 0 && f.paid > 0 && f.crowded() {
		f.useOwn()
	}
}

// goOn brings the session's partitions to what this request asks for.
func (f *fetchState) goOn(c *catalog) {
	s := &f.session
	switch {
	case s.id == 0 || f.req.SessionID != s.id || s.byID != f.byID():
		f.refused = kafka.FetchSessionIDNotFound
		return
	case f.req.SessionEpoch != s.epoch:
		f.refused = kafka.InvalidFetchSessionEpoch
		return
	}
	if s.epoch++; s.epoch < 0 {
		s.epoch = 1
	}
	if !f.change() {
		f.useOwn()
		f.refused = kafka.FetchSessionIDNotFound
		return
	}
	for i := range f.parts {
		p := &f.parts[i]
		if p.size > 0 {
			p.x = disk.Extent{} // or it keeps a segment in memory that nobody else needs
		}
		p.code, p.size, p.next, p.full, p.parted = kafka.NoError, 0, 0, false, false
		if p.part == nil || p.part.dropped.Load() || p.part.broken != nil { // it may be there now, or another of that name
			p.part, p.code = f.find(c, &p.FetchPartition)
		}
	}
}

// seekMost is how many parts are looked at for one request. Who names so many, in no order, is better off with a new session.
const seekMost = 1 << 22

// change takes in what the request names. False: there is no memory for it, or it would take long.
func (f *fetchState) change() bool {
	looks := 0
	var p kafka.FetchPartition
	for f.req.Next(&p) {
		i := f.seek(p.Topic, p.ID, p.Index, &looks)
		if i < 0 {
			if looks > seekMost || !f.add(&p) {
				return false
			}
			continue
		}
		p.Topic = f.parts[i].Topic
		f.parts[i].FetchPartition = p
	}
	var gone kafka.ForgottenPartition
	forgotten := false
	for f.req.NextForgotten(&gone) {
		if i := f.seek(gone.Topic, gone.ID, gone.Index, &looks); i >= 0 {
			f.parts[i].Index, forgotten = -1, true
		}
	}
	if forgotten {
		f.forget()
	}
	return looks <= seekMost
}

// seek finds a part; -1: there is none.
func (f *fetchState) seek(topic []byte, id [16]byte, index int32, looks *int) int {
	n := len(f.parts)
	for k := range n {
		i := (f.session.hint + k) % n
		if p := &f.parts[i]; p.Index == index && p.ID == id && bytes.Equal(p.Topic, topic) {
			f.session.hint = i + 1
			*looks += k
			return i
		}
	}
	*looks += n
	return -1
}

// add appends a part to the session.
func (f *fetchState) add(p *kafka.FetchPartition) bool {
	n := len(f.parts)
	if n == cap(f.parts) && !f.growParts() || len(f.names)+len(p.Topic) > cap(f.names) && !f.growNames(len(p.Topic)) {
		return false
	}
	f.parts = f.parts[:n+1]
	f.keepName(n, p)
	f.parts[n] = fetchPart{FetchPartition: *p}
	f.parts[n].told.end = -1
	return true
}

// growParts makes room for twice as many parts. What the smaller ones cost stays paid until the session ends.
func (f *fetchState) growParts() bool {
	n := 2 * cap(f.parts)
	if !f.budget.TryReserve(int64(n) * partCost) {
		return false
	}
	f.paid += int64(n) * partCost
	f.parts = append(make([]fetchPart, 0, n), f.parts...)
	f.makeAnswer(n)
	return true
}

// growNames makes room for a name of n bytes: for twice as much as is in use. What those had that are forgotten is left behind, or a client
// that takes partitions out and in again would pay for their names each time.
func (f *fetchState) growNames(n int) bool {
	for i := range f.parts {
		if i == 0 || !bytes.Equal(f.parts[i].Topic, f.parts[i-1].Topic) {
			n += len(f.parts[i].Topic)
		}
	}
	n = max(2*n, 4<<10)
	if !f.budget.TryReserve(int64(n)) {
		return false
	}
	f.budget.Free(f.paidNames)
	f.paid, f.paidNames = f.paid-f.paidNames+int64(n), int64(n)
	f.names = make([]byte, 0, n)
	for i := range f.parts {
		f.keepName(i, &f.parts[i].FetchPartition)
	}
	return true
}

// forget takes out the parts whose index says that they are to go.
func (f *fetchState) forget() {
	kept := f.parts[:0]
	for i := range f.parts {
		if f.parts[i].Index >= 0 {
			kept = append(kept, f.parts[i])
		}
	}
	clear(f.parts[len(kept):])
	f.parts = kept
	f.session.hint, f.session.first = 0, 0
}

// tell tells whether the client of a session does not know this already.
func (s *fetchSession) tell(p *fetchPart, res *kafka.FetchResult) bool {
	if s.epoch == 1 { // its first answer names all
		p.told.end, p.told.start = res.HighWatermark, res.LogStart
	}
	news := s.epoch == 1 || res.Size > 0 || res.Code != kafka.NoError || res.DivergingEnd >= 0 || p.told.end != res.HighWatermark || p.told.start != res.LogStart
	p.told.end, p.told.start = res.HighWatermark, res.LogStart
	if res.Code != kafka.NoError {
		p.told.end = -1 // that it is well again is news
	}
	return news
}

// turn has the next request look first behind the last part that had records now.
func (s *fetchSession) turn(parts []fetchPart) {
	if s.id == 0 {
		return
	}
	for k := range parts {
		if i := (s.first + len(parts) - 1 - k) % len(parts); parts[i].size > 0 {
			s.first = (i + 1) % len(parts)
			return
		}
	}
}
