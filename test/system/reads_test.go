package system

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
)

// A reader is a connection that asks for stored batches.
type reader struct {
	net.Conn
	in *bufio.Reader
}

func (s *server) reader() *reader {
	s.t.Helper()
	nc, in := s.dial()
	return &reader{nc, bufio.NewReaderSize(in, 64<<10)}
}

// A frame is a DATA answer.
type frame struct {
	from, next, end uint64
	bytes           []byte
}

// frame reads a DATA frame. Another answer is an error that holds it.
func (r *reader) frame() (f frame, err error) {
	line, err := r.in.ReadString('\n')
	if err != nil {
		return f, err
	}
	var n int
	if _, err := fmt.Sscanf(line, "DATA %d from=%d next=%d end=%d ", &n, &f.from, &f.next, &f.end); err != nil {
		return f, fmt.Errorf("answered %q", strings.TrimSpace(line))
	}
	f.bytes = make([]byte, n)
	if _, err := io.ReadFull(r.in, f.bytes); err != nil {
		return f, fmt.Errorf("the frame from %d ends after less than %d bytes: %w", f.from, n, err)
	}
	eol := make([]byte, len("\r\n"))
	if _, err := io.ReadFull(r.in, eol); err != nil || string(eol) != "\r\n" {
		return f, fmt.Errorf("behind the frame from %d: %q, %w", f.from, eol, err)
	}
	return f, nil
}

func (r *reader) fetch(topic string, from uint64, max int) (frame, error) {
	if _, err := fmt.Fprintf(r, "FETCH %s %d bytes=%d\n", topic, from, max); err != nil {
		return frame{}, err
	}
	return r.frame()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// check wants whole batches in f, with right sums, that hold each offset from f.from to f.next.
func (f frame) check() error {
	at := f.from
	for b := f.bytes; len(b) > 0; {
		if len(b) < 61 {
			return fmt.Errorf("%d bytes are no batch", len(b))
		}
		base, size := binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint32(b[8:]))+12
		if size < 61 || size > len(b) {
			return fmt.Errorf("the batch of %d says %d bytes, and there are %d", base, size, len(b))
		}
		if crc32.Checksum(b[21:size], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
			return fmt.Errorf("the batch of %d is damaged", base)
		}
		next := base + uint64(binary.BigEndian.Uint32(b[23:])) + 1
		if base > at || next <= at {
			return fmt.Errorf("the batch of %d to %d stands where %d is due", base, next, at)
		}
		at, b = next, b[size:]
	}
	if at != f.next {
		return fmt.Errorf("the frame ends at %d, and says %d", at, f.next)
	}
	return nil
}

// fill appends n values of so many bytes, each on its own, and waits for the answers.
func (s *server) fill(topic string, n, size int) {
	s.t.Helper()
	nc, in := s.dial()
	request := append(fmt.Appendf(nil, "MSG %s %d\n", topic, size), append(bytes.Repeat([]byte("v"), size), '\n')...)
	sent := make(chan error, 1)
	go func() { // ends with the connection
		for range n {
			if _, err := nc.Write(request); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
			s.t.Fatalf("append %d of %d was answered %q, %v", i, n, line, err)
		}
	}
	if err := <-sent; err != nil {
		s.t.Fatal(err)
	}
}

// readAll fetches from the beginning to the end, checks what comes, and tells how many bytes it was.
func (s *server) readAll(topic string) (n int64) {
	s.t.Helper()
	r := s.reader()
	for at, end := uint64(0), uint64(1); at < end; {
		f, err := r.fetch(topic, at, 1<<20)
		if err == nil {
			err = f.check()
		}
		if err != nil || f.from != at || f.next == at {
			s.t.Fatalf("from %d: %d to %d, %v", at, f.from, f.next, err)
		}
		at, end = f.next, f.end
		n += int64(len(f.bytes))
	}
	return n
}

// What is far behind and in the page cache goes from the file to the socket: sendfile carries the bytes, little is read to
// find where batches begin and end, and a megabyte takes few sendfiles. The log of the test has the calls for a MB.
func TestCatchUpIsCarriedBySendfile(t *testing.T) {
	s := traceWith(t, t.TempDir(), []string{"-e", "trace=%desc,%network,futex"}, "--set", "topic.segment.bytes=8MiB")
	s.fill("t", 512, 60_000)
	total := s.readAll("t")
	calls := s.calls()
	first := slices.IndexFunc(calls, func(c call) bool { return c.name == "read" && strings.Contains(c.args, `"FETCH `) })
	last := slices.IndexFunc(calls, func(c call) bool { return c.name == "read" && strings.Contains(c.args, `"SHUTDOWN`) })
	if first < 0 || last < first {
		t.Fatalf("the trace has FETCH at %d and SHUTDOWN at %d", first, last)
	}
	count, carried := map[string]int{}, map[string]int64{}
	for _, c := range calls[first:last] {
		count[c.name]++
		if strings.HasPrefix(c.path, "socket:") || strings.HasPrefix(c.path, "TCP:") || strings.HasSuffix(c.path, ".log") || strings.HasSuffix(c.path, ".seg") {
			carried[c.name] += max(0, c.ret)
		}
	}
	if got := carried["sendfile"]; got < total*98/100 { // the rest are heads
		t.Errorf("sendfile carried %d of %d bytes", got, total)
	}
	if got := carried["pread64"] + carried["preadv"] + carried["preadv2"]; got > total/2 {
		t.Errorf("%d bytes were read, to send %d", got, total)
	}
	all := 0
	for _, name := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-12s %6d calls, %.2f for a MB", name, count[name], perMB(count[name], total))
		all += count[name]
	}
	t.Logf("%-12s %6d calls, %.2f for a MB, to read %d bytes", "all", all, perMB(all, total), total)
	if got := perMB(count["sendfile"], total); got > 16 { // each of 64 KiB at least
		t.Errorf("%.1f sendfiles for a MB", got)
	}
}

func perMB(calls int, bytes int64) float64 { return float64(calls) / (float64(bytes) / 1e6) }
