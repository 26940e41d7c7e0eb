package stages

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk/fstest"
	"sluice/wire/text"
)

// scrubRig is a scrubber over a log of sealed segments.
type scrubRig struct {
	*rig
	mem   *fstest.Mem
	scrub *scrubber
	lines *observer.ObservedLogs
	end   func()
}

// startScrubber must be called in a synctest bubble.
func startScrubber(t *testing.T, rate int64) *scrubRig {
	t.Helper()
	b := &scrubRig{mem: fstest.NewMem()}
	b.rig = startStages(t, b.mem, func(c *Config) { c.Topic.SegmentBytes = 16 << 10 })
	b.part.topic.parts = []*partition{b.part}
	for b.part.log.Info().Segments < 9 {
		<-b.append(text.AckWritten)
	}
	if <-b.append(text.AckSynced); b.part.log.Err() != nil {
		t.Fatal(b.part.log.Err())
	}
	synctest.Wait() // the last roll is done
	core, lines := observer.New(zap.WarnLevel)
	all := newCatalog()
	all.publish(func(m map[string]*topic) { m["t"] = b.part.topic })
	b.scrub, b.lines = newScrubber(all, rate, zap.New(core)), lines
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.scrub.Run(ctx) }()
	b.end = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.stop()
	}
	return b
}

// sealed counts the bytes of sealed segments.
func (b *scrubRig) sealed() (n int64) {
	list, err := b.mem.List("test", "topics/t/0")
	if err != nil {
		b.t.Fatal(err)
	}
	last := int64(0)
	for _, e := range list {
		if strings.HasSuffix(e.Name, ".log") {
			n, last = n+e.Size, e.Size
		}
	}
	return n - last // the active one
}

// The scrubber keeps to its rate, reads all that is sealed, and then rests.
func TestScrubKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 32 << 10
		b := startScrubber(t, rate)
		defer b.end()
		all := b.sealed()
		for second := int64(1); second*rate < all; second++ {
			time.Sleep(time.Second)
			synctest.Wait()
			if st := b.scrub.snapshot(); st.Bytes > second*rate+1<<10 || st.Bytes < (second-1)*rate || st.Log != "t" || st.Rounds != 0 {
				t.Fatalf("after %d s: %+v", second, st)
			}
		}
		for _, wait := range []time.Duration{3 * time.Second, 59 * time.Minute} {
			time.Sleep(wait)
			synctest.Wait()
			if st := b.scrub.snapshot(); st.Bytes != all || st.Rounds != 1 || st.Log != "" || st.Damage != 0 {
				t.Errorf("%v behind the round: %+v, want %d bytes", wait, st, all)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := b.scrub.snapshot(); st.Bytes != 2*all || st.Rounds != 2 {
			t.Errorf("behind the next round: %+v", st)
		}
		if b.lines.Len() != 0 {
			t.Errorf("%v", b.lines.All())
		}
	})
}

// C2, found before a reader meets it: the damaged range is told once a round, and what
// is behind it is read all the same.
func TestC2ScrubFindsDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startScrubber(t, 1<<30)
		defer b.end()
		f, err := b.mem.Open("test", "topics/t/0/00000000000000000000.log")
		if err == nil {
			_, err = f.WriteAt("test", []byte{0xff}, 3*73+72)
			err = errors.Join(err, f.Close("test"))
		}
		if err != nil {
			t.Fatal(err)
		}
		for round := int64(1); round < 3; round++ {
			time.Sleep(scrubTick)
			synctest.Wait()
			st := b.scrub.snapshot()
			if st.Damage != round || st.Rounds != round || st.Bytes != round*b.sealed() || !strings.Contains(st.Last, "offsets 3 to 4 are damaged") {
				t.Errorf("round %d: %+v, want %d bytes a round", round, st, b.sealed())
			}
			if n := b.lines.FilterMessageSnippet("stored records are damaged").Len(); int64(n) != round {
				t.Errorf("%d lines: %v", n, b.lines.All())
			}
			time.Sleep(scrubRest)
		}
	})
}

// A log that goes away in the middle is left, without a word; one that can't be read
// takes no core.
func TestScrubOfALogThatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startScrubber(t, 32<<10)
		time.Sleep(time.Second)
		synctest.Wait()
		b.part.dropped.Store(true)
		b.scrub.catalog.publish(func(m map[string]*topic) { delete(m, "t") })
		time.Sleep(time.Second)
		synctest.Wait()
		if st := b.scrub.snapshot(); st.Log != "" || st.Rounds != 1 || b.lines.Len() != 0 {
			t.Errorf("%+v, %v", st, b.lines.All())
		}
		b.end()
	})
}

// The server runs one, and tells of it.
func TestScrubInTheServer(t *testing.T) {
	conf := noTicks()
	conf.Topic.SegmentBytes = 16 << 10
	s := startServerOn(t, fstest.NewMem(), conf)
	c := dial(t, s)
	for range 8 {
		c.send("MSG t 5000\n%5000d\n", 1)
		c.want("OK first=* next=* ack=written synced=*")
	}
	waitFor(t, func() bool { return s.scrubber.snapshot().Rounds > 0 })
	c.send("STATS\n")
	if _, b := c.data(); !strings.Contains(string(b), "scrub                rate=4194304 log= bytes=") {
		t.Errorf("STATS:\n%s", b)
	}
}
