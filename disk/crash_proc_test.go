package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// proc is one life of a process: the stages of a server in one goroutine, on a file system that tells of every operation
// before it is done. Its methods end the life by a panic: gaveUp after a fault that was asked for, broken when the oracle
// finds something.
type proc struct {
	t   testing.TB
	mem *fstest.Mem
	fs  disk.FS
	w   world
	rng *rand.Rand
	s   *disk.Store

	files  int                          // descriptors of its store
	before func(*proc, fstest.Op) error // an error is the operation's result
	hurt   bool                         // it has returned one, or the room was short
	values *int                         // makes each value unique

	last    [40]fstest.Op
	ops     int // operations; last has the latest
	changes int // of those that change something
}

type (
	gaveUp struct{}
	broken struct{ what string }
)

func newProc(t testing.TB, mem *fstest.Mem, w world, rng *rand.Rand, values *int, before func(*proc, fstest.Op) error) *proc {
	p := &proc{t: t, mem: mem, w: w, rng: rng, before: before, values: values}
	p.fs = fstest.Fail(mem, p.decide)
	return p
}

func (p *proc) decide(op fstest.Op) error {
	p.last[p.ops%len(p.last)] = op
	p.ops++
	if op.Changes() {
		p.changes++
	}
	if p.before == nil {
		return nil
	}
	err := p.before(p, op)
	p.hurt = p.hurt || err != nil
	return err
}

// trace is the last operations, oldest first.
func (p *proc) trace() string {
	var lines []string
	for i := max(0, p.ops-len(p.last)); i < p.ops; i++ {
		lines = append(lines, "\t"+p.last[i%len(p.last)].String())
	}
	return strings.Join(lines, "\n")
}

