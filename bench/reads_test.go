package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/wire/batch"
)

// segments makes a folder like a log's: two sealed segments of so many bytes, and one that does not count.
func sealedSegments(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range []string{strings.Repeat("a", n), strings.Repeat("b", n), strings.Repeat("active", n)} {
		if err := os.WriteFile(segmentFile(dir, uint64(i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The raw server begins at the part it is asked for, goes from file to file, and round again.
func TestFilesAreSentFromAPartOn(t *testing.T) {
	p, err := startRaw(t.Context(), "files", sealedSegments(t, 10))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"aaaaaaaaaabbbbbbbbbbaa", "aaaaabbbbbbbbbbaaaaaaa", "bbbbbbbbbbaaaaaaaaaabb", "bbbbbaaaaaaaaaabbbbbbb"} {
		c, err := dial(t.Context(), p.addr)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err = fmt.Fprintf(c, "%d 4\n", i); err == nil {
			_, err = io.ReadFull(c, got)
		}
		if closeQuietly(c); err != nil || string(got) != want {
			t.Errorf("part %d: %q, %v; want %q", i, got, err, want)
		}
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
}

// A crowd counts all that comes, drained or not, and ends when it is told to.
func TestACrowdCounts(t *testing.T) {
	for _, drain := range []bool{false, true} {
		raw, err := startRaw(t.Context(), "files", sealedSegments(t, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		r := readSide{crowd: crowd{Kind: "stream", Addr: raw.addr, Conns: 3, Drain: drain}, pid: raw.cmd.Process.Pid}
		r.hist = newHist()
		for r.ops == 0 { // on a machine with much else to do a turn may see nothing
			if err := r.turn(t.Context(), 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if r.bytes < (r.ops-3)*streamOp || r.all < r.bytes || r.hist.TotalCount() < r.ops || r.took <= 0 {
			t.Errorf("drain %v: %+v", drain, r.tally)
		}
		if _, err := raw.stop(); err != nil {
			t.Error(err)
		}
	}
}

// pretend serves one connection with a script: what it must get, and what it answers.
func pretend(t *testing.T, script ...string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer closeQuietly(c)
		for i := 0; i+1 < len(script); i += 2 {
			got := make([]byte, len(script[i]))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != script[i] {
				served <- fmt.Errorf("got %q, %w; want %q", got, err, script[i])
				return
			}
			if _, err := io.WriteString(c, script[i+1]); err != nil {
				served <- err
				return
			}
		}
		_, err = c.Read(make([]byte, 1)) // until the crowd is ended
		if err == nil {
			err = fmt.Errorf("more was asked than the script has")
		}
		if err == io.EOF {
			err = nil
		}
		served <- err
	}()
	t.Cleanup(func() {
		if err := <-served; err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the server: %v", err)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// Each kind asks as it should: the next FETCH before the body has come, and from the beginning at the end of the log.
func TestConsumersAsk(t *testing.T) {
	const pong = "OK pong=1\r\n"
	for _, c := range []struct {
		crowd  crowd
		script []string
		fault  string
	}{
		{crowd{Kind: "fetch", Bytes: 9}, []string{
			"PING\n", pong,
			"FETCH t 0 bytes=9\n", "DATA 3 from=0 next=5 end=9\r\n",
			"FETCH t 5 bytes=9\n", "abc\r\nDATA 2 from=5 next=9 end=9\r\nxy\r\n",
			"FETCH t 0 bytes=9\n", "ERR CORRUPT from=0 next=5 - bad\r\n"}, "no DATA"},
		{crowd{Kind: "tail"}, []string{
			"PING\n", pong,
			"TAIL t 0 raw=1\n", "DATA 3 from=0 next=5 end=9\r\nabc\r\nDATA 2 from=5 next=9 end=9\r\nxy\r\n",
			"TAIL t 0 raw=1\n", "OK next=9 end=9 epoch=0\r\nDATA 3 from=0 next=5 end=9\r\nabc\r\nnonsense\n"}, "no DATA"},
		{crowd{Kind: "follow", Rate: 1000, Skip: 2, Until: 4}, []string{
			"PING\n", pong,
			"TAIL t 0 raw=1\n", "DATA 3 from=0 next=1 end=1\r\nabc\r\nDATA 2 from=1 next=4 end=4\r\nxy\r\n"}, ""},
		{crowd{Kind: "follow", Rate: 1000, Until: 4}, []string{
			"PING\n", pong,
			"TAIL t 0 raw=1\n", "DATA 3 from=1 next=2 end=2\r\nabc\r\n"}, "a frame from 1 to 2, at 0"},
		{crowd{Kind: "follow", Rate: 1000, Until: 1}, []string{
			"PING\n", pong,
			"TAIL t 0 raw=1\n", "DATA 1 from=0 next=1 end=1\r\na\r\nDATA 1 from=1 next=2 end=2\r\na\r\n"}, "more has come"},
	} {
		t.Run(c.crowd.Kind, func(t *testing.T) {
			c.crowd.Addr, c.crowd.Topic, c.crowd.Conns = pretend(t, c.script...), "t", 1
			g, err := c.crowd.gather(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := g.begin(time.Now()); err != nil {
				t.Fatal(err)
			}
			got, hist, err := g.done(t.Context(), time.Minute)
			switch {
			case c.fault != "":
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("%v, want %q", err, c.fault)
				}
			case err != nil || got.Ops != 2 || hist.TotalCount() != 2 || got.Bytes == 0:
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What one connection sends reaches all who follow, whole and in order.
func TestAFanHandsOn(t *testing.T) {
	p, err := startRaw(t.Context(), "fan", strconv.Itoa(rawRequest))
	if err != nil {
		t.Fatal(err)
	}
	g, err := crowd{Kind: "follow", Addr: p.addr, Topic: topic, Conns: 5, Rate: 1000, Until: 100}.gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := g.begin(start); err != nil {
		t.Fatal(err)
	}
	sent := tally{hist: newHist()}
	load := paced{addr: p.addr, request: message("written"), answer: sluiceAnswer, rate: 1000, d: 100 * time.Millisecond, skip: 10}
	if err := load.run(t.Context(), start, &sent); err != nil || sent.ops != 90 {
		t.Errorf("%d answers, %v", sent.ops, err)
	}
	got, hist, err := g.done(t.Context(), time.Minute)
	if err != nil || got.Ops != 500 || hist.TotalCount() != 500 || got.All < 500*rawRequest {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
}

func TestALogThatIsTooShortIsNoLimit(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0.log"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := startRaw(context.Background(), "files", dir); err == nil || !strings.Contains(err.Error(), "needs two") {
		t.Errorf("got %v", err)
	}
}

// Random reads are checked: another offset, a frame that holds something else, an error, none of them counts as an answer.
func TestRandomReadsAreChecked(t *testing.T) {
	w := spread{topics: 3, segments: 2, batches: 2}
	one, err := oneBatch(1)
	if err != nil {
		t.Fatal(err)
	}
	seeds := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	rng := seeds()
	rng.IntN(w.topics)
	at := uint64(rng.IntN(w.segments * w.batches)) // what readSome asks for
	frame := func(base, from, next uint64) string {
		batch.SetBase(one, base, 0)
		return fmt.Sprintf("DATA %d from=%d next=%d end=9\r\n%s\r\n", len(one), from, next, one)
	}
	for name, c := range map[string]struct {
		answer string
		fine   bool
	}{
		"right":           {frame(at, at, at+1), true},
		"another batch":   {frame(at+1, at, at+1), false},
		"another answer":  {frame(at, at+1, at+1), false},
		"nothing":         {fmt.Sprintf("DATA 0 from=%d next=%d end=9\r\n\r\n", at, at), false},
		"an error":        {"ERR CORRUPT from=0 next=9 - bad\r\n", false},
		"a damaged batch": {strings.Replace(frame(at, at, at+1), string(one[len(one)-9:]), "123456789", 1), false},
	} {
		if _, err := w.readSome(io.Discard, bufio.NewReader(strings.NewReader(c.answer)), seeds()); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Laid topics are segments in a row, and nothing of what a log begins with is left.
func TestLaidTopicsAreDense(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"00000000000000000000.log", "next.seg", "marks", "epochs"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	one, err := oneBatch(1)
	if err == nil {
		err = spread{segments: 3, batches: 2}.lay(dir, one, 7)
	}
	if err != nil {
		t.Fatal(err)
	}
	var next uint64
	files := contents(t, dir)
	for ; next < 6; next += 2 {
		b := []byte(files[segmentFile(dir, next)])
		for i := range uint64(2) {
			h, err := batch.Verify(b[int(i)*len(one):])
			if err != nil || h.BaseOffset != next+i || h.Epoch != 7 {
				t.Errorf("batch %d: %+v, %v", next+i, h, err)
			}
		}
	}
	if len(files) != 4 {
		t.Errorf("there are %d files, should be three segments and the epochs", len(files))
	}
}

func TestProcessesAreLookedAt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: what another process uses is known on Linux only")
	}
	p, err := startRaw(t.Context(), "echo", "")
	if err != nil {
		t.Fatal(err)
	}
	pid := p.cmd.Process.Pid
	w := watchFiles(pid)
	cpu, err1 := cpuOf(pid)
	now, most, err2 := residentOf(pid)
	_, err3 := diskReadsOf(pid)
	c, err4 := dial(t.Context(), p.addr)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	closeQuietly(c)
	open, err := openFilesOf(pid)
	if cpu <= 0 || now < 1<<20 || most < now || err != nil || open < 4 {
		t.Errorf("CPU %v, resident %d, at most %d, %d files, %v", cpu, now, most, open, err)
	}
	if n, err := w.end(); err != nil || n < open-1 {
		t.Errorf("%d files at once, %d at the end, %v", n, open, err)
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := cpuOf(pid); err == nil {
		t.Error("a process that has ended has no clock")
	}
}
