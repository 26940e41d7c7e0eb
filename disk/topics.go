package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

const (
	topicFile = "topic.json"

	// A dropped topic is renamed to this and a number until it is removed; ~ is in no topic's name.
	droppedPrefix = "~dropped-"

	topicMax = 249 // bytes of a topic's name, as in the protocols
)

// Topic is a named set of logs.
type Topic struct {
	Name     string            `json:"name"`
	ID       TopicID           `json:"id"`
	Settings map[string]string `json:"settings"`
}

func topicDir(name string) string { return path.Join(topicsDir, name) }

// checkTopicName keeps a name from leading out of its directory. What a name should look like is the protocol's business.
func checkTopicName(name string) error {
	if name == "" || len(name) > topicMax || name == "." || name == ".." || strings.ContainsAny(name, "/\\~\x00") {
		return fmt.Errorf("disk: %q cannot be a topic's name", name)
	}
	return nil
}

// Topics reads what topics there are, by name. One whose creation was cut short, and so never promised, is removed. One
// whose topic.json is damaged but which holds records is left out, and named in the error; the others are returned all
// the same.
func (s *Store) Topics(by By) ([]Topic, error) {
	found, err := s.fs.List(by, topicsDir)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var topics []Topic
	var errs []error
	for _, e := range found {
		if !e.Dir || checkTopicName(e.Name) != nil {
			s.log.Warn("not a topic, left alone", zap.String("name", path.Join(topicsDir, e.Name)))
			continue
		}
		t, err := s.readTopic(by, e.Name)
		switch {
		case err == nil:
			topics = append(topics, t)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errDamaged):
			if err := s.removeHalfMade(by, e.Name, err); err != nil {
				errs = append(errs, err)
			}
		default:
			errs = append(errs, err)
		}
	}
	return topics, errors.Join(errs...)
}

// readTopic reads topic.json, mends a lost copy, and gives a topic that was made before there were ids the one that it
// keeps. Errors: fs.ErrNotExist, errDamaged, I/O.
func (s *Store) readTopic(by By, name string) (Topic, error) {
	var t Topic
	if err := checkTopicName(name); err != nil {
		return t, err
	}
	file := path.Join(topicDir(name), topicFile)
	mend, err := loadTwofold(s.fs, by, file, &t)
	if err != nil {
		return t, err
	}
	if t.Name != name {
		return t, fmt.Errorf("%s is %w: it belongs to topic %q", file, errDamaged, t.Name)
	}
	defer func() { s.learn(t) }()
	unnamed := t.ID.IsZero()
	if !mend && !unnamed {
		return t, nil
	}
	if mend {
		s.log.Warn("one copy of topic.json is missing or damaged, and is written anew from the other", zap.String("topic", name))
	}
	if unnamed {
		t.ID = newTopicID()
	}
	if err := s.saveTopic(by, t); err != nil {
		s.log.Warn("topic.json could not be written anew; what is there serves", zap.String("topic", name), zap.Error(err))
		if unnamed {
			t.ID = TopicID{} // one that the next start might not find must not be told to anybody
		}
	}
	return t, nil
}

// saveTopic writes topic.json in its directory, durably.
func (s *Store) saveTopic(by By, t Topic) error {
	if err := saveTwofold(s.fs, by, path.Join(topicDir(t.Name), topicFile), t); err != nil {
		return err
	}
	return s.syncDir(by, topicDir(t.Name))
}

// removeHalfMade removes a topic's directory without a valid topic.json, unless there are records in it.
func (s *Store) removeHalfMade(by By, name string, why error) error {
	n, err := s.logBytes(by, name)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("topic %s is left out: %w, but there are %d bytes of records; restore %s from a copy", name, why, n, topicFile)
	}
	if err := s.removeAll(by, topicDir(name)); err != nil {
		return fmt.Errorf("remove half-made topic %s: %w", name, err)
	}
	return nil
}

// logBytes counts the bytes in a topic's partitions.
func (s *Store) logBytes(by By, name string) (n int64, err error) {
	parts, err := s.fs.List(by, topicDir(name))
	if err != nil {
		return 0, fmt.Errorf("list topic %s: %w", name, err)
	}
	for _, p := range parts {
		if !p.Dir {
			continue
		}
		files, err := s.fs.List(by, path.Join(topicDir(name), p.Name))
		if err != nil {
			return 0, fmt.Errorf("list topic %s: %w", name, err)
		}
		for _, f := range files {
			n += f.Size
		}
	}
	return n, nil
}

