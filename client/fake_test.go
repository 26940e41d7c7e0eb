package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/client"
	"sluice/wire/batch"
)

// fake plays the servers that a real one can't be made to be: its n-th connection follows the n-th script, and the last
// script plays for all that follow. It lives in a synctest bubble, over pipes; when the test's main function ends, the
// bubble fails if any goroutine is left.
type fake struct {
	t       *testing.T
	scripts []func(*peer)
	mu      sync.Mutex
	conns   int
	open    []net.Conn
	left    atomic.Int32 // connections that the client has closed
	group   sync.WaitGroup
	offers  string // more of the greeting
	roomy   bool   // the server's end takes what the client writes while the script does something else, as a socket does
}

// peer is the server's end of one connection, greeted already.
type peer struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func startFake(t *testing.T, scripts ...func(*peer)) *fake {
	f := &fake{t: t, scripts: scripts}
	t.Cleanup(func() {
		for _, nc := range f.open {
			if t.Failed() { // let the scripts go, so that the failure is heard and not only the bubble's
				_ = nc.Close() // it may be closed
			}
		}
	})
	return f
}

// inbox holds what the client wrote until the script reads it.
type inbox struct {
	mu   sync.Mutex
	news *sync.Cond
	buf  []byte
	err  error
}

func (i *inbox) fill(nc net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := nc.Read(b)
		i.mu.Lock()
		i.buf, i.err = append(i.buf, b[:n]...), err
		i.news.Signal()
		i.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (i *inbox) Read(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.buf) == 0 && i.err == nil {
		i.news.Wait()
	}
	if len(i.buf) == 0 {
		return 0, i.err
	}
	n := copy(p, i.buf)
	i.buf = i.buf[n:]
	return n, nil
}

func (f *fake) options() client.Options {
	return client.Options{Dial: f.dial, Retry: client.Retry{For: 10 * time.Second}}
}

// client dials; the first script is for the connection of the Client itself if it is nil: it is then greeted and idle.
func (f *fake) client(o client.Options) *client.Client {
	f.t.Helper()
	f.scripts = append([]func(*peer){idle}, f.scripts...)
	c, err := client.Dial(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// idle serves the Client's own connection.
func idle(p *peer) {
	for p.line() != "" {
		p.say("OK pong=1")
	}
}

// unreachable is the script of a connection that can't be made.
func unreachable(*peer) { panic("BUG: never played") }

func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	script := f.scripts[min(f.conns, len(f.scripts)-1)]
	f.conns++
	if fmt.Sprintf("%p", script) == fmt.Sprintf("%p", unreachable) {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	f.open = append(f.open, ours)
	var in io.Reader = ours
	if f.roomy {
		i := new(inbox)
		i.news = sync.NewCond(&i.mu)
		f.group.Go(func() { i.fill(ours) })
		in = i
	}
	f.group.Go(func() {
		p := &peer{t: f.t, nc: ours, br: bufio.NewReaderSize(in, 64)}
		defer ours.Close()
		switch hello := p.line(); {
		case hello == "":
			return // the client has changed its mind
		case !strings.HasPrefix(hello, "HELLO client="):
			f.t.Errorf("greeted with %q", hello)
		}
		p.say("OK server=sluice version=test protocol=1 node=n1 role=master max_line=4096 max_batch=8388608%s", f.offers)
		script(p)
	})
	return &tracked{Conn: theirs, closed: &f.left}, nil
}

// tracked counts the first Close.
type tracked struct {
	net.Conn
	once   sync.Once
	closed *atomic.Int32
}

func (c *tracked) Close() error {
	c.once.Do(func() { c.closed.Add(1) })
	return c.Conn.Close()
}

// line reads a line, "" at the end of the connection.
func (p *peer) line() string {
	s, err := p.br.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimRight(s, "\r\n")
}

// drain reads, and answers nothing, until the client leaves.
func (p *peer) drain() {
	for {
		if _, err := p.br.ReadByte(); err != nil {
			return
		}
	}
}

func (p *peer) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.nc, format+"\r\n", args...) // the client may be gone; the test looks at the client
}

// batch reads a BATCH and returns its line's options and its records' values; nil at the end of the connection.
func (p *peer) batch() []string {
	line := p.line()
	if line == "" {
		return nil
	}
	w := strings.Split(line, " ")
	if len(w) < 3 || w[0] != "BATCH" {
		p.t.Errorf("a BATCH was due: %q", line)
		return nil
	}
	n, err := strconv.Atoi(w[2])
	if err != nil {
		p.t.Errorf("%q: %v", line, err)
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.br, b); err != nil {
		return nil
	}
	if rest := p.line(); rest != "" {
		p.t.Errorf("%q behind the payload", rest)
	}
	if _, err := batch.Check(b, 1<<20); err != nil {
		p.t.Error(err)
	}
	return values(p.t, b)
}

func values(t *testing.T, b []byte) []string {
	var r batch.Reader
	if err := r.Reset(b, 1<<20); err != nil {
		t.Error(err)
	}
	var list []string
	var rec batch.Record
	for r.Next(&rec) {
		list = append(list, string(rec.Value))
	}
	return list
}

// appended answers a batch of n records from first on.
func (p *peer) appended(first, n int) {
	p.say("OK first=%d next=%d ack=written synced=%d", first, first+n, first)
}

// serverLog is what a script has taken.
type serverLog struct {
	mu   sync.Mutex
	list []string
}

// take appends the values, and returns the first one's offset.
func (l *serverLog) take(v []string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.list)
	l.list = append(l.list, v...)
	return first
}

func (l *serverLog) at(i uint64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i >= uint64(len(l.list)) {
		return "nothing"
	}
	return l.list[i]
}

func (l *serverLog) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Join(l.list, ",") != strings.Join(want, ",") {
		t.Fatalf("the log has %q, want %q", l.list, want)
	}
}

// accept reads and answers batches until the client leaves.
func (p *peer) accept(log *serverLog) {
	for {
		v := p.batch()
		if v == nil {
			return
		}
		p.appended(log.take(v), len(v))
	}
}

func rec(value string) client.Record { return client.Record{Value: []byte(value)} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outcomes gathers what callbacks say, in their order.
type outcomes struct {
	mu   sync.Mutex
	list []string
}

func (o *outcomes) of(value string) func(client.Result, error) {
	return func(r client.Result, err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		var e *client.Error
		switch {
		case errors.Is(err, client.ErrUnknown):
			o.list = append(o.list, value+":unknown")
		case errors.Is(err, client.ErrStopped):
			o.list = append(o.list, value+":stopped")
		case errors.Is(err, client.ErrClosed):
			o.list = append(o.list, value+":closed")
		case errors.As(err, &e):
			o.list = append(o.list, value+":"+e.Code.String())
		case err != nil:
			o.list = append(o.list, value+":"+err.Error())
		default:
			o.list = append(o.list, fmt.Sprintf("%s:%d", value, r.Offset))
		}
	}
}

func (o *outcomes) want(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if strings.Join(o.list, ",") != strings.Join(want, ",") {
		t.Fatalf("outcomes %q, want %q", o.list, want)
	}
}
