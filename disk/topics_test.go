package disk_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// idOf is the id that a start finds, in both places where it can be asked for.
func idOf(t *testing.T, f disk.FS, topic string) disk.TopicID {
	t.Helper()
	s := openStore(t, f)
	defer func() { must(t, s.Close()) }()
	topics, err := s.Topics(disk.ByOpen)
	must(t, err)
	i := slices.IndexFunc(topics, func(have disk.Topic) bool { return have.Name == topic })
	if i < 0 {
		t.Fatalf("there is no topic %s", topic)
	}
	if id := s.TopicID(topic); id != topics[i].ID {
		t.Fatalf("the id of %s is %s, and it was read as %s", topic, id, topics[i].ID)
	}
	return topics[i].ID
}

// TestTopicIDs: an id lasts as long as its topic, and no other topic has it, also none of the same name.
func TestTopicIDs(t *testing.T) {
	mem := fstest.NewMem()
	s := openStore(t, mem)
	must(t, s.CreateTopic(disk.ByController, "t", nil))
	must(t, s.CreateTopic(disk.ByController, "u", nil))
	first, other := s.TopicID("t"), s.TopicID("u")
	must(t, s.Close())
	if first.IsZero() || other.IsZero() || first == other || len(first.String()) != 22 {
		t.Fatalf("the ids are %s and %s", first, other)
	}
	if left := mem.Unsynced(); len(left) != 0 {
		t.Fatalf("a power cut could take %v", left)
	}
	if id := idOf(t, mem, "t"); id != first {
		t.Errorf("the id was %s, and is %s behind a restart", first, id)
	}
	must(t, mem.Remove("test", "topics/t/topic.json"))
	if id := idOf(t, mem, "t"); id != first {
		t.Errorf("the id was %s, and is %s with one copy", first, id)
	}
	s = openStore(t, mem)
	must(t, s.DropTopic(disk.ByController, "t"))
	if id := s.TopicID("t"); !id.IsZero() {
		t.Errorf("a topic that is gone has the id %s", id)
	}
	must(t, s.CreateTopic(disk.ByController, "t", nil))
	must(t, s.Close())
	if id := idOf(t, mem, "t"); id == first || id.IsZero() {
		t.Errorf("the id was %s, and is %s for another topic of that name", first, id)
	}
}

// TestTopicIDText: what is written is read again, and nothing else is taken for an id.
func TestTopicIDText(t *testing.T) {
	for _, id := range []disk.TopicID{{}, {1}, {0xfb, 0xff}, {15: 0xff}} {
		var back disk.TopicID
		must(t, back.UnmarshalText([]byte(id.String())))
		if back != id {
			t.Errorf("%s came back as %s", id, back)
		}
	}
	for _, text := range []string{"", "A", strings.Repeat("A", 21), strings.Repeat("A", 21) + "B", strings.Repeat("A", 23), strings.Repeat("A", 22) + "==", strings.Repeat("+", 22)} {
		var id disk.TopicID
		if err := id.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is the id %s", text, id)
		}
	}
}

// TestH3TopicsGetIDs: a topic that was made before there were ids gets one at the next start, and keeps it. Where it cannot
// be stored, none is told.
func TestH3TopicsGetIDs(t *testing.T) {
	for _, dir := range []string{"testdata/format1", "testdata/format2"} {
		mem := fstest.NewMem()
		copyTo(t, mem, dir)
		s := openStore(t, fstest.Fail(mem, func(op fstest.Op) error {
			if op.Changes() && strings.HasPrefix(op.Name, "topics/") {
				return syscall.ENOSPC
			}
			return nil
		}))
		topics, err := s.Topics(disk.ByOpen)
		must(t, err)
		if len(topics) != 1 || !topics[0].ID.IsZero() || !s.TopicID("t").IsZero() {
			t.Errorf("%s: an id that is not stored was told: %v", dir, topics)
		}
		must(t, s.Close())
		first := idOf(t, mem, "t")
		if first.IsZero() {
			t.Errorf("%s: the topic got no id", dir)
		}
		if left := mem.Unsynced(); slices.ContainsFunc(left, func(name string) bool { return strings.Contains(name, "topic.json") }) {
			t.Errorf("%s: a power cut could take %v", dir, left)
		}
		if again := idOf(t, mem, "t"); again != first {
			t.Errorf("%s: the id was %s, and is %s", dir, first, again)
		}
	}
}

// TestA1A2A3GrowthAtEveryOperation stops the growth of a topic at each of its operations, by a kill and by power cuts that
// keep any part of what is unsynced: the next start finds the old number of partitions or the new one, each with its
// directory, the same id, and every record.
func TestA1A2A3GrowthAtEveryOperation(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(), 0))
	counts, told := map[string]int{}, 0
	for k, over := 1, false; !over; k++ {
		mem := fstest.NewMem()
		want, id := grown(t, mem)
		ft := &fault{k: 1 << 30, err: syscall.EIO, sticky: true}
		s := openStore(t, fstest.Fail(mem, ft.decide))
		ft.k = ft.n + k
		err := grow(s, 4)
		over = !ft.after
		if over {
			must(t, err)
		}
		for i, after := range []*fstest.Mem{mem.Kill(), mem.Crash(rng, 0), mem.Crash(rng, .5), mem.Crash(rng, .5), mem.Crash(rng, 1)} {
			count, uncounted := wantGrown(t, after, want, id, fmt.Sprintf("stopped at %d, crash %d (SLUICE_SEED=%d)", k, i, seed()))
			counts[count]++
			if uncounted {
				told++
			}
			if over && count != "4" {
				t.Fatalf("the growth had succeeded, and behind crash %d the topic has %s partitions", i, count)
			}
		}
	}
	if told == 0 {
		t.Error("verify never told of a partition that its topic does not count")
	}
	if counts["2"] == 0 || counts["4"] == 0 || len(counts) != 2 {
		t.Errorf("counts that were found: %v", counts)
	}
}

