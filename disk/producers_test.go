package disk_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// of is a batch of one record of a producer, whose value has about n bytes.
func of(t testing.TB, id int64, epoch int16, first int32, n int) []byte {
	t.Helper()
	b := sized(t, "v", n)
	batch.SetProducer(b, id, epoch, first)
	return b
}

// send does what a writer does with a batch of a producer, with roller and flusher at hand.
func (e *env) send(t testing.TB, b []byte) disk.Verdict {
	t.Helper()
	v := e.l.Judge(b, false)
	for tries := 0; v.Judgement == disk.Unready; tries++ {
		if tries > 1 {
			t.Fatal("a log does not get ready for sequences")
		}
		_, err := e.l.Maintain()
		must(t, err)
		v = e.l.Judge(b, false)
	}
	if v.Judgement == disk.Fresh {
		v.First, _ = e.append(t, b)
	}
	return v
}

func (e *env) wantJudged(t testing.TB, b []byte, want disk.Verdict) {
	t.Helper()
	if got := e.l.Judge(b, false); got != want {
		t.Fatalf("judged %+v, want %+v", got, want)
	}
}

// E5: of more producers than a log may know, those are forgotten that were silent longest, and are new then; above the bound
// for all logs, each still knows 16.
func TestE5ProducersAreBounded(t *testing.T) {
	bound := disk.NewProducers(40, time.Hour)
	_, logs := newLogs(t, fstest.NewMem(), disk.StoreOptions{}, 2, disk.LogOptions{Producers: bound})
	for id := range int64(60) {
		logs[0].send(t, of(t, id, 0, 0, 10))
		logs[0].send(t, of(t, 0, 0, int32(id)+1, 10)) // it is never silent
	}
	for id := range int64(20) {
		logs[1].send(t, of(t, id, 0, 0, 10))
	}
	if n := bound.Held(); n != 40+16 {
		t.Errorf("%d producers are known, want 40 and 16", n)
	}
	fresh, dup := disk.Fresh, disk.Duplicate
	for _, c := range []struct {
		log  int
		id   int64
		seq  int32
		want disk.Judgement
	}{{0, 0, 60, dup}, {0, 59, 0, dup}, {0, 21, 0, dup}, {0, 20, 5, fresh}, {1, 19, 0, dup}, {1, 4, 0, dup}, {1, 3, 5, fresh}} {
		if got := logs[c.log].l.Judge(of(t, c.id, 0, c.seq, 10), false); got.Judgement != c.want {
			t.Errorf("log %d, producer %d: %+v", c.log, c.id, got)
		}
	}
	for _, e := range logs {
		must(t, e.l.Close())
	}
	if n := bound.Held(); n != 0 {
		t.Errorf("%d producers are held by closed logs", n)
	}
}

// E5: who is gathered for the next write is not forgotten for a newcomer, for want of room or of time: or else its batch, sent
// again, would be in that write twice. A newcomer that finds no other to take the place of waits for the write.
func TestE5GatheredProducersAreNotForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	mem := fstest.NewMem()
	e := newEnv(t, mem, disk.LogOptions{Producers: disk.NewProducers(1, time.Hour), Clock: func() time.Time { return now }})
	for id := range int64(16) {
		e.send(t, of(t, id, 0, 0, 10))
	}
	for i, silent := range []time.Duration{0, 2 * time.Hour} {
		now = now.Add(silent)
		newcomer := int64(100 + i)
		e.wantJudged(t, of(t, 0, 0, 1, 10), disk.Verdict{})
		for _, c := range []struct {
			id   int64
			seq  int32
			want disk.Verdict
		}{
			{newcomer, 0, disk.Verdict{}},
			{0, 1, disk.Verdict{Judgement: disk.OutOfOrder, Sequence: 2}}, // sent again, as the next one
			{newcomer, 0, disk.Verdict{Judgement: disk.OutOfOrder, Sequence: 1}},
		} {
			if got := e.l.Judge(of(t, c.id, 0, c.seq, 10), true); got != c.want {
				t.Errorf("silent for %v: producer %d, %d: %+v, want %+v", silent, c.id, c.seq, got, c.want)
			}
		}
	}
	e.wantJudged(t, of(t, 0, 0, 1, 10), disk.Verdict{})
	for id := int64(200); id < 215; id++ {
		if got := e.l.Judge(of(t, id, 0, 0, 10), true); got.Judgement != disk.Fresh {
			t.Errorf("producer %d: %+v", id, got)
		}
	}
	if got := e.l.Judge(of(t, 300, 0, 0, 10), true); got.Judgement != disk.Later {
		t.Errorf("beside 16 that are gathered: %+v", got)
	}
	e.send(t, of(t, 300, 0, 0, 10))
	mem = mem.Kill() // an opening, which finds more producers than may be known, gathers nobody
	e = &env{fs: mem, opt: e.opt, s: openStore(t, mem)}
	e.openLog(t)
	e.wantJudged(t, of(t, 300, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate, First: 16})
	e.close(t)
}

