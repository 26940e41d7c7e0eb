package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/sched"
)

// Version is what HELLO, STATS and `sluice version` tell; the build sets it.
var Version = "dev"

// Server is the whole pipeline: it wires, starts, stops and joins all stages
// (I11). Any goroutine may call its methods.
type Server struct {
	conf  Config
	log   *zap.Logger
	stats *stats
	store *disk.Store

	limits sched.Descriptors // fixed before start

	catalog                                  *catalog
	conns                                    *connections
	appendMemory, largeMemory                *frameMemory
	receiveMemory, readMemory, decodeMemory  *sched.Bytes
	requestMemory, answerMemory, fetchMemory *sched.Bytes // of Kafka's clients

	listener, kafkaListener, httpListener net.Listener // nil: nobody listens there
	http                                  *http.Server

	producers  *disk.Producers // what the logs know of them
	admission  *admission
	scrubber   *scrubber
	controller *controller
	readers    *readers
	writers    []*writer // conf.Writer.Count shared ones, then those of topics with sync=dsync
	flushers   []*flusher
	roller     *roller
	notifier   *notifier

	// One group a step of the stop, in the order of the data.
	acceptGroup, connGroup, tickGroup, controlGroup, readGroup, writeGroup, flushGroup, rollGroup, notifyGroup, httpGroup *sched.Group

	opening   opening
	deaths    int           // runs before this one that died young, in a row
	placed    int64         // logs given to writers and flushers so far
	drain     chan struct{} // closed when the stop begins
	stopOnce  sync.Once
	cut       context.CancelFunc // ends the stop's patience
	wasCut    atomic.Bool
	stopTicks context.CancelFunc
	done      chan struct{}
	err       error // valid once done is closed
}

// Start is StartShowing for who does not watch the start.
func Start(conf Config, log *zap.Logger) (*Server, error) { return StartShowing(conf, log, nil) }

// StartShowing opens the logs and serves them. It returns once connections are
// accepted; HTTP answers before that. show, unless nil, is called behind each log
// that has been opened, from several goroutines, one at a time. Errors: a directory
// that is in use or of a newer format, more partitions than allowed, an address that
// can't be listened on.
func StartShowing(conf Config, log *zap.Logger, show func(opened, all int)) (*Server, error) {
	if err := os.MkdirAll(conf.Data, 0o750); err != nil {
		return nil, fmt.Errorf("the data directory can't be made: %w", err)
	}
	return startShowing(disk.OS(conf.Data), conf, log, show)
}

// startShowing is StartShowing on any file system.
func startShowing(fs disk.FS, conf Config, log *zap.Logger, show func(opened, all int)) (*Server, error) {
	limits, err := conf.share()
	if err != nil {
		return nil, err
	}
	store, err := disk.OpenStore(fs, disk.StoreOptions{Files: limits.Files + limits.Reserve}, log)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", conf.Data, err)
	}
	s := newServer(conf, log, fs, store, limits)
	s.tellLimits()
	s.opening.show = show
	if err := s.open(); err != nil {
		s.endRun(s.deaths) // a start that comes to nothing says nothing about what ended those before
		return nil, errors.Join(err, s.closeListeners(), s.stopHTTP(), s.closeFiles())
	}
	s.start()
	return s, nil
}

func newServer(conf Config, log *zap.Logger, fs disk.FS, store *disk.Store, limits sched.Descriptors) *Server {
	st := &stats{started: time.Now()}
	s := &Server{
		conf: conf, log: log, stats: st, store: store, catalog: newCatalog(), conns: newConnections(st, int64(limits.Connections), conf.MaxPerAddress), limits: limits,
		appendMemory: newFrameMemory(conf.Memory.Append), largeMemory: newFrameMemory(conf.Memory.Large),
		receiveMemory: sched.NewBytes(conf.Memory.Receive), readMemory: sched.NewBytes(conf.Memory.Read), decodeMemory: sched.NewBytes(conf.Memory.Decode),
		requestMemory: sched.NewBytes(conf.Memory.Requests), answerMemory: sched.NewBytes(conf.Memory.Answers), fetchMemory: sched.NewBytes(conf.Memory.Fetch),
		producers: disk.NewProducers(conf.Producers.Max, conf.Producers.Expire),
		drain:     make(chan struct{}), done: make(chan struct{}),
	}
	s.admission = &admission{room: newRoom(fs, conf.Disk, log)}
	s.roller = newRoller(conf.MaxPartitions, st, log)
	s.notifier = newNotifier(conf.MaxPartitions)
	for range conf.Writer.Count + conf.DsyncWriters {
		s.writers = append(s.writers, newWriter(conf.Writer, conf.MaxPartitions, s.roller.in, s.notifier.in, s.admission, st))
	}
	for range conf.Flusher.Count {
		s.flushers = append(s.flushers, newFlusher(conf.Flusher, s.roller.in, st))
	}
	s.scrubber = newScrubber(s.catalog, conf.Scrub, log)
	s.readers = newReaders(conf.Readers, st)
	s.controller = newController(conf.Controller, s)
	return s
}

