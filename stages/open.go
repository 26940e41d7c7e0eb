package stages

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/text"
)

// This file is the start: all that can fail, before anything is served.

// opening is how far the start has come; /healthz tells it. Any goroutine may ask.
type opening struct {
	all, opened atomic.Int64
	over        atomic.Bool   // connections are accepted
	took        time.Duration // from the first log to the last; valid once over

	one  sync.Mutex // show is called by one at a time
	show func(opened, all int)
}

func (o *opening) step() {
	o.one.Lock()
	defer o.one.Unlock()
	if n := o.opened.Add(1); o.show != nil {
		o.show(int(n), int(o.all.Load()))
	}
}

// Opened tells how many logs the start opened, and how long that took.
func (s *Server) Opened() (logs int, took time.Duration) {
	return int(s.opening.all.Load()), s.opening.took
}

// open brings up HTTP, which tells how it goes; then the logs; then the sockets
// of the protocols, so that a connection is refused until it is served.
func (s *Server) open() error {
	if err := s.startHTTP(); err != nil {
		return err
	}
	s.admission.room.check() // first: what follows may need what the reserve holds
	s.beginRun()
	began := time.Now()
	topics, err := s.load()
	if err != nil {
		return err
	}
	var jobs []openJob
	for _, t := range topics {
		jobs = append(jobs, openJobs(t.parts)...)
	}
	s.opening.all.Store(int64(len(jobs)))
	s.openLogs(jobs, s.opening.step)
	for i := range jobs {
		if err := jobs[i].err; err != nil {
			s.breakLog(jobs[i].part, err)
		}
	}
	for _, t := range topics {
		if t.broken == nil { // else its number of partitions may not be known
			s.removeUncounted(t)
		}
	}
	s.catalog.publish(func(m map[string]*topic) {
		for _, t := range topics {
			s.place(t.parts)
			m[t.name] = t
		}
	})
	s.opening.took = time.Since(began)
	if s.listener, err = listen(s.conf.Listen, s.conf.Conn); err != nil {
		return fmt.Errorf("the text protocol can't listen (setting listen): %w", err)
	}
	if s.conf.Kafka == "" {
		return nil
	}
	if s.kafkaListener, err = listen(s.conf.Kafka, s.conf.Conn); err != nil {
		return fmt.Errorf("the Kafka protocol can't listen (setting kafka; empty for none): %w", err)
	}
	return nil
}

// load reads which topics there are. Their logs are not open yet. A topic that can't
// be understood is there all the same, broken: its name is not free, DROP can remove
// it, and it keeps no other from being served.
func (s *Server) load() (topics []*topic, err error) {
	stored, err := s.store.Topics("open")
	for _, st := range stored {
		conf, err := s.confOf(st)
		t := newTopic(st.Name, conf)
		t.id, t.settings, t.broken = st.ID, st.Settings, err
		topics = append(topics, t)
	}
	if err != nil {
		left, err := s.store.LeftOut("open", stored)
		if err != nil {
			return nil, err
		}
		for _, l := range left {
			topics = append(topics, newTopic(l.Name, TopicConfig{Partitions: 1, Ack: s.conf.Topic.Ack, MaxBatch: s.conf.Topic.MaxBatch}))
			topics[len(topics)-1].broken = l.Why
		}
	}
	n := int64(0)
	for _, t := range topics {
		if n += int64(len(t.parts)); n > s.conf.MaxPartitions { // queues have a place for each
			return nil, fmt.Errorf("the data directory holds more than %d partitions: raise max_partitions", s.conf.MaxPartitions)
		}
	}
	return topics, nil
}

// confOf puts what CREATE was told over the configured settings. On an error the
// number of partitions holds, if it is there.
func (s *Server) confOf(st disk.Topic) (conf TopicConfig, err error) {
	conf = s.conf.Topic
	for name, value := range st.Settings {
		if e := applySetting(&conf, name, value); e != nil {
			err = errors.Join(err, fmt.Errorf("the setting %s=%s of topic %s is not understood by this version: %s", name, value, st.Name, e.Text))
		}
	}
	return conf, err
}

// removeUncounted removes the logs of partitions that a crash kept from being added. They hold
// no records, as nobody knew of them; one that does all the same is left, and told of.
func (s *Server) removeUncounted(t *topic) {
	found, err := s.store.Uncounted("open", t.name, len(t.parts))
	for _, id := range found {
		err = errors.Join(err, s.removeEmpty(t, id))
	}
	if err != nil {
		s.log.Warn("a partition that was not added, or the directory of its topic, is left as it is", zap.String("topic", t.name), zap.Error(err))
	}
}

func (s *Server) removeEmpty(t *topic, id int) error {
	p := &partition{topic: t, id: int32(id)}
	if err := s.openLog(p); err != nil {
		return err
	}
	next := p.log.Next()
	if err := p.log.Close(); err != nil {
		return err
	}
	if next > 0 {
		return fmt.Errorf("%s holds %d records, but its topic has %d partitions: add partitions to have it back", p, next, len(t.parts))
	}
	return s.store.RemoveLog("open", t.name, id)
}

