package disk_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk"
	"sluice/disk/fstest"
)

// TestH5StoreIdentity: a directory keeps its identity, and a second store on it is refused while it is open.
func TestH5StoreIdentity(t *testing.T) {
	f := fstest.NewMem()
	s := openStore(t, f)
	id := s.NodeID()
	if len(id) != 32 {
		t.Fatalf("node id %q", id)
	}
	_, err := disk.OpenStore(f, disk.StoreOptions{}, nop)
	wantIs(t, err, disk.ErrLocked)
	must(t, s.Close())
	if left := f.Unsynced(); len(left) != 0 {
		t.Fatalf("a power cut could take %v", left)
	}
	s = openStore(t, f)
	if s.NodeID() != id {
		t.Fatalf("node id %q, was %q", s.NodeID(), id)
	}
	must(t, s.Close())
}

// TestC9H3NodeCopies: one good copy of node.json is enough and mends the other; without one, nothing is guessed or written (C9).
func TestC9H3NodeCopies(t *testing.T) {
	const value = `{"format":3,"node":"x","created":"2026-01-01T00:00:00Z"}`
	newer := fmt.Sprintf(`{"value":%s,"crc32c":"%08x"}`, value, crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli)))
	altered := strings.Replace(newer, "3", "2", 1) // format 2, under the checksum of format 3
	for _, c := range []struct {
		name          string
		first, second string // "": as it is; "-": gone
		refused       string
	}{
		{"both fine", "", "", ""},
		{"first gone", "-", "", ""},
		{"second gone", "", "-", ""},
		{"first damaged", "x", "", ""},
		{"second damaged", "", "{}", ""},
		{"first altered", altered, "", ""},
		{"second altered", "", altered, ""},
		{"both damaged", "x", "{}", "damaged"},
		{"one damaged, one gone", "-", "x", "damaged"},
		{"both gone", "-", "-", "no node.json"},
		{"newer", newer, newer, "format 3"},
		{"newer in one copy", "", newer, "format 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := fstest.NewMem()
			s := openStore(t, mem)
			must(t, s.CreateTopic(disk.ByController, "t", nil))
			must(t, s.Close())
			right := load(t, mem, "node.json")
			for name, text := range map[string]string{"node.json": c.first, "node.json.2": c.second} {
				switch text {
				case "":
				case "-":
					must(t, mem.Remove("test", name))
				default:
					save(t, mem, name, []byte(text))
				}
			}
			var tr tracer
			again, err := disk.OpenStore(fstest.Trace(mem, tr.line), disk.StoreOptions{}, nop)
			if c.refused == "" {
				must(t, err)
				if again.NodeID() != s.NodeID() || string(load(t, mem, "node.json")) != string(right) || string(load(t, mem, "node.json.2")) != string(right) {
					t.Fatal("the copies were not mended")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Fatalf("error %v, want one with %q", err, c.refused)
			}
			for _, line := range tr.take() {
				if op := strings.Fields(line)[1]; !slices.Contains([]string{"open", "read", "size", "close", "list", "lock", "mkdir"}, op) {
					t.Errorf("a refused directory was changed: %s", line)
				}
			}
		})
	}
}

func TestTopics(t *testing.T) {
	f := fstest.NewMem()
	s := openStore(t, f)
	must(t, s.CreateTopic(disk.ByController, "b", map[string]string{"segment.bytes": "1MiB"}))
	must(t, s.CreateTopic(disk.ByController, "a", nil))
	if left := f.Unsynced(); len(left) != 0 {
		t.Fatalf("a power cut could take %v", left)
	}
	wantIs(t, s.CreateTopic(disk.ByController, "a", nil), fs.ErrExist)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "~x", strings.Repeat("x", 250)} {
		if s.CreateTopic(disk.ByController, name, nil) == nil {
			t.Errorf("topic %q was created", name)
		}
		if _, _, err := s.OpenLog(disk.ByOpen, name, 0, small); err == nil {
			t.Errorf("a log of topic %q was opened", name)
		}
		if s.DropTopic(disk.ByController, name) == nil {
			t.Errorf("topic %q was dropped", name)
		}
	}
	_, _, err := s.OpenLog(disk.ByOpen, "none", 0, small)
	wantIs(t, err, fs.ErrNotExist)
	wantIs(t, s.DropTopic(disk.ByController, "none"), fs.ErrNotExist)
	must(t, s.Close())
	s = openStore(t, f)
	wantTopics(t, s, "a", "b")
	topics, err := s.Topics(disk.ByController)
	must(t, err)
	if topics[1].Settings["segment.bytes"] != "1MiB" {
		t.Fatalf("settings %v", topics[1].Settings)
	}
}

