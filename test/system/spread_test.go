package system

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// Five times as many segments as descriptors, read at random by several while one appends at random: every answer is right,
// and at no time has the process more open than it may.
func TestI13ReadsAllOverStayInTheBudget(t *testing.T) {
	const topics, records, readers, each, budget = 80, 16, 6, 100, 128
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		t.Skipf("skipped: this system does not tell what a process has open: %v", err)
	}
	data := t.TempDir()
	// Each record is a batch, and two are a segment.
	first := serve(t, data, "--set", "topic.segment.bytes=16KiB", "--set", "stages.conn.group_bytes=0")
	first.fillAll(topics, records, 8000)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	s := serve(t, data, "--set", fmt.Sprint("descriptors=", budget))
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Cmd.Process.Pid))
			if n = max(n, len(list)); err != nil {
				t.Errorf("count descriptors: %v", err)
			}
			select {
			case <-stop:
				most <- n
				return
			default:
			}
		}
	}()
	var work sync.WaitGroup
	appended := make([]int, topics)
	for i := range readers + 1 {
		nc, in := s.dial()
		r, rng := &reader{nc, in}, rand.New(rand.NewPCG(1, uint64(i)))
		work.Go(func() {
			for range each {
				topic := rng.IntN(topics)
				if i == readers {
					if !appendOne(t, nc, in, topic, records+appended[topic]) {
						return
					}
					appended[topic]++
					continue
				}
				at := rng.Uint64N(records)
				f, err := r.fetch(fmt.Sprint("t", topic), at, 4<<10)
				if err == nil {
					err = f.check()
				}
				if err != nil || f.from != at || f.next != at+1 {
					t.Errorf("topic %d at %d: from %d to %d, %v", topic, at, f.from, f.next, err)
					return
				}
			}
		})
	}
	work.Wait()
	close(stop)
	n := <-most
	t.Logf("%d descriptors open at most, of %d, for %d segments", n, budget, topics*records/2)
	if n > budget {
		t.Errorf("%d descriptors were open, the budget is %d", n, budget)
	}
	for topic, more := range appended {
		want := fmt.Sprintf(" next=%d ", records+more)
		if got := s.talk(fmt.Sprintf("HEAD t%d\n", topic)); !strings.Contains(got, want) {
			t.Errorf("HEAD t%d: %q, want%q", topic, got, want)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func appendOne(t *testing.T, nc net.Conn, in *bufio.Reader, topic, want int) bool {
	_, err := fmt.Fprintf(nc, "MSG t%d 5\nhello\n", topic)
	line := ""
	if err == nil {
		line, err = in.ReadString('\n')
	}
	if err != nil || !strings.HasPrefix(line, fmt.Sprintf("OK first=%d ", want)) {
		t.Errorf("append to t%d, offset %d: %q, %v", topic, want, line, err)
		return false
	}
	return true
}

// fillAll appends records to each of the topics t0, t1, ..., in turns.
func (s *server) fillAll(topics, records, size int) {
	s.t.Helper()
	nc, in := s.dial()
	value := append(bytes.Repeat([]byte("v"), size), '\n')
	sent := make(chan error, 1)
	go func() { // ends with the connection
		for i := range topics * records {
			if _, err := nc.Write(append(fmt.Appendf(nil, "MSG t%d %d\n", i%topics, size), value...)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range topics * records {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
			s.t.Fatalf("append %d to t%d was answered %q, %v", i/topics, i%topics, line, err)
		}
	}
	if err := <-sent; err != nil {
		s.t.Fatal(err)
	}
}