// E5: a producer that was silent for long is forgotten: when another one comes, and at the next opening.
func TestE5ProducersExpire(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := disk.LogOptions{Producers: disk.NewProducers(100, time.Hour), Clock: func() time.Time { return now }}
	e := newEnv(t, fstest.NewMem(), o)
	e.send(t, of(t, 1, 0, 0, 10))
	now = now.Add(40 * time.Minute)
	e.send(t, of(t, 2, 0, 0, 10))
	now = now.Add(40 * time.Minute)
	e.wantJudged(t, of(t, 1, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate}) // nobody needs its place
	e.send(t, of(t, 3, 0, 0, 10))
	e.wantJudged(t, of(t, 1, 0, 9, 10), disk.Verdict{})
	now = now.Add(40 * time.Minute)
	e.reopen(t)
	e.wantJudged(t, of(t, 2, 0, 9, 10), disk.Verdict{})
	e.wantJudged(t, of(t, 3, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate, First: 2})
	e.close(t)
}

// E5: a log of which nobody has sent sequences has no file for them, a topic that is made again knows nothing, and a
// duplicate neither wakes a log nor begins a run.
func TestE5SequencesCostOnlyWhoUsesThem(t *testing.T) {
	mem := fstest.NewMem()
	e := newEnv(t, mem, small)
	e.append(t, build(t, rec{1, "x"}))
	e.reopen(t)
	e.append(t, build(t, rec{1, "x"}))
	if exists(t, mem, "topics/t/0/producers") {
		t.Error("a log without sequences has a file for them")
	}
	e.send(t, of(t, 1, 0, 0, 10))
	e.reopen(t)
	before := files(t, mem, "topics/t/0")
	e.wantJudged(t, of(t, 1, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate, First: 2})
	_, err := e.l.Maintain()
	must(t, err)
	if room, _ := e.l.Room(); room != 0 || !slices.Equal(files(t, mem, "topics/t/0"), before) || e.rec.Replayed != 0 {
		t.Errorf("an opening and a duplicate are work: %v became %v, %d bytes read", before, files(t, mem, "topics/t/0"), e.rec.Replayed)
	}
	must(t, e.l.Close())
	must(t, e.s.DropTopic(disk.ByController, "t"))
	must(t, e.s.CreateTopic(disk.ByController, "t", nil))
	e.openLog(t)
	if v := e.send(t, of(t, 1, 0, 0, 10)); v.Judgement != disk.Fresh || v.First != 0 {
		t.Errorf("a topic that was made again knows %+v", v)
	}
	e.close(t)
}

// E5: 0 follows 2147483647, also inside a batch and across a restart.
func TestE5SequencesBeginAgain(t *testing.T) {
	e := newEnv(t, fstest.NewMem(), small)
	e.send(t, of(t, 2, 0, 0, 10)) // a log without any batch would want 0
	b := build(t, rec{1, "x"}, rec{2, "y"}, rec{3, "z"})
	batch.SetProducer(b, 1, 0, math.MaxInt32-1)
	e.send(t, b)
	for range 2 {
		e.wantJudged(t, b, disk.Verdict{Judgement: disk.Duplicate, First: 1})
		e.wantJudged(t, of(t, 1, 0, 2, 10), disk.Verdict{Judgement: disk.OutOfOrder, Sequence: 1})
		e.wantJudged(t, of(t, 1, 0, 1, 10), disk.Verdict{})
		e.reopen(t)
		if len(e.rec.Repaired) > 0 {
			t.Errorf("told: %q", e.rec.Repaired)
		}
	}
	e.close(t)
}

