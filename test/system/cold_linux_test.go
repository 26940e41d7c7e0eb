package system

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// segments are the files of a log that are not its last.
func segments(t *testing.T, data, topic string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "topics", topic, "0", "*.log"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%s has the segments %v, %v; two are needed", topic, names, err)
	}
	return names[:len(names)-1]
}

// forget drops a file from the page cache. It is synced.
func forget(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// status is a number of /proc/PID/status.
func status(t *testing.T, pid int, name string) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"+name+":"))
	if _, err := fmt.Sscan(string(rest), &n); err != nil {
		t.Fatalf("no number behind %s in the status of %d: %v", name, pid, err)
	}
	return n
}

// tracee is the server that strace runs.
func (s *traced) tracee() (pid int) {
	s.t.Helper()
	strace := s.Cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", strace, strace))
	if err == nil {
		_, err = fmt.Sscan(string(b), &pid)
	}
	if err != nil {
		s.t.Fatalf("strace has the children %q: %v", b, err)
	}
	return pid
}

// Hundreds of consumers wait for a disk that does not answer: as many reads of it are under way as the pool has readers,
// threads stay below 500, and reads of what is in memory go on, as do appends. So they do when the wait is in sendfile,
// because pages went between the look at them and the sending.
func TestD3ColdReadsHoldNoHotOnes(t *testing.T) {
	const consumers, readers = 600, 4
	data := t.TempDir()
	// Each record is a batch: small answers are copied, and do not wait for others' sendfile.
	first := serve(t, data, "--set", "topic.segment.bytes=1MiB", "--set", "stages.conn.group_bytes=0")
	first.fill("cold", 300, 32<<10)
	first.fill("hot", 64, 1<<10)
	if err := first.Stop(); err != nil { // which syncs; only what is synced can be dropped
		t.Fatal(err)
	}
	data, err := filepath.EvalSymlinks(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		call string
		most int // of it at once
	}{{"pread64", readers}, {"sendfile", 400}} {
		t.Run(c.call, func(t *testing.T) {
			told := []string{"-e", "trace=" + c.call, "-e", "inject=" + c.call + ":delay_enter=600000000"} // longer than the test
			for _, name := range segments(t, data, "cold") {
				forget(t, name)
				told = append(told, "-P", name)
			}
			s := traceWith(t, data, told, "--set", "scrub.rate=0", "--set", fmt.Sprintf("stages.readers.count=%d", readers))
			s.readAll("hot") // whose bytes this run has not seen yet
			all := make([]*reader, consumers)
			for i := range all {
				all[i] = s.reader()
				if _, err := fmt.Fprintf(all[i], "FETCH cold %d bytes=65536\n", i*7%256); err != nil {
					t.Fatal(err)
				}
			}
			for end := time.Now().Add(limit); atOnce(t, s.file) < 2; { // the first ones are where they wait
				if time.Now().After(end) {
					t.Fatalf("no two calls of %s are under way", c.call)
				}
				select {
				case <-time.After(time.Millisecond):
				case <-s.Ended():
					t.Fatalf("the server has ended: %s", s.Log())
				}
			}
			s.goesOn("hot", 50)
			if n := status(t, s.tracee(), "Threads"); n >= 500 {
				t.Errorf("%d threads", n)
			}
			s.Kill()
			if most := atOnce(t, s.file); most > c.most {
				t.Errorf("%d calls of %s were under way at once, and should be %d at most", most, c.call, c.most)
			}
			for i, r := range all {
				if b, err := io.ReadAll(r.in); len(b) > 0 && c.call == "pread64" {
					t.Fatalf("cold read %d was answered %.60q, %v: the delay is not where the disk is read", i, b, err)
				}
			}
		})
	}
}

// goesOn reads and appends a little, n times.
func (s *server) goesOn(topic string, n int) {
	s.t.Helper()
	r := s.reader()
	producer, in := s.dial()
	for i := range n {
		f, err := r.fetch(topic, uint64(i), 4<<10)
		if err == nil {
			err = f.check()
		}
		if err != nil {
			s.t.Fatalf("FETCH %d: %v", i, err)
		}
		if _, err := fmt.Fprintf(r, "READ %s %d limit=1\n", topic, i); err != nil {
			s.t.Fatal(err)
		}
		for _, want := range []string{"REC ", "v", "OK "} {
			if line, err := r.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
				s.t.Fatalf("READ %d: %.40q, %v; want %s", i, line, err, want)
			}
		}
		if got := exchange(s.t, producer, in, fmt.Sprintf("MSG %s 5\nhello\n", topic)); !strings.HasPrefix(got, "OK first=") {
			s.t.Fatalf("append %d was answered %q", i, got)
		}
	}
}

// atOnce is how many calls of a trace were under way at the same time, at most.
func atOnce(t *testing.T, file string) (most int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	under := 0
	for line := range bytes.Lines(b) {
		switch {
		case bytes.Contains(line, []byte("<unfinished ...>")):
			under++
			most = max(most, under)
		case bytes.Contains(line, []byte(" resumed>")):
			under--
		}
	}
	return most
}
