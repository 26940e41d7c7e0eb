package stages

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// Compressed batches that can't be decoded, or not under the cap, are stored as
// they came, stand in nobody's way, and cost no memory for longer than a try.
func TestBatchesThatCannotBeDecoded(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	c := dial(t, s)
	half := storedBatch(t, batch.None, "first", string(make([]byte, 40<<20)))
	large := compressed(t, append(half, half[batch.HeaderSize:]...), batch.Zstd) // 80 MiB of records; two, says the header
	for codec := batch.Gzip; codec <= batch.Zstd; codec++ {
		topic := codec.String()
		broken := storedBatch(t, batch.None, "never", "seen", "x")
		copy(broken[batch.HeaderSize:], "this is no compressed data")
		broken = withCodec(broken, codec)
		fmt.Fprintf(c.nc, "CREATE %s max.message.bytes=16MiB\nMSG %s 1\na\nBATCH %s %d\n%s\nBATCH %s %d\n%s\nMSG %s 1\nz\n", topic, topic, topic, len(large), large, topic, len(broken), broken, topic)
		c.want("OK", "OK first=0 next=1 ack=written synced=0", "OK first=1 next=3 ack=written synced=0", "OK first=3 next=6 ack=written synced=0", "OK first=6 next=7 ack=written synced=0")
		for _, read := range []string{"READ", "TAIL"} {
			c.send("%s %s 0\n", read, topic)
			c.want("REC offset=0 time=* key=-1 n=1", "a")
			c.refused("ERR CORRUPT from=1 next=3 - the records [1, 3) can't be read, at ")
			c.send("%s %s 4\n", read, topic)
			c.refused("ERR CORRUPT from=3 next=6 - ")
			c.send("%s %s 6 limit=1\n", read, topic)
			c.want("REC offset=6 time=* key=-1 n=1", "z", "OK next=7 end=7 epoch=0")
		}
	}
}

func (c *session) refused(prefix string) {
	c.t.Helper()
	if got := c.line(); !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
}

// Neighbours share batches up to each limit, and no further.
func TestGroupsStayInsideTheirLimits(t *testing.T) {
	for _, limit := range []struct{ group, batch int64 }{{1 << 20, 1 << 20}, {1 << 20, 1 << 10}, {4 << 10, 1 << 20}, {0, 1 << 20}} {
		conf := noTicks()
		conf.Conn.GroupBytes, conf.Conn.ReadBytes, conf.Topic.MaxBatch, conf.Readers.Chunk = limit.group, 1<<20, limit.batch, 8<<20
		s := startServerOn(t, fstest.NewMem(), conf)
		c := dial(t, s)
		const n = 5000
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c.nc, "CREATE t\n"+strings.Repeat("MSG t 3\nabc\n", n))
			sent <- err
		}()
		c.want("OK")
		for i := range n {
			c.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", i, i+1))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		c.send("FETCH t 0\n")
		_, b := c.data()
		records, largest := 0, 0
		for len(b) > 0 {
			h, err := batch.Check(b, int(limit.batch))
			if err != nil {
				t.Fatal(err)
			}
			if h.Count > groupMax || h.Count > 1 && int64(h.Size) > limit.group {
				t.Fatalf("%d records in %d bytes, at most %d in %d", h.Count, h.Size, groupMax, limit.group)
			}
			records, largest = records+int(h.Count), max(largest, int(h.Count))
			b = b[h.Size:]
		}
		if records != n || limit.group > 0 && largest == 1 {
			t.Errorf("%d records, at most %d in a batch", records, largest)
		}
	}
}

// FETCH answers with whole batches: as many as fit into bytes, at least one; and
// with wait not before min bytes are there.
func TestFetchLimits(t *testing.T) {
	s := startServerOn(t, fstest.NewMem(), noTicks())
	c, other := dial(t, s), dial(t, s)
	one := storedBatch(t, batch.None, strings.Repeat("x", 900))
	request := fmt.Sprintf("BATCH t %d\n%s\n", len(one), one)
	other.send("CREATE t\n%s", strings.Repeat(request, 5))
	other.want("OK")
	for range 5 {
		other.line()
	}
	size := len(one)
	for _, f := range []struct {
		args  string
		count int
	}{
		{"0", 5}, {"1", 4}, {"newest", 0}, {"-2", 2}, {"0 bytes=0", 1}, {"0 bytes=1", 1}, {fmt.Sprintf("0 bytes=%d", size), 1},
		{fmt.Sprintf("0 bytes=%d", 2*size-1), 1}, {fmt.Sprintf("0 bytes=%d", 2*size), 2}, {"0 bytes=9223372036854775807", 5},
		{"newest wait=1ns", 0}, {"newest wait=0s min=5", 0}, {"newest wait=1h min=0", 0}, {"0 wait=1h min=1", 5},
		{fmt.Sprintf("0 wait=1h min=%d", 5*size), 5}, {fmt.Sprintf("0 wait=1ms min=%d", 5*size+1), 5}, {fmt.Sprintf("0 wait=1h min=%d bytes=%d", 5*size, 2*size), 2},
		{"2 wait=1h min=9223372036854775807 bytes=1", 1},
	} {
		c.send("FETCH t %s\n", f.args)
		if head, b := c.data(); len(b) != f.count*size || !bytes.HasSuffix(b, one[batch.HeaderSize:]) && f.count > 0 {
			t.Errorf("FETCH t %s: %s", f.args, head)
		}
	}
	c.send("FETCH t 3 wait=1h min=%d\n", 4*size)
	for at := 5; at < 7; at++ {
		waitFor(t, func() bool { return s.stats.subscribers.Load() == 1 })
		other.send("%s", request)
		other.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=0", at, at+1))
	}
	if head, b := c.data(); len(b) != 4*size {
		t.Errorf("got %s", head)
	}
}

// TAIL raw with a limit ends behind the batch that reaches it, in the middle of what one frame would hold too, small or
// large, whether it begins at a batch or within one.
func TestRawTailEndsBehindTheBatchThatReachesItsLimit(t *testing.T) {
	const batches, each = 40, 3
	s := startServer(t, nil)
	c := dial(t, s)
	one := storedBatch(t, batch.None, "a", "b", strings.Repeat("x", 1000))
	c.send("%s", strings.Repeat(fmt.Sprintf("BATCH t %d\n%s\n", len(one), one), batches))
	for range batches {
		c.refused("OK first=")
	}
	for _, q := range []struct{ from, limit int }{
		{0, 1}, {0, each}, {0, each + 1}, {1, 2}, {1, 3}, {2, 1}, {2, 2}, {5, 50}, {0, 20 * each}, {0, 20*each + 1}, {1, (batches - 1) * each}, {0, batches * each},
	} {
		c.send("TAIL t %d raw=1 limit=%d\n", q.from, q.limit)
		next := (q.from + q.limit + each - 1) / each * each
		size := 0
		for at := q.from; at < next; {
			head, b := c.data()
			size += len(b)
			if _, err := fmt.Sscanf(head, "DATA %d from=%d next=%d ", new(int), new(int), &at); err != nil {
				t.Fatal(head, err)
			}
		}
		c.want(fmt.Sprintf("OK next=%d end=%d epoch=0", next, batches*each))
		if want := (next/each - q.from/each) * len(one); size != want {
			t.Errorf("from %d, limit %d: %d bytes, want %d", q.from, q.limit, size, want)
		}
	}
}