// openJob is one log to open.
type openJob struct {
	part *partition
	err  error
}

func openJobs(parts []*partition) []openJob {
	jobs := make([]openJob, len(parts))
	for i, p := range parts {
		jobs[i].part = p
	}
	return jobs
}

// openers is how many logs are opened at once: more than there are cores, as most
// of the time each waits for the disk; few enough that their buffers and
// descriptors do not add up.
func openers() int { return min(4*runtime.GOMAXPROCS(0), 64) }

// openLogs opens all, several at a time, and calls step behind each. What went wrong
// stands in the jobs.
func (s *Server) openLogs(jobs []openJob, step func()) {
	g := sched.NewGroup(context.Background())
	var next atomic.Int64
	for range min(openers(), len(jobs)) {
		g.Go("opener", func(context.Context) error {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				jobs[i].err = s.openLog(jobs[i].part)
				step()
			}
			return nil
		})
	}
	_ = g.Wait() // none of them returns an error
}

// makeLogs makes the logs of new partitions: all of them, or none.
func (s *Server) makeLogs(parts []*partition) error {
	jobs := openJobs(parts)
	s.openLogs(jobs, func() {})
	var err error
	for i := range jobs {
		err = errors.Join(err, jobs[i].err)
	}
	if err != nil {
		err = errors.Join(err, closeLogs(parts))
	}
	return err
}

// closeLogs closes those that are open.
func closeLogs(parts []*partition) (err error) {
	for _, p := range parts {
		if p.log != nil {
			err = errors.Join(err, p.log.Close())
		}
	}
	return err
}

func (s *Server) openLog(p *partition) error {
	conf := p.topic.conf.Load()
	if p.topic.broken != nil {
		return p.topic.broken
	}
	log, found, err := s.store.OpenLog("open", p.topic.name, int(p.id), disk.LogOptions{
		SegmentBytes: conf.SegmentBytes, Clock: time.Now, Dsync: conf.Sync == SyncDsync,
		IndexInterval: max(conf.IndexInterval, 1), // an entry for each batch; 0 would be the log's default
		Producers:     s.producers,
	})
	if err != nil {
		return fmt.Errorf("log %s can't be opened: %w", p, err)
	}
	p.log = log
	if counted := int(p.id) < len(p.topic.parts); found.Made && counted && !s.opening.over.Load() {
		s.log.Warn("a log of a topic that is there has no files, and was made anew, empty: unless a CREATE was cut short, somebody has removed them; if there were records, stop the server and restore them from a copy",
			zap.Stringer("log", p))
	}
	if found.Cut > 0 || found.LostNext > found.LostFrom {
		s.log.Warn("the log's end was cut to its last whole batch", zap.Stringer("log", p), zap.Uint64("next", log.Next()),
			zap.Int64("cut bytes", found.Cut), zap.String("kept in", found.CutFile),
			zap.Uint64("lost from", found.LostFrom), zap.Uint64("lost next", found.LostNext))
	}
	return nil
}

// breakLog puts what answers why in the place of a log that could not be opened: it
// hurts no other, and is tried again at the next start.
func (s *Server) breakLog(p *partition, why error) {
	p.broken = &text.Error{Code: text.CodeLogFailed, Skip: -1, Text: fmt.Sprintf("%v; look at what it names, then restart the server to try again, or DROP the topic", why)}
	p.log = s.store.BrokenLog(p.topic.name, int(p.id), why)
}

// newTopic makes a topic whose logs are not open yet.
func newTopic(name string, conf TopicConfig) *topic {
	t := &topic{name: name, conf: newTopicConf(conf)}
	t.parts = newPartitions(t, 0, conf.Partitions)
	return t
}

// altered is the topic with these settings of its own, and n partitions, of which the
// logs of those that it has not yet are not open.
func (t *topic) altered(settings map[string]string, n int64) *topic {
	g := &topic{name: t.name, id: t.id, conf: t.conf, settings: settings}
	g.parts = append(slices.Clip(t.parts), newPartitions(g, int64(len(t.parts)), n)...)
	return g
}

// newPartitions makes those of the topic with the numbers [from, to).
func newPartitions(t *topic, from, to int64) (parts []*partition) {
	for id := int32(from); id < int32(to); id++ {
		p := &partition{topic: t, id: id}
		p.maintain.cmd = command{op: opMaintain, part: p}
		p.advance.cmd = command{op: opAdvance, part: p}
		p.sync.cmd = command{op: opSync, part: p}
		parts = append(parts, p)
	}
	return parts
}

// place gives each log to the writer and the flusher that it belongs to from now on.
// Only the start and the controller call it.
func (s *Server) place(parts []*partition) {
	for _, p := range parts {
		writers := s.writers[:s.conf.Writer.Count]
		if p.topic.conf.Load().Sync == SyncDsync {
			writers = s.writers[s.conf.Writer.Count:]
		}
		p.writer = writers[s.placed%int64(len(writers))]
		p.flusher = s.flushers[s.placed%int64(len(s.flushers))]
		s.placed++
	}
}
