package stages

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func TestTranscriptOfTheProtocol(t *testing.T) {
	c := dial(t, startServer(t, nil))
	c.send("MSG greetings 5 ack=synced\nhello\n")
	c.want("OK first=0 next=1 ack=synced synced=1")
	c.send("READ greetings 0\n")
	c.want("REC offset=0 time=* key=-1 n=5", "hello", "OK next=1 end=1 epoch=0")
}

func TestVerbs(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	for _, step := range []struct {
		send string
		want []string
	}{
		{"ping\n", []string{"OK pong=1"}},
		{"HELLO client=me\r\n", []string{"OK server=sluice version=* protocol=1 node=* role=master max_line=4096 max_batch=8388608 sequences=5"}},
		{"CREATE t partitions=2 segment.bytes=64KiB\n", []string{"OK"}},
		{"CREATE t\n", []string{"ERR EXISTS - topic t exists already"}},
		{"HEAD t\n", []string{"OK oldest=0 next=0 synced=0 epoch=0 segment=0 segments=1 bytes=0 partitions=2"}},
		{"MSG t 3 key=1 time=77\nkabc\n", []string{"OK first=0 next=1 ack=written synced=*"}},
		{"MSG t -1 key=-1 time=78\n\n", []string{"OK first=1 next=2 ack=written synced=*"}},
		{"MSG t 0 key=0 time=79\r\n\r\n", []string{"OK first=2 next=3 ack=written synced=*"}},
		{"MSG t/1 1\nz\n", []string{"OK first=0 next=1 ack=written synced=*"}},
		{"READ t oldest\n", []string{
			"REC offset=0 time=77 key=1 n=3", "kabc", "REC offset=1 time=78 key=-1 n=-1", "", "REC offset=2 time=79 key=0 n=0", "",
			"OK next=3 end=3 epoch=0",
		}},
		{"READ t 1 limit=1\n", []string{"REC offset=1 time=78 key=-1 n=-1", "", "OK next=2 end=3 epoch=0"}},
		{"READ t -1\n", []string{"REC offset=2 time=79 key=0 n=0", "", "OK next=3 end=3 epoch=0"}},
		{"READ t @78\n", []string{"REC offset=1 time=78 key=-1 n=-1", "", "REC offset=2 time=79 key=0 n=0", "", "OK next=3 end=3 epoch=0"}},
		{"READ t newest\n", []string{"OK next=3 end=3 epoch=0"}},
		{"READ t 0 limit=0\n", []string{"OK next=0 end=3 epoch=0"}},
		{"READ t 0 bytes=1\n", []string{"REC offset=0 time=77 key=1 n=3", "kabc", "OK next=1 end=3 epoch=0"}},
		{"READ t 4\n", []string{"ERR OUT_OF_RANGE oldest=0 next=3 - the log holds offsets from 0 to before 3"}},
		{"READ t 0 epoch=1\n", []string{"ERR FENCED epoch=0 end=3 - *"}},
		{"FLUSH t\n", []string{"OK synced=3"}},
		{"HEAD t\n", []string{"OK oldest=0 next=3 synced=3 epoch=0 segment=0 segments=1 bytes=* partitions=2"}},
		{"FETCH t newest\n", []string{"DATA 0 from=3 next=3 end=3 synced=3 epoch=0", ""}},
		{"TAIL t 2 limit=1\n", []string{"REC offset=2 time=79 key=0 n=0", "", "OK next=3 end=3 epoch=0"}},
		{"TAIL t\nPING\n", []string{"OK next=3 end=3 epoch=0", "OK pong=1"}},
		{"HEAD u\n", []string{"ERR NO_TOPIC - *"}},
		{"HEAD t/2\n", []string{"ERR NO_TOPIC - the last partition of topic t is 1: name one up to that, or ALTER it to have more"}},
		{"MSG t/2 1\nx\n", []string{"ERR NO_TOPIC - the last partition of topic t is 1: name one up to that, or ALTER it to have more"}},
		{"MSG t 1 ack=none\nx\nPING\n", []string{"OK pong=1"}},
		{"MSG t/9 1 ack=none\nx\n", []string{"ERR NO_TOPIC req=* - *"}},
		{"CREATE v flush.ms=never\n", []string{"ERR BAD_SETTING name=flush.ms - *"}},
		{"CREATE v retention.ms=7d\n", []string{"ERR BAD_SETTING name=retention.ms - not supported yet"}},
		{"TOPICS\n", []string{"DATA *", "t partitions=2 records=5 bytes=*\n"}},
		{"DROP t\n", []string{"OK"}},
		{"HEAD t\n", []string{"ERR NO_TOPIC - *"}},
		{"DROP t\n", []string{"ERR NO_TOPIC - *"}},
		{"CREATE t\nMSG t 1\nx\nREAD t 0 limit=0\n", []string{"OK", "OK first=0 next=1 ack=written synced=*", "OK next=0 end=1 epoch=0"}},
		{"CLOSE\n", []string{"OK"}},
	} {
		c.send("%s", step.send)
		for _, want := range step.want {
			if body, ok := strings.CutSuffix(want, "\n"); ok { // a body line, which ends in LF
				got, err := c.in.ReadString('\n')
				if err != nil || !matches(body+"\n", got) {
					t.Fatalf("%q: got body %q, %v, want %q", step.send, got, err, want)
				}
				c.want("")
				continue
			}
			got := c.line()
			if head, ok := strings.CutSuffix(want, " - *"); ok {
				want, _ = head, ok
				got, _, _ = strings.Cut(got, " - ")
			}
			if !matches(want, got) {
				t.Fatalf("%q: got %q, want %q", step.send, got, want)
			}
		}
	}
	c.ended()
}