// CreateTopic makes a topic, durably, with an id that no other has. Errors: fs.ErrExist, ErrNoSpace, I/O; what had been
// made by then is removed again. Only if that fails too may the topic be there at the next start.
func (s *Store) CreateTopic(by By, name string, settings map[string]string) error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	_, err := s.readTopic(by, name)
	if err == nil {
		return fmt.Errorf("create topic %s: %w", name, fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	t := Topic{name, newTopicID(), settings}
	if err := s.makeTopic(by, t); err != nil {
		s.forget(name)
		return full(fmt.Errorf("create topic %s: %w", name, errors.Join(err, s.removeAll(by, topicDir(name)))))
	}
	s.learn(t)
	return nil
}

func (s *Store) makeTopic(by By, t Topic) error {
	if err := s.fs.MkdirAll(by, topicDir(t.Name)); err != nil {
		return err
	}
	if err := s.saveTopic(by, t); err != nil {
		return err
	}
	return s.syncDir(by, topicsDir)
}

// ErrUnsettled comes with an error of ChangeTopic behind which it is not known what the directory says.
var ErrUnsettled = errors.New("what it was could not be written back: the next start may find either")

// ChangeTopic replaces the settings of a topic, durably; its id stays. A crash leaves the old ones or the new. On an error
// they are the old ones; only if those cannot be written back may they be the new ones at the next start (ErrUnsettled).
// Whoever adds partitions opens their logs before: what topic.json counts, the directory has.
//
// Errors: fs.ErrNotExist, ErrNoSpace, ErrUnsettled, I/O.
func (s *Store) ChangeTopic(by By, name string, settings map[string]string) error {
	old, err := s.readTopic(by, name)
	if err != nil {
		return fmt.Errorf("change topic %s: %w", name, err)
	}
	err = s.saveTopic(by, Topic{name, old.ID, settings})
	if err == nil {
		return nil
	}
	begun := !s.counts(by, old)
	if undo := s.saveTopic(by, old); undo != nil && begun {
		err = errors.Join(err, ErrUnsettled, undo)
	}
	return full(fmt.Errorf("change topic %s: %w", name, err))
}

// counts tells whether the copy of topic.json that counts while both are good is this one. It is the last to be written.
func (s *Store) counts(by By, t Topic) bool {
	have, err := readCopy(s.fs, by, path.Join(topicDir(t.Name), topicFile))
	want, problem := json.Marshal(t)
	return errors.Join(err, problem) == nil && string(have) == string(want)
}

// Uncounted finds the logs in a topic's directory that it does not count, since it has n partitions: a crash left them
// when partitions were added. Errors: the directory cannot be listed.
func (s *Store) Uncounted(by By, topic string, n int) (partitions []int, err error) {
	found, err := s.fs.List(by, topicDir(topic))
	if err != nil {
		return nil, fmt.Errorf("list topic %s: %w", topic, err)
	}
	for _, e := range found {
		if p, err := strconv.Atoi(e.Name); err == nil && e.Dir && p >= n && strconv.Itoa(p) == e.Name {
			partitions = append(partitions, p)
		}
	}
	return partitions, nil
}

// RemoveLog removes the log of a partition that its topic never came to count. It is closed.
func (s *Store) RemoveLog(by By, topic string, partition int) error {
	dir := path.Join(topicDir(topic), strconv.Itoa(partition))
	if open := s.openBelow(topic); slices.Contains(open, dir) {
		return fmt.Errorf("remove log %s: it is open", dir)
	}
	if err := s.removeAll(by, dir); err != nil {
		return fmt.Errorf("remove log %s: %w", dir, err)
	}
	return nil
}

// DropTopic removes a topic whose logs are closed. Once it returns nil, or an error other than that of the rename or its
// sync, the topic stays gone; what is left of its files is removed at the next start. Errors: fs.ErrNotExist, I/O.
func (s *Store) DropTopic(by By, name string) error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	if open := s.openBelow(name); len(open) > 0 {
		return fmt.Errorf("drop topic %s: these logs are still open: %v", name, open)
	}
	s.forget(name)
	aside, err := s.droppedName(by)
	if err != nil {
		return fmt.Errorf("drop topic %s: %w", name, err)
	}
	if err := s.fs.Rename(by, topicDir(name), aside); err != nil {
		return fmt.Errorf("drop topic %s: %w", name, err)
	}
	if err := s.syncDir(by, topicsDir); err != nil {
		return fmt.Errorf("drop topic %s: %w", name, err)
	}
	if err := s.removeAll(by, aside); err != nil {
		return fmt.Errorf("drop topic %s: it is gone, but its files are not all: %w", name, err)
	}
	return nil
}

func (s *Store) droppedName(by By) (string, error) {
	found, err := s.fs.List(by, topicsDir)
	if err != nil {
		return "", err
	}
	taken := make(map[string]bool)
	for _, e := range found {
		taken[e.Name] = true
	}
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s%d", droppedPrefix, n); !taken[name] {
			return path.Join(topicsDir, name), nil
		}
	}
}

// removeDropped finishes the drops that a crash interrupted.
func (s *Store) removeDropped() error {
	found, err := s.fs.List(ByOpen, topicsDir)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	found = slices.DeleteFunc(found, func(e Entry) bool { return !e.Dir || !strings.HasPrefix(e.Name, droppedPrefix) })
	if len(found) == 0 {
		return nil
	}
	// The old name must not come back when there is nothing behind it any more.
	if err := s.syncDir(ByOpen, topicsDir); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	for _, e := range found {
		if err := s.removeAll(ByOpen, path.Join(topicsDir, e.Name)); err != nil {
			return fmt.Errorf("open store: remove a dropped topic: %w", err)
		}
	}
	return nil
}

// removeAll removes a directory and what is in it. The depth is that of the directory: three at most in a topic.
func (s *Store) removeAll(by By, dir string) error {
	found, err := s.fs.List(by, dir)
	if err != nil {
		return err
	}
	for _, e := range found {
		name := path.Join(dir, e.Name)
		if e.Dir {
			err = s.removeAll(by, name)
		} else {
			err = s.fs.Remove(by, name)
		}
		if err != nil {
			return err
		}
	}
	return s.fs.Remove(by, dir)
}

func (s *Store) syncDir(by By, dir string) error {
	if err := s.fs.SyncDir(by, dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
