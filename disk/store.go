package disk

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// Format 2 brought marks, epochs and gaps. A directory of format 1 becomes one of format 2 by its node.json alone; its
	// logs get the new files when they begin to take appends.
	nodeIDBytes   = 16
	formatVersion = 2

	root      = "."
	lockFile  = "LOCK"
	nodeFile  = "node.json"
	topicsDir = "topics"
)

// node is what node.json says: who this directory belongs to, and in which format it is.
type node struct {
	Format  int       `json:"format"`
	ID      string    `json:"node"`
	Created time.Time `json:"created"`
}

// Store is a data directory, held by this process alone. Any goroutine may call any method.
type Store struct {
	fs    FS
	files *files
	log   *zap.Logger
	node  node
	lock  io.Closer

	mu struct { // topics come and go rarely; nothing on the data path takes it
		sync.Mutex
		logs   map[string]bool    // directories of open logs
		topics map[string]TopicID // whose topic.json was read or written; a start opens many logs of them
	}
}

// OpenStore takes the directory, makes it when it is new, and removes topics whose drop was under way.
// Errors: ErrLocked; too small a budget, a newer format or a damaged identity, all before anything is written; I/O.
func OpenStore(f FS, o StoreOptions, log *zap.Logger) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	files := newFiles(o.Files)
	f = seam{f, files}
	s := &Store{fs: f, files: files, log: log}
	s.mu.logs, s.mu.topics = make(map[string]bool), make(map[string]TopicID)
	if _, err := s.loadNode(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := f.MkdirAll(ByOpen, root); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := f.Lock(ByOpen, lockFile)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.lock = lock
	if err := s.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *Store) start() error {
	mend, err := s.loadNode() // again: what was read before the lock may have been another process's
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = s.create()
	case err == nil && s.node.Format < formatVersion:
		s.log.Info("the data directory is brought to a newer format", zap.Int("from", s.node.Format), zap.Int("to", formatVersion))
		s.node.Format = formatVersion
		err = s.saveNode()
	case err == nil && mend:
		s.log.Warn("one copy of node.json is missing or damaged, and is written anew from the other")
		err = s.saveNode()
	case err == nil: // whoever made the directory may have been killed before
		err = s.syncDir(ByOpen, root)
	}
	if err != nil {
		return err
	}
	return s.removeDropped()
}

// loadNode reads and judges node.json.
func (s *Store) loadNode() (mend bool, err error) {
	mend, err = loadTwofold(s.fs, ByOpen, nodeFile, &s.node)
	if errors.Is(err, errDamaged) {
		return false, fmt.Errorf("open store: %w; nothing is guessed about a directory without identity: restore node.json from a copy", err)
	}
	if err != nil {
		return false, err
	}
	if newest := s.newestFormat(); newest > formatVersion {
		return false, fmt.Errorf("open store: the directory has format %d, this program knows %d; use the program that wrote it, or a newer one", newest, formatVersion)
	}
	if s.node.Format < 1 || len(s.node.ID) != 2*nodeIDBytes { // a file of another kind, with a checksum of its own
		return false, fmt.Errorf("open store: %s is %w: it names no identity; restore it from its copy %s, if that is right", nodeFile, errDamaged, nodeFile+secondCopy)
	}
	return mend, nil
}

// newestFormat looks at both copies: a newer program that was cut short while it brought the directory to its own format
// may have written only the second one.
func (s *Store) newestFormat() int {
	newest := s.node.Format
	for _, name := range []string{nodeFile, nodeFile + secondCopy} {
		var n node
		if text, err := readCopy(s.fs, ByOpen, name); err == nil && json.Unmarshal(text, &n) == nil {
			newest = max(newest, n.Format)
		}
	}
	return newest
}

