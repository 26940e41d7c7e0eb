package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/wire/text"
)

// controller owns the catalog of topics: it alone creates, changes and drops them. In:
// what ask sends. Out: the same, answered. Ends when its inbox is closed.
type controller struct {
	in  chan *command
	srv *Server
	ids producerIDs
}

func newController(c ControllerConfig, s *Server) *controller {
	return &controller{in: make(chan *command, c.Queue), srv: s, ids: producerIDs{store: s.store}}
}

// Run carries out one command after the other.
func (c *controller) Run(context.Context) error {
	for cmd := range c.in {
		switch cmd.op {
		case opCreate:
			cmd.err = c.create(cmd.admin)
		case opEnsure:
			cmd.err = c.ensure(cmd.admin)
		case opAlter:
			cmd.err = c.alter(cmd.admin)
		case opDrop:
			cmd.err = c.drop(cmd.admin)
		case opProducerID:
			cmd.admin.producer, cmd.err = c.ids.give()
		default:
			panic(fmt.Sprintf("BUG: controller got op %d", cmd.op))
		}
		cmd.done()
	}
	return nil
}

// ask has the controller do what is asked, and waits. The answers to it stand in what then.
// Only the goroutines of connections may call it: they are joined before the inbox is closed.
func (c *controller) ask(do op, what *adminRequest) *text.Error {
	cmd := &command{op: do, admin: what}
	ask(c.in, cmd)
	return cmd.err
}

// ensure makes the topic of a first record. Where that would be refused it makes no topic either.
func (c *controller) ensure(ask *adminRequest) *text.Error {
	if c.srv.catalog.has([]byte(ask.topic)) {
		return nil // two connections had the same first record
	}
	if e := c.srv.admission.refusal(); e != nil {
		return e
	}
	return c.create(ask)
}

func (c *controller) create(ask *adminRequest) *text.Error {
	name := ask.topic
	if c.srv.catalog.has([]byte(name)) {
		return &text.Error{Code: text.CodeExists, Skip: -1, Text: "topic " + name + " exists already"}
	}
	conf := c.srv.conf.Topic
	explicit := map[string]string{}
	for _, s := range ask.settings {
		if e := applySetting(&conf, s[0], s[1]); e != nil {
			return e
		}
		explicit[s[0]] = s[1]
	}
	explicit["partitions"] = strconv.FormatInt(conf.Partitions, 10) // a later default must not change what is on disk
	if e := c.tooMany(conf.Partitions); e != nil {
		return e
	}
	if ask.dry {
		ask.made = &topic{name: name, conf: newTopicConf(conf), settings: explicit}
		return nil
	}
	if err := c.srv.store.CreateTopic("controller", name, explicit); err != nil {
		return storeError("create topic "+name, err)
	}
	t := newTopic(name, conf)
	t.id, t.settings = c.srv.store.TopicID(name), explicit
	if err := c.srv.makeLogs(t.parts); err != nil {
		if undo := c.srv.store.DropTopic("controller", name); undo != nil {
			c.srv.log.Error("a topic that could not be created is half there, until the next start", zap.String("topic", name), zap.Error(undo))
		}
		c.letGo(c.srv.roller.in, t.parts[0]) // those of its logs that were made held places among the awake ones
		return storeError("create topic "+name, err)
	}
	c.srv.place(t.parts)
	c.srv.adopt(t, t.parts)
	ask.made = t
	return nil
}

// tooMany refuses more partitions than the server may hold.
func (c *controller) tooMany(more int64) *text.Error {
	if c.srv.partitions()+more > c.srv.conf.MaxPartitions {
		return &text.Error{Code: text.CodeOverloaded, Skip: -1, Text: fmt.Sprintf("this server holds at most %d partitions (max_partitions)", c.srv.conf.MaxPartitions)}
	}
	return nil
}

// alter changes a topic's settings, all that are asked for or none. The logs of partitions
// that are added come first, then topic.json, then what is served: until it counts them
// nobody knows of them, so a crash leaves the old settings or the new.
func (c *controller) alter(ask *adminRequest) *text.Error {
	t := c.srv.catalog.all()[ask.topic]
	if t == nil {
		return noTopic([]byte(ask.topic), 0)
	}
	if t.broken != nil {
		return t.parts[0].broken
	}
	conf, settings, e := c.alteration(t, ask)
	if e != nil || maps.Equal(settings, t.settings) && !t.unsettled {
		return e
	}
	if e := c.tooMany(conf.Partitions - int64(len(t.parts))); e != nil || ask.dry {
		return e
	}
	g := t.altered(settings, conf.Partitions)
	added := g.parts[len(t.parts):]
	err := c.srv.makeLogs(added)
	if err == nil {
		if err = c.srv.store.ChangeTopic("controller", t.name, settings); err != nil {
			err = errors.Join(err, closeLogs(added))
		}
	}
	if err != nil {
		t.unsettled = t.unsettled || errors.Is(err, disk.ErrUnsettled)
		c.unmake(added, t.unsettled)
		return storeError("alter topic "+t.name, err)
	}
	t.conf.Store(&conf)
	c.srv.place(added)
	c.srv.adopt(g, added)
	return nil
}