// adopt publishes a topic whose logs are open; the flushers did not know of those in parts.
func (s *Server) adopt(t *topic, parts []*partition) {
	for _, p := range parts {
		p.flusher.in <- &command{op: opAdopt, part: p}
	}
	s.catalog.publish(func(m map[string]*topic) { m[t.name] = t })
}

func (s *Server) start() {
	ctx, cut := context.WithCancel(context.Background())
	s.cut = cut
	for _, g := range []**sched.Group{
		&s.acceptGroup, &s.connGroup, &s.controlGroup, &s.readGroup, &s.writeGroup, &s.flushGroup, &s.rollGroup, &s.notifyGroup,
	} {
		*g = sched.NewGroup(ctx)
	}
	s.notifyGroup.Go("notifier", s.notifier.Run)
	s.rollGroup.Go("roller", s.roller.Run)
	for i, f := range s.flushers {
		s.flushGroup.Go(fmt.Sprintf("flusher/%d", i), f.Run)
	}
	for i, w := range s.writers {
		s.writeGroup.Go(s.writerName(i), w.Run)
	}
	for range s.conf.Readers.Count {
		s.readGroup.Go("readers", s.readers.Run)
	}
	s.controlGroup.Go("controller", s.controller.Run)
	for _, t := range s.catalog.all() {
		s.adopt(t, t.parts)
	}
	s.startTicks(ctx)
	s.opening.over.Store(true)
	s.acceptGroup.Go("accept", newAcceptor(s, s.listener, speaksText).Run)
	if s.kafkaListener != nil {
		s.acceptGroup.Go("accept", newAcceptor(s, s.kafkaListener, speaksKafka).Run)
	}
	sched.NewGroup(ctx).Go("supervisor", s.supervise) // joined through Done
}

// deadlineTick is how often stuck requests and answers are looked for.
const deadlineTick = time.Second

func (s *Server) startTicks(ctx context.Context) {
	ctx, s.stopTicks = context.WithCancel(ctx)
	s.tickGroup = sched.NewGroup(ctx)
	s.tickGroup.Go("tick", func(ctx context.Context) error {
		return sched.Tick(ctx, deadlineTick, func(now time.Time) { s.conns.expire(now, s.conf.Conn) })
	})
	s.tickGroup.Go("scrubber", s.scrubber.Run)
	s.tickGroup.Go("watch", s.watchSyncs)
	s.tickGroup.Go("room", s.admission.room.Run)
	if s.conf.CrashLoop > 0 && s.admission.loop == nil {
		s.tickGroup.Go("settle", s.settleRun)
	}
	if s.conf.Flusher.Tick == 0 {
		return
	}
	for _, f := range s.flushers {
		s.tickGroup.Go("tick", func(ctx context.Context) error {
			return sched.Tick(ctx, s.conf.Flusher.Tick, func(time.Time) { f.ticks.send(f.in) })
		})
	}
}

// requestStop begins a graceful stop; it returns at once.
func (s *Server) requestStop() { s.stopOnce.Do(func() { close(s.drain) }) }

func (s *Server) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// Stop ends the server gracefully: every request received whole is carried out
// and answered, and everything appended is synced. When ctx ends first, or the
// configured grace is over, it cuts the connections off and tells so.
func (s *Server) Stop(ctx context.Context) error {
	s.requestStop()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		s.cutShort()
		return fmt.Errorf("the stop was cut short: %w", context.Cause(ctx))
	}
}

// Done is closed when the server has stopped, for whatever reason; Err then
// tells of what went wrong.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil after a clean stop. It may be called once Done is closed.
func (s *Server) Err() error { return s.err }

// Addr is the address of the text protocol.
func (s *Server) Addr() string { return addressOf(s.listener) }

