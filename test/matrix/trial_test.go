package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/stages"
	"sluice/wire/text"
)

// trial is one behaviour in one cell: what the behaviour works with. It is no *testing.T, as a failure may be what is
// expected. Only the behaviour's own goroutine may call its methods, but for those of sessions.
type trial struct {
	ctx  context.Context
	conf *configuration
	drv  *driver

	start  func(dir string) (server, error)
	dir    string // of the server, if it is this behaviour's own
	srv    server
	ownSrv bool

	name     string
	topics   int
	sessions []session
	err      error // the first failure
}

// run carries out the behaviour and returns what was wrong.
func (t *trial) run(b *behaviour) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	t.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.finish()
		b.run(t)
	}()
	select {
	case <-done:
		return t.err
	case <-ctx.Done():
	}
	select {
	case <-done:
		return t.err
	case <-time.After(10 * time.Second): // every session had its deadline: this is a hang of the test itself, or of the client
		stacks := make([]byte, 1<<20)
		return fmt.Errorf("it hangs, %v behind its deadline:\n%s", 10*time.Second, stacks[:runtime.Stack(stacks, true)])
	}
}

// finish ends what the behaviour has left open, in the order of its making reversed.
func (t *trial) finish() {
	if p := recover(); p != nil {
		t.note(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
	for i := len(t.sessions) - 1; i >= 0; i-- {
		if err := t.sessions[i].close(); err != nil && t.err == nil {
			t.note(fmt.Errorf("closing a session: %w", err))
		}
	}
	if t.ownSrv && t.srv != nil {
		if err := t.srv.stop(); err != nil {
			t.note(fmt.Errorf("stopping the server: %w", err))
		}
	}
}

func (t *trial) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// failf ends the behaviour.
func (t *trial) failf(format string, args ...any) {
	t.note(fmt.Errorf(format, args...))
	runtime.Goexit()
}

// must ends the behaviour if there is an error.
func (t *trial) must(err error) {
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		t.failf("%s:%d: %w", filepath.Base(file), line, err)
	}
}

// mustRefuse ends the behaviour unless err is an answer of that code.
func (t *trial) mustRefuse(err error, code string) {
	if !refused(err, code) {
		_, file, line, _ := runtime.Caller(1)
		t.failf("%s:%d: got the error %v, want the answer %s", filepath.Base(file), line, err, code)
	}
}

// open makes another session; the trial closes it.
func (t *trial) open() session {
	s, err := t.drv.open(t.ctx, t.srv.addr())
	t.must(err)
	t.sessions = append(t.sessions, s)
	return s
}

// hand is a session of the socket driver, for what surrounds the behaviour.
func (t *trial) hand() *socket {
	s, err := openSocket(t.ctx, t.srv.addr())
	t.must(err)
	t.sessions = append(t.sessions, s)
	return s
}

// leave closes the sessions that were opened so far.
func (t *trial) leave() {
	for _, s := range t.sessions {
		t.must(s.close())
	}
	t.sessions = nil
}

// topic is a name that nobody has used.
func (t *trial) topic() string {
	t.topics++
	return fmt.Sprintf("%s.%d", t.name, t.topics)
}

// size is n, or less where each request costs a process, or each record a segment.
func (t *trial) size(n int) int {
	switch {
	case t.drv.slow:
		return max(n/4, 3)
	case t.conf.record > 16<<10:
		return max(n/2, 3)
	}
	return n
}

// value is the i-th value: it names itself, and has the configuration's size.
func (t *trial) value(who string, i int) []byte {
	b := fmt.Appendf(nil, "%s %06d ", who, i)
	const filler = "abcdefghijklmnopqrstuvwxyz0123456789 "
	if rest := t.conf.record - len(b); rest > 0 {
		b = append(b, strings.Repeat(filler[i%7:], rest/len(filler[i%7:])+1)[:rest]...)
	}
	return b
}

// records are n of them, of distinct values.
func (t *trial) records(who string, n int) []record {
	rs := make([]record, n)
	for i := range rs {
		rs[i].value = t.value(who, i)
	}
	return rs
}

// put appends with the configuration's level and checks every answer: dense offsets from first on, the level reached,
// a watermark that covers what is synced.
func (t *trial) put(s session, topic string, first uint64, rs ...record) {
	as, err := s.append(topic, t.conf.ack, rs...)
	t.must(err)
	t.must(checkAnswers(as, t.conf.level(), len(rs), first))
}

func checkAnswers(as []answer, level text.Ack, n int, first uint64) error {
	if level == text.AckNone {
		if len(as) > 0 {
			return fmt.Errorf("%d answers to appends that ask for none", len(as))
		}
		return nil
	}
	next := first
	for _, a := range as {
		if a.first != next || a.next <= a.first {
			return fmt.Errorf("offsets from %d to before %d, want them from %d on", a.first, a.next, next)
		}
		next = a.next
		if a.ack < level {
			return fmt.Errorf("offset %d is acknowledged as %v, want %v", a.first, a.ack, level)
		}
		if a.ack >= text.AckSynced && a.synced < a.next {
			return fmt.Errorf("offset %d is acknowledged as synced with a watermark of %d", a.next-1, a.synced)
		}
	}
	if next != first+uint64(n) {
		return fmt.Errorf("%d records were acknowledged, want %d", next-first, n)
	}
	return nil
}

// same compares what was read with what was sent; the first one read has the offset first.
func same(got, want []record, first uint64) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("%d records came, want %d: %s is missing", len(got), len(want), describe(want[i]))
		case i >= len(want):
			return fmt.Errorf("%d records came, want %d: too much is %s", len(got), len(want), describe(got[i]))
		case got[i].offset != first+uint64(i):
			return fmt.Errorf("record %d has offset %d, want %d", i, got[i].offset, first+uint64(i))
		case !sameBytes(got[i].key, want[i].key) || !sameBytes(got[i].value, want[i].value):
			return fmt.Errorf("got %s, want %s", describe(got[i]), describe(want[i]))
		case want[i].ms != 0 && got[i].ms != want[i].ms:
			return fmt.Errorf("offset %d has time %d, want %d", got[i].offset, got[i].ms, want[i].ms)
		}
	}
	return nil
}

