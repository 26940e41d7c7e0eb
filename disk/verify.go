package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Severity says what a finding costs.
type Severity string

const (
	Damage  Severity = "damage"  // records cannot be served, or what keeps a log from being opened is lost
	Problem Severity = "problem" // something is not as it was written, and no record is lost by it
	Note    Severity = "note"    // worth knowing; nothing is wrong
)

// Finding is one thing that Verify, or Repair, has to say.
type Finding struct {
	Severity   Severity
	Topic      string // "": it belongs to no topic
	Partition  int    // -1: it belongs to no partition
	File       string // relative to the data directory
	Pos        int64  // byte position in the file; -1: the file as a whole
	From, Next uint64 // offsets [From, Next); equal: none
	What, Do   string // what is wrong, and what to do about it; Do may be empty
}

// Summary counts what was looked at, and what was found.
type Summary struct {
	Logs, Segments  int
	Batches         uint64
	Records         uint64
	Bytes           int64 // of segments
	Damages         int
	Problems, Notes int
}

// VerifyOptions say what to look at. The zero value looks at the whole directory.
type VerifyOptions struct {
	Topic    string    // only this one; "": all
	Live     bool      // a server has the directory open (InUse): what changes under our eyes is no fault
	Progress *Progress // may be nil
}

// Progress tells other goroutines how far a tool has come, in bytes of segments.
type Progress struct{ Done, Total atomic.Int64 }

// verifier is one run of Verify.
type verifier struct {
	fs     FS
	o      VerifyOptions
	report func(Finding)
	sum    Summary

	patience time.Duration // left, for files that the server seems to be writing
}

// Verify reads every byte of a data directory and reports what is wrong, in the order in which it is met. It changes
// nothing, works on a directory that a server has open (OSReadOnly, VerifyOptions.Live), and takes memory for one batch,
// decoded. report is called on this goroutine.
//
// Errors: the directory has a newer format, is none of ours, or cannot be listed; the topic is not there. All else is a
// finding, a file that cannot be read too.
func Verify(f FS, o VerifyOptions, report func(Finding)) (Summary, error) {
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	v := &verifier{fs: f, o: o, report: report, patience: 500 * time.Millisecond}
	err := v.run()
	return v.sum, err
}

func (v *verifier) found(f Finding) {
	switch f.Severity {
	case Damage:
		v.sum.Damages++
	case Problem:
		v.sum.Problems++
	case Note:
		v.sum.Notes++
	}
	v.report(f)
}

func (v *verifier) run() error {
	dirs, err := listTopics(v.fs, v.o.Topic)
	if err != nil {
		return err
	}
	if err := v.node(); err != nil {
		return err
	}
	v.o.Progress.Total.Store(segmentBytes(v.fs, dirs))
	for _, e := range dirs {
		if err := v.topic(e); err != nil {
			return err
		}
	}
	return nil
}

// listTopics lists the entries of the topics' directory, or the one of that topic. Errors: fs.ErrNotExist, I/O.
func listTopics(f FS, topic string) ([]Entry, error) {
	found, err := f.List(ByTool, topicsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this is no data directory: there is no %s in it: %w", topicsDir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("list the topics: %w", err)
	}
	if topic == "" {
		return found, nil
	}
	i := slices.IndexFunc(found, func(e Entry) bool { return e.Dir && e.Name == topic })
	if i < 0 {
		return nil, fmt.Errorf("there is no topic %q in the directory: %w", topic, fs.ErrNotExist)
	}
	return found[i : i+1], nil
}

// segmentBytes counts what there is to read. A directory that cannot be listed is told when its turn comes.
func segmentBytes(f FS, topics []Entry) (n int64) {
	for _, t := range topics {
		parts, _ := f.List(ByTool, topicDir(t.Name)) // as above
		for _, p := range parts {
			files, _ := f.List(ByTool, path.Join(topicDir(t.Name), p.Name)) // as above
			for _, e := range files {
				if _, ending, ok := splitName(e.Name); ok && ending == logEnding || e.Name == spareName {
					n += e.Size
				}
			}
		}
	}
	return n
}

// partitionOf reads the name of a partition's directory.
func partitionOf(name string) (int, bool) {
	n, err := strconv.Atoi(name)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == name
}
