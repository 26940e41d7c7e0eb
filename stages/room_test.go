package stages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
)

// measured is a file system whose room the test sets.
type measured struct {
	disk.FS
	space disk.Space
	err   error
}

func (m *measured) Space(disk.By) (disk.Space, error) { return m.space, m.err }

// B4: full is entered below the low mark and left above the high one, with the
// reserve on top of it, which is there again afterwards.
func TestB4FullHasHysteresis(t *testing.T) {
	m := &measured{FS: fstest.NewMem()}
	r := newRoom(m, DiskConfig{Low: 100, High: 200, Reserve: 50}, zap.NewNop())
	for i, step := range []struct {
		free         int64
		full, backup bool
	}{
		{140, false, false}, {149, false, false}, {150, false, true}, {100, false, true}, {99, true, false},
		{150, true, false}, {200, true, false}, {249, true, false}, {250, false, true}, {100, false, true},
	} {
		m.space = disk.Space{Free: step.free, Total: 1000}
		r.check()
		if full := r.refusal() != nil; full != step.full || reserveOf(t, m) != step.backup {
			t.Errorf("step %d, %d bytes free: full %v, reserve %v; want %+v", i, step.free, full, reserveOf(t, m), step)
		}
	}
	r.met() // as under a quota, which the file system's figures do not show
	if r.refusal() == nil {
		t.Error("an append that met a full disk changed nothing")
	}
	m.err = errors.New("no figures")
	if r.check(); r.refusal() != nil {
		t.Error("a state that can't be looked at has no end")
	}
}

