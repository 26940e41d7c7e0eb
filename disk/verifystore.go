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
	"time"
)

// node looks at what belongs to the directory as a whole. Its error: the format is newer, so nothing can be judged.
func (v *verifier) node() error {
	if v.o.Live {
		v.found(Finding{Severity: Note, Partition: -1, File: lockFile, Pos: -1,
			What: "a server has the directory open: what it has not synced yet is in flux, and is not judged"})
	}
	var n node
	at := Finding{Severity: Damage, Partition: -1, File: nodeFile, Pos: -1}
	there := v.twofold(at, &n, "nothing is guessed about a directory without identity: restore it from a copy")
	if !there {
		at.What, at.Do = "the file is missing", "restore it from a copy of the directory"
		v.found(at)
	}
	if n.Format > formatVersion {
		return fmt.Errorf("the directory has format %d, this program knows %d; use the program that wrote it, or a newer one", n.Format, formatVersion)
	}
	return v.strangers()
}

// ownNames are those in the data directory itself, and the reserve that the server keeps there.
var ownNames = []string{lockFile, nodeFile, nodeFile + secondCopy, producerIDsFile, producerIDsFile + secondCopy, "starts", "starts" + secondCopy, "reserve"}

// strangers notes what lies in the data directory and is not ours.
func (v *verifier) strangers() error {
	list, err := v.fs.List(ByTool, root)
	if err != nil {
		return fmt.Errorf("list the data directory: %w", err)
	}
	for _, e := range list {
		if e.Dir && e.Name == topicsDir || !e.Dir && slices.Contains(ownNames, e.Name) {
			continue
		}
		v.stranger(root, Finding{Partition: -1}, e)
	}
	return nil
}

// calm looks again, beside a server, at what it may have been writing just then, until there is nothing wrong with it. What
// stays wrong, is. The patience is that of the whole run: damage stays, however long anyone looks.
func (v *verifier) calm(look func() (fine bool)) {
	const pause = 20 * time.Millisecond
	for !look() && v.o.Live && v.patience > 0 {
		time.Sleep(pause)
		v.patience -= pause
	}
}

// twofold looks at both copies of a small file and decodes the value. at.Severity is what it costs if neither is good, and
// lost is what to do then. False: there is no file.
func (v *verifier) twofold(at Finding, value any, lost string) bool {
	good, errs := [2][]byte{}, [2]error{}
	missing := func(i int) bool { return errors.Is(errs[i], fs.ErrNotExist) }
	v.calm(func() bool {
		for i, name := range []string{at.File, at.File + secondCopy} {
			good[i], errs[i] = readCopy(v.fs, ByTool, name)
			if errs[i] == nil {
				errs[i] = json.Unmarshal(good[i], value)
			}
		}
		return missing(0) && missing(1) || errors.Join(errs[:]...) == nil && string(good[0]) == string(good[1])
	})
	switch {
	case missing(0) && missing(1):
		return false
	case errs[0] != nil && errs[1] != nil:
		at.Do = lost
		at.What = fmt.Sprintf("neither of its two copies is good: the first %s, the second %s", copyState(errs[0]), copyState(errs[1]))
		v.found(at)
		return true
	}
	at.Severity, at.Do = Problem, "the next start of the server, or sluice repair, writes it anew from the other copy"
	for i, name := range []string{at.File, at.File + secondCopy} {
		if errs[i] != nil {
			at.File, at.What = name, fmt.Sprintf("one of two copies %s; the other is good", copyState(errs[i]))
			v.found(at)
		}
	}
	if errs[0] == nil && errs[1] == nil && string(good[0]) != string(good[1]) {
		at.What = "its two copies are both good, and not the same; the first one counts"
		v.found(at)
	}
	if errs[0] == nil { // the second one was decoded over it
		_ = json.Unmarshal(good[0], value) // as above, where it did not fail
	}
	return true
}

func copyState(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing"
	case errors.Is(err, errDamaged):
		return "does not have the checksum it names"
	case err == nil:
		return "is good"
	}
	return fmt.Sprintf("cannot be used: %v", err)
}