// A2, E5: a snapshot is written only once all that it is about is durable: else a power cut would leave one that knows of
// batches which are not there, and their resending would be taken for a duplicate.
func TestA2E5SnapshotsAreOfDurableBatches(t *testing.T) {
	mem := fstest.NewMem()
	e := newEnv(t, mem, disk.LogOptions{SegmentBytes: 1 << 20})
	for i := range int32(5000) { // five segments' worth, and none of it synced but what a roll needs
		e.send(t, of(t, 1, 0, i, 1000))
		for _, name := range []string{"topics/t/0/producers", "topics/t/0/producers.2"} {
			if i%50 == 0 && exists(t, mem, name) {
				if at := binary.BigEndian.Uint64(load(t, mem, name)[32:]); at > e.l.Durable() {
					t.Fatalf("%s is about %d batches, of which %d are durable", name, at, e.l.Durable())
				}
			}
		}
	}
	if !exists(t, mem, "topics/t/0/producers.2") {
		t.Error("no snapshot was written")
	}
	mem = mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
	e = &env{fs: mem, opt: e.opt, s: openStore(t, mem)}
	e.openLog(t)
	n := int32(e.l.Next())
	e.wantJudged(t, of(t, 1, 0, n-1, 1000), disk.Verdict{Judgement: disk.Duplicate, First: uint64(n - 1)})
	e.wantJudged(t, of(t, 1, 0, n, 1000), disk.Verdict{})
	e.close(t)
}

// A1, E5: opening reads no more of a long log than lies behind the last snapshot, and behind a clean stop nothing.
func TestA1E5OpeningReadsLittle(t *testing.T) {
	mem := fstest.NewMem()
	e := newEnv(t, mem, disk.LogOptions{SegmentBytes: 16 << 10})
	e.send(t, of(t, 7, 0, 0, 10))
	for i := range int32(16 << 9) { // 8 MiB: 500 segments
		e.send(t, of(t, 1, 0, i, 1000))
		if i%8 == 0 {
			_, err := e.l.Sync()
			must(t, err)
			must(t, e.l.Mark(disk.ByFlusher))
		}
	}
	for i, kill := range []bool{true, true, false} {
		if kill {
			mem = mem.Kill()
			e = &env{fs: mem, opt: e.opt, s: openStore(t, mem)}
			e.openLog(t)
		} else {
			e.reopen(t)
		}
		most := int64(6 * 16 << 10) // four segments, and what comes while one is written
		if !kill {
			most = 0
		}
		if e.rec.Replayed > most {
			t.Errorf("%d bytes of 8 MiB were read, want %d at most", e.rec.Replayed, most)
		}
		e.wantJudged(t, of(t, 7, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate})
		last := 16<<9 + i
		e.send(t, of(t, 1, 0, int32(last), 1000))
		e.wantJudged(t, of(t, 1, 0, int32(last), 1000), disk.Verdict{Judgement: disk.Duplicate, First: uint64(last) + 1})
	}
	e.close(t)
}

