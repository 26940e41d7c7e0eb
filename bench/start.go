package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// W9: a directory that a kill -9 left, from the start of the process to the first append acknowledged and the first read
// answered. Every start finds the same directory.

const (
	startsLeast = 3 // starts of one step, however long they take
	startsMost  = 20
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

// starts measures starts for a time.
func (s suite) starts(st *store, cold bool) func(context.Context) (tally, time.Duration, error) {
	return func(ctx context.Context) (tally, time.Duration, error) {
		if err := st.make(ctx, s.sluice); err != nil {
			return tally{}, 0, err
		}
		name := fmt.Sprintf("%s %s", st.name, warmth(cold))
		appends, reads := tally{name: name + ", append", hist: newHist()}, tally{name: name + ", read", hist: newHist()}
		appends.note = "what a process that was killed has left in memory is there"
		var cpu time.Duration
		least := startsLeast
		if s.small {
			least = 1
		}
		for n := 0; n < least || appends.took < s.measure && n < startsMost; n++ {
			err := st.restore()
			if err == nil && cold {
				appends.note, err = st.cool(!s.small)
			}
			if err != nil {
				return tally{}, 0, err
			}
			one, err := st.start(ctx, s.sluice, n)
			if err != nil {
				return tally{}, 0, fmt.Errorf("start %d: %w", n, err)
			}
			for _, x := range []struct {
				t *tally
				d time.Duration
			}{{&appends, one.append}, {&reads, one.read}} {
				record(x.t.hist, x.d)
				x.t.ops++
				x.t.took += x.d
			}
			cpu += one.cpu
		}
		reads.note = appends.note
		appends.beside = []tally{reads}
		return appends, cpu, nil
	}
}

func warmth(cold bool) string {
	if cold {
		return "cold"
	}
	return "warm"
}

// A started tells how long after the start of the process the first append and the first read were answered.
type started struct{ append, read, cpu time.Duration }

// start starts the server, appends and reads at once, each on a connection of its own, and kills the server.
func (st *store) start(ctx context.Context, bin string, n int) (one started, err error) {
	begin := time.Now()
	p, err := serve(ctx, bin, st.dir)
	if err != nil {
		return one, err
	}
	var wg sync.WaitGroup
	var appendErr, readErr error
	wg.Go(func() {
		appendErr = appendTo(ctx, p.addr, messageTo(st.appended(n), "written"))
		one.append = time.Since(begin)
	})
	wg.Go(func() {
		readErr = readFrom(ctx, p.addr, st.fetch(n))
		one.read = time.Since(begin)
	})
	wg.Wait()
	err = errors.Join(appendErr, readErr)
	if err == nil {
		err = st.whole(ctx, p.addr)
	}
	p.kill()
	state := p.cmd.ProcessState
	one.cpu = state.UserTime() + state.SystemTime()
	return one, err
}

// whole checks that a fast start is not one that has lost something: the kill took no record.
func (st *store) whole(ctx context.Context, addr string) error {
	if st.topics > 0 {
		return nil
	}
	head, err := ask(ctx, addr, "HEAD "+topic)
	if want := fmt.Sprint(st.next + 1); err == nil && (head["next"] != want || head["oldest"] != "0") {
		err = fmt.Errorf("the log goes from %s to %s, and should from 0 to %s", head["oldest"], head["next"], want)
	}
	return err
}

// appended is the topic that the n-th start appends to, and fetch its read: another place each time, so that a cold
// one stays cold.
func (st *store) appended(n int) string {
	if st.topics > 0 {
		return topicName(n * 7 % st.topics)
	}
	return topic
}

func (st *store) fetch(n int) string {
	if st.topics > 0 {
		return fmt.Sprintf("FETCH %s 0 bytes=1", topicName((n*7+1)%st.topics))
	}
	return fmt.Sprintf("FETCH %s %d bytes=1", topic, (uint64(n)*7919+4711)%st.next)
}

func readFrom(ctx context.Context, addr, request string) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	if _, err := fmt.Fprintf(c, "%s\n", request); err != nil {
		return err
	}
	n, err := sluiceData(newReader(c))
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: nothing was read", request)
	}
	return err
}