func (p *proc) broken(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

// fine takes an error only when there was a reason for one.
func (p *proc) fine(err error, doing string, args ...any) {
	if err == nil {
		return
	}
	if !p.hurt {
		p.broken("%s: %v", fmt.Sprintf(doing, args...), err)
	}
	panic(gaveUp{})
}

func (p *proc) openStore() {
	s, err := disk.OpenStore(p.fs, disk.StoreOptions{Files: p.files}, zap.NewNop())
	p.fine(err, "open the store")
	p.s = s
}

func (p *proc) create(topic string, partitions int, o disk.LogOptions) {
	t := &topicHist{may: true, opt: o}
	for range partitions {
		t.logs = append(t.logs, &logHist{seen: new(seen)})
	}
	p.w[topic] = t
	p.fine(p.s.CreateTopic(disk.ByController, topic, nil), "create topic %s", topic)
	t.must, t.there = true, true
	for i := range t.logs {
		p.open(topic, i)
	}
}

func (p *proc) drop(topic string) {
	t := p.w[topic]
	p.closeTopic(topic)
	t.must, t.there = false, false
	p.fine(p.s.DropTopic(disk.ByController, topic), "drop topic %s", topic)
	t.may = false
}

// topics compares the topics that are there with those that must and may be.
func (p *proc) topics() {
	list, err := p.s.Topics(disk.ByController)
	p.fine(err, "list topics")
	there := make(map[string]bool)
	for _, t := range list {
		there[t.Name] = true
		if p.w[t.Name] == nil || !p.w[t.Name].may {
			p.broken("topic %s is there, and should not be", t.Name)
		}
	}
	for name, t := range p.w {
		if t.there = there[name]; t.must && !t.there {
			p.broken("topic %s is gone", name)
		}
	}
}

// names is the topics that are there, in a fixed order, so that a seed says it all.
func (p *proc) names() []string {
	var names []string
	for name, t := range p.w {
		if t.there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// open opens a log and holds what it finds against what it must hold.
func (p *proc) open(topic string, partition int) disk.Recovery {
	t := p.w[topic]
	h := t.logs[partition]
	h.l = nil
	dir := fmt.Sprintf("topics/%s/%d", topic, partition)
	before, hadCut := substance(p.t, p.mem, dir)
	l, r, err := p.s.OpenLog(disk.ByOpen, topic, partition, t.opt)
	p.fine(err, "open log %s/%d", topic, partition)
	if p.hurt && l.Err() != nil { // it serves what it could read
		if err := h.known(p.read(l)); err != nil {
			p.broken("log %s/%d: %v; recovery says %+v", topic, partition, err, r)
		}
		p.fine(errors.Join(l.Err(), l.Close()), "open log %s/%d", topic, partition)
	}
	t.must = true // records are taken from here on
	promised := h.floor
	if err := h.found(p.read(l)); err != nil {
		p.broken("log %s/%d: %v; recovery says %+v", topic, partition, err, r)
	}
	if l.Err() != nil || l.Next() != h.floor || l.Durable() != l.Next() {
		p.broken("log %s/%d: next %d, durable %d, read %d; it says %v", topic, partition, l.Next(), l.Durable(), h.floor, l.Err())
	}
	if r.LostFrom != r.LostNext && r.LostFrom < promised {
		p.broken("log %s/%d reports the loss of [%d, %d), and %d records were promised", topic, partition, r.LostFrom, r.LostNext, promised)
	}
	for name := range p.listing() {
		if !p.hurt && strings.HasPrefix(name, dir+"/") && strings.HasSuffix(name, ".tmp") {
			p.broken("opening left %s", name)
		}
	}
	if h.behind >= 0 && r.Scanned > h.behind {
		p.broken("opening log %s/%d scans %d bytes, and only %d lie behind the mark", topic, partition, r.Scanned, h.behind)
	}
	for off, rec := range h.recs {
		if have, end := l.EpochEnd(rec.epoch); have != rec.epoch || end <= uint64(off) || end > l.Next() {
			p.broken("offset %d has epoch %d, and that ends at %d of epoch %d", off, rec.epoch, end, have)
		}
	}
	if r.CutFile != "" {
		if size, ok := p.listing()[r.CutFile]; !ok || size == 0 {
			p.broken("%d bytes were cut, and %s has %d of them", r.Cut, r.CutFile, size)
		}
	}
	if after, _ := substance(p.t, p.mem, dir); after != before && !hadCut {
		p.broken("opening log %s/%d leaves %d bytes of %d", topic, partition, after, before)
	}
	p.lookUp(h.recs, l)
	p.askSequences(h.recs, l)
	h.l, h.begun = l, false
	return r
}

// substance counts the bytes of a log's segments, and of what was cut off them, that are not zero: opening takes none away.
// But a cut that is done again, after a crash in the first, is the same file; so it also tells whether there are any.
func substance(t testing.TB, mem *fstest.Mem, dir string) (n int, hasCuts bool) {
	mem = mem.Kill() // its pages may be evicted: what a failed sync dropped was never there
	list, err := mem.List("test", dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	must(t, err)
	for _, e := range list {
		isCut := strings.HasSuffix(e.Name, ".cut")
		hasCuts = hasCuts || isCut
		if isCut || strings.HasSuffix(e.Name, ".log") || e.Name == "next.seg" {
			file, err := mem.Open("test", dir+"/"+e.Name)
			must(t, err)
			must(t, file.Evict("test", 0, e.Size))
			b := load(t, mem, dir+"/"+e.Name)
			n += len(b) - bytes.Count(b, []byte{0})
		}
	}
	return n, hasCuts
}

// lookUp reads in the middle, where the index leads.
func (p *proc) lookUp(want []known, l *disk.Log) {
	buf := make([]byte, 16<<10)
	for range min(3, len(want)) {
		from := p.rng.IntN(len(want))
		ch, err := l.ReadAt(buf, uint64(from), nil)
		p.fine(err, "read at %d", from)
		h, err := batch.ParseHeader(ch.Bytes)
		p.fine(err, "read at %d", from)
		if h.BaseOffset > uint64(from) || ch.Next <= uint64(from) {
			p.broken("read at %d, got [%d, %d)", from, h.BaseOffset, ch.Next)
		}
		if got := recordsIn(ch.Bytes, h.BaseOffset); !slices.Equal(got, want[h.BaseOffset:ch.Next]) {
			p.broken("read at %d, got other records than from the start", from)
		}
	}
}

func (p *proc) openAll() {
	for _, name := range p.names() {
		for i := range p.w[name].logs {
			p.open(name, i)
		}
	}
}

// listing is all files with their sizes.
func (p *proc) listing() map[string]int64 {
	found := make(map[string]int64)
	var visit func(dir string)
	visit = func(dir string) {
		list, err := p.mem.List("test", dir)
		if err != nil {
			p.broken("list %s: %v", dir, err)
		}
		for _, e := range list {
			name := strings.TrimPrefix(dir+"/"+e.Name, "./")
			if e.Dir {
				visit(name)
				continue
			}
			found[name] = e.Size
		}
	}
	visit(".")
	return found
}

// read reads a log from its start.
func (p *proc) read(l *disk.Log) []known {
	var got []known
	var c disk.Cursor
	buf := make([]byte, 4<<10)
	for from := uint64(0); ; {
		ch, err := l.ReadAt(buf, from, &c)
		p.fine(err, "read at %d", from)
		if len(ch.Bytes) == 0 {
			if from != l.Next() {
				p.broken("reading ends at %d, the log at %d", from, l.Next())
			}
			return got
		}
		got = append(got, recordsIn(ch.Bytes, from)...)
		if from = ch.Next; from != uint64(len(got)) {
			p.broken("%d records read, and the next is %d", len(got), from)
		}
	}
}

// recordsIn decodes stamped batches that begin at an offset.
func recordsIn(b []byte, next uint64) []known {
	var got []known
	var r batch.Reader
	var x batch.Record
	for len(b) > 0 {
		h, err := batch.Verify(b)
		if err == nil {
			err = r.Reset(b[:h.Size], batch.MaxSize)
		}
		var in sent
		if h.ProducerID > 0 {
			in = sent{h.ProducerID, h.BaseSequence, h.BaseOffset}
		}
		for ; err == nil && r.Next(&x); next++ {
			if x.Offset != next {
				err = fmt.Errorf("it has offset %d where %d is due", x.Offset, next)
			}
			got = append(got, known{string(x.Value), h.Epoch, in})
		}
		if err = errors.Join(err, r.Err()); err != nil {
			panic(broken{fmt.Sprintf("a batch that was served is bad: %v", err)})
		}
		b = b[h.Size:]
	}
	return got
}

// append appends as a server does: one batch for each size, of about that many bytes, in one call.
func (p *proc) append(topic string, partition int, sizes ...int) {
	h := p.w[topic].logs[partition]
	var b []byte
	for _, size := range sizes {
		*p.values++
		var x batch.Builder
		x.Reset(nil)
		n := 1 + *p.values%3
		for i := range n {
			x.Add(int64(*p.values), nil, fmt.Appendf(nil, "%d.%d %s", *p.values, i, strings.Repeat("x", size/n)), nil)
		}
		one, err := x.Finish(batch.None)
		p.fine(err, "build a batch")
		b = append(b, one...)
	}
	p.makeRoom(h, len(b))
	p.write(h, b, p.w[topic].opt.Dsync)
}

// appendAs appends one batch of a producer that has an id: its next one, as a server does.
func (p *proc) appendAs(topic string, partition int, id int64, size int) {
	h := p.w[topic].logs[partition]
	b := p.numbered(id, nextSequence(h.recs, id), 1+p.rng.IntN(3), size)
	for tries := 0; ; tries++ {
		v := h.l.Judge(b, false)
		if v.Judgement == disk.Fresh {
			break
		}
		if v.Judgement != disk.Unready || tries > 5 {
			p.fine(fmt.Errorf("the next batch of producer %d is judged %+v", id, v), "append")
		}
		p.maintainOnce(h)
	}
	p.makeRoom(h, len(b))
	p.write(h, b, p.w[topic].opt.Dsync)
}

// numbered makes a batch of n records with sequences.
func (p *proc) numbered(id int64, first int32, n, size int) []byte {
	*p.values++
	var x batch.Builder
	x.Reset(nil)
	for i := range n {
		x.Add(int64(*p.values), nil, fmt.Appendf(nil, "%d.%d %s", *p.values, i, strings.Repeat("x", size/n)), nil)
	}
	b, err := x.Finish(batch.None)
	p.fine(err, "build a batch")
	batch.SetProducer(b, id, 0, first)
	return b
}

// nextSequence is what follows a producer's records.
func nextSequence(recs []known, id int64) (next int32) {
	for _, r := range recs {
		if r.in.id == id {
			next++
		}
	}
	return next
}

// askSequences asks a log that was just opened about each batch that it must know, and about those that follow.
func (p *proc) askSequences(recs []known, l *disk.Log) {
	last := map[int64][]sent{}
	count := map[sent]int{}
	for _, r := range recs {
		if r.in.id == 0 {
			continue
		}
		if count[r.in]++; count[r.in] == 1 {
			last[r.in.id] = append(last[r.in.id], r.in)
		}
	}
	for id, all := range last {
		for i, s := range all {
			want := disk.Verdict{Judgement: disk.Duplicate, First: s.base}
			if len(all)-i > disk.SequencesKept {
				want = disk.Verdict{Judgement: disk.OutOfOrder, Sequence: nextSequence(recs, id)}
			}
			if v := l.Judge(p.numbered(id, s.first, count[s], 10), false); v != want {
				p.broken("batch %d of %d of producer %d, sent again, is judged %+v, due is %+v", i, len(all), id, v, want)
			}
		}
		next := nextSequence(recs, id)
		if v := l.Judge(p.numbered(id, next, 1, 10), false); v.Judgement != disk.Fresh {
			p.broken("the next batch of producer %d, %d, is judged %+v", id, next, v)
		}
		if v := l.Judge(p.numbered(id, next+1, 1, 10), false); v.Judgement != disk.OutOfOrder {
			p.broken("a batch behind the next one of producer %d, %d, is judged %+v", id, next+1, v)
		}
	}
}

func (p *proc) makeRoom(h *logHist, n int) {
	for tries := 0; !fits(h.l, n) && !h.l.Roll(); tries++ {
		if tries > 5 {
			p.fine(errors.New("no room for an append, however often the roller tries"), "roll")
		}
		p.syncLog(h)
		p.maintainOnce(h)
	}
}

func (p *proc) write(h *logHist, b []byte, dsync bool) {
	durable := h.l.Durable()
	h.writing = b
	first, next, err := h.l.Append(b)
	if err == nil {
		h.writing = nil
		if first != h.floor {
			p.broken("appended at %d, the end was %d", first, h.floor)
		}
		h.recs = append(h.recs, recordsIn(b, first)...)
		h.floor = uint64(len(h.recs))
		h.adds(len(b))
		h.begun = true
		if h.l.Durable() != durable && !dsync || dsync && h.l.Durable() != next {
			p.broken("appended up to %d, durable is %d, was %d", next, h.l.Durable(), durable)
		}
		if next != h.floor || h.l.Next() != next {
			p.broken("appended up to %d, the end is %d, due is %d", next, h.l.Next(), h.floor)
		}
		if err := h.show(first); err != nil {
			p.broken("%v", err)
		}
		return
	}
	refused := errors.Is(err, disk.ErrNoSpace)
	if refused {
		h.writing = nil // it is not there, and will not be
		p.hurt = true
	}
	if h.l.Durable() != durable || h.l.Next() != h.floor {
		p.broken("a failed append moves the end from %d to %d, the durable point from %d to %d", h.floor, h.l.Next(), durable, h.l.Durable())
	}
	if failed := h.l.Err() != nil; failed == refused {
		p.broken("after %v the log says %v", err, h.l.Err())
	}
	if !refused {
		p.fine(err, "append")
	}
}

func (p *proc) sync(topic string, partition int) { p.syncLog(p.w[topic].logs[partition]) }

func (p *proc) syncLog(h *logHist) {
	durable, err := h.l.Sync()
	h.look()
	if durable != h.l.Durable() || durable > h.floor || err == nil && durable != h.floor {
		p.broken("synced up to %d of %d, durable is %d: %v", durable, h.floor, h.l.Durable(), err)
	}
	if err != nil && h.l.Err() == nil {
		p.broken("a sync failed, and the log goes on: %v", err)
	}
	p.fine(err, "sync")
	if p.rng.IntN(4) == 0 {
		return
	}
	if err = h.l.Mark(disk.ByFlusher); err == nil && h.begun {
		h.behind = 0
	}
	p.fine(err, "mark")
}

func (p *proc) maintain(topic string, partition int) {
	h := p.w[topic].logs[partition]
	for i := 0; i < 5 && h.l.MaintenanceDue(); i++ {
		p.maintainOnce(h)
	}
}

// maintainOnce ends the life only when the log has ended: all else, the roller tries again.
func (p *proc) maintainOnce(h *logHist) {
	_, err := h.l.Maintain()
	if errors.Is(err, disk.ErrNoSpace) {
		p.hurt = true
	}
	if err != nil && (!p.hurt || h.l.Err() != nil) {
		p.fine(err, "maintain")
	}
}

func (p *proc) reopen(topic string, partition int) {
	p.close(topic, partition)
	p.open(topic, partition)
}

// close closes a log in order, after which everything is durable.
func (p *proc) close(topic string, partition int) {
	h := p.w[topic].logs[partition]
	if h.l == nil {
		return
	}
	err := h.l.Close()
	h.look()
	if err == nil && h.l.Err() == nil && h.durable != h.floor {
		p.broken("closed log %s/%d: durable is %d of %d", topic, partition, h.durable, h.floor)
	}
	h.l = nil
	p.fine(err, "close log %s/%d", topic, partition)
}

func (p *proc) closeTopic(topic string) {
	for i := range p.w[topic].logs {
		p.close(topic, i)
	}
}

func (p *proc) closeAll() {
	for _, name := range p.names() {
		p.closeTopic(name)
	}
	p.fine(p.s.Close(), "close the store")
}