func wantTopics(t *testing.T, s *disk.Store, want ...string) {
	t.Helper()
	topics, err := s.Topics(disk.ByController)
	must(t, err)
	var got []string
	for _, topic := range topics {
		got = append(got, topic.Name)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("topics %v, want %v", got, want)
	}
}

// TestCreateTopicUndone: a creation that fails leaves nothing, and can be tried again.
func TestCreateTopicUndone(t *testing.T) {
	for _, kind := range []fstest.Kind{fstest.Create, fstest.Write, fstest.Sync, fstest.Rename, fstest.SyncDir, fstest.Close} {
		failed := false
		f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if !failed && op.By == disk.ByController && op.Kind == kind {
				failed = true
				return syscall.ENOSPC
			}
			return nil
		})
		s := openStore(t, f)
		wantIs(t, s.CreateTopic(disk.ByController, "t", nil), disk.ErrNoSpace)
		if got := files(t, f, "topics"); len(got) != 0 {
			t.Errorf("%s: left behind: %v", kind, got)
		}
		must(t, s.CreateTopic(disk.ByController, "t", nil))
	}
}

func TestOpenOnce(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	if _, _, err := e.s.OpenLog(disk.ByOpen, "t", 0, small); err == nil {
		t.Fatal("a log was opened twice")
	}
	if e.s.DropTopic(disk.ByController, "t") == nil {
		t.Fatal("a topic was dropped under its log")
	}
	if e.s.Close() == nil {
		t.Fatal("a store was closed under its log")
	}
	other, _, err := e.s.OpenLog(disk.ByOpen, "t", 1, small)
	must(t, err)
	must(t, other.Close())
	must(t, e.l.Close())
	must(t, e.s.DropTopic(disk.ByController, "t"))
	must(t, e.s.Close())
}

