package stages

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// seedOf is the seed of a randomised test: SLUICE_SEED, or always the same one, since what
// chance finds is no verdict on a change.
func seedOf(t *testing.T) uint64 {
	seed := uint64(1)
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("SLUICE_SEED=%d", seed)
		}
	})
	return seed
}

// dialNarrow is dial with a socket of the server's that holds next to nothing, so that a
// client that does not read parks its responder at once. The client's own is small, too:
// but not so small that the kernels wait for timers of theirs.
func dialNarrow(t *testing.T, s *Server) *session {
	t.Helper()
	c := dial(t, s)
	if err := c.nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	c.quiet()                                                             // it is admitted
	if err := c.conn(s).nc.(*net.TCPConn).SetWriteBuffer(1); err != nil { // the kernel takes its minimum
		t.Fatal(err)
	}
	return c
}

// reset ends a connection the rude way.
func reset(t *testing.T, c *session) {
	t.Helper()
	if err := errors.Join(c.nc.(*net.TCPConn).SetLinger(0), c.nc.Close()); err != nil {
		t.Error(err)
	}
}

func parked(s *Server, n int64) func() bool {
	return func() bool { return s.readers.parked.Load() == n }
}

// holdsNothing wants a server whose responders are all parked to keep nothing for them. One
// that was parked a moment ago may be sending again, what the kernels still take; at last it
// is parked for good.
func holdsNothing(t *testing.T, s *Server) {
	t.Helper()
	waitFor(t, func() bool {
		for _, b := range s.budgets() {
			if used, _ := b.bytes.Used(); used != 0 && b.name != "receive" && b.name != "fetch" { // these are the connection's, slow or not
				return false
			}
		}
		return true
	})
}

// mixed is a log of records of many sizes, in plain and in compressed batches, and their text.
func mixed(t *testing.T, rng *rand.Rand, size int) (requests string, records []string) {
	var b strings.Builder
	for total := 0; total < size; {
		var values []string
		for range 1 + rng.IntN(6) {
			size := rng.IntN(300)
			if rng.IntN(4) == 0 {
				size = rng.IntN(200 << 10)
			}
			v := make([]byte, size)
			for i := range v {
				v[i] = byte(rng.IntN(4)) // compresses somewhat
			}
			values = append(values, string(v))
			total += len(v)
		}
		b.WriteString(oneBatch(t, "t", []batch.Codec{batch.None, batch.LZ4}[rng.IntN(2)], values...))
		for i, v := range values {
			records = append(records, fmt.Sprintf("REC offset=%d time=%d key=-1 n=%d\r\n%s\r\n", len(records), 1000+i, len(v), v))
		}
	}
	return b.String(), records
}

// A client that reads a little, waits, and reads on gets what a quick one gets, to the
// byte, however often its responder has parked, let go of everything, and made the text
// again: as records and as frames, from a file of the kernel's and from memory.
func TestE3SlowReadersGetEverything(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	for name, fs := range map[string]disk.FS{"sendfile": disk.OS(t.TempDir()), "copy": fstest.NewMem()} {
		t.Run(name, func(t *testing.T) {
			conf := noTicks()
			conf.Topic.SegmentBytes, conf.Readers.Chunk = 1<<20, 256<<10
			s := startServerOn(t, fs, conf)
			fill := dial(t, s)
			requests, records := mixed(t, rng, 1<<20)
			go func() { _, _ = io.WriteString(fill.nc, "CREATE t\n"+requests) }() // an error shows in the answers
			fill.want("OK")
			for range strings.Count(requests, "BATCH t ") {
				fill.want("OK first=* next=* ack=written synced=*")
			}
			end := len(records)
			for _, r := range []struct{ request, want string }{
				{"READ t 0", strings.Join(records, "") + fmt.Sprintf("OK next=%d end=%d epoch=0\r\n", end, end)},
				{fmt.Sprintf("READ t 7 limit=%d", end-9), strings.Join(records[7:end-2], "") + fmt.Sprintf("OK next=%d end=%d epoch=0\r\n", end-2, end)},
				{fmt.Sprintf("TAIL t 3 limit=%d", end-3), strings.Join(records[3:], "") + fmt.Sprintf("OK next=%d end=%d epoch=0\r\n", end, end)},
				{fmt.Sprintf("TAIL t 0 raw=1 limit=%d", end), ""},
				{fetches(rng, end), ""},
			} {
				t.Run(r.request[:6], func(t *testing.T) {
					if r.want == "" { // frames are what a quick client gets
						r.want = fill.frames(r.request)
					}
					c := dialNarrow(t, s)
					before := s.readers.parks.Load()
					c.send("%s\n", r.request)
					c.trickle(rng, s, r.want)
					c.quiet()
					if n := s.readers.parks.Load() - before; n < 3 {
						t.Errorf("it parked %d times only: this shows nothing", n)
					}
				})
			}
		})
	}
}

// fetches is more requests at once than a connection has commands.
func fetches(rng *rand.Rand, end int) string {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(strings.Repeat("HEAD t\n", i%20) + strings.Repeat("PING\n", i%7)) // frames begin anywhere in the buffer
		fmt.Fprintf(&b, "FETCH t %d bytes=%d\n", rng.IntN(end+1), i%2*rng.IntN(60<<10))
		fmt.Fprintf(&b, "READ t %d bytes=%d\n", rng.IntN(end+1), rng.IntN(1<<10))
	}
	return b.String() + "PING"
}

// frames asks, and reads up to the answer that ends it: of the last PING, or of the TAIL,
// which a request behind it would interrupt.
func (c *session) frames(request string) string {
	c.t.Helper()
	c.send("%s\n", request)
	var b strings.Builder
	for pings := strings.Count(request, "PING"); ; {
		line, err := c.in.ReadString('\n') // values hold none of these
		if err != nil {
			c.t.Fatal(err)
		}
		b.WriteString(line)
		if line == "OK pong=1\r\n" {
			pings--
		}
		if pings == 0 && strings.HasPrefix(line, "OK ") {
			return b.String()
		}
	}
}

// trickle reads want, in pieces, most of them once the server can send no more.
func (c *session) trickle(rng *rand.Rand, s *Server, want string) {
	c.t.Helper()
	for at := 0; at < len(want); {
		if rng.IntN(3) > 0 && c.in.Buffered() == 0 && len(want)-at > 384<<10 {
			waitFor(c.t, parked(s, 1))
			holdsNothing(c.t, s)
		}
		n := min(1+rng.IntN(64<<10), len(want)-at)
		got := make([]byte, n)
		if _, err := io.ReadFull(c.in, got); err != nil {
			c.t.Fatalf("behind %d of %d bytes: %v", at, len(want), err)
		}
		if string(got) != want[at:at+n] {
			i := 0
			for got[i] == want[at+i] {
				i++
			}
			c.t.Fatalf("from byte %d of %d on: got %.80q, want %.80q", at+i, len(want), got[i:], want[at+i:at+n])
		}
		at += n
	}
}
