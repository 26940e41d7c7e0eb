package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/client"
	"sluice/sluicetest"
)

// The tests of this file talk to a real server.

func producer(t *testing.T, c *client.Client, topic string, o client.ProducerOptions) *client.Producer {
	t.Helper()
	p, err := c.Producer(topic, o)
	must(t, err)
	return p
}

func consumer(t *testing.T, c *client.Client, topic string, o client.ConsumerOptions) *client.Consumer {
	t.Helper()
	r, err := c.Consumer(topic, o)
	must(t, err)
	return r
}

func closed(t *testing.T, p *client.Producer) {
	t.Helper()
	must(t, p.Close(t.Context()))
}

func TestWhatGoesInComesOut(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	at := time.UnixMilli(1_700_000_000_123)
	in := []client.Record{
		{Value: []byte("plain"), Time: at},
		{Time: at},
		{Key: []byte{}, Value: []byte{}, Time: at},
		{Key: []byte("k"), Value: bytes.Repeat([]byte("long "), 40_000), Time: at.Add(-time.Hour)},
		{Value: []byte("h"), Headers: []client.Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}, Time: at},
		{Value: []byte("now")},
	}
	for _, codec := range []client.Codec{client.None, client.LZ4} {
		for _, share := range []bool{false, true} {
			topic := fmt.Sprintf("%v-%v", codec, share)
			p := producer(t, c, topic, client.ProducerOptions{Codec: codec, Ack: client.AckSynced})
			for i, r := range in {
				got, err := p.Append(t.Context(), r)
				if err != nil || got.Offset != uint64(i) || got.Ack != client.AckSynced || got.Synced != uint64(i)+1 {
					t.Fatalf("record %d: %+v, %v", i, got, err)
				}
			}
			closed(t, p)
			i := 0
			for r, err := range consumer(t, c, topic, client.ConsumerOptions{ShareBytes: share}).Records(t.Context()) {
				must(t, err)
				want := in[i]
				want.Offset = uint64(i)
				if want.Time.IsZero() {
					want.Time = r.Time
				}
				if fmt.Sprintf("%#v", r) != fmt.Sprintf("%#v", want) {
					t.Fatalf("got  %#v\nwant %#v", r, want)
				}
				i++
			}
			if i != len(in) {
				t.Fatalf("%d records of %d", i, len(in))
			}
		}
	}
}

func TestManyGoroutinesOneProducer(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	must(t, c.Create(t.Context(), "t", map[string]string{"segment.bytes": "64KiB"}))
	const writers, each = 8, 2000
	p := producer(t, c, "t", client.ProducerOptions{BatchBytes: 2 << 10, MaxBuffered: 1 << 20})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := p.Send(t.Context(), rec(fmt.Sprintf("%d %d", w, i)), nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	must(t, p.Flush(t.Context()))
	next := make([]int, writers)
	for r, err := range consumer(t, c, "t", client.ConsumerOptions{FetchBytes: 4 << 10}).Records(t.Context()) {
		must(t, err)
		var w, i int
		if _, err := fmt.Sscan(string(r.Value), &w, &i); err != nil || i != next[w] {
			t.Fatalf("%q: record %d of writer %d was due", r.Value, next[w], w)
		}
		next[w]++
	}
	closed(t, p)
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d has %d records of %d", w, n, each)
		}
	}
}

// A reader that follows sees each record once and none left out, while the server is stopped and started again under
// both; the writer is told of every record.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := sluicetest.StartWith(t, sluicetest.Options{Dir: dir, Quiet: true})
	var now atomic.Pointer[string] // where the server listens; the port of one that was stopped is anybody's
	now.Store(&srv.Addr)
	c, err := client.Dial(t.Context(), client.Options{Addr: srv.Addr, Retry: client.Retry{For: time.Minute},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, *now.Load())
		}})
	must(t, err)
	must(t, c.Create(t.Context(), "t", nil))
	p := producer(t, c, "t", client.ProducerOptions{OnUnknown: client.UnknownResend})
	const total = 3000
	seen := make(chan struct{})
	read := make(chan error, 1)
	go func() {
		n := 0
		for r, err := range consumer(t, c, "t", client.ConsumerOptions{Follow: true, Wait: time.Minute}).Records(t.Context()) {
			if err != nil {
				read <- err
				return
			}
			if r.Offset != uint64(n) {
				read <- fmt.Errorf("offset %d was due, not %d", n, r.Offset)
				return
			}
			if n++; n == total/2 {
				close(seen)
			}
			if string(r.Value) == fmt.Sprint(total-1) {
				break
			}
		}
		read <- nil
	}()
	var failed sync.Map
	for i := range total {
		_, err := p.Append(t.Context(), rec(fmt.Sprint(i)))
		if err != nil {
			failed.Store(i, err)
		}
		if i == total/2 {
			select {
			case <-seen:
			case err := <-read:
				t.Fatal(err)
			}
			srv.Stop()
			srv = sluicetest.StartWith(t, sluicetest.Options{Dir: dir, Quiet: true})
			now.Store(&srv.Addr)
		}
	}
	must(t, <-read)
	failed.Range(func(i, err any) bool {
		t.Errorf("record %v: %v", i, err)
		return true
	})
	closed(t, p)
	must(t, c.Close())
}

