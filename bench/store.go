package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice/wire/batch"
)

// W9 needs data directories of 100 GB, as a kill -9 leaves them. The server makes the directory, its identity, the topic
// and the log's small files, and is stopped. The sealed segments are then laid beside them: real batches with right
// offsets, epochs and checksums, whose values are zeros and so holes in the file. A batch takes one block of the disk;
// 100 GB take half a GB. The server is started on that, appends what a crash may leave unsynced, and is killed.
//
// There are no index files, which is the worse case: what is read is searched from its segment's start.

const sparseBatch = 1 << 20 // bytes of a laid batch: the default max.message.bytes

// A layout says what a directory holds.
type layout struct {
	name     string
	segments int // of the one topic
	batches  int // MiB of a segment
	topics   int // instead of segments: that many topics of one message each
}

// A store is a directory that was killed. It is made when it is first needed.
type store struct {
	layout
	dir    string
	next   uint64 // of the topic
	active string // the last segment's file
	end    int64  // bytes of batches in it
	saved  map[string][]byte
	sizes  map[string]int64
}

// roomFor checks that the disk holds what is laid, twice.
func (l layout) roomFor(dir string) error {
	bytes, files, err := space(dir)
	if err != nil {
		return err
	}
	// Blocks of the batches and of what describes them; a topic's small files and first blocks; what is appended.
	need := int64(l.segments)*int64(l.batches+8)*4096 + int64(l.topics)*(256<<10) + 256<<20
	needFiles := int64(l.segments)*2 + int64(l.topics)*16
	if bytes < 2*need || files < 2*needFiles {
		return fmt.Errorf("%s: %s has %d MiB and %d inodes free, and this needs %d MiB and %d: name another disk with -dir",
			l.name, dir, bytes>>20, files, 2*need>>20, 2*needFiles)
	}
	return nil
}

func (s *store) make(ctx context.Context, bin string) error {
	if s.saved != nil {
		return nil
	}
	parent := filepath.Dir(s.dir)
	err := errors.Join(os.MkdirAll(parent, 0o755), s.roomFor(parent))
	if err != nil {
		return err
	}
	if s.topics > 0 {
		err = s.makeTopics(ctx, bin)
	} else {
		err = s.makeSegments(ctx, bin)
	}
	if err != nil {
		return fmt.Errorf("make the directory of %s: %w", s.name, err)
	}
	return s.save()
}

func (s *store) logDir() string { return filepath.Join(s.dir, "topics", topic, "0") }

