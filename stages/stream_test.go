package stages

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// step is one request and its whole answer. The text of an error, and what depends
// on the moment, which is the durable point and the end, stand as *.
type step struct{ send, want string }

// oneBatch is a BATCH request of the given records.
func oneBatch(t testing.TB, topic string, codec batch.Codec, values ...string) string {
	t.Helper()
	b := storedBatch(t, codec, values...)
	return fmt.Sprintf("BATCH %s %d\n%s\n", topic, len(b), b)
}

func storedBatch(t testing.TB, codec batch.Codec, values ...string) []byte {
	t.Helper()
	var builder batch.Builder
	builder.Reset(nil)
	for i, v := range values {
		builder.Add(int64(1000+i), nil, []byte(v), nil)
	}
	b, err := builder.Finish(codec)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ok(first, next int) string {
	return fmt.Sprintf("OK first=%d next=%d ack=written synced=*\r\n", first, next)
}

// everyForm is requests of every form, in an order in which most of what they
// leave to chance is known. The last one leaves the server as it was.
func everyForm(t testing.TB) []step {
	stored := storedBatch(t, batch.None, "one", "two\r\nlines")
	batch.SetBase(stored, 0, 0)
	return []step{
		{"CREATE t partitions=2\r\n", "OK\r\n"},
		{"CREATE b\n", "OK\r\n"},
		{"PING\n", "OK pong=1\r\n"},
		{"\r\n\n\nping\r\n", "OK pong=1\r\n"},
		{"MSG t 3 time=1\nabc\n", ok(0, 1)},
		{"MSG t 3 time=2\r\n\r\n\n\r\n", ok(1, 2)},
		{"MSG t 2 key=3 time=3\nkeyva\r\n", ok(2, 3)},
		{"MSG t/1 1 time=4\nx\n", ok(0, 1)},
		{"MSG t -1 key=-1 time=5\n\n", ok(3, 4)},
		{"MSG t 0 time=6 ack=none\n\n", ""},
		{"MSG t/7 4 ack=none\nMSG \n", "ERR NO_TOPIC req=11 - *\r\n"},
		{"MSG . 4\nPING\n", "ERR BAD_TOPIC - *\r\n"},
		{oneBatch(t, "b", batch.None, "one", "two\r\nlines"), ok(0, 2)},
		{oneBatch(t, "b", batch.LZ4, "three", "four"), ok(2, 4)},
		{"BATCH b 4\nPING\n", "ERR BAD_BATCH - *\r\n"},
		{"MSG t 1 time=7 ack=synced\n!\n", "OK first=5 next=6 ack=synced synced=*\r\n"},
		{"READ t 1 limit=2\n", "REC offset=1 time=2 key=-1 n=3\r\n\r\n\n\r\nREC offset=2 time=3 key=3 n=2\r\nkeyva\r\nOK next=3 end=* epoch=0\r\n"},
		{"READ t @5 bytes=1\r\n", "REC offset=3 time=5 key=-1 n=-1\r\n\r\nREC offset=4 time=6 key=-1 n=0\r\n\r\nREC offset=5 time=7 key=-1 n=1\r\n!\r\nOK next=6 end=* epoch=0\r\n"},
		{"READ b 3\n", "REC offset=3 time=1001 key=-1 n=4\r\nfour\r\nOK next=4 end=* epoch=0\r\n"},
		{"FETCH b 1 bytes=1\n", fmt.Sprintf("DATA %d from=1 next=2 end=* synced=* epoch=0\r\n%s\r\n", len(stored), stored)},
		{"FETCH b newest wait=1ns\n", "DATA 0 from=4 next=4 end=* synced=* epoch=0\r\n\r\n"},
		{"TAIL b\n", "OK next=4 end=* epoch=0\r\n"}, // the next request ends it
		{"HEAD t/2\n", "ERR NO_TOPIC - *\r\n"},
		{"FLUSH t\n", "OK synced=*\r\n"},
		{"DROP b\n", "OK\r\n"},
		{"DROP t\n", "OK\r\n"},
	}
}

var (
	moving    = regexp.MustCompile(`(synced|end)=\d+`)
	errorText = regexp.MustCompile(`(?m)^(ERR [^-]*- ).*\r$`)
)

// mask takes away what depends on the moment, and the texts for people.
func mask(answers []byte) string {
	return errorText.ReplaceAllString(moving.ReplaceAllString(string(answers), "$1=*"), "$1*\r")
}

func whole(steps []step) (send, want string) {
	for _, s := range steps {
		send += s.send
		want += s.want
	}
	return send, want
}

// pipe is a connection to the server whose every Write arrives alone: it returns
// when the server has read it.
func pipe(t *testing.T, s *Server) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	newAcceptor(s, s.listener, speaksText).admit(server)
	return client
}

