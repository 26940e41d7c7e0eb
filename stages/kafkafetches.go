package stages

import (
	"bytes"
	"unsafe"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/batch"
	"sluice/wire/kafka"
	"sluice/wire/text"
)

// fetchState is what a connection keeps of its Kafka fetches: of the one under way, of which there is one at most, and from one to
// the next, so that a steady fetch allocates nothing. The responder's.
type fetchState struct {
	budget *sched.Bytes
	paid   int64 // out of it, and
	own    ownFetch

	paidNames int64 // of this, for names

	req         kafka.FetchRequest
	version     int16
	correlation int32
	refused     kafka.Code          // the request as a whole
	parts       []fetchPart         // in the order of the request, or of the session
	results     []kafka.FetchResult // the answer, and
	of          []int32             // which part each of them is about
	subs        []subscription
	names       []byte // of the request's topics: the request itself is let go before a wait
	session     fetchSession
	turn        int   // how far the parts had moved between the last two requests
	loaded      int   // the part whose extent is in the delivery; -1: none
	size        int64 // bytes of records located
	head        [batch.HeaderSize]byte
}

// ownFetch is for requests of few partitions.
type ownFetch struct {
	parts   [ownParts]fetchPart
	results [ownParts]kafka.FetchResult
	of      [ownParts]int32
	subs    [ownParts]subscription
	names   [ownNames]byte
}

// Every consumer that waits holds this much, and there are thousands; for more partitions memory.fetch pays.
const (
	ownParts = 4
	ownNames = 256
)

// partCost is what one more partition takes.
const partCost = int64(unsafe.Sizeof(fetchPart{}) + unsafe.Sizeof(kafka.FetchResult{}) + unsafe.Sizeof(int32(0)) + unsafe.Sizeof(subscription{}))

// fetchPart is one partition of a fetch.
type fetchPart struct {
	kafka.FetchPartition            // Topic is a view into names
	part                 *partition // nil: there is none
	code                 kafka.Code // why nothing is read
	x                    disk.Extent
	cursor               disk.Cursor

	size   int64  // bytes of records to send
	next   uint64 // the offset behind them
	end    uint64 // of the log, when they were located
	full   bool   // there are more than are sent
	parted bool   // the client's last record is not in this log, but
	have   int32  // this epoch, which ends
	until  uint64 // here

	told struct{ end, start int64 } // by the last answer of the session; -1: nothing, or an error
}

func newFetchState(budget *sched.Bytes) *fetchState {
	f := &fetchState{budget: budget}
	f.useOwn()
	return f
}

// useOwn gives back what was paid for.
func (f *fetchState) useOwn() {
	f.budget.Free(f.paid)
	f.paid, f.paidNames = 0, 0
	clear(f.own.parts[:])
	f.session = fetchSession{}
	f.parts, f.results, f.of, f.subs, f.names = f.own.parts[:0], f.own.results[:0], f.own.of[:0], f.own.subs[:0], f.own.names[:0]
}

// take reads the request, and keeps nothing of its bytes. False: there is no memory for so many partitions now.
func (f *fetchState) take(q *kafkaRequest, c *catalog) bool {
	f.version, f.correlation, f.req, f.refused = q.version, q.correlation, q.fetch.req, kafka.NoError
	f.loaded, f.size = -1, 0
	if epoch := f.req.SessionEpoch; epoch != 0 && epoch != -1 { // 0 begins a session, -1 ends one, and both name all partitions
		f.goOn(c)
		return true
	}
	if !f.takeAll(c) {
		return false
	}
	f.begin()
	return true
}

// takeAll takes a request that names all of its partitions.
func (f *fetchState) takeAll(c *catalog) bool {
	n, names := f.measure()
	if !f.makeRoom(n, names) {
		return false
	}
	f.names = f.names[:0]
	old := len(f.parts)
	f.parts = f.parts[:max(n, old)]
	var p kafka.FetchPartition
	for k := 0; f.req.Next(&p); k++ {
		f.keepName(k, &p)
		q := fetchPart{FetchPartition: p}
		q.part, q.code = f.find(c, &p)
		q.cursor = f.cursorOf(k, old, q.part)
		f.parts[k] = q
	}
	clear(f.parts[n:]) // or logs that were dropped stay in memory
	f.parts = f.parts[:n]
	return true
}