// stranger notes a name that is not ours.
func (v *verifier) stranger(dir string, at Finding, e Entry) {
	at.Severity, at.File, at.Pos, at.What = Note, path.Join(dir, e.Name), -1, "not one of sluice's files; it is left alone"
	switch {
	case e.Dir:
		at.What = "not one of sluice's directories; it is left alone"
	case strings.HasSuffix(e.Name, tmpEnding):
		at.What, at.Do = "left by something that was interrupted, and worth nothing", "the next start removes it"
	}
	v.found(at)
}

// topic looks at a topic's directory and its logs. Its error ends the run: without names nothing can be looked at.
func (v *verifier) topic(e Entry) error {
	dir := topicDir(e.Name)
	at := Finding{Severity: Damage, Topic: e.Name, Partition: -1, File: path.Join(dir, topicFile), Pos: -1}
	switch {
	case e.Dir && strings.HasPrefix(e.Name, droppedPrefix):
		v.found(Finding{Severity: Note, Partition: -1, File: dir, Pos: -1,
			What: "a dropped topic whose files are not all removed yet", Do: "the next start removes them"})
		return nil
	case !e.Dir || checkTopicName(e.Name) != nil:
		v.stranger(topicsDir, Finding{Partition: -1}, e)
		return nil
	}
	list, err := v.fs.List(ByTool, dir)
	if errors.Is(err, fs.ErrNotExist) && v.o.Live {
		at.Severity, at.What = Note, "the topic was dropped meanwhile"
		v.found(at)
		return nil
	}
	if err != nil {
		return fmt.Errorf("list topic %s: %w", e.Name, err)
	}
	parts, want := v.topicFiles(at, dir, list)
	before := v.sum.Records
	for _, p := range parts {
		if want > 0 && p >= want {
			v.found(Finding{Severity: Note, Topic: e.Name, Partition: p, File: path.Join(dir, strconv.Itoa(p)), Pos: -1,
				What: "the topic does not count this partition, which is empty: to add it was interrupted", Do: "nothing; it is taken when partitions are added"})
		}
		v.log(e.Name, p)
	}
	for p := range want {
		if !slices.Contains(parts, p) {
			v.noPartition(e.Name, p, v.sum.Records > before)
		}
	}
	return nil
}

// noPartition: partitions are made with their topic, so where one of them has records, each had its directory.
func (v *verifier) noPartition(topic string, p int, records bool) {
	at := Finding{Severity: Note, Topic: topic, Partition: p, File: path.Join(topicDir(topic), strconv.Itoa(p)), Pos: -1,
		What: "the partition has no directory: the topic's creation was interrupted", Do: "the next start makes an empty log there"}
	if records {
		at.Severity, at.What = Damage, "the directory of the partition is missing, with all of its records"
		at.Do = "restore it from a copy; the next start of the server makes an empty log there"
	}
	v.found(at)
}

// topicFiles looks at what lies in a topic's directory, and returns the numbers of its partitions in order, and how many
// there should be.
func (v *verifier) topicFiles(at Finding, dir string, list []Entry) (parts []int, want int) {
	for _, e := range list {
		p, ok := partitionOf(e.Name)
		switch {
		case ok && e.Dir:
			parts = append(parts, p)
		case e.Name != topicFile && e.Name != topicFile+secondCopy:
			v.stranger(dir, Finding{Topic: at.Topic, Partition: -1}, e)
		}
	}
	slices.Sort(parts)
	var t Topic
	const lost = "the server leaves the topic out until the file is restored from a copy; its logs are complete without it"
	if !v.twofold(at, &t, lost) {
		at.What, at.Do = "the file is missing", lost
		if len(parts) == 0 {
			at.Severity, at.What, at.Do = Note, "the file is missing: the topic's creation was interrupted", "the next start removes what there is of it"
		}
		v.found(at)
		return parts, 0
	}
	if t.Name != "" && t.Name != at.Topic {
		at.What, at.Do = fmt.Sprintf("it belongs to topic %q", t.Name), lost
		v.found(at)
	}
	want, _ = strconv.Atoi(t.Settings["partitions"]) // absent or no number: nothing is known, nothing is missed
	return parts, want
}