// C9, E5: one copy damaged or missing costs a look at some more batches, both are told of and made anew from the batches.
func TestC9E5ProducersFaults(t *testing.T) {
	const one, two = "topics/t/0/producers", "topics/t/0/producers.2"
	flip := func(names ...string) func(t *testing.T, f *fstest.Mem) {
		return func(t *testing.T, f *fstest.Mem) {
			for _, name := range names {
				b := load(t, f, name)
				b[len(b)/2] ^= 1
				save(t, f, name, b)
			}
		}
	}
	remove := func(names ...string) func(t *testing.T, f *fstest.Mem) {
		return func(t *testing.T, f *fstest.Mem) {
			for _, name := range names {
				must(t, f.Remove("test", name))
			}
		}
	}
	for _, c := range []struct {
		name string
		harm func(t *testing.T, f *fstest.Mem)

		told     int // at the next opening
		problems int // that verify tells of
	}{
		{"none", func(*testing.T, *fstest.Mem) {}, 0, 0},
		{"the first is damaged", flip(one), 1, 1},
		{"the second is damaged", flip(two), 1, 1},
		{"both are damaged", flip(one, two), 3, 2},
		{"the first is missing", remove(one), 0, 0},
		{"the second is missing", remove(two), 0, 0},
		{"both are missing", remove(one, two), 1, 0},
		{"one is empty, the other short", func(t *testing.T, f *fstest.Mem) {
			save(t, f, one, nil)
			save(t, f, two, load(t, f, two)[:59])
		}, 3, 2},
		{"both are of another log", func(t *testing.T, f *fstest.Mem) {
			for _, name := range []string{one, two} {
				save(t, f, name, load(t, f, strings.Replace(name, "/t/", "/u/", 1)))
			}
		}, 3, 2},
		{"both are of a time to come", func(t *testing.T, f *fstest.Mem) {
			for _, name := range []string{one, two} {
				b := load(t, f, name)
				binary.BigEndian.PutUint64(b[24:], 1<<20)
				binary.BigEndian.PutUint64(b[32:], 1<<20)
				save(t, f, name, remadeSum(b))
			}
		}, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := fstest.NewMem()
			e := newEnv(t, mem, disk.LogOptions{SegmentBytes: 16 << 10})
			must(t, e.s.CreateTopic(disk.ByController, "u", nil))
			u, _, err := e.s.OpenLog(disk.ByOpen, "u", 0, e.opt)
			must(t, err)
			for _, l := range []*env{{fs: mem, s: e.s, l: u}, e} {
				for i := range int32(200) {
					l.send(t, of(t, int64(i%3), 0, i/3, 900))
				}
				_, err := l.l.Sync()
				must(t, err)
				must(t, l.l.Mark(disk.ByFlusher))
			}
			mem = mem.Kill()
			c.harm(t, mem)
			problems := 0
			_, err = disk.Verify(mem, disk.VerifyOptions{}, func(f disk.Finding) {
				if strings.Contains(f.File, "/producers") && f.Severity == disk.Problem {
					problems++
				}
			})
			if must(t, err); problems != c.problems {
				t.Errorf("verify tells of %d problems", problems)
			}
			e = &env{fs: mem, opt: e.opt, s: openStore(t, mem)}
			for range 2 { // the second time there is nothing to tell, once a batch has come
				e.openLog(t)
				must(t, e.l.Err())
				for i := int32(200 - 3*disk.SequencesKept); i < 200; i++ {
					e.wantJudgedOrUnready(t, of(t, int64(i%3), 0, i/3, 900), disk.Verdict{Judgement: disk.Duplicate, First: uint64(i)})
				}
				if len(e.rec.Repaired) != c.told {
					t.Errorf("told: %q", e.rec.Repaired)
				}
				c.told = 0
				e.send(t, of(t, 9, 0, 0, 10))
				must(t, e.l.Close())
			}
			must(t, e.s.Close())
		})
	}
}

// C2, E5: a repair makes segments anew, and what was known of producers is known behind it, without a word.
func TestC2E5ProducersBehindARepair(t *testing.T) {
	mem := fstest.NewMem()
	e := newEnv(t, mem, disk.LogOptions{SegmentBytes: 16 << 10})
	const n = 75
	for i := range int32(n) { // of each producer, only a few are in the segment that the snapshot names
		e.send(t, of(t, int64(i%7), 0, i/7, 900))
	}
	_, err := e.l.Sync()
	must(t, err)
	must(t, e.l.Mark(disk.ByFlusher))
	e.maintain(t)
	mem = mem.Kill()
	snapshot := load(t, mem, "topics/t/0/producers.2")
	base, off := binary.BigEndian.Uint64(snapshot[16:]), binary.BigEndian.Uint64(snapshot[32:])
	if off <= base+2 || off >= n {
		t.Fatalf("the snapshot is about offset %d, in the segment of %d", off, base)
	}
	name := fmt.Sprintf("topics/t/0/%020d.log", base)
	b := load(t, mem, name)
	b[1500] ^= 1 // in the second batch: what follows moves into a segment of its own
	save(t, mem, name, b)
	repair(t, mem, disk.RepairOptions{})
	e.s = openStore(t, mem)
	e.openLog(t)
	must(t, e.l.Err())
	if len(e.rec.Repaired) > 0 {
		t.Errorf("told: %q", e.rec.Repaired)
	}
	for i := int32(n - 7*disk.SequencesKept); i < n; i++ {
		e.wantJudged(t, of(t, int64(i%7), 0, i/7, 900), disk.Verdict{Judgement: disk.Duplicate, First: uint64(i)})
	}
	e.wantJudged(t, of(t, 0, 0, (n+6)/7, 900), disk.Verdict{})
	e.close(t)
}