// measure is how many partitions the request has, and how many bytes its topics' names.
func (f *fetchState) measure() (n, names int) {
	walk := f.req
	var p kafka.FetchPartition
	var last []byte
	for ; walk.Next(&p); n++ {
		if n == 0 || !bytes.Equal(p.Topic, last) {
			names += len(p.Topic)
		}
		last = p.Topic
	}
	return n, names
}

// makeRoom sees to it that there is memory for n partitions. What was more than enough for long is given back by a request that needs
// less than a quarter of it.
func (f *fetchState) makeRoom(n, names int) bool {
	if n <= ownParts && names <= ownNames {
		if f.paid > 0 {
			f.useOwn()
		}
		return true
	}
	if n <= cap(f.parts) && names <= cap(f.names) && (n >= cap(f.parts)/4 || names >= cap(f.names)/4) {
		return true
	}
	f.useOwn()
	cost := int64(n)*partCost + int64(names)
	if !f.budget.TryReserve(cost) {
		return false
	}
	f.paid, f.paidNames = cost, int64(names)
	f.parts, f.names = make([]fetchPart, 0, n), make([]byte, 0, names)
	f.makeAnswer(n)
	return true
}

func (f *fetchState) makeAnswer(n int) {
	f.results, f.of, f.subs = make([]kafka.FetchResult, 0, n), make([]int32, 0, n), make([]subscription, 0, n)
}

// keepName copies the topic's name, once for its neighbours.
func (f *fetchState) keepName(k int, p *kafka.FetchPartition) {
	if k > 0 && bytes.Equal(p.Topic, f.parts[k-1].Topic) {
		p.Topic = f.parts[k-1].Topic
		return
	}
	at := len(f.names)
	f.names = append(f.names, p.Topic...)
	p.Topic = f.names[at:]
}

// find is the partition that is meant, or why there is none to read.
func (f *fetchState) find(c *catalog, p *kafka.FetchPartition) (*partition, kafka.Code) {
	part, none := c.find(p.Topic, p.Index), kafka.UnknownTopicOrPartition
	if f.byID() {
		if part = c.findID(disk.TopicID(p.ID), p.Index); c.byID(disk.TopicID(p.ID)) == nil {
			none = kafka.UnknownTopicID
		}
	}
	if part == nil {
		return nil, none
	}
	if part.broken != nil {
		return nil, f.code(part.broken)
	}
	return part, kafka.NoError
}

// byID tells whether topics go by their ids.
func (f *fetchState) byID() bool { return f.version >= 13 }

// cursorOf finds where the last request has left off in this log, among the parts of it that are not written over yet, and leaves
// in the place of that part the one that is about to be. Clients turn the order of their partitions with each request, so it is not
// far, and most often as far as the last one.
func (f *fetchState) cursorOf(k, old int, part *partition) disk.Cursor {
	const far = 64
	if part == nil || k >= old {
		return disk.Cursor{}
	}
	at := min(k+f.turn, old-1)
	if f.parts[at].part != part {
		for at = k; at < min(old, k+far) && f.parts[at].part != part; at++ {
		}
		if at == min(old, k+far) {
			return disk.Cursor{}
		}
		f.turn = at - k
	}
	cursor := f.parts[at].cursor
	f.parts[at].part, f.parts[at].cursor = f.parts[k].part, f.parts[k].cursor
	return cursor
}

// gone is why a partition that was there can't be read.
func (f *fetchState) gone() kafka.Code {
	if f.byID() {
		return kafka.UnknownTopicID
	}
	return kafka.UnknownTopicOrPartition
}

// code is why a partition can't be read, as clients of this version know it.
func (f *fetchState) code(e *text.Error) kafka.Code {
	code := kafkaErrorOf(e).code
	switch {
	case e == errDropped:
		return f.gone()
	case code == kafka.KafkaStorageError && f.version < 6: // which was not there yet
		return kafka.NotLeaderOrFollower
	}
	return code
}
