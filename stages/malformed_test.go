package stages

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sluice/wire/batch"
)

// malformedLines are requests whose line or payload frame is wrong.
func malformedLines() []string {
	return []string{
		"FOO\n",
		"FOO t 5\nhello\n",
		"MSG\n",
		"MSG t\n",
		"MSG t x\n",
		"MSG t -2\n",
		"MSG t +5\nhello\n",
		"MSG t 05\nhello\n",
		"MSG t 5x\nhello\n",
		"MSG t 9223372036854775808\n",
		"MSG t 9223372036854775807\n",
		"MSG t 8388609\n",
		"MSG t 1048570\n",
		"MSG t 5 key=9223372036854775807\n",
		"MSG t 5 key=-2\nhello\n",
		"MSG t 5 key=x\nhello\n",
		"MSG t 5 ack=maybe\nhello\n",
		"MSG t 5 ack=\nhello\n",
		"MSG t 5 ack=replicated\nhello\n",
		"MSG t 5 akc=none\nhello\n",
		"MSG t 5 ack=none ack=none\nhello\n",
		"MSG t 5 time=-1\nhello\n",
		"MSG t 5 time=soon\nhello\n",
		"MSG t 5 extra\nhello\n",
		"MSG  t 5\nhello\n",
		"MSG t  5\nhello\n",
		" MSG t 5\nhello\n",
		"MSG t 5 \nhello\n",
		"MSG t 5\nhelloX\n",
		"MSG t 5\nhell\n",
		"MSG t 5\nhello\rX\n",
		"MSG t -1\nx\n",
		"MSG . 5\nhello\n",
		"MSG .. 5\nhello\n",
		"MSG a*b 5\nhello\n",
		"MSG __own 5\nhello\n",
		"MSG t/x 5\nhello\n",
		"MSG t/ 5\nhello\n",
		"MSG t/01 5\nhello\n",
		"MSG t/1 5\nhello\n",
		"MSG none/1 5\nhello\n",
		"MSG p/2 5\nhello\n",
		"MSG t\x005 5\nhello\n",
		"BATCH\n",
		"BATCH t\n",
		"BATCH t -1\n",
		"BATCH t x\n",
		"BATCH t 8388609\n",
		"BATCH t 5\nhello\n",
		"BATCH t 5 key=3\nhello\n",
		"BATCH nope/7 5\nhello\n",
		"BATCH a%b 5\nhello\n",
		"PING x\n",
		"PING x=1\n",
		"READ\n",
		"READ t\n",
		"READ t x\n",
		"READ t -0\n",
		"READ t @\n",
		"READ t @yesterday\n",
		"READ t 0 limit=-1\n",
		"READ t 0 limit=1 limit=2\n",
		"READ t 1\n",
		"READ nope 0\n",
		"FETCH t 0 wait=5\n",
		"FETCH t 0 wait=-5s\n",
		"FETCH t 0 min=x\n",
		"TAIL t 0 raw=2\n",
		"HEAD\n",
		"HEAD t x\n",
		"FLUSH nope\n",
		"TOPICS x\n",
		"CREATE\n",
		"CREATE t/1\n",
		"CREATE x y\n",
		"CREATE x nope=1\n",
		"CREATE x partitions=0\n",
		"CREATE x partitions=1025\n",
		"CREATE x ack=none\n",
		"CREATE x ack=replicated\n",
		"CREATE x segment.bytes=1KiB\n",
		"CREATE x segment.bytes=99999GiB\n",
		"CREATE x max.message.bytes=lots\n",
		"CREATE x retention.bytes=1GiB\n",
		"CREATE t\n",
		"DROP nope\n",
		"STATS format=xml\n",
		"ALTER t ack=synced\n",
		"TRUNCATE t before=1\n",
		"PRODUCER\n",
		"COMMIT g t 5\n",
		"COMMITTED g t\n",
		"REFUSE t\n",
		"ACCEPT *\n",
		"REPLICATE t 0 0\n",
		"AUTH secret\n",
		"ACK 5\n",
		"GET / HTTP/1.1\n",
		"HEAD / HTTP/1.1\n",
		"Host: localhost\n",
		strings.Repeat("x", 4096) + "\n",
		"MSG " + strings.Repeat("x", 4090) + " 5\nhello\n",
	}
}