// C2, E5: damage among the batches that are read at opening hides only itself: what lies behind is known, and who may have
// appended in it, and not again behind it, is taken for a new producer. It is told of.
func TestC2E5ProducersAroundDamage(t *testing.T) {
	const size, n = 1100, 20 // bytes of a batch, about; batches: of producer 1, each second one, of 2 to 11 one each
	for _, c := range []struct {
		name  string
		bytes int64 // of a segment
		at    int   // the damaged byte; -1: the last one of the first segment
	}{
		{"in the middle", 1 << 20, 7 * size},
		{"in a header", 1 << 20, 0},
		{"among the last five of a producer", 1 << 20, 15 * size},
		{"at the end of a segment", 8 << 10, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := fstest.NewMem()
			e := newEnv(t, mem, disk.LogOptions{SegmentBytes: c.bytes})
			send := func(i int) []byte {
				if i%2 == 0 {
					return of(t, 1, 0, int32(i/2), 1000)
				}
				return of(t, 2+int64(i/2), 0, 0, 1000)
			}
			for i := range n {
				e.send(t, send(i))
			}
			_, err := e.l.Sync()
			must(t, err)
			must(t, e.l.Mark(disk.ByFlusher))
			e.maintain(t)
			mem = mem.Kill()
			const name = "topics/t/0/00000000000000000000.log"
			b := load(t, mem, name)
			at := (c.at + len(b)) % len(b)
			b[at] ^= 1
			save(t, mem, name, b)
			hit := at / len(send(0))
			e = &env{fs: mem, opt: e.opt, s: openStore(t, mem)}
			e.openLog(t)
			must(t, e.l.Err())
			if len(e.rec.Repaired) != 1 || !strings.Contains(e.rec.Repaired[0], fmt.Sprintf("from offset %d on can be read (lost: 1)", hit)) {
				t.Errorf("told: %q", e.rec.Repaired)
			}
			for i := range n {
				if b := send(i); i%2 == 1 && i > hit || i%2 == 0 && i >= n-2*disk.SequencesKept {
					e.wantJudged(t, b, disk.Verdict{Judgement: disk.Duplicate, First: uint64(i)})
				} else if i%2 == 1 {
					e.wantJudged(t, of(t, 2+int64(i/2), 0, 2, 10), disk.Verdict{}) // 1 may be what was lost
				}
			}
			e.wantJudged(t, send(n), disk.Verdict{})
			e.wantJudged(t, send(n+2), disk.Verdict{Judgement: disk.OutOfOrder, Sequence: n / 2})
			e.close(t)
		})
	}
}

// B8, E5: a log whose snapshots, or the batches behind them, cannot be read is only read from, as an append might be a second
// one; one copy that can't be read costs nothing.
func TestB8E5ProducersCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(name string) bool
		reads bool // only
	}{
		{"both copies", func(name string) bool { return strings.Contains(name, "/producers") }, true},
		{"one copy", func(name string) bool { return strings.HasSuffix(name, "/producers") }, false},
		{"the batches", func(name string) bool { return strings.HasSuffix(name, ".log") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := false
			mem := fstest.NewMem()
			e := newEnv(t, mem, disk.LogOptions{SegmentBytes: 16 << 10})
			for i := range int32(100) {
				e.send(t, of(t, 1, 0, i, 900))
			}
			mem = mem.Kill()
			e = &env{fs: fstest.Fail(mem, func(op fstest.Op) error {
				if broken && op.By == disk.ByOpen && op.Kind == fstest.Read && c.fails(op.Name) {
					return errBroken
				}
				return nil
			}), opt: e.opt}
			e.s = openStore(t, e.fs)
			broken = true
			e.openLog(t)
			broken = false
			if readOnly := e.l.Err() != nil; readOnly != c.reads {
				t.Fatalf("the log says %v", e.l.Err())
			}
			e.reopen(t)
			e.wantJudged(t, of(t, 1, 0, 99, 900), disk.Verdict{Judgement: disk.Duplicate, First: 99})
			must(t, e.l.Err())
			e.close(t)
		})
	}
}

// wantJudgedOrUnready lets the log get ready first.
func (e *env) wantJudgedOrUnready(t testing.TB, b []byte, want disk.Verdict) {
	t.Helper()
	if e.l.Judge(b, false).Judgement == disk.Unready {
		_, err := e.l.Maintain()
		must(t, err)
	}
	e.wantJudged(t, b, want)
}

// remadeSum mends the checksum of a file of producers.
func remadeSum(b []byte) []byte {
	sum := crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(b[:len(b)-4:len(b)-4], sum)
}