// alteration is what a topic's settings become, and which of them are its own then.
func (c *controller) alteration(t *topic, ask *adminRequest) (conf TopicConfig, own map[string]string, _ *text.Error) {
	now := *t.conf.Load()
	conf, own = now, maps.Clone(t.settings)
	for _, s := range ask.settings {
		if e := applySetting(&conf, s[0], s[1]); e != nil {
			return conf, nil, e
		}
		own[s[0]] = s[1]
	}
	for _, name := range ask.unset {
		s, ok := Find(TopicSettings(), name)
		if !ok {
			return conf, nil, applySetting(&conf, name, "")
		}
		if e := applySetting(&conf, name, s.Get(&c.srv.conf.Topic)); e != nil {
			return conf, nil, e
		}
		delete(own, name)
	}
	for _, name := range setAtCreation {
		if s, _ := Find(TopicSettings(), name); s.Get(&conf) != s.Get(&now) {
			return conf, nil, badSetting(name, atCreation)
		}
	}
	switch {
	case conf.Partitions < now.Partitions:
		return conf, nil, badSetting("partitions", fmt.Sprintf("the topic has %d, and none can be taken away: their records would go with them", now.Partitions))
	case conf.Sync != now.Sync && (conf.Sync == SyncDsync || now.Sync == SyncDsync): // its logs would change their writers
		return conf, nil, badSetting("sync", "dsync is "+atCreation)
	}
	own["partitions"] = strconv.FormatInt(conf.Partitions, 10)
	return conf, own, nil
}

// setAtCreation are settings that ALTER can't change: a log's files are made by them.
var setAtCreation = []string{"segment.bytes", "index.interval.bytes"}

const atCreation = "not supported yet for a topic that exists: give it to CREATE"

// unmake removes what there is of partitions that could not be added; their logs are
// closed. Where the next start may find them counted they stay: they hold no records.
func (c *controller) unmake(parts []*partition, unsettled bool) {
	if len(parts) == 0 {
		return
	}
	c.letGo(c.srv.roller.in, parts[0]) // as in create
	if unsettled {
		return
	}
	for _, p := range parts {
		if err := c.srv.store.RemoveLog("controller", p.topic.name, int(p.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.srv.log.Warn("the empty log of a partition that could not be added is left behind, and taken when it is tried again", zap.Stringer("log", p), zap.Error(err))
		}
	}
}

func badSetting(name, why string) *text.Error {
	return &text.Error{Code: text.CodeBadSetting, Skip: -1, Fields: []text.Field{{Name: "name", Value: name}}, Text: why}
}

func applySetting(conf *TopicConfig, name, value string) *text.Error {
	e := badSetting(name, "")
	s, ok := Find(TopicSettings(), name)
	switch {
	case ok:
		err := s.Set(conf, value)
		if err == nil {
			return nil
		}
		e.Text = err.Error()
	case slices.Contains(topicSettingsLater, name) || strings.HasPrefix(name, "hook."):
		e.Text = "not supported yet"
	default:
		e.Text = "no topic has such a setting: use " + strings.Join(topicSettingNames(), ", ")
	}
	return e
}

func topicSettingNames() []string {
	var names []string
	for _, s := range TopicSettings() {
		names = append(names, s.Name)
	}
	return names
}

// storeError is the answer when the store could not do what was asked; nothing
// was appended, and the topic is as it was.
func storeError(what string, err error) *text.Error {
	e := &text.Error{Code: text.CodeLogFailed, Skip: -1, Text: fmt.Sprintf("could not %s: %v", what, err)}
	if errors.Is(err, disk.ErrNoSpace) {
		e.Code = text.CodeDiskFull
	}
	return e
}

// drop takes the topic out of the catalog, has every stage let go of its logs,
// then removes the files.
func (c *controller) drop(ask *adminRequest) *text.Error {
	name := ask.topic
	t := c.srv.catalog.all()[name]
	if t == nil || !ask.id.IsZero() && ask.id != t.id {
		return noTopic([]byte(name), 0)
	}
	c.srv.catalog.publish(func(m map[string]*topic) { delete(m, name) })
	for _, p := range t.parts {
		p.dropped.Store(true)
		p.wake()
		for _, stage := range []chan<- *command{p.writer.in, p.flusher.in, c.srv.roller.in} {
			c.letGo(stage, p)
		}
		if err := p.log.Close(); err != nil {
			c.srv.log.Warn("closing a dropped log", zap.Stringer("log", p), zap.Error(err))
		}
		// Again: the roller may have woken the log just before it let go of it, and others
		// wait for that place. It tries them behind every command, and nobody else sends one.
		c.letGo(c.srv.roller.in, p)
	}
	if err := c.srv.store.DropTopic("controller", name); err != nil {
		return storeError("remove the files of topic "+name+"; it may be back at the next start", err)
	}
	return nil
}

// letGo has a stage forget the log, and waits until it has: so one such command is
// under way at most.
func (c *controller) letGo(stage chan<- *command, p *partition) {
	ask(stage, &command{op: opForget, part: p})
}
