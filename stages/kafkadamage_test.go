package stages

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/kafka"
)

// C2: a Kafka client gets what lies before damaged records, there an error that it does not take for one to be asked again, and what lies
// behind; of other partitions, also in the same fetch, everything.
func TestC2KafkaFetchOfDamagedRecords(t *testing.T) {
	mem := fstest.NewMem()
	s := startServerOn(t, mem, kafkaConf())
	text := dial(t, s)
	for _, topic := range []string{"t", "t", "t", "t", "u"} {
		text.send("MSG %s 5\nvalue\n", topic)
		text.want("OK *=* *=* ack=written synced=*")
	}
	all, other := text.stored("t", 0), text.stored("u", 0)
	size := len(all) / 4
	f, err := mem.Open(disk.ByTool, "topics/t/0/00000000000000000000.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(disk.ByTool, []byte{'X'}, int64(2*size+68)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(disk.ByTool); err != nil {
		t.Fatal(err)
	}
	text.send("READ t 2\n") // a reader of text finds it; from now on it is known
	text.refused("ERR CORRUPT from=2 next=3")
	c := dialKafka(t, s)
	for version := int16(4); version <= 12; version += 8 {
		diff(t, "a fetch", parts(s, c.ask(fetchRequest(s, version, wants{wait: patience, min: 1 << 20}, fromPartition{"t", 0, 0, 0}, fromPartition{"t", 0, 2, 0}, fromPartition{"t", 0, 3, 0}, fromPartition{"u", 0, 0, 0}))), []fetched{
			{"t", 0, kafka.NoError, 4, 0, all[:2*size]}, {"t", 0, kafka.InvalidRecord, 4, 0, ""}, {"t", 0, kafka.NoError, 4, 0, all[3*size:]}, {"u", 0, kafka.NoError, 1, 0, other},
		})
	}
}

// B8: bytes that the disk refuses are an error of their partition that clients try again, and no damage: with the disk well, they come.
func TestB8KafkaFetchOfARefusingDisk(t *testing.T) {
	var bad atomic.Bool
	conf := kafkaConf()
	mem := fstest.NewMem()
	s := startServerOn(t, fstest.Fail(mem, func(op fstest.Op) error {
		if bad.Load() && op.By == disk.ByReader && (op.Kind == fstest.Read || op.Kind == fstest.ReadCached) && strings.HasPrefix(op.Name, "topics/t/") {
			return syscall.EIO
		}
		return nil
	}), conf)
	fill(t, s, "t", 1)
	fill(t, s, "u", 1)
	c := dialKafka(t, s)
	for _, want := range []struct {
		bad     bool
		version int16
		code    kafka.Code
	}{{true, 12, kafka.KafkaStorageError}, {true, 5, kafka.NotLeaderOrFollower}, {false, 12, kafka.NoError}} {
		bad.Store(want.bad)
		mem.SetCold(true)
		got := parts(s, c.ask(fetchRequest(s, want.version, wants{}, fromPartition{"t", 0, 0, 0}, fromPartition{"u", 0, 0, 0})))
		if got[0].code != want.code || len(got[0].records) > 0 == want.bad || got[1].code != kafka.NoError || len(got[1].records) == 0 {
			t.Errorf("%+v: %v with %d bytes, %v with %d bytes", want, got[0].code, len(got[0].records), got[1].code, len(got[1].records))
		}
	}
}

// C10: a segment that somebody cuts while a fetch of it is under way ends that connection, which was promised more; whoever asks again gets what is left, and an error behind.
func TestC10KafkaFetchOfACutSegment(t *testing.T) {
	dir := t.TempDir()
	s := startServerOn(t, disk.OS(dir), kafkaConf())
	fill(t, s, "t", 100)
	fill(t, s, "u", 100)
	c := dialKafka(t, s).narrow(s)
	c.send(fetchRequest(s, 12, wants{}, fromPartition{"t", 0, 0, 0}, fromPartition{"u", 0, 0, 0}))
	at := c.conn(s)
	waitFor(t, func() bool { return at.writeSince.Load() != 0 })
	if err := os.Truncate(filepath.Join(dir, "topics/u/0/00000000000000000000.log"), 100<<10); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c.in) // it ends; whether by an end or a reset is the kernel's choice
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if s.readers.cut.Load() != 1 || len(b) > 1<<20+200<<10 {
		t.Errorf("%d bytes came, %d cut off", len(b), s.readers.cut.Load())
	}
	c = dialKafka(t, s)
	got := parts(s, c.ask(fetchRequest(s, 12, wants{}, fromPartition{"u", 0, 0, 0}, fromPartition{"u", 0, 50, 0})))
	if h, err := batch.Verify([]byte(got[0].records)); err != nil || h.BaseOffset != 0 || got[0].code != kafka.NoError || got[1].code != kafka.InvalidRecord {
		t.Errorf("%v, %v; %v behind the cut", got[0].code, err, got[1].code)
	}
}