func TestWhereReadingStarts(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	p := producer(t, c, "t", client.ProducerOptions{})
	base := time.UnixMilli(1_700_000_000_000)
	for i := range 10 {
		_, err := p.Append(t.Context(), client.Record{Value: []byte{byte('0' + i)}, Time: base.Add(time.Duration(i) * time.Second)})
		must(t, err)
	}
	closed(t, p)
	for _, tc := range []struct {
		from client.From
		want string
	}{
		{client.From{}, "0123456789"},
		{client.Oldest(), "0123456789"},
		{client.Newest(), ""},
		{client.Offset(7), "789"},
		{client.Offset(10), ""},
		{client.Last(3), "789"},
		{client.Last(99), "0123456789"},
		{client.Since(base.Add(4 * time.Second)), "456789"},
		{client.Since(base.Add(4*time.Second + 1)), "56789"},
		{client.Since(base.Add(time.Hour)), ""},
	} {
		var got strings.Builder
		for r, err := range consumer(t, c, "t", client.ConsumerOptions{From: tc.from}).Records(t.Context()) {
			must(t, err)
			got.Write(r.Value)
		}
		if got.String() != tc.want {
			t.Errorf("from %v: %q, want %q", tc.from, got.String(), tc.want)
		}
	}
	var out *client.OutOfRangeError
	for _, err := range consumer(t, c, "t", client.ConsumerOptions{From: client.Offset(11)}).Records(t.Context()) {
		if !errors.As(err, &out) || out.Offset != 11 || out.Oldest != 0 || out.Next != 10 {
			t.Errorf("%v", err)
		}
	}
	if out == nil {
		t.Error("an offset behind the end was taken")
	}
}

