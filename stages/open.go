package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/sched"
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

// open brings up HTTP, which tells how it goes; then the logs; then the text
// protocol's socket, so that a connection is refused until it is served.
func (s *Server) open() error {
	if err := s.startHTTP(); err != nil {
		return err
	}
	s.beginRun()
	s.admission.room.check() // first: opening a log may need what the reserve holds
	began := time.Now()
	topics, err := s.load()
	if err != nil {
		return err
	}
	var jobs []openJob
	for _, t := range topics {
		jobs = append(jobs, s.jobs(t)...)
	}
	s.opening.all.Store(int64(len(jobs)))
	if err := s.openLogs(jobs, s.opening.step); err != nil {
		return err
	}
	s.catalog.publish(func(m map[string]*topic) {
		for _, t := range topics {
			s.place(t)
			m[t.name] = t
		}
	})
	s.opening.took = time.Since(began)
	if s.listener, err = net.Listen("tcp", s.conf.Listen); err != nil {
		return fmt.Errorf("the text protocol can't listen (setting listen): %w", err)
	}
	return nil
}

// load reads which topics there are. Their logs are not open yet.
func (s *Server) load() (topics []*topic, err error) {
	stored, err := s.store.Topics("open")
	if err != nil {
		return nil, err
	}
	n := int64(0)
	for _, st := range stored {
		conf := s.conf.Topic
		for name, value := range st.Settings {
			if e := applySetting(&conf, name, value); e != nil {
				return nil, fmt.Errorf("topic %s: %w", st.Name, e)
			}
		}
		if n += conf.Partitions; n > s.conf.MaxPartitions { // queues have a place for each
			return nil, fmt.Errorf("the data directory holds more than %d partitions: raise max_partitions", s.conf.MaxPartitions)
		}
		topics = append(topics, newTopic(st.Name, conf))
	}
	return topics, nil
}

// openJob is one log to open.
type openJob struct {
	part *partition
	err  error
}

func (s *Server) jobs(t *topic) []openJob {
	jobs := make([]openJob, len(t.parts))
	for i, p := range t.parts {
		jobs[i].part = p
	}
	return jobs
}

// openers is how many logs are opened at once: more than there are cores, as most
// of the time each waits for the disk; few enough that their buffers and
// descriptors do not add up.
func openers() int { return min(4*runtime.GOMAXPROCS(0), 64) }

// openLogs opens all, several at a time, and calls step behind each. On an error
// those that it had opened are closed.
func (s *Server) openLogs(jobs []openJob, step func()) error {
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
	err := g.Wait()
	for i := range jobs {
		err = errors.Join(err, jobs[i].err)
	}
	if err != nil {
		for i := range jobs {
			if log := jobs[i].part.log; log != nil {
				err = errors.Join(err, log.Close())
			}
		}
	}
	return err
}

func (s *Server) openLog(p *partition) error {
	conf := &p.topic.conf
	log, found, err := s.store.OpenLog("open", p.topic.name, int(p.id), disk.LogOptions{
		SegmentBytes: conf.SegmentBytes, Clock: time.Now, Dsync: conf.Sync == SyncDsync,
		IndexInterval: max(conf.IndexInterval, 1), // an entry for each batch; 0 would be the log's default
	})
	if err != nil {
		return fmt.Errorf("log %s: %w", p, err)
	}
	p.log = log
	if found.Cut > 0 || found.LostNext > found.LostFrom {
		s.log.Warn("the log's end was cut to its last whole batch", zap.Stringer("log", p), zap.Uint64("next", log.Next()),
			zap.Int64("cut bytes", found.Cut), zap.String("kept in", found.CutFile),
			zap.Uint64("lost from", found.LostFrom), zap.Uint64("lost next", found.LostNext))
	}
	return nil
}

// newTopic makes a topic whose logs are not open yet.
func newTopic(name string, conf TopicConfig) *topic {
	t := &topic{name: name, conf: conf}
	for id := range int32(conf.Partitions) {
		p := &partition{topic: t, id: id}
		p.maintain.cmd = command{op: opMaintain, part: p}
		p.advance.cmd = command{op: opAdvance, part: p}
		p.sync.cmd = command{op: opSync, part: p}
		t.parts = append(t.parts, p)
	}
	return t
}

// place gives each log of the topic to the writer and the flusher that it belongs
// to from now on. Only the start and the controller call it.
func (s *Server) place(t *topic) {
	writers := s.writers[:s.conf.Writer.Count]
	if t.conf.Sync == SyncDsync {
		writers = s.writers[s.conf.Writer.Count:]
	}
	for _, p := range t.parts {
		p.writer = writers[s.placed%int64(len(writers))]
		p.flusher = s.flushers[s.placed%int64(len(s.flushers))]
		s.placed++
	}
}