// B6: a snapshot that cannot be written harms nothing; an append that needs the first one is told that it has not been done,
// and the next one finds it made.
func TestB6ProducersCannotBeKept(t *testing.T) {
	broken := true
	f := fstest.Fail(fstest.NewMem(), func(op fstest.Op) error {
		if broken && op.By == disk.ByRoller && strings.Contains(op.Name, "producers") && op.Changes() {
			return errBroken
		}
		return nil
	})
	e := newEnv(t, f, disk.LogOptions{SegmentBytes: 16 << 10})
	if v := e.l.Judge(of(t, 1, 0, 0, 10), false); v.Judgement != disk.Unready {
		t.Fatalf("judged %+v", v)
	}
	if ready, err := e.l.Maintain(); ready || !errors.Is(err, errBroken) || e.l.Err() != nil {
		t.Fatalf("ready %v, %v; the log says %v", ready, err, e.l.Err())
	}
	broken = false
	e.send(t, of(t, 1, 0, 0, 10))
	broken = true
	for i := range int32(300) {
		for !fits(e.l, 1100) && !e.l.Roll() {
			_, err := e.l.Sync()
			must(t, err)
			_, _ = e.l.Maintain() // it tells of the snapshot
		}
		b := of(t, 1, 0, i+1, 1000)
		e.wantJudged(t, b, disk.Verdict{})
		_, _, err := e.l.Append(b)
		must(t, err)
	}
	broken = false
	e.reopen(t)
	e.wantJudged(t, of(t, 1, 0, 300, 10), disk.Verdict{Judgement: disk.Duplicate, First: 300})
	e.close(t)
}

// E5: no producer id is given twice, wherever the process that gives them is killed or loses its power, and not even when
// nobody knows any more which were given.
func TestA1A2E5ProducerIDsAreGivenOnce(t *testing.T) {
	for at := range 80 {
		mem, given := fstest.NewMem(), map[int64]bool{}
		give := func(s *disk.Store) error {
			first, err := s.ReserveProducerIDs("test", 10)
			if err == nil && (given[first] || first < 0 || first%10 != 0) {
				t.Fatalf("death at %d: the ids from %d on were given before: %v", at/2, first, given)
			}
			given[first] = given[first] || err == nil
			return err
		}
		dying := fstest.Stop(mem, at/2, fstest.Last(at/2%2))
		if s, err := disk.OpenStore(dying, disk.StoreOptions{}, zap.NewNop()); err == nil {
			for i := 0; i < 3 && give(s) == nil; i++ {
			}
		}
		if at%2 == 0 {
			mem = mem.Kill()
		} else {
			mem = mem.Crash(rand.New(rand.NewPCG(1, uint64(at))), 0)
		}
		must(t, give(openStore(t, mem)))
	}
	mem := fstest.NewMem()
	s := openStore(t, mem)
	_, err := s.ReserveProducerIDs("test", 10)
	must(t, err)
	for _, name := range []string{"producers.json", "producers.json.2"} {
		save(t, mem, name, []byte("{"))
	}
	first, err := s.ReserveProducerIDs("test", 10)
	if must(t, err); first < math.MaxInt64/2 {
		t.Errorf("the ids after the file was lost begin at %d", first)
	}
	next, err := s.ReserveProducerIDs("test", 10)
	if must(t, err); next != first+10 {
		t.Errorf("ids %d, then %d", first, next)
	}
}

// FuzzProducers opens a log with any bytes as its file of producers: it never panics, takes no memory in proportion to a
// claim, and the log takes appends.
func FuzzProducers(f *testing.F) {
	mem := fstest.NewMem()
	e := newEnv(f, mem, small)
	for i := range int32(12) {
		e.send(f, of(f, int64(i%3), 0, i/3, 10))
	}
	must(f, e.l.Close())
	must(f, e.s.Close())
	const name = "topics/t/0/producers"
	b := load(f, mem, name)
	if exists(f, mem, name+".2") {
		b = load(f, mem, name+".2")
	}
	f.Add(b)
	f.Add(b[:len(b)-30])
	f.Add([]byte{})
	many := slices.Clone(b)
	binary.BigEndian.PutUint32(many[12:], math.MaxUint32)
	f.Add(many)
	twice := slices.Clone(b)
	copy(twice[56+84:], twice[56:56+8]) // four batches each: the second producer has the first one's id
	f.Add(twice)
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := mem.Kill()
		if len(b) >= 4 {
			b = remadeSum(b)
		}
		save(t, mem, name, b)
		e := &env{fs: mem, opt: small, s: openStore(t, mem)}
		e.openLog(t)
		for i := range int64(40) {
			e.send(t, of(t, 1000+i, 0, 0, 10))
		}
		e.reopen(t)
		e.wantJudged(t, of(t, 1000, 0, 0, 10), disk.Verdict{Judgement: disk.Duplicate, First: 12})
		e.close(t)
	})
}