// At least once: what was yielded and not committed comes again in the next run, and nothing before it does.
func TestCommit(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	p := producer(t, c, "t", client.ProducerOptions{})
	for i := range 10 {
		_, err := p.Append(t.Context(), rec(fmt.Sprint(i)))
		must(t, err)
	}
	closed(t, p)
	store := client.FileStore{Path: filepath.Join(t.TempDir(), "position"), Topic: "t"}
	run := func(commit, leave uint64) (got []uint64) {
		r := consumer(t, c, "t", client.ConsumerOptions{Store: store})
		for rec, err := range r.Records(t.Context()) {
			must(t, err)
			got = append(got, rec.Offset)
			if rec.Offset == commit {
				must(t, r.Commit(t.Context(), rec.Offset+1))
			}
			if rec.Offset == leave {
				break
			}
		}
		return got
	}
	for _, tc := range []struct {
		commit, leave uint64
		want          string
	}{{3, 5, "[0 1 2 3 4 5]"}, {99, 6, "[4 5 6]"}, {9, 9, "[4 5 6 7 8 9]"}, {99, 99, "[]"}} {
		if got := fmt.Sprint(run(tc.commit, tc.leave)); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
	pos, ok, err := store.Load(t.Context())
	if err != nil || !ok || pos != (client.Position{Next: 10, Epoch: 0}) {
		t.Errorf("%+v %v %v", pos, ok, err)
	}
	if err := consumer(t, c, "t", client.ConsumerOptions{}).Commit(t.Context(), 1); err == nil {
		t.Error("a commit without a store")
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	srv := sluicetest.Start(t)
	c := srv.Client(t)
	ctx := t.Context()
	if h := c.Hello(); h.Protocol != 1 || h.Node == "" || h.MaxBatch != 8<<20 || h.MaxLine != 4096 || c.Addr() != srv.Addr {
		t.Errorf("%+v", h)
	}
	must(t, c.Ping(ctx))
	must(t, c.Create(ctx, "t", map[string]string{"partitions": "3", "ack": "synced"}))
	code := func(err error, want client.Code) {
		t.Helper()
		var e *client.Error
		if !errors.As(err, &e) || e.Code != want || errors.Is(err, client.ErrUnknown) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	code(c.Create(ctx, "t", nil), client.Exists)
	code(c.Create(ctx, "u", map[string]string{"colour": "red with spaces"}), client.BadSetting)
	code(c.Drop(ctx, "u"), client.NoTopic)
	_, err := c.Head(ctx, "t/3")
	code(err, client.NoTopic)
	for _, bad := range []string{"", "a b", "..", "__x", "t/x", "t\r\nPING"} {
		if err := c.Create(ctx, bad, nil); err == nil {
			t.Errorf("%q is a topic", bad)
		}
		if _, err := c.Head(ctx, bad); err == nil {
			t.Errorf("%q is a topic", bad)
		}
		if _, err := c.Producer(bad, client.ProducerOptions{}); err == nil {
			t.Errorf("%q is a topic", bad)
		}
		if _, err := c.Consumer(bad, client.ConsumerOptions{}); err == nil {
			t.Errorf("%q is a topic", bad)
		}
	}
	must(t, c.Create(ctx, "grows", nil))
	must(t, c.Alter(ctx, "grows", map[string]string{"partitions": "3", "ack": "synced"}))
	if h, err := c.Head(ctx, "grows/2"); err != nil || h.Partitions != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	code(c.Alter(ctx, "grows", map[string]string{"partitions": "2"}), client.BadSetting)
	code(c.Alter(ctx, "u", map[string]string{"partitions": "2"}), client.NoTopic)
	for topic, settings := range map[string]map[string]string{"grows": nil, "a b": {"partitions": "3"}, "t": {"a b": "3"}} {
		if err := c.Alter(ctx, topic, settings); err == nil {
			t.Errorf("%q was altered with %v", topic, settings)
		}
	}
	must(t, c.Drop(ctx, "grows"))
	p := producer(t, c, "t/2", client.ProducerOptions{})
	r, err := p.Append(ctx, rec("x"))
	must(t, err)
	closed(t, p)
	if r.Ack != client.AckSynced {
		t.Errorf("the topic's level is synced, the answer says %v", r.Ack)
	}
	h, err := c.Head(ctx, "t/2")
	if err != nil || h.Next != 1 || h.Synced != 1 || h.Partitions != 3 || h.Segments != 1 || h.Bytes < 1 {
		t.Errorf("%+v, %v", h, err)
	}
	if n, err := c.Flush(ctx, "t/2"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	list, err := c.Topics(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "t" || list[0].Partitions != 3 || list[0].Records != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	b, err := c.Stats(ctx)
	if err != nil || !json.Valid(b) {
		t.Errorf("%s, %v", b, err)
	}
	if b, err = c.StatsText(ctx); err != nil || len(b) == 0 {
		t.Errorf("%v", err)
	}
	must(t, c.Drop(ctx, "t"))
	must(t, c.Shutdown(ctx))
}

// Nothing is left of producers and consumers that were closed and loops that were left.
func TestNoGoroutineIsLeft(t *testing.T) { // not parallel: it looks at the whole process
	srv := sluicetest.StartWith(t, sluicetest.Options{Quiet: true})
	c, err := client.Dial(t.Context(), client.Options{Addr: srv.Addr})
	must(t, err)
	for range 5 {
		p := producer(t, c, "t", client.ProducerOptions{})
		_, err := p.Append(t.Context(), rec("x"))
		must(t, err)
		for range consumer(t, c, "t", client.ConsumerOptions{Follow: true}).Records(t.Context()) {
			break
		}
		closed(t, p)
		cancelled, cancel := context.WithCancel(t.Context())
		p = producer(t, c, "t", client.ProducerOptions{})
		must(t, p.Send(t.Context(), rec("x"), nil))
		cancel()
		if err := p.Close(cancelled); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	must(t, c.Close())
	if err := c.Ping(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v", err)
	}
	left := labelled(t)
	for end := time.Now().Add(time.Minute); left != "" && time.Now().Before(end); { // one that has said its last word may still be on its way out
		runtime.Gosched()
		left = labelled(t)
	}
	if left == "" {
		return
	}
	t.Errorf("goroutines are left:\n%s", left)
}

// labelled returns the stacks of the client's goroutines.
func labelled(t *testing.T) string {
	var dump strings.Builder
	must(t, pprof.Lookup("goroutine").WriteTo(&dump, 1))
	var out []string
	for stack := range strings.SplitSeq(dump.String(), "\n\n") {
		if strings.Contains(stack, "sluice-client") {
			out = append(out, stack)
		}
	}
	return strings.Join(out, "\n\n")
}