// grown makes a topic of two partitions, to be grown.
func grown(t *testing.T, mem *fstest.Mem) (want [2][]rec, id disk.TopicID) {
	t.Helper()
	s := openStore(t, mem)
	must(t, s.CreateTopic(disk.ByController, "t", map[string]string{"partitions": "2", "ack": "synced"}))
	for p := range want {
		l, _, err := s.OpenLog(disk.ByOpen, "t", p, small)
		must(t, err)
		e := &env{fs: mem, opt: small, s: s, l: l}
		want[p] = fill(t, e, uint64(5+p), 0)
		must(t, l.Close())
	}
	id = s.TopicID("t")
	must(t, s.Close())
	return want, id
}

// grow adds partitions as the controller does.
func grow(s *disk.Store, to int) error {
	for p := 2; p < to; p++ {
		l, _, err := s.OpenLog(disk.ByOpen, "t", p, small)
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return s.ChangeTopic(disk.ByController, "t", map[string]string{"partitions": fmt.Sprint(to), "ack": "synced"})
}

// wantGrown starts on what a crash left, and returns how many partitions the topic has, and whether verify told of one
// that it does not count.
func wantGrown(t *testing.T, mem *fstest.Mem, want [2][]rec, id disk.TopicID, when string) (count string, uncounted bool) {
	t.Helper()
	_, err := disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) {
		uncounted = uncounted || strings.Contains(f.What, "does not count this partition")
		if f.Severity == disk.Damage {
			t.Errorf("%s: %+v", when, f)
		}
	})
	must(t, err)
	s := openStore(t, mem)
	topics, err := s.Topics(disk.ByOpen)
	must(t, err)
	if len(topics) != 1 || topics[0].ID != id || topics[0].Settings["ack"] != "synced" {
		t.Fatalf("%s: the topics are %v", when, topics)
	}
	count = topics[0].Settings["partitions"]
	for p := range int(count[0] - '0') {
		if !exists(t, mem, fmt.Sprintf("topics/t/%d/00000000000000000000.log", p)) {
			t.Fatalf("%s: partition %d of %s has no segment", when, p, count)
		}
	}
	must(t, grow(s, 4)) // goes on from whatever is there
	for p := range 4 {
		l, _, err := s.OpenLog(disk.ByOpen, "t", p, small)
		must(t, err)
		must(t, l.Err())
		var recs []rec
		if p < 2 {
			recs = want[p]
		}
		if got := readAll(t, l, 0, 1000); !slices.Equal(got, recs) {
			t.Fatalf("%s: partition %d has %d records, want %d", when, p, len(got), len(recs))
		}
		must(t, l.Close())
	}
	must(t, s.Close())
	_, err = disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) {
		if f.Severity != disk.Note {
			t.Errorf("%s, and grown: %+v", when, f)
		}
	})
	must(t, err)
	return count, uncounted
}

// TestB4B6ChangeTopicFails: a change that fails leaves what was there, now and behind a restart, and can be tried again.
func TestB4B6ChangeTopicFails(t *testing.T) {
	for _, err := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for k := 1; ; k++ {
			mem := fstest.NewMem()
			_, id := grown(t, mem)
			ft := &fault{k: 1 << 30, err: err}
			s := openStore(t, fstest.Fail(mem, func(op fstest.Op) error {
				if !op.Changes() {
					return nil
				}
				return ft.decide(op)
			}))
			topics, problem := s.Topics(disk.ByOpen)
			must(t, problem)
			before := topics[0].Settings
			ft.k = ft.n + k
			problem = s.ChangeTopic(disk.ByController, "t", map[string]string{"partitions": "3"})
			if !ft.after {
				must(t, problem)
				break
			}
			if problem == nil {
				t.Fatalf("operation %d failed, and the change did not", k)
			}
			if err == syscall.ENOSPC {
				wantIs(t, problem, disk.ErrNoSpace)
			}
			for _, left := range []*fstest.Mem{mem.Kill(), mem.Crash(rand.New(rand.NewPCG(seed(), uint64(k))), .5)} {
				s := openStore(t, left)
				topics, problem := s.Topics(disk.ByOpen)
				must(t, problem)
				if len(topics) != 1 || topics[0].ID != id || topics[0].Settings["partitions"] != before["partitions"] || topics[0].Settings["ack"] != before["ack"] {
					t.Fatalf("failed at %d: %v, was %v", k, topics, before)
				}
				must(t, s.Close())
			}
			must(t, s.ChangeTopic(disk.ByController, "t", map[string]string{"partitions": "3"}))
			must(t, s.Close())
		}
	}
	s := openStore(t, fstest.NewMem())
	wantIs(t, s.ChangeTopic(disk.ByController, "none", nil), fs.ErrNotExist)
}

// TestRemoveLog: a log that its topic does not count can be removed, once it is closed.
func TestRemoveLog(t *testing.T) {
	mem := fstest.NewMem()
	want, id := grown(t, mem)
	s := openStore(t, mem)
	l, _, err := s.OpenLog(disk.ByOpen, "t", 2, small)
	must(t, err)
	if s.RemoveLog(disk.ByController, "t", 2) == nil {
		t.Error("a log was removed that is open")
	}
	must(t, l.Close())
	must(t, s.RemoveLog(disk.ByController, "t", 2))
	must(t, s.Close())
	if exists(t, mem, "topics/t/2") {
		t.Error("the directory is still there")
	}
	if count, uncounted := wantGrown(t, mem, want, id, "removed"); count != "2" || uncounted {
		t.Errorf("%s partitions are left", count)
	}
}