// KafkaAddr is the address of the Kafka protocol; empty: nobody listens there.
func (s *Server) KafkaAddr() string { return addressOf(s.kafkaListener) }

// HTTPAddr is the address of health and profiles; empty: there is none.
func (s *Server) HTTPAddr() string { return addressOf(s.httpListener) }

func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// cutShort ends the patience with clients that do not take their answers.
func (s *Server) cutShort() {
	s.wasCut.Store(true)
	s.cut()
	s.conns.each((*conn).abort)
}

// supervise waits for the stop and carries it out, in the order of the data:
// each inbox is closed once all that send into it have been joined.
func (s *Server) supervise(context.Context) error {
	defer close(s.done)
	<-s.drain
	patience := time.AfterFunc(s.conf.Grace, s.cutShort)
	err := s.closeListeners()
	err = errors.Join(err, s.acceptGroup.Wait())
	s.conns.each(func(c *conn) {
		if c.nc.SetReadDeadline(time.Unix(1, 0)) == nil { // else it is closed already
			c.wake()
		}
	})
	err = errors.Join(err, s.connGroup.Wait())
	s.stopTicks()
	err = errors.Join(err, s.tickGroup.Wait())
	close(s.controller.in)
	err = errors.Join(err, s.controlGroup.Wait())
	close(s.readers.in)
	err = errors.Join(err, s.readGroup.Wait())
	for _, w := range s.writers {
		close(w.in)
	}
	err = errors.Join(err, s.writeGroup.Wait())
	for _, f := range s.flushers {
		close(f.in)
	}
	err = errors.Join(err, s.flushGroup.Wait())
	close(s.roller.in)
	err = errors.Join(err, s.rollGroup.Wait())
	close(s.notifier.in)
	s.endRun(0)
	err = errors.Join(err, s.notifyGroup.Wait(), s.stopHTTP(), s.closeFiles())
	if patience.Stop(); s.wasCut.Load() {
		err = errors.Join(err, fmt.Errorf("clients were cut off: the stop took longer than %v", s.conf.Grace))
	}
	s.cut()
	s.err = err
	return nil
}

// closeListeners closes those that are open but HTTP's, which tells of the stop.
func (s *Server) closeListeners() error {
	var err error
	for _, l := range []net.Listener{s.listener, s.kafkaListener} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// closeFiles closes the logs, then the store.
func (s *Server) closeFiles() error {
	var err error
	for _, t := range s.catalog.all() {
		for _, p := range t.parts {
			if e := p.log.Close(); e != nil {
				err = errors.Join(err, fmt.Errorf("close %s: %w", p, e))
			}
			if p.log.Err() != nil && p.log.Dirty() { // a stop says "clean" only if what was appended is safe
				err = errors.Join(err, fmt.Errorf("log %s: the records from %d to before %d may not be safe: %w", p, p.log.Durable(), p.log.Next(), p.log.Err()))
			}
		}
	}
	return errors.Join(err, s.store.Close())
}

// partitions counts those of all topics.
func (s *Server) partitions() int64 {
	n := 0
	for _, t := range s.catalog.all() {
		n += len(t.parts)
	}
	return int64(n)
}

func (s *Server) writerName(i int) string {
	if shared := int(s.conf.Writer.Count); i >= shared {
		return fmt.Sprintf("dsync/%d", i-shared)
	}
	return fmt.Sprintf("writer/%d", i)
}

type queue struct {
	name string
	in   chan *command
}

// queues are the stages' inboxes, for STATS.
func (s *Server) queues() []queue {
	q := []queue{{"controller", s.controller.in}, {"readers", s.readers.in}}
	for i, w := range s.writers {
		q = append(q, queue{s.writerName(i), w.in})
	}
	for i, f := range s.flushers {
		q = append(q, queue{fmt.Sprintf("flusher/%d", i), f.in})
	}
	return append(q, queue{"roller", s.roller.in}, queue{"notifier", s.notifier.in})
}

// budgets are the byte budgets, for STATS.
func (s *Server) budgets() []budget {
	return []budget{
		{"receive", s.receiveMemory}, {"append", s.appendMemory.Bytes}, {"large", s.largeMemory.Bytes},
		{"arriving", s.appendMemory.arriving}, {"arriving-large", s.largeMemory.arriving}, {"read", s.readMemory}, {"decode", s.decodeMemory},
		{"requests", s.requestMemory}, {"answers", s.answerMemory}, {"fetch", s.fetchMemory},
	}
}
