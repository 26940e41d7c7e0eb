package stages

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// breaking fails one kind of operation on the log t, once it is armed.
type breaking struct {
	lock  sync.Mutex
	by    disk.By
	kind  fstest.Kind
	err   error
	once  bool // only the first fails: a second try would succeed, and lie
	armed bool
	hits  int
	after []fstest.Op // what changed files of t behind the first failure
}

func (b *breaking) decide(op fstest.Op) error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if !b.armed || !strings.Contains(op.Name, "topics/t/") && op.Name != "topics/t/0" {
		return nil
	}
	if b.hits > 0 && op.Changes() {
		b.after = append(b.after, op)
	}
	if op.By != b.by || op.Kind != b.kind || strings.Contains(op.Name, ".idx") { // an index may fail (B5)
		return nil
	}
	if b.hits++; b.once && b.hits > 1 {
		return nil
	}
	return b.err
}

func (b *breaking) arm() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.armed = true
}

// I6, rows B1, B2, B3 and B7 through the whole pipeline: whatever fails first, and
// whether it would work the next time or not, ends the log as a writer. Who waits for
// it gets UNKNOWN, later appends and FLUSH get LOG_FAILED with the reason, nothing is
// tried again, what is visible stays so, and other logs go on.
func TestI6B1B2B3B7FirstFailureEndsTheLog(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     disk.By
		kind   fstest.Kind
		err    error
		once   bool
		reason string
	}{
		{"B1 a sync fails once", disk.ByFlusher, fstest.Sync, syscall.EIO, true, "input/output error"},
		{"B1 a sync fails, and the bytes are gone", disk.ByFlusher, fstest.Sync, &fstest.Dropped{Err: syscall.EIO}, true, "input/output error"},
		{"B2 every sync fails", disk.ByFlusher, fstest.Sync, syscall.EIO, false, "input/output error"},
		{"B2 a write fails", disk.ByWriter, fstest.Write, syscall.EIO, true, "input/output error"},
		{"B2 a write is short", disk.ByWriter, fstest.Write, &fstest.Short{N: 7, Err: syscall.EIO}, true, "input/output error"},
		{"B2 a write is done and fails", disk.ByWriter, fstest.Write, &fstest.Late{Err: syscall.EIO}, true, "input/output error"},
		{"B3 a directory's sync fails at a roll", disk.ByRoller, fstest.SyncDir, syscall.EIO, true, "input/output error"},
		{"B3 a rename fails at a roll", disk.ByRoller, fstest.Rename, syscall.EIO, true, "input/output error"},
		{"B7 a file grows too large", disk.ByWriter, fstest.Write, syscall.EFBIG, true, "file too large"},
		{"B7 a file system turns read-only", disk.ByWriter, fstest.Write, syscall.EROFS, false, "read-only file system"},
		{"B7 a right is taken away", disk.ByWriter, fstest.Write, syscall.EACCES, false, "permission denied"},
		{"B7 a sync is refused", disk.ByFlusher, fstest.Sync, syscall.EROFS, false, "read-only file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &breaking{by: c.by, kind: c.kind, err: c.err, once: c.once}
			s := startServerOn(t, fstest.Fail(fstest.NewMem(), b.decide), noTicks())
			client, other := dial(t, s), dial(t, s)
			client.send("CREATE t segment.bytes=16KiB\nMSG t 1 ack=synced\na\n")
			client.want("OK", "OK first=0 next=1 ack=synced synced=1")
			b.arm()
			unknown := breakLog(t, s, client)
			if unknown == 0 && c.by != disk.ByRoller { // nobody waits for the roller
				t.Error("nobody was told UNKNOWN")
			}
			client.send("MSG t 1 ack=synced\nc\nFLUSH t\nMSG t 1\nc\n")
			for range 3 {
				if got := client.line(); !strings.HasPrefix(got, "ERR LOG_FAILED - ") || !strings.Contains(got, c.reason) {
					t.Errorf("got %q, want LOG_FAILED and %q", got, c.reason)
				}
			}
			p := s.catalog.find([]byte("t"), 0)
			end := p.log.Next()
			client.send("READ t 0 limit=1\nHEAD t\nSTATS\n")
			client.want("REC offset=0 time=* key=-1 n=1", "a", fmt.Sprintf("OK next=1 end=%d epoch=*", end))
			client.want(fmt.Sprintf("OK oldest=0 next=%d synced=%d epoch=* segment=* segments=* bytes=* partitions=1", end, p.log.Durable()))
			if _, body := client.data(); !strings.Contains(string(body), " state=failed reason=\"") || !strings.Contains(string(body), c.reason) {
				t.Errorf("STATS does not tell why:\n%s", body)
			}
			if status, body := s.health(); status != 200 || !strings.HasPrefix(body, "log t: ") {
				t.Errorf("/healthz says %d %q", status, body)
			}
			other.send("MSG u 1 ack=synced\nx\n")
			other.want("OK first=0 next=1 ack=synced synced=1")
			b.quiet(t)
		})
	}
}