func TestHalfCloseAnswersAllThatCameWhole(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	c.send("MSG t 1\na\nMSG t 1\nb\nREAD t 0\nMSG t 5\nhal")
	if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.want("OK first=0 *=1 ack=written synced=*", "OK first=1 next=2 ack=written synced=*",
		"REC offset=0 time=* key=-1 n=1", "a", "REC offset=1 time=* key=-1 n=1", "b", "OK next=2 end=2 epoch=0")
	c.ended()
}

func TestPipelinedMessagesKeepTheirOwnAnswers(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	const n = 5000
	go func() {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "MSG t %d\n%d\n", len(fmt.Sprint(i)), i)
		}
		c.send("%s", b.String())
	}()
	for i := range n {
		c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
	}
	c.send("READ t 0\n")
	for i := range n {
		c.want(fmt.Sprintf("REC offset=%d time=* key=-1 n=%d", i, len(fmt.Sprint(i))), fmt.Sprint(i))
	}
	c.want(fmt.Sprintf("OK next=%d end=%d epoch=0", n, n))
}

func TestTailFollows(t *testing.T) {
	s := startServer(t, nil)
	reader, writer := dial(t, s), dial(t, s)
	writer.send("CREATE t\n")
	writer.want("OK")
	reader.send("TAIL t\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 }) // it has no answer of its own to wait for
	for i := range 100 {
		writer.send("MSG t 3\nabc\n")
		writer.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
		reader.want(fmt.Sprintf("REC offset=%d time=* key=-1 n=3", i), "abc")
	}
	reader.send("PING\n")
	reader.want("OK next=100 end=100 epoch=0", "OK pong=1")
	reader.send("TAIL t\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	writer.send("DROP t\n")
	writer.want("OK")
	reader.want("ERR NO_TOPIC - the topic was dropped")
	reader.quiet()
}

func TestFetchWaits(t *testing.T) {
	s := startServer(t, nil)
	reader, writer := dial(t, s), dial(t, s)
	writer.send("CREATE t\n")
	writer.want("OK")
	reader.send("FETCH t 0 wait=20s\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	writer.send("MSG t 3\nabc\n")
	writer.want("OK first=0 next=1 ack=written synced=*")
	head, b := reader.data()
	if !matches("DATA * from=0 next=1 end=1 synced=* epoch=0", head) || len(b) < 64 {
		t.Fatalf("got %q with %d bytes", head, len(b))
	}
	reader.send("FETCH t 1 wait=10ms\n")
	if head, _ := reader.data(); !matches("DATA 0 from=1 next=1 end=1 synced=* epoch=0", head) {
		t.Fatalf("got %q", head)
	}
}

// A follower that is gone is forgotten soon, also in the middle of a long wait.
func TestFetchGivesUpBehindTheEndOfStream(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	c.send("CREATE t\nFETCH t 0 wait=10h\n")
	c.want("OK")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if head, _ := c.data(); !matches("DATA 0 from=0 next=0 end=0 synced=0 epoch=0", head) {
		t.Fatalf("got %q", head)
	}
	c.ended()
}

// A client that resets its connection does not stay a subscriber until its FETCH
// has waited to its end.
func TestResetEndsAFetchThatWaits(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Conn.afterEOF = time.Hour })
	gone, half := dial(t, s), dial(t, s)
	gone.send("CREATE t\nFETCH t 0 wait=1h\n")
	gone.want("OK")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	half.send("FETCH t 0 wait=1h\n")
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 2 })
	if err := half.nc.(*net.TCPConn).CloseWrite(); err != nil { // which is no reset
		t.Fatal(err)
	}
	if err := gone.nc.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := gone.nc.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
	writer := dial(t, s)
	writer.send("MSG t 1\nx\n")
	writer.want("OK first=0 next=1 ack=written synced=*")
	if head, _ := half.data(); !matches("DATA * from=0 next=1 end=1 synced=* epoch=0", head) {
		t.Errorf("got %q", head)
	}
	half.ended()
}

// A TAIL that is interrupted while it sends ends at a record's boundary, with
// nothing left out before it.
func TestTailInterruptedWhileItSends(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Conn.GroupBytes = 4 << 10 })
	c := dial(t, s)
	const n = 20_000
	value := strings.Repeat("x", 500)
	for range n / 100 {
		c.send("%s", strings.Repeat(fmt.Sprintf("MSG t %d\n%s\n", len(value), value), 100))
		for range 100 {
			c.line()
		}
	}
	c.send("TAIL t 0\n")
	c.want("REC offset=0 time=* key=-1 n=500", value)
	c.send("PING\n") // most of the records are still on the other side of a full socket
	next := 1
	for {
		line := c.line()
		if strings.HasPrefix(line, "OK next=") {
			if want := fmt.Sprintf("OK next=%d end=%d epoch=0", next, n); line != want {
				t.Fatalf("got %q, want %q", line, want)
			}
			break
		}
		if want := fmt.Sprintf("REC offset=%d ", next); !strings.HasPrefix(line, want) {
			t.Fatalf("got %q, want %q", line, want)
		}
		c.want(value)
		next++
	}
	c.want("OK pong=1")
	t.Logf("interrupted behind %d of %d records", next, n)
}
