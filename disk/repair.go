package disk

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// RepairOptions say what to repair. The zero value repairs the whole directory.
type RepairOptions struct {
	Topic    string    // only this one; "": all
	DryRun   bool      // tell what would be done, and do nothing
	Progress *Progress // may be nil
}

// Repaired is one thing that Repair did, or would do.
type Repaired struct {
	Topic      string
	Partition  int
	File       string // relative to the data directory
	From, Next uint64 // offsets [From, Next); equal: none
	What       string
}

// RepairSummary counts what was done.
type RepairSummary struct {
	Logs, Changed int    // logs looked at, logs that were changed
	Gaps          int    // ranges newly declared
	Lost          uint64 // offsets in them
	Indexes       int    // made anew
	Kept          int    // files set aside
}

// Repair makes every log of a directory one that the server opens for appends and serves without looking for damage:
//
//   - a segment with damage is split into segments of the whole batches around it; the original is kept beside them as
//     <base>-repair.cut
//   - offsets that no file holds are declared a gap in the log's file gaps
//   - indexes that are missing or wrong are made anew, and those without a segment removed
//   - of files that are kept twice, a bad copy is written anew from the good one
//
// No byte of a record is deleted or changed. A torn end behind the durable mark is left to the next opening. A crash at
// any point, and Repair again, leads to the same end. It holds the directory's LOCK.
//
// Errors: ErrLocked; fs.ErrNotExist; a newer format or a damaged identity, before anything is changed; I/O, ErrNoSpace.
// A topic whose topic.json is lost is repaired all the same: its logs do not need it.
func Repair(f FS, o RepairOptions, report func(Repaired)) (RepairSummary, error) {
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	topics, err := listTopics(f, o.Topic)
	if err != nil {
		return RepairSummary{}, err
	}
	r := &repairer{fs: f, o: o, report: report}
	release, err := r.take()
	if err != nil {
		return RepairSummary{}, err
	}
	o.Progress.Total.Store(segmentBytes(f, topics))
	for _, t := range topics {
		if err = r.topic(t); err != nil {
			break
		}
	}
	return r.sum, errors.Join(err, release())
}

// repairer is one run of Repair.
type repairer struct {
	fs     FS
	o      RepairOptions
	report func(Repaired)
	sum    RepairSummary
}

// take locks the directory and judges its identity, as the server does. A dry run writes nothing, not even a good copy
// of node.json over a bad one.
func (r *repairer) take() (release func() error, err error) {
	mend, err := (&Store{fs: r.fs}).loadNode()
	if err != nil {
		return nil, err
	}
	if mend {
		r.report(Repaired{Partition: -1, File: nodeFile, What: mended})
	}
	if !r.o.DryRun {
		s, err := OpenStore(r.fs, StoreOptions{}, zap.NewNop())
		if err != nil {
			return nil, err
		}
		return s.Close, nil
	}
	lock, err := r.fs.Lock(ByTool, lockFile)
	if err != nil {
		return nil, fmt.Errorf("repair: %w", err)
	}
	return lock.Close, nil
}

func (r *repairer) topic(e Entry) error {
	dir := topicDir(e.Name)
	if !e.Dir || strings.HasPrefix(e.Name, droppedPrefix) || checkTopicName(e.Name) != nil {
		return nil
	}
	list, err := r.fs.List(ByTool, dir)
	if err != nil {
		return fmt.Errorf("list topic %s: %w", e.Name, err)
	}
	if err := r.mend(Repaired{Topic: e.Name, Partition: -1}, path.Join(dir, topicFile)); err != nil {
		return err
	}
	var parts []int
	for _, e := range list {
		if p, ok := partitionOf(e.Name); ok && e.Dir {
			parts = append(parts, p)
		}
	}
	slices.Sort(parts)
	for _, p := range parts {
		r.sum.Logs++
		l := &logRepair{repairer: r, topic: e.Name, part: p}
		if err := l.run(); err != nil {
			return fmt.Errorf("repair %s/%d: %w", e.Name, p, err)
		}
		if l.changed {
			r.sum.Changed++
		}
	}
	return nil
}

const mended = "the bad one of two copies is written anew from the other"

// mend writes the bad one of two copies anew. A file that is not there, or has no good copy, is not guessed.
func (r *repairer) mend(did Repaired, name string) error {
	var value rawJSON
	mend, err := loadTwofold(r.fs, ByTool, name, &value)
	if err != nil || !mend {
		return notLost(err)
	}
	did.File, did.What = name, mended
	r.report(did)
	if r.o.DryRun {
		return nil
	}
	if err := saveTwofold(r.fs, ByTool, name, value); err != nil {
		return err
	}
	return r.fs.SyncDir(ByTool, path.Dir(name))
}