// However a request comes apart on its way, the answer is the same.
func TestSplitAtEveryByte(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	send, want := whole(everyForm(t))
	send, want = send+"CLOSE\n", want+"OK\r\n"
	for at := 1; at < len(send); at++ {
		c := pipe(t, s)
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c, send[:at])
			if err == nil {
				_, err = io.WriteString(c, send[at:])
			}
			sent <- err
		}()
		got, err := io.ReadAll(c)
		if mask(got) != want {
			t.Fatalf("split at byte %d, behind %q:\ngot  %q, %v\nwant %q", at, send[max(0, at-40):at], mask(got), err, want)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

// Half-close: what came whole is carried out and answered, what did not is not.
func TestHalfCloseAtEveryByte(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	steps := everyForm(t)
	steps = steps[:len(steps)-2]
	send, _ := whole(steps)
	clean := dial(t, s)
	for at := range len(send) {
		want, end := "", 0
		for _, one := range steps {
			if end += len(one.send); end <= at {
				want += one.want
			}
		}
		got := halfClosed(t, s, send[:at])
		if mask(got) != want {
			t.Fatalf("half-close at byte %d, behind %q:\ngot  %q\nwant %q", at, send[max(0, at-40):at], mask(got), want)
		}
		clean.send("DROP b\nDROP t\n")
		clean.line()
		clean.line()
	}
}

// halfClosed sends and closes its half, and returns all that the server answers
// before it closes its own.
func halfClosed(t *testing.T, s *Server, send string) []byte {
	t.Helper()
	c := dial(t, s)
	c.send("%s", send)
	if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.in)
	if err != nil {
		t.Fatalf("behind %q: %v", got, err)
	}
	if err := c.nc.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// A message larger than the buffer that does not come whole leaves nothing
// behind: no record, no lease, and no connection that waits for its answer.
func TestLargeMessageThatEndsEarly(t *testing.T) {
	for _, size := range []int{4095, 4096, 65535, 300_000} {
		value := strings.Repeat("x", size)
		for _, c := range []struct{ name, send, want string }{
			{"in its payload", fmt.Sprintf("MSG t %d\n%s", size, value[:size/2]), ""},
			{"before its end of line", fmt.Sprintf("MSG t %d\n%s", size, value), ""},
			{"in its end of line", fmt.Sprintf("MSG t %d\n%s\r", size, value), ""},
			{"with another end of line", fmt.Sprintf("MSG t %d\n%sX\n", size, value), "ERR BAD_FRAME - *\r\n"},
		} {
			t.Run(fmt.Sprintf("%d %s", size, c.name), func(t *testing.T) {
				s := startServer(t, nil)
				if got := halfClosed(t, s, "CREATE t\nPING\n"+c.send); mask(got) != "OK\r\nOK pong=1\r\n"+c.want {
					t.Errorf("got %q", got)
				}
				if next := s.catalog.find([]byte("t"), 0).log.Next(); next != 0 {
					t.Errorf("%d records", next)
				}
			})
		}
	}
}

// Clients that vanish in the middle of anything leave nothing behind.
func TestResetAnywhere(t *testing.T) {
	conf := noTicks()
	conf.Conn.InFlight = 2
	s := startServerOn(t, fstest.NewMem(), conf)
	c := dial(t, s)
	c.send("CREATE t partitions=2\nCREATE b\n")
	c.want("OK", "OK")
	value := strings.Repeat("x", 300_000)
	for _, request := range []string{
		"PING\n", "HEAD t\n", "TAIL t\n", "TAIL t oldest raw=1\n", "FETCH t newest wait=1h\n", "FETCH b 0\n", "READ t oldest\n", "READ b oldest\n",
		"STATS\n", "TOPICS\n", "FLUSH t\n", "CREATE c\n", "DROP c\n", "CLOSE\n", "HELLO\n", "nonsense\n", "MSG new 1\nx\n", "DROP new\n",
		"MSG t 3\nabc\n", "MSG t 3 ack=synced\nabc\n", "MSG t/1 5000\n" + value[:5000] + "\n", "MSG t 300000\n" + value + "\n", "MSG none/9 5000\n" + value[:5000] + "\n",
		oneBatch(t, "b", batch.LZ4, value, value), oneBatch(t, "t", batch.None, value[:70_000]),
	} {
		for _, send := range []string{request, strings.Repeat(request, 5), request[:len(request)-1], request[:len(request)/2+1], "FETCH t newest wait=1h\n" + request} {
			gone := dial(t, s)
			_, _ = io.WriteString(gone.nc, send) // a refusal may close before all of it is read
			if err := gone.nc.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			if err := gone.nc.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, func() bool { return s.stats.connections.Load() == 1 && s.stats.subscribers.Load() == 0 })
	c.quiet()
}