// create gives a new directory its identity. One with topics is not new: its identity was lost, and is not guessed.
func (s *Store) create() error {
	found, err := s.fs.List(ByOpen, topicsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open store: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("open store: there are topics but no node.json; restore it from a copy, or move the directory away")
	}
	var id [nodeIDBytes]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	s.node = node{Format: formatVersion, ID: hex.EncodeToString(id[:]), Created: time.Now().UTC().Truncate(time.Second)}
	if err := s.fs.MkdirAll(ByOpen, topicsDir); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	// First: an identity without the directory of topics would mean that all of them are lost.
	if err := s.syncDir(ByOpen, root); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return s.saveNode()
}

func (s *Store) saveNode() error {
	if err := saveTwofold(s.fs, ByOpen, nodeFile, s.node); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if err := s.fs.SyncDir(ByOpen, root); err != nil {
		return fmt.Errorf("open store: sync the data directory: %w", err)
	}
	return nil
}

// NodeID is the directory's identity: 32 hexadecimal digits, made with it.
func (s *Store) NodeID() string { return s.node.ID }

// OpenLog opens a partition of an existing topic, and creates an empty log when there is none. A log is open once at a
// time. One that is damaged, or cannot be recovered, opens for reading: its Err tells why, and what to do. Any goroutine;
// different logs may be opened at once, and wait for descriptors, of which an open log has none until its first append.
//
// Errors: fs.ErrNotExist for an unknown topic, I/O when the log's files cannot be listed or read, and whatever keeps a new
// log from being made, ErrNoSpace above all. Recovery then holds what was done before. See BrokenLog.
func (s *Store) OpenLog(by By, topic string, partition int, o LogOptions) (*Log, Recovery, error) {
	release := s.files.lease()
	defer release()
	if !s.knows(topic) {
		if _, err := s.readTopic(by, topic); err != nil {
			return nil, Recovery{}, fmt.Errorf("open log %s/%d: %w", topic, partition, err)
		}
	}
	dir := path.Join(topicsDir, topic, fmt.Sprint(partition))
	if err := s.take(dir); err != nil {
		return nil, Recovery{}, err
	}
	l, rec, err := openLog(s.fs, s.files, dir, o, s.log)
	if err != nil {
		s.give(dir)
		return nil, rec, err
	}
	l.onClose = func() { s.give(dir) }
	return l, rec, nil
}

// BrokenLog stands for a log that could not be opened at all: reads and appends answer why, and Close is all there is to
// do with it.
func (s *Store) BrokenLog(topic string, partition int, why error) *Log {
	dir := path.Join(topicsDir, topic, fmt.Sprint(partition))
	if err := s.take(dir); err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	l := &Log{fs: s.fs, files: s.files, dir: dir, log: s.log, unreadable: why, onClose: func() { s.give(dir) }}
	l.epochs.Store(&epochTable{{}})
	seg := &segment{sealed: true}
	l.list.segs = []*segment{seg}
	l.state.Store(&state{active: seg})
	_ = l.fail(why) // Err tells it from now on
	return l
}

func (s *Store) take(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.logs[dir] {
		return fmt.Errorf("open log %s: it is open already", dir)
	}
	s.mu.logs[dir] = true
	return nil
}

func (s *Store) give(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.logs, dir)
}

func (s *Store) knows(topic string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.mu.topics[topic]
	return there
}

// TopicID is the id of a topic that Topics returned or CreateTopic made, and that was not dropped since.
func (s *Store) TopicID(topic string) TopicID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.topics[topic]
}

func (s *Store) learn(t Topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.topics[t.Name] = t.ID
}

func (s *Store) forget(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.topics, topic)
}

// openBelow lists the open logs of a topic, or of all topics for "".
func (s *Store) openBelow(topic string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []string
	for dir := range s.mu.logs {
		if topic == "" || path.Dir(dir) == path.Join(topicsDir, topic) {
			open = append(open, dir)
		}
	}
	slices.Sort(open)
	return open
}

// Close gives the directory free. Logs are closed before: one that is still open is reported, and keeps the directory
// locked, since it may still write.
func (s *Store) Close() error {
	if open := s.openBelow(""); len(open) > 0 {
		return fmt.Errorf("close store: these logs are still open: %v", open)
	}
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