func reserveOf(t *testing.T, f disk.FS) bool {
	t.Helper()
	file, err := f.Open("test", reserveFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	size, err := file.Size()
	if err = errors.Join(err, file.Close("test")); err != nil {
		t.Fatal(err)
	}
	return size > 0
}

func TestMarks(t *testing.T) {
	const auto = Auto
	for _, c := range []struct {
		conf               DiskConfig
		total              int64
		low, high, reserve int64
	}{
		{DiskConfig{Low: auto, High: auto, Reserve: auto}, 1 << 40, 64 << 20, 128 << 20, 8 << 20},
		{DiskConfig{Low: auto, High: auto, Reserve: auto}, 100 << 20, 5 << 20, 10 << 20, 1 << 20},
		{DiskConfig{Low: 7, High: auto, Reserve: 3}, 1 << 40, 7, 14, 3},
		{DiskConfig{Low: 7, High: 5, Reserve: 0}, 1 << 40, 7, 7, 0},
		{DiskConfig{Low: 0, High: 0, Reserve: 0}, 1 << 40, 0, 0, 0},
	} {
		low, high, reserve := c.conf.marks(c.total)
		if low != c.low || high != c.high || reserve != c.reserve {
			t.Errorf("%+v on %d bytes: %d, %d, %d", c.conf, c.total, low, high, reserve)
		}
	}
}

// B4, on a file system that fills up: appends are refused before they are tried,
// however many come; reads, FLUSH, STATS and DROP go on; and once there is room,
// appends go on by themselves behind the records that were there.
func TestB4FullIsAState(t *testing.T) {
	const total = 16 << 20
	mem := fstest.NewMem()
	mem.SetSpace(total)
	var writes atomic.Int64
	conf := noTicks()
	conf.Disk = DiskConfig{Low: 2 << 20, High: 4 << 20, Reserve: 1 << 20, Check: 10 * time.Millisecond}
	s := startServerOn(t, fstest.Fail(mem, func(op fstest.Op) error {
		if op.By == disk.ByWriter {
			writes.Add(1)
		}
		return nil
	}), conf)
	c := dial(t, s)
	c.send("CREATE t segment.bytes=1MiB\nMSG filler 1\nx\n")
	c.want("OK", "OK first=0 next=1 ack=written synced=0")
	value := strings.Repeat("x", 100<<10)
	stored := 0
	for s.admission.room.refusal() == nil {
		c.send("MSG t %d ack=synced\n%s\n", len(value), value)
		if got := c.line(); strings.HasPrefix(got, "ERR DISK_FULL - nothing was appended: ") {
			break
		} else if !strings.HasPrefix(got, "OK ") {
			t.Fatalf("got %q", got)
		}
		stored++
	}
	waitFor(t, func() bool { return !reserveOf(t, mem) })
	before := writes.Load()
	for range 100 {
		c.send("MSG t %d\n%s\n", len(value), value)
		c.refused("ERR DISK_FULL - nothing was appended: ")
	}
	c.send("MSG filler 1\nx\nMSG new 1\nx\n")
	c.refused("ERR DISK_FULL - ")
	c.refused("ERR DISK_FULL - ")
	if n := writes.Load() - before; n != 0 {
		t.Errorf("%d writes of appends that were refused", n)
	}
	c.send("READ t %d\nFLUSH t\nSTATS format=json\n", stored-1)
	c.want("REC offset=* time=* key=-1 n=102400", value, fmt.Sprintf("OK next=%d end=%d epoch=*", stored, stored), fmt.Sprintf("OK synced=%d", stored))
	if _, b := c.data(); true {
		var st Snapshot
		if err := json.Unmarshal(b, &st); err != nil || st.Disk.State != "full" || st.Disk.Reason == "" || st.Topics[0].State != "full" {
			t.Errorf("STATS tells %+v, %v", st, err)
		}
	}
	c.send("TOPICS\n")
	if _, b := c.data(); strings.Contains(string(b), "new") {
		t.Error("a refused append created its topic")
	}
	mem.SetSpace(2 * total)
	waitFor(t, func() bool { return s.admission.room.refusal() == nil && reserveOf(t, mem) })
	c.send("MSG t 1 ack=synced\ny\nDROP t\nMSG filler 1\ny\n")
	c.want(fmt.Sprintf("OK first=%d next=%d ack=synced synced=%d", stored, stored+1, stored+1), "OK", "OK first=1 next=2 ack=written synced=*")
}

// B4: DROP finishes on a full disk, and what it frees ends the state.
func TestB4DropFreesAFullDisk(t *testing.T) {
	mem := fstest.NewMem()
	conf := noTicks()
	conf.Disk = DiskConfig{Low: 1 << 20, High: 2 << 20, Reserve: 64 << 10, Check: 10 * time.Millisecond}
	s := startServerOn(t, mem, conf)
	c := dial(t, s)
	c.send("CREATE big segment.bytes=8MiB\nMSG t 1\nx\n")
	c.want("OK", "OK first=0 next=1 ack=written synced=0")
	value := strings.Repeat("x", 1<<19)
	for i := range 16 {
		c.send("MSG big %d\n%s\n", len(value), value)
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
	}
	c.send("FLUSH big\n")
	c.want("OK synced=16")
	used, err := mem.Space("test")
	if err != nil {
		t.Fatal(err)
	}
	mem.SetSpace(used.Total - used.Free + 100<<10)
	waitFor(t, func() bool { return s.admission.room.refusal() != nil })
	c.send("MSG t 1\nx\nDROP big\n")
	c.refused("ERR DISK_FULL - ")
	c.want("OK")
	waitFor(t, func() bool { return s.admission.room.refusal() == nil })
	c.send("MSG t 1\nx\n")
	c.want("OK first=1 next=2 ack=written synced=*")
}

// A reserve that can't be made keeps nobody from anything.
func TestReserveThatFails(t *testing.T) {
	conf := noTicks()
	conf.Disk.Reserve = 1 << 20
	s := startServerOn(t, fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if op.By == byRoom && op.Kind == fstest.Allocate {
			return syscall.EIO
		}
		return nil
	}), conf)
	c := dial(t, s)
	c.send("MSG t 1 ack=synced\nx\n")
	c.want("OK first=0 next=1 ack=synced synced=1")
	if d := s.admission.room.stats(); d.State != "ok" || d.Reserved != 0 {
		t.Errorf("%+v", d)
	}
}