func (s *store) makeSegments(ctx context.Context, bin string) error {
	epoch, err := s.begin(ctx, bin)
	if err != nil {
		return err
	}
	whole, head, err := zeroBatch()
	if err != nil {
		return err
	}
	part := max(1, s.batches/4) // of the active segment
	for i := range s.segments {
		n := s.batches
		if i == s.segments-1 {
			n = part
		}
		if err := laySegment(s.logDir(), uint64(i*s.batches), n, epoch, head); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	syncAll()
	s.active = segmentFile(s.logDir(), uint64((s.segments-1)*s.batches))
	tail := max(1, min(48, s.batches/2-2)) // MiB unsynced: a crash finds at most 64
	s.next = uint64((s.segments-1)*s.batches + part)
	s.end = int64(part+tail) * sparseBatch
	return s.appendTail(ctx, bin, whole, tail)
}

// begin has the server make the directory, and tells the epoch of the log.
func (s *store) begin(ctx context.Context, bin string) (epoch int32, err error) {
	p, err := serve(ctx, bin, s.dir)
	if err != nil {
		return 0, err
	}
	// Never synced by time: what is appended before the kill is then what recovery has to look at.
	_, err = ask(ctx, p.addr, fmt.Sprintf("CREATE %s segment.bytes=%d flush.ms=forever", topic, s.batches*sparseBatch))
	var head map[string]string
	if err == nil {
		head, err = ask(ctx, p.addr, "HEAD "+topic)
	}
	_, stopErr := p.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(head["epoch"], &epoch); err != nil {
		return 0, fmt.Errorf("HEAD: epoch %q: %w", head["epoch"], err)
	}
	return epoch, unlay(s.logDir())
}

// unlay removes what a log has begun with: the empty segment, its spare, and marks that speak of them. Without marks the
// last segment is scanned.
func unlay(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range found {
		if ext := filepath.Ext(e.Name()); ext == ".log" || ext == ".seg" || ext == ".idx" || strings.HasPrefix(e.Name(), "marks") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// zeroBatch is a batch of one record of zeros, and the part of it that is not zeros.
func zeroBatch() (whole, head []byte, err error) {
	var b batch.Builder
	value := make([]byte, sparseBatch)
	over := 0
	for range 2 { // the size of the size of the value may change once
		b.Reset(nil)
		b.Add(1, nil, value[:sparseBatch-over], nil)
		over += b.Size() - sparseBatch
	}
	b.Reset(nil)
	b.Add(1, nil, value[:sparseBatch-over], nil)
	if whole, err = b.Finish(batch.None); err != nil {
		return nil, nil, err
	}
	head = bytes.TrimRight(whole, "\x00")
	if len(whole) != sparseBatch || len(head) > 4096 {
		return nil, nil, fmt.Errorf("the batch has %d bytes, %d before its zeros", len(whole), len(head))
	}
	return whole, bytes.Clone(head), nil
}

func segmentFile(dir string, base uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.log", base))
}

func laySegment(dir string, base uint64, batches int, epoch int32, head []byte) (err error) {
	f, err := os.OpenFile(segmentFile(dir, base), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for i := range batches {
		batch.SetBase(head, base+uint64(i), epoch)
		if _, err := f.WriteAt(head, int64(i)*sparseBatch); err != nil {
			return err
		}
	}
	return f.Truncate(int64(batches) * sparseBatch)
}

// appendTail has the server take the laid directory as its own, append, and be killed.
func (s *store) appendTail(ctx context.Context, bin string, whole []byte, n int) error {
	p, err := serve(ctx, bin, s.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	head, err := ask(ctx, p.addr, "HEAD "+topic)
	if err != nil {
		return err
	}
	if head["next"] != fmt.Sprint(s.next) || head["segments"] != fmt.Sprint(s.segments) {
		return fmt.Errorf("the server does not see what was laid: next %s, want %d; segments %s, want %d", head["next"], s.next, head["segments"], s.segments)
	}
	for range n {
		if err := appendTo(ctx, p.addr, fmt.Appendf(nil, "BATCH %s %d ack=written\n", topic, len(whole)), whole, []byte("\n")); err != nil {
			return err
		}
		s.next++
	}
	return nil
}

func (s *store) makeTopics(ctx context.Context, bin string) error {
	p, err := serve(ctx, bin, s.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	for i := range s.topics {
		name := topicName(i)
		if _, err := ask(ctx, p.addr, fmt.Sprintf("CREATE %s flush.ms=forever", name)); err != nil {
			return err
		}
		if err := appendTo(ctx, p.addr, messageTo(name, "written")); err != nil {
			return err
		}
	}
	return nil
}

func topicName(i int) string { return fmt.Sprintf("%s-%d", topic, i) }

const smallFile = 1 << 20 // files up to this are kept and put back whole

// save notes how the killed directory is, so that every start finds the same.
func (s *store) save() error {
	s.saved, s.sizes = make(map[string][]byte), make(map[string]int64)
	return filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.sizes[name] = info.Size()
		if info.Size() <= smallFile {
			s.saved[name], err = readTrimmed(name)
		}
		return err
	})
}

// readTrimmed reads a small file, without the zeros at its end.
func readTrimmed(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	return bytes.TrimRight(b, "\x00"), err
}

// restore makes the directory what it was right after the kill.
func (s *store) restore() error {
	err := filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if _, ok := s.sizes[name]; !ok {
			return os.Remove(name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name, was := range s.saved {
		is, err := readTrimmed(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && bytes.Equal(is, was) {
			continue
		}
		if err := errors.Join(os.WriteFile(name, was, 0o644), os.Truncate(name, s.sizes[name])); err != nil {
			return err
		}
	}
	if s.active != "" { // what was appended goes, and what was allocated comes again
		if err := errors.Join(os.Truncate(s.active, s.end), os.Truncate(s.active, s.sizes[s.active])); err != nil {
			return err
		}
	}
	syncAll()
	return nil
}

// cool makes the next start find nothing in the page cache, and says how. whole: also names and inodes, which only root
// can have dropped, and only for the whole machine.
func (s *store) cool(whole bool) (how string, err error) {
	syncAll()
	if whole && forgetAll() == nil { // the note tells which of the two it was
		return "the machine's pages, names and inodes dropped (drop_caches)", nil
	}
	return "each file's pages dropped (posix_fadvise)", forgetFolder(s.dir)
}

// forgetFolder has the kernel drop the pages of all files in a folder. They must be synced.
func forgetFolder(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(forget(f), f.Close())
	})
}

// appendTo sends a request in parts and wants OK.
func appendTo(ctx context.Context, addr string, parts ...[]byte) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	for _, p := range parts {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
	return wantOK(c)
}

func wantOK(r io.Reader) error { return sluiceAnswer(newReader(r)) }