// twoRecords is a batch whose bytes the rows damage.
func twoRecords(t testing.TB) []byte {
	var b batch.Builder
	b.Reset(nil)
	b.Add(1000, []byte("k"), []byte("v"), nil)
	b.Add(1001, nil, []byte("w"), []batch.RecordHeader{{Key: "h", Value: []byte("x")}})
	out, err := b.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// damaged returns the batch after change, its checksum made right again, so that
// the field itself is what is found wrong.
func damaged(t testing.TB, change func(b []byte) []byte) string {
	b := change(twoRecords(t))
	if len(b) >= batch.HeaderSize {
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return fmt.Sprintf("BATCH t %d\n%s\n", len(b), b)
}

// malformedBatches are BATCH requests with each field of a header or record wrong
// in turn.
func malformedBatches(t testing.TB) []string {
	put := func(at int, value ...byte) string {
		return damaged(t, func(b []byte) []byte { copy(b[at:], value); return b })
	}
	whole, bad := twoRecords(t), twoRecords(t)
	bad[17] ^= 1
	request := func(b ...byte) string { return fmt.Sprintf("BATCH t %d\n%s\n", len(b), b) }
	return []string{
		"BATCH t 0\n\n",
		put(8, 0xff, 0xff, 0xff, 0xff), // length: negative, huge, less than a header
		put(8, 0x7f, 0xff, 0xff, 0xff),
		put(8, 0, 0, 0, 48),
		put(16, 1), // magic
		put(16, 3),
		put(21, 0, 5), // attributes: codec, time type, transactional, control, unknown bits
		put(21, 0, 7),
		put(21, 0, 0x08),
		put(21, 0, 0x10),
		put(21, 0, 0x20),
		put(21, 0, 0x40),
		put(21, 0x80, 0),
		put(23, 0xff, 0xff, 0xff, 0xff), // last offset delta
		put(23, 0, 0, 0, 0),
		put(23, 0, 0, 0, 9),
		put(43, 0, 0, 0, 0, 0, 0, 0, 5), // producer id
		put(57, 0, 0, 0, 0),             // record count
		put(57, 0xff, 0xff, 0xff, 0xff),
		put(57, 0x7f, 0xff, 0xff, 0xff),
		put(57, 0, 0, 0, 3),
		put(61, 0x01), // first record: length, offset delta, key, value, header count
		put(61, 0x7e),
		put(64, 0x02),
		put(65, 0x7e),
		put(65, 0x03),
		put(67, 0x7e),
		put(69, 0x7e),
		longer(t, 61, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), // numbers of many bytes: the length, a billion headers
		longer(t, 69, 0x80, 0xa8, 0xd6, 0xb9, 0x07),
		damaged(t, func(b []byte) []byte { return b[:60] }), // cut off
		damaged(t, func(b []byte) []byte { return b[:11] }),
		damaged(t, func(b []byte) []byte { return b[:len(b)-1] }),
		request(append(whole[:len(whole):len(whole)], 0)...), // left over
		request(append(whole[:len(whole):len(whole)], whole[:30]...)...),
		request(bad...), // checksum, of the only and of the second batch
		request(append(whole[:len(whole):len(whole)], bad...)...),
		tooLargeBatch(t),
	}
}

// longer returns the batch with the byte there made many, and the lengths around it made right.
func longer(t testing.TB, at int, value ...byte) string {
	return damaged(t, func(b []byte) []byte {
		b = slices.Replace(b, at, at+1, value...)
		if at > 61 {
			b[61] += 2 * byte(len(value)-1) // the first record's
		}
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
		return b
	})
}

// tooLargeBatch is above the topic's max.message.bytes, and below max_batch.
func tooLargeBatch(t testing.TB) string {
	var b batch.Builder
	b.Reset(nil)
	b.Add(0, nil, make([]byte, 1<<20), nil)
	out, err := b.Finish(batch.None)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("BATCH t %d\n%s\n", len(out), out)
}

// E4: each malformed request has its exact answer in the golden file, and whether the
// connection goes on; none appends anything, or costs memory by its claim.
func TestE4MalformedRequests(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s)
	c.send("CREATE t\nCREATE p partitions=2\n")
	c.want("OK", "OK")
	var got strings.Builder
	for _, request := range append(malformedLines(), malformedBatches(t)...) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		answer, open := s.tryMalformed(t, request)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(4*len(request)+256<<10) {
			t.Errorf("%.60q took %d bytes of memory", request, grown)
		}
		shown := fmt.Sprintf("%q", request)
		if len(shown) > 200 {
			shown = shown[:200] + "..."
		}
		fmt.Fprintf(&got, "%s\n\t%s\n\t%s\n", shown, answer, open)
	}
	golden(t, "malformed.txt", got.String())
	for _, p := range []string{"t", "p", "p/1"} {
		c.send("HEAD %s\n", p)
		c.want("OK oldest=0 next=0 * * * * bytes=0 *")
	}
	c.send("TOPICS\n")
	if head, b := c.data(); strings.Count(string(b), "\n") != 2 {
		t.Errorf("%s: topics were created: %s", head, b)
	}
}

// tryMalformed sends the request and a PING on a connection of their own.
func (s *Server) tryMalformed(t *testing.T, request string) (answer, open string) {
	c := dial(t, s)
	c.send("%s", request)
	c.send("PING\n")
	b, err := c.in.ReadString('\n')
	if err != nil {
		return "no answer", "closed"
	}
	if pong, err := c.in.ReadString('\n'); err == nil && pong == "OK pong=1\r\n" {
		return strings.TrimSpace(b), "open"
	}
	return strings.TrimSpace(b), "closed"
}

// E4: a first append that is refused for what it carries leaves no topic behind.
func TestE4RefusedFirstAppendCreatesNothing(t *testing.T) {
	s := startServer(t, nil)
	badCRC := []byte(oneBatch(t, "crc", batch.None, "x"))
	badCRC[len(badCRC)-4] ^= 1
	for _, request := range []string{
		"MSG frame 5\nhelloX\n", fmt.Sprintf("MSG large %d\n%s!\n", 100<<10, strings.Repeat("x", 100<<10)),
		"BATCH junk 5\nhello\n", "BATCH empty 0\n\n", string(badCRC), "MSG size 8388609\n", "MSG half 5\nhel",
	} {
		c := dial(t, s)
		c.send("%s", request)
		if strings.HasPrefix(request, "MSG half") {
			if err := c.nc.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.ended()
			continue
		}
		c.refused("ERR ")
	}
	c := dial(t, s)
	c.send("TOPICS\n")
	if _, b := c.data(); len(b) != 0 {
		t.Errorf("there are topics now:\n%s", b)
	}
	c.send("MSG frame 5\nhello\nMSG frame 5\nhello\n%s", oneBatch(t, "crc", batch.None, "x"))
	c.want("OK first=0 next=1 ack=written synced=*", "OK first=1 next=2 ack=written synced=*", "OK first=0 next=1 ack=written synced=*")
}