// breakLog appends until the log has failed, and counts the answers UNKNOWN. There is
// no other between successes and LOG_FAILED.
func breakLog(t *testing.T, s *Server, c *session) (unknown int) {
	t.Helper()
	value := strings.Repeat("b", 3000)
	for p := s.catalog.find([]byte("t"), 0); p.log.Err() == nil; {
		c.send("MSG t %d ack=synced\n%s\n", len(value), value)
		switch got := c.line(); {
		case strings.HasPrefix(got, "ERR UNKNOWN - "):
			unknown++
		case !strings.HasPrefix(got, "OK ") && !strings.HasPrefix(got, "ERR LOG_FAILED - "):
			t.Fatalf("got %q", got)
		}
	}
	return unknown
}

// quiet checks that nothing but a closing of files came behind the failure.
func (b *breaking) quiet(t *testing.T) {
	t.Helper()
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, op := range b.after {
		if op.By != b.by || op.Kind != b.kind { // the roller may be in the middle of something else
			continue
		}
		t.Errorf("behind the failure came %+v", op)
	}
}

// B8: a read that the disk refuses fails that request, also in the middle of its answer,
// and nothing else: the connection, other logs and appends go on, and the same read is
// fine once the disk is.
func TestB8FailedReadFailsOneRequest(t *testing.T) {
	var bad atomic.Bool
	conf := noTicks()
	conf.Readers.Chunk = 8 << 10
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if bad.Load() && op.By == disk.ByReader && (op.Kind == fstest.Read || op.Kind == fstest.ReadCached) && strings.HasPrefix(op.Name, "topics/t/") && op.Pos >= 30_000 {
			return syscall.EIO
		}
		return nil
	}), conf)
	c := dial(t, s)
	for i := range 10 {
		c.send("MSG t 5000\n%5000d\nMSG u 1\nx\n", i)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", i, i+1), fmt.Sprintf("OK first=%d next=%d ack=written synced=0", i, i+1))
	}
	bad.Store(true)
	c.send("READ t 0\nFETCH t 8\nREAD u 9\nREAD t 0 limit=1\nMSG t 1 ack=synced\ny\n")
	served := 0
	for line := c.line(); !strings.HasPrefix(line, "ERR "); line = c.line() {
		if !strings.HasPrefix(line, fmt.Sprintf("REC offset=%d ", served)) || c.line() != fmt.Sprintf("%5000d", served) {
			t.Fatalf("record %d: %q", served, line)
		}
		served++
	}
	if served == 0 || served == 10 {
		t.Errorf("%d records before the error: this shows nothing", served)
	}
	c.refused("ERR LOG_FAILED - the log can't be read there now: ")
	c.want("REC offset=9 time=* key=-1 n=1", "x", "OK next=10 end=10 epoch=0", "REC offset=0 time=* key=-1 n=5000", fmt.Sprintf("%5000d", 0), "OK next=1 end=* epoch=0",
		"OK first=10 next=11 ack=synced synced=11")
	bad.Store(false)
	c.send("READ t 8 limit=1\n")
	c.want("REC offset=8 time=* key=-1 n=5000", fmt.Sprintf("%5000d", 8), "OK next=9 end=11 epoch=0")
}
