package system

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A segment is cut by hand while a reader stands in it, at the end of a frame or in the middle of one: what the reader gets
// is right up to an error between frames or the end of its connection in one, the range answers CORRUPT from then on, what
// lies behind it is served, and the server neither dies nor tries the same bytes again and again.
func TestC10SegmentTruncatedUnderALiveReader(t *testing.T) {
	for _, c := range []struct {
		name, chunk, ends string
	}{
		{"between frames", "512KiB", "ERR CORRUPT from="},
		{"in a frame", "8MiB", "ends after less than"},
	} {
		t.Run(c.name, func(t *testing.T) { cutUnderAReader(t, c.chunk, c.ends) })
	}
}

func cutUnderAReader(t *testing.T, chunk, ends string) {
	const perSegment, size, left = 64, 250 << 10, 10
	s := traceWith(t, t.TempDir(), []string{"-e", "trace=sendfile"}, "--set", "topic.segment.bytes=16MiB", "--set", "scrub.rate=0",
		"--set", "stages.readers.chunk="+chunk)
	s.fill("t", 3*perSegment, size)
	r := s.stalled("TAIL t 0 raw=1\n")
	file := filepath.Join(s.data, "topics", "t", "0", "00000000000000000000.log")
	if err := os.Truncate(file, left*(size+100)); err != nil {
		t.Fatal(err)
	}
	at, err := r.toTheEnd()
	if err == nil || at >= perSegment || !strings.Contains(err.Error(), ends) {
		t.Errorf("the reader came to %d, and then: %v, want %s", at, err, ends)
	}
	again := s.reader()
	_, err = again.fetch("t", left, 1<<20)
	var from, next uint64
	if err == nil {
		t.Fatal("what is cut off was answered")
	} else if _, scan := fmt.Sscanf(err.Error(), `answered "ERR CORRUPT from=%d next=%d `, &from, &next); scan != nil || from != left || next <= left {
		t.Fatalf("from %d: %v", left, err)
	}
	for i := range 3 { // over and over it is the same
		if _, err := again.fetch("t", left, 1<<20); err == nil || !strings.Contains(err.Error(), "ERR CORRUPT ") {
			t.Errorf("time %d: %v", i, err)
		}
	}
	for _, part := range [][2]uint64{{0, left}, {next, 3 * perSegment}} {
		for at := part[0]; at < part[1]; {
			f, err := again.fetch("t", at, 1<<20)
			if err == nil {
				err = f.check()
			}
			if err != nil || f.next <= at {
				t.Fatalf("around the damage, from %d: to %d, %v", at, f.next, err)
			}
			at = f.next
		}
	}
	s.fill("t", 1, 10)
	short := 0
	for _, c := range s.calls() {
		if c.name == "sendfile" && c.ret == 0 {
			short++
		}
	}
	if short > 3 {
		t.Errorf("%d times sendfile had nothing to send: the server spins", short)
	}
}

// stalled is a reader that has asked for much, has read the first byte of it, and reads no more.
func (s *server) stalled(request string) *reader {
	s.t.Helper()
	r := s.reader()
	if err := r.Conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(r, request); err != nil {
		s.t.Fatal(err)
	}
	if _, err := r.in.Peek(1); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// toTheEnd takes frames until there is an error, each whole and right, and tells where it came to.
func (r *reader) toTheEnd() (at uint64, err error) {
	for {
		f, err := r.frame()
		if err != nil {
			return at, err
		}
		if err := f.check(); err != nil || f.from != at {
			return at, fmt.Errorf("from %d to %d, and %d is due: %w", f.from, f.next, at, err)
		}
		at = f.next
	}
}
