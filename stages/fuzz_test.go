package stages

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/disk/fstest"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// FuzzConnection feeds a connection any bytes and ends its stream. The server must
// answer in whole answers and close, append exactly what it answers OK to, give all
// memory back, and go on serving others.
func FuzzConnection(f *testing.F) {
	steps := everyForm(f)
	every, _ := whole(steps)
	f.Add([]byte(every))
	for _, s := range steps {
		f.Add([]byte("CREATE t partitions=2\nCREATE b segment.bytes=16KiB max.message.bytes=1KiB\nMSG t 1\nx\n" + s.send))
	}
	for _, s := range append(malformedLines(), malformedBatches(f)...) {
		if len(s) < 10_000 {
			f.Add([]byte("CREATE t\n" + s + "PING\n"))
		}
	}
	f.Add([]byte("MSG t 5000\n" + strings.Repeat("x", 4000)))
	f.Add([]byte(strings.Repeat("MSG t 0 ack=none\n\nMSG u 1\nx\n", 300) + "READ t 0\nFETCH u 0\nTAIL t 0 raw=1\n"))
	f.Add([]byte(oneBatch(f, "t", batch.LZ4, strings.Repeat("a", 5000), "b") + "READ t 1\nFETCH t 0 bytes=1 wait=1h min=99999\nCLOSE\nPING\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nPING\n"))
	s := fuzzed(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		before := s.stats.records.Load()
		got, cut := exchangeAll(t, s, speaksText, input)
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
		for _, b := range s.budgets() { // of a connection that was cut off, the writer may still hold some
			waitFor(t, func() bool { used, _ := b.bytes.Used(); return used == 0 })
		}
		if !cut {
			promised, appended := checkAnswers(t, got), s.stats.records.Load()-before
			if appended != promised && !(silenced(input) && appended > promised) {
				t.Errorf("%d records were appended, %d were answered OK", appended, promised)
			}
		}
		for name := range s.catalog.all() {
			if got, _ := exchangeAll(t, s, speaksText, []byte("DROP "+name+"\n")); string(got) != "OK\r\n" {
				t.Errorf("DROP %s: %q", name, got)
			}
		}
		if got, _ := exchangeAll(t, s, speaksText, []byte("PING\n")); string(got) != "OK pong=1\r\n" {
			t.Errorf("PING: %q", got)
		}
		waitFor(t, func() bool { return s.stats.connections.Load() == 0 })
	})
}

// silenced tells whether an append may have no answer: it asks for none, or HTTP
// behind it cuts the connection off.
func silenced(input []byte) bool {
	for line := range bytes.Lines(input) {
		if text.LooksLikeHTTP(bytes.TrimRight(line, "\r\n")) {
			return true
		}
	}
	return bytes.Contains(input, []byte("ack=none"))
}

// fuzzed is a server in memory with little of everything.
func fuzzed(f *testing.F) *Server {
	conf := noTicks()
	conf.Listen, conf.HTTP, conf.MaxPartitions = "127.0.0.1:0", "", 16
	conf.Conn.InFlight, conf.Conn.afterEOF = 4, time.Millisecond
	conf.MaxBatchBytes, conf.Topic.SegmentBytes = 1<<20, 16<<10
	conf.Writer.Queue, conf.Flusher.Queue, conf.Readers.Queue, conf.Readers.Chunk = 1, 1, 1, 4<<10
	s, err := startOn(fstest.NewMem(), conf, zap.NewNop())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			f.Error(err)
		}
	})
	return s
}

// exchangeAll sends, ends the stream, and returns all that comes back. cut: the
// server has cut the connection off, as it does with HTTP and with what is sent
// long after a refusal that closes.
func exchangeAll(t *testing.T, s *Server, speaks protocol, input []byte) (got []byte, cut bool) {
	nc := socket(t, s, speaks)
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = nc.Write(input)
		_ = nc.CloseWrite()
	}()
	got, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection hangs behind %q", got)
	}
	return got, err != nil
}

// socket is a connection to the server without a port: TCP would run out of them.
func socket(t *testing.T, s *Server, speaks protocol) *net.UnixConn {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(file); err != nil { // which takes a copy
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	(&acceptor{srv: s, speaks: speaks}).admit(ends[0])
	return ends[1].(*net.UnixConn)
}

// checkAnswers proves that b is whole answers, and counts the records that they
// say were appended.
func checkAnswers(t *testing.T, b []byte) (appended int64) {
	for len(b) > 0 {
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		var a text.Answer
		if err := text.ParseAnswer(line, &a); err != nil || !found {
			t.Fatalf("%q is no answer: %v", line, err)
		}
		b = rest
		if n := a.Payload(); n >= 0 {
			if int64(len(b)) < n+2 || string(b[n:n+2]) != "\r\n" {
				t.Fatalf("%q is followed by %d bytes", line, len(b))
			}
			b = b[n+2:]
		}
		first, isFirst := a.Uint("first")
		next, isNext := a.Uint("next")
		if isFirst && isNext {
			appended += int64(next - first)
		}
	}
	return appended
}
