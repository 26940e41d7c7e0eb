package stages

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"sluice/disk/fstest"
	"sluice/wire/batch"
)

// record is what a model log holds of each record.
type record struct {
	time       int64
	key, value []byte
}

func (r record) line(offset int) string {
	length := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	return fmt.Sprintf("REC offset=%d time=%d key=%d n=%d\r\n%s%s\r\n", offset, r.time, length(r.key), length(r.value), r.key, r.value)
}

// script is a pipeline of requests on one connection, and its answers as a model
// of the logs has them.
type script struct {
	t          *testing.T
	rng        *rand.Rand
	limit      int // bytes of a record, key and value
	logs       map[string][]record
	send, want bytes.Buffer
}

// sizes are lengths at which something changes: buffers, leases, varints.
var sizes = []int{0, 1, 2, 63, 64, 1000, 4030, 4060, 4085, 4090, 4093, 4094, 4095, 4096, 4097, 4100, 8191, 8192, 20_000, 65_500, 65_530, 65_534, 65_535, 65_536, 70_000, 262_000, 262_144, 300_000}

func (s *script) size() int {
	n := sizes[s.rng.IntN(len(sizes))] + s.rng.IntN(5) - 2
	if s.rng.IntN(3) > 0 {
		n = s.rng.IntN(200)
	}
	return min(max(n, 0), s.limit)
}

// bytes are random, and rich in line ends.
func (s *script) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range min(n, 100) {
		b[i] = "\r\n \x00abcMSG"[s.rng.IntN(10)]
	}
	for done := 100; done < n; done *= 2 {
		copy(b[done:], b[:done])
	}
	return b
}

func (s *script) record() record {
	r := record{time: int64(s.rng.IntN(1000)), value: s.bytes(s.size())}
	switch s.rng.IntN(4) {
	case 0:
		r.value = nil
	case 1:
		r.key = s.bytes(min(s.rng.IntN(50), s.limit-len(r.value)))
	case 2:
		n := s.rng.IntN(len(r.value) + 1)
		r.key, r.value = r.value[:n:n], r.value[n:]
	}
	return r
}

func (s *script) eol() string { return []string{"\n", "\r\n"}[s.rng.IntN(2)] }

func (s *script) topic() string { return []string{"t", "t/1", "u"}[s.rng.IntN(3)] }

func (s *script) ack(topic string, n int) {
	first := len(s.logs[topic]) - n
	switch s.rng.IntN(4) {
	case 0:
		s.send.WriteString(" ack=synced")
		fmt.Fprintf(&s.want, "OK first=%d next=%d ack=synced synced=*\r\n", first, first+n)
	case 1:
		s.send.WriteString(" ack=none")
	default:
		fmt.Fprintf(&s.want, "OK first=%d next=%d ack=written synced=*\r\n", first, first+n)
	}
}

func (s *script) msg(topic string) {
	r := s.record()
	n := len(r.value)
	if r.value == nil {
		n = -1
	}
	fmt.Fprintf(&s.send, "MSG %s %d time=%d", topic, n, r.time)
	if r.key != nil {
		fmt.Fprintf(&s.send, " key=%d", len(r.key))
	}
	s.logs[topic] = append(s.logs[topic], r)
	s.ack(topic, 1)
	fmt.Fprintf(&s.send, "%s%s%s%s", s.eol(), r.key, r.value, s.eol())
}

// batches sends one or more batches of all codecs.
func (s *script) batches(topic string) {
	var all []byte
	n := 0
	for range 1 + s.rng.IntN(3) {
		var builder batch.Builder
		builder.Reset(nil)
		for left := s.limit; ; n++ {
			r := s.record()
			if left -= len(r.key) + len(r.value) + 100; left < 0 && builder.Count() > 0 || builder.Count() > 20 {
				break
			}
			builder.Add(r.time, r.key, r.value, nil)
			s.logs[topic] = append(s.logs[topic], r)
		}
		b, err := builder.Finish(batch.None)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, compressed(s.t, b, batch.Codec(s.rng.IntN(5)))...)
	}
	fmt.Fprintf(&s.send, "BATCH %s %d", topic, len(all))
	s.ack(topic, n)
	fmt.Fprintf(&s.send, "%s%s%s", s.eol(), all, s.eol())
}

// read asks for records that are there by its turn; it may see later ones too, so
// where the log ends by then is not known.
func (s *script) read(topic string) {
	log := s.logs[topic]
	from := s.rng.IntN(len(log) + 1)
	limit, size := s.rng.IntN(min(len(log)-from, 9)+1), s.rng.IntN(20_000)
	fmt.Fprintf(&s.send, "READ %s %d limit=%d bytes=%d%s", topic, from, limit, size, s.eol())
	sent := 0
	for first := from; from < len(log) && from < first+limit; from++ {
		n := len(log[from].key) + len(log[from].value)
		if from > first && sent+n > size {
			break
		}
		sent += n
		s.want.WriteString(log[from].line(from))
	}
	fmt.Fprintf(&s.want, "OK next=%d end=* epoch=0\r\n", from)
}

