package stages

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"sluice/disk"
	"sluice/wire/text"
)

// topic is one topic of the catalog, as it was when it was published; nothing that others
// than the controller look at changes then, but conf. ALTER makes another value of it, with the partitions that were
// there and the new ones: so whoever goes through parts needs no lock.
type topic struct {
	name     string
	id       disk.TopicID
	conf     *topicConf        // as it is now: one for all values of the topic, so that old ones hear of an ALTER
	settings map[string]string // what of conf is the topic's own, as it is stored
	parts    []*partition

	broken error // why it could not be read at the start; nil but for such a topic

	unsettled bool // the controller's: an ALTER failed so that topic.json may say otherwise, until one succeeds
}

// topicConf is a topic's settings. Stored by the controller, loaded by anyone.
type topicConf struct{ atomic.Pointer[TopicConfig] }

func newTopicConf(c TopicConfig) *topicConf {
	conf := new(topicConf)
	conf.Store(&c)
	return conf
}

// partition is one log, with what each stage keeps about it. Fields are grouped
// by the stage that owns them.
type partition struct {
	topic *topic // as it was when the partition was made: only how many there are may be old
	id    int32
	log   *disk.Log

	broken *text.Error // fixed at the start: the log could not be opened, and this is the answer; else nil

	writer  *writer // fixed: a log belongs to exactly one
	flusher *flusher

	w struct { // writer
		pending list // appends that the log has not taken yet
		listed  bool // it is among the writer's touched logs
		stalled bool // pending waits for a spare segment
		closed  bool // dropped: nothing is appended any more

		unmarked int64 // sync=dsync: bytes since the flusher was last asked to leave a mark
	}
	f struct { // flusher
		waiting  list // commands that the next sync answers
		listed   bool
		closed   bool  // dropped: its files are closed
		lastSync int64 // Unix nanoseconds of the last sync's start
	}

	noRoom bool // roller: a lack of room for what the log needs next was told

	// Each of these commands is on its way at most once, so that the queue it goes
	// to needs one place a log and its sender never waits.
	maintain, advance, sync once
	waitsForSpare           atomic.Bool  // stored by the writer, asked by the roller
	dropped                 atomic.Bool  // stored by the controller
	syncSince               atomic.Int64 // stats.uptime when the sync under way began; 0: none is. Stored by the flusher
	slow                    atomic.Bool  // that sync was told of. The tick's

	subs struct { // whoever waits for the log's end to move
		sync.Mutex
		all []*subscription
	}
	watched atomic.Int32 // len(subs.all), so that the writer need not take the lock
}

// once is a command that travels at most once at a time.
type once struct {
	cmd    command
	queued atomic.Bool
}

// send puts the command into the queue, unless it is there already.
func (o *once) send(to chan<- *command) {
	if !o.queued.Swap(true) {
		to <- &o.cmd
	}
}

// subscription is one connection's wish to be woken when one log's end moves. It stays where it is while it is
// subscribed: the log's list points at it.
type subscription struct {
	conn  *conn
	part  *partition
	place int // in the log's list; under its lock
}

// subscribe makes the connection's signal fire whenever the log's end moves.
func (p *partition) subscribe(s *subscription) {
	p.subs.Lock()
	defer p.subs.Unlock()
	s.place = len(p.subs.all)
	p.subs.all = append(p.subs.all, s)
	p.watched.Store(int32(len(p.subs.all)))
}

// unsubscribe takes as long for one of ten thousand as for the only one.
func (p *partition) unsubscribe(s *subscription) {
	p.subs.Lock()
	defer p.subs.Unlock()
	last := len(p.subs.all) - 1
	moved := p.subs.all[last]
	moved.place = s.place
	p.subs.all[moved.place] = moved
	p.subs.all[last] = nil // or the slice keeps a closed connection alive
	p.subs.all = p.subs.all[:last]
	p.watched.Store(int32(last))
}

// wake fires the signal of every subscriber. One that has not come to look since the
// last time keeps that one, so a wave costs each of them one wake-up at most.
func (p *partition) wake() {
	p.subs.Lock()
	defer p.subs.Unlock()
	for _, s := range p.subs.all {
		s.conn.wake()
	}
}

// catalog is the topics by name and by id. Anyone may look one up; only the
// controller changes it, by publishing new maps.
type catalog struct {
	published atomic.Pointer[topics]
}

// topics are the same in both maps, but for those without an id.
type topics struct {
	named map[string]*topic
	byID  map[disk.TopicID]*topic
}

func newCatalog() *catalog {
	c := new(catalog)
	c.published.Store(new(topics))
	return c
}

// find returns the partition, or nil.
func (c *catalog) find(name []byte, id int32) *partition {
	return c.published.Load().named[string(name)].partition(id)
}

// findID returns the partition of the topic that has this id, or nil.
func (c *catalog) findID(topic disk.TopicID, id int32) *partition {
	return c.byID(topic).partition(id)
}

// byID returns the topic that has this id, or nil; also for the zero id.
func (c *catalog) byID(id disk.TopicID) *topic { return c.published.Load().byID[id] }

// partition is nil where there is none, or no topic.
func (t *topic) partition(id int32) *partition {
	if t == nil || id < 0 || int(id) >= len(t.parts) {
		return nil
	}
	return t.parts[id]
}

// all returns the topics now. The map must not be changed.
func (c *catalog) all() map[string]*topic { return c.published.Load().named }

func (c *catalog) publish(change func(map[string]*topic)) {
	next := &topics{named: maps.Clone(c.all()), byID: make(map[disk.TopicID]*topic)}
	if next.named == nil {
		next.named = make(map[string]*topic)
	}
	change(next.named)
	for _, t := range next.named {
		if !t.id.IsZero() {
			next.byID[t.id] = t
		}
	}
	c.published.Store(next)
}

// String is the partition as requests name it.
func (p *partition) String() string {
	return string(text.AppendTopic(nil, p.topic.name, p.id))
}

// has tells whether the topic exists, whatever the partition.
func (c *catalog) has(name []byte) bool { return c.all()[string(name)] != nil }

// partitions counts those that the topic has by now.
func (c *catalog) partitions(t *topic) int {
	if now := c.all()[t.name]; now != nil && now.id == t.id {
		return len(now.parts)
	}
	return len(t.parts) // it was dropped
}

// list is the body of TOPICS.
func (c *catalog) list() []byte {
	var b []byte
	all := c.all()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var records uint64
		var bytes int64
		for _, p := range all[name].parts {
			records += p.log.Next() - p.log.Oldest()
			bytes += p.log.Info().Bytes
		}
		b = append(b, name...)
		b = text.AppendInt(b, "partitions", int64(len(all[name].parts)))
		b = text.AppendUint(b, "records", records)
		b = append(text.AppendInt(b, "bytes", bytes), '\n')
	}
	return b
}