func TestLogOptionsAreChecked(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	for _, o := range []disk.LogOptions{{SegmentBytes: -1}, {SegmentBytes: 1<<32 + 1}, {IndexInterval: -1}} {
		if _, _, err := e.s.OpenLog(disk.ByOpen, "t", 1, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	e.close(t)
}

// TestDropTopicAtEveryOperation: a drop that stops anywhere leaves the topic whole or gone, and nothing behind.
func TestDropTopicAtEveryOperation(t *testing.T) {
	for k := 1; ; k++ {
		mem := fstest.NewMem()
		e := newEnv(t, mem, small)
		want := fill(t, e, 20, 0)
		must(t, e.l.Close())
		must(t, e.s.Close())
		ft := &fault{k: 1 << 30, err: syscall.EIO, sticky: true}
		s := openStore(t, fstest.Fail(mem, ft.decide))
		ft.k = ft.n + k
		err := s.DropTopic(disk.ByController, "t")
		if !ft.after {
			must(t, err)
			if got := files(t, mem, "topics"); len(got) != 0 {
				t.Fatalf("left behind: %v", got)
			}
			return
		}
		s = openStore(t, restarted{mem})
		topics, err := s.Topics(disk.ByController)
		must(t, err)
		if len(topics) == 1 {
			l, _, err := s.OpenLog(disk.ByOpen, "t", 0, small)
			must(t, err)
			if got := readAll(t, l, 0, 1000); !slices.Equal(got, want) {
				t.Fatalf("stopped at %d, the topic is there without its records", k)
			}
		} else if got := files(t, mem, "topics"); len(got) != 0 {
			t.Fatalf("stopped at %d, left behind: %v", k, got)
		}
	}
}

// TestHalfMadeTopics: what creation left behind goes; records without a topic.json are never removed, but told.
func TestHalfMadeTopics(t *testing.T) {
	f := fstest.NewMem()
	e := newEnv(t, f, small)
	fill(t, e, 5, 0)
	must(t, e.l.Close())
	must(t, e.s.CreateTopic(disk.ByController, "fine", nil))
	must(t, f.MkdirAll("test", "topics/empty"))
	must(t, f.MkdirAll("test", "topics/unfinished"))
	save(t, f, "topics/unfinished/topic.json.tmp", []byte("{"))
	must(t, f.MkdirAll("test", "topics/garbled"))
	save(t, f, "topics/garbled/topic.json", []byte("{"))
	save(t, f, "topics/README", []byte("x"))
	wantTopics(t, e.s, "fine", "t")
	if got, want := files(t, f, "topics"), []string{"README 1", "fine 0", "t 0"}; !slices.Equal(got, want) {
		t.Fatalf("left are %v, want %v", got, want)
	}
	save(t, f, "topics/t/topic.json", []byte("{"))
	wantTopics(t, e.s, "fine", "t") // from the second copy
	save(t, f, "topics/t/topic.json", []byte("{"))
	save(t, f, "topics/t/topic.json.2", load(t, f, "topics/fine/topic.json"))
	topics, err := e.s.Topics(disk.ByController)
	if err == nil || len(topics) != 1 || topics[0].Name != "fine" {
		t.Fatalf("topics %v, %v", topics, err)
	}
	if !exists(t, f, seg0) {
		t.Fatal("records were removed")
	}
}

// TestForeignFilesAreTold: a file that is not ours is left alone, and somebody hears of it.
func TestForeignFilesAreTold(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	f := fstest.NewMem()
	e := newEnv(t, f, small)
	must(t, e.l.Close())
	must(t, e.s.Close())
	save(t, f, "topics/t/0/notes.txt", []byte("x"))
	must(t, f.MkdirAll("test", "topics/t/0/00000000000000000007.log"))
	s, err := disk.OpenStore(f, disk.StoreOptions{}, zap.New(core))
	must(t, err)
	l, _, err := s.OpenLog(disk.ByOpen, "t", 0, small)
	must(t, err)
	must(t, l.Close())
	if logs.FilterFieldKey("file").Len() != 2 {
		t.Fatalf("told: %v", logs.All())
	}
}

// TestCloseReportsEverything: what fails while closing is returned.
func TestCloseReportsEverything(t *testing.T) {
	for _, kind := range []fstest.Kind{fstest.Sync, fstest.Truncate, fstest.Close} {
		armed := false
		e := newEnv(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
			if armed && op.Kind == kind {
				return errBroken
			}
			return nil
		}), small)
		fill(t, e, 5, 0)
		armed = true
		if err := e.l.Close(); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestC9ForeignIdentity: a small file of another kind, good in itself, in the place of node.json is not taken for an
// identity, and its good copy is not overwritten.
func TestC9ForeignIdentity(t *testing.T) {
	mem := fstest.NewMem()
	s := openStore(t, mem)
	must(t, s.CreateTopic(disk.ByController, "t", nil))
	must(t, s.Close())
	save(t, mem, "node.json", load(t, mem, "topics/t/topic.json"))
	copied := string(load(t, mem, "node.json.2"))
	if s, err := disk.OpenStore(mem, disk.StoreOptions{}, nop); err == nil {
		t.Errorf("opened as node %q", s.NodeID())
	}
	if got := string(load(t, mem, "node.json.2")); got != copied {
		t.Errorf("the good copy is now %s", got)
	}
}