// since looks a record's time up.
func (s *script) since(topic string) {
	log := s.logs[topic]
	if len(log) == 0 {
		return
	}
	ms := log[s.rng.IntN(len(log))].time
	fmt.Fprintf(&s.send, "READ %s @%d limit=0%s", topic, ms, s.eol())
	next := 0
	for log[next].time < ms {
		next++
	}
	fmt.Fprintf(&s.want, "OK next=%d end=* epoch=0\r\n", next)
}

// compressed packs the records of a plain batch.
func compressed(t testing.TB, plain []byte, codec batch.Codec) []byte {
	records := plain[batch.HeaderSize:]
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case batch.None:
		return plain
	case batch.Gzip:
		w = gzip.NewWriter(&out)
	case batch.Snappy:
		out.Write(snappy.Encode(nil, records))
	case batch.Zstd:
		enc, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w = enc
	case batch.LZ4:
		return recompressed(t, plain)
	}
	if w != nil {
		if _, err := w.Write(records); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return withCodec(append(plain[:batch.HeaderSize:batch.HeaderSize], out.Bytes()...), codec)
}

// withCodec makes the header say so, and its length and checksum right.
func withCodec(b []byte, codec batch.Codec) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint16(b[21:], uint16(codec))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// recompressed is the batch with lz4, the one codec that the builder has.
func recompressed(t testing.TB, plain []byte) []byte {
	var from batch.Reader
	if err := from.Reset(plain, 0); err != nil {
		t.Fatal(err)
	}
	var to batch.Builder
	to.Reset(nil)
	for rec := new(batch.Record); from.Next(rec); {
		to.Add(rec.Time, rec.Key, rec.Value, nil)
	}
	b, err := to.Finish(batch.LZ4)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is pipelined, in whatever pieces, answers are those of a model that
// keeps slices, with room for everything and with next to none.
func TestPipelineAgainstAModel(t *testing.T) {
	tiny := func(c *Config) {
		c.Conn.InFlight, c.Conn.ReadBytes, c.Conn.GroupBytes = 2, 4<<10, 0
		c.Writer.Queue, c.Flusher.Queue, c.Readers.Queue, c.Controller.Queue = 1, 1, 1, 1
		c.Readers.Count, c.Flusher.Count, c.Readers.Chunk, c.Writer.Buffer = 1, 1, 4<<10, 4<<10
		c.Memory = MemoryConfig{Receive: 1 << 20, Append: 1 << 20, Large: 128 << 20, Read: 16 << 20, Decode: batch.MaxSize}
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		limit  int
	}{
		{"default", func(*Config) {}, 300_000},
		{"tiny", tiny, 300_000},
		{"tiny segments", func(c *Config) { tiny(c); c.Topic.SegmentBytes = 16 << 10 }, 70_000},
		{"small batches", func(c *Config) { c.Topic.MaxBatch, c.Conn.InFlight = 1<<10, 4; c.Topic.SegmentBytes = 16 << 10 }, 900},
		{"many stages", func(c *Config) { c.Writer.Count, c.Flusher.Count = 3, 3; c.Topic.SegmentBytes = 64 << 10 }, 300_000},
		{"large groups", func(c *Config) { c.Conn.GroupBytes, c.Conn.ReadBytes, c.Topic.Flush = 1<<20, 1<<20, 0 }, 70_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := noTicks()
			conf.Topic.Partitions = 2
			c.change(&conf)
			s := startServerOn(t, fstest.NewMem(), conf)
			for seed := range uint64(3) {
				script := &script{t: t, rng: rand.New(rand.NewPCG(seed, 1)), limit: c.limit, logs: map[string][]record{}}
				script.write(40)
				script.play(s, seed)
			}
		})
	}
}

func (s *script) write(requests int) {
	s.send.WriteString("CREATE t\nCREATE u\n")
	s.want.WriteString("OK\r\nOK\r\n")
	for range requests {
		topic := s.topic()
		switch s.rng.IntN(12) {
		case 0, 1:
			s.read(topic)
		case 2:
			s.since(topic)
		case 3:
			s.send.WriteString("PING\n\r\n\n")
			s.want.WriteString("OK pong=1\r\n")
		case 4, 5:
			s.batches(topic)
		default:
			for range 1 + s.rng.IntN(30) {
				s.msg(topic)
			}
		}
	}
	s.send.WriteString("DROP t\nDROP u\nCLOSE\n")
	s.want.WriteString("OK\r\nOK\r\nOK\r\n")
}

// play sends the script in pieces of any size, and compares the answers.
func (s *script) play(server *Server, seed uint64) {
	s.t.Helper()
	c := dial(s.t, server)
	sent := make(chan error, 1)
	go func() {
		for b := s.send.Bytes(); len(b) > 0; {
			n := min(1+s.rng.IntN(1<<s.rng.IntN(18)), len(b))
			if _, err := c.nc.Write(b[:n]); err != nil {
				sent <- err
				return
			}
			b = b[n:]
		}
		sent <- nil
	}()
	got, err := io.ReadAll(c.in)
	if err := <-sent; err != nil {
		s.t.Error(err)
	}
	if want := s.want.String(); mask(got) != want || err != nil {
		at := 0
		for at < min(len(want), len(mask(got))) && want[at] == mask(got)[at] {
			at++
		}
		s.t.Fatalf("seed %d: answers differ from byte %d on: %v\ngot  %.200q\nwant %.200q", seed, at, err,
			strings.TrimPrefix(mask(got), want[:at]), want[at:])
	}
}