// sameBytes tells null from empty.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// want reads and compares.
func (t *trial) want(s session, topic, from string, l limits, want []record, first uint64) {
	got, err := s.read(topic, from, l)
	if err == nil {
		err = same(got, want, first)
	}
	if err != nil {
		t.failf("read %s from %s, limits %+v: %w", topic, from, l, err)
	}
}

// each runs f n times at once, and ends the behaviour if one of them fails.
func (t *trial) each(n int, f func(i int) error) {
	var g errgroup.Group
	for i := range n {
		g.Go(func() error { return f(i) })
	}
	t.must(g.Wait())
}

// until asks again and again, for what has no event to wait for.
func (t *trial) until(what string, condition func() (bool, error)) {
	for {
		ok, err := condition()
		t.must(err)
		if ok {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.ctx.Done():
			t.failf("waited in vain: %s", what)
		}
	}
}

// snapshot is STATS.
func snapshot(s session) (stages.Snapshot, error) {
	var out stages.Snapshot
	b, err := s.stats()
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(b, &out)
}

// subscribers waits until that many requests wait for records.
func (t *trial) subscribers(s session, n int64) {
	t.until(fmt.Sprintf("%d subscribers", n), func() (bool, error) {
		st, err := snapshot(s)
		return st.Subscribers == n, err
	})
}

// pending is a record that a follower is about to bring.
type pending chan next

type next struct {
	r   record
	err error
}

// await asks a follower for its next record; a consumer of the client begins only then.
func await(f follower) pending {
	p := make(pending, 1)
	go func() {
		r, err := f.next()
		p <- next{r, err}
	}()
	return p
}

// take reads n records from a follower.
func take(f follower, n int) ([]record, error) {
	var rs []record
	for range n {
		r, err := f.next()
		if err != nil {
			return rs, fmt.Errorf("behind %d of %d records: %w", len(rs), n, err)
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// ended checks that a follower has come to its end.
func ended(f follower) error {
	r, err := f.next()
	if errors.Is(err, errEnded) {
		return nil
	}
	if err == nil {
		err = errors.New("got " + describe(r))
	}
	return fmt.Errorf("the follower should have ended: %w", err)
}

// own gives the behaviour a server of its own.
func (t *trial) own(tt *testing.T, late bool) error {
	t.ownSrv, t.dir = true, tt.TempDir()
	begin := inside
	if late || t.drv.late {
		begin = outside
	}
	t.start = func(dir string) (server, error) { return begin(tt, t.conf, dir) }
	var err error
	t.srv, err = t.start(t.dir)
	return err
}

// restart brings the server up again, over the same directory.
func (t *trial) restart() {
	t.srv = nil
	srv, err := t.start(t.dir)
	t.must(err)
	t.srv = srv
}
