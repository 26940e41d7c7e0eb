package matrix

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"sluice/client"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// stored reads all batches of a log, as they are stored.
func stored(s *socket, topic string) ([]batch.Header, []byte, error) {
	var heads []batch.Header
	var all []byte
	for from := uint64(0); ; {
		l, b, err := s.data("FETCH %s %d", topic, from)
		if err != nil || len(b) == 0 {
			return heads, all, err
		}
		all = append(all, b...)
		for len(b) > 0 {
			h, err := batch.Verify(b)
			if err != nil {
				return nil, nil, err
			}
			if h.BaseOffset != from {
				return nil, nil, fmt.Errorf("a batch at offset %d, want %d", h.BaseOffset, from)
			}
			heads, from, b = append(heads, h), h.Next(), b[h.Size:]
		}
		if l.uint("next") != from {
			return nil, nil, fmt.Errorf("FETCH says next=%d, its batches end at %d", l.uint("next"), from)
		}
	}
}

// A client's batch is never merged nor split.
func batchesStayWhole(t *trial) {
	for _, codec := range []client.Codec{client.None, client.LZ4} {
		topic, s := t.topic(), t.open()
		rs := t.records("r", 24)
		for i := range rs {
			rs[i].ms = int64(1000 + i)
		}
		want := [][]record{rs[:1], rs[1:5], rs[5:6], rs[6:16], rs[16:24]}
		b, ok := s.(batcher)
		if !ok {
			t.failf("BUG: %s makes no batches, and does not say so", t.drv.name)
		}
		for _, part := range want {
			as, err := b.batches(topic, t.conf.ack, codec, part)
			t.must(err)
			first := uint64(part[0].ms - 1000)
			t.must(checkAnswers(as, t.conf.level(), len(part), first))
		}
		heads, bytes_, err := stored(t.hand(), topic)
		t.must(err)
		if len(heads) != len(want) {
			t.failf("%v: %d batches are stored, %d were sent", codec, len(heads), len(want))
		}
		for i, h := range heads {
			if int(h.Count) != len(want[i]) || h.Codec() != codec {
				t.failf("batch %d has %d records in %v, was sent with %d in %v", i, h.Count, h.Codec(), len(want[i]), codec)
			}
		}
		if codec == client.None {
			t.must(sameButBase(bytes_, want))
		}
		t.want(s, topic, "0", limits{}, rs, 0)
		t.want(s, topic, "9", limits{records: 3}, rs[9:12], 9) // inside of a batch
	}
}

// sameButBase compares what is stored with what was sent, but for base offset and epoch (I4).
func sameButBase(got []byte, want [][]record) error {
	base := uint64(0)
	for i, rs := range want {
		sent, err := encode(client.None, rs)
		if err != nil {
			return err
		}
		if len(got) < len(sent) {
			return fmt.Errorf("batch %d is stored in %d bytes, was sent in %d", i, len(got), len(sent))
		}
		h, err := batch.ParseHeader(got)
		if err != nil {
			return err
		}
		batch.SetProducer(sent, h.ProducerID, h.ProducerEpoch, h.BaseSequence) // which its client may have numbered
		batch.SetBase(sent, base, h.Epoch)
		if !bytes.Equal(got[:len(sent)], sent) {
			return fmt.Errorf("batch %d is not stored as it was sent", i)
		}
		got, base = got[len(sent):], base+uint64(len(rs))
	}
	return nil
}

func batchesAcrossARoll(t *trial) {
	topic, s := t.topic(), t.hand()
	t.must(s.create(topic, "segment.bytes=16KiB"))
	rs := make([]record, 0, 40)
	for i := range cap(rs) {
		rs = append(rs, record{ms: 1, value: append(fmt.Appendf(nil, "r %06d ", i), fill(2<<10)...)})
	}
	t.put(s, topic, 0, rs[0])
	parts := [][]record{rs[1:3], rs[3:9], rs[9:10], rs[10:15], rs[15:28], rs[28:29], rs[29:40]} // 80 KiB: five segments
	as, err := s.batches(topic, t.conf.ack, client.None, parts...)
	t.must(err)
	t.must(checkAnswers(as, t.conf.level(), len(rs)-1, 1))
	h, err := s.head(topic)
	t.must(err)
	if h.Next != uint64(len(rs)) || h.Segments < 4 {
		t.failf("HEAD says %+v", h)
	}
	heads, _, err := stored(s, topic)
	t.must(err)
	if len(heads) != 1+len(parts) {
		t.failf("%d batches are stored, want %d", len(heads), 1+len(parts))
	}
	t.want(s, topic, "0", limits{}, rs, 0)
}

func allOrNothing(t *trial) {
	topic, s := t.topic(), t.hand()
	rs := t.records("r", 9)
	t.put(s, topic, 0, rs[:3]...)
	fine, err := encode(client.None, rs[3:5], rs[5:6], rs[6:9])
	t.must(err)
	second, err := batch.Size(fine)
	t.must(err)
	for _, c := range []struct {
		damage func(b []byte)
		code   string
	}{
		{func(b []byte) { b[second+batch.HeaderSize]++ }, "BAD_CRC"},
		{func(b []byte) { b[second+16] = 1 }, "BAD_BATCH"},                                       // magic
		{func(b []byte) { binary.BigEndian.PutUint32(b[second+8:], 1<<31-1) }, "BAD_BATCH"},      // length
		{func(b []byte) { binary.BigEndian.PutUint32(b[second+57:], 1<<31-1) }, "BAD_BATCH|CRC"}, // count, inside the CRC
	} {
		b := bytes.Clone(fine)
		c.damage(b)
		_, err := s.sendBatch(topic, text.AckWritten, b)
		if c.code == "BAD_BATCH|CRC" {
			if !refused(err, "BAD_BATCH") && !refused(err, "BAD_CRC") {
				t.failf("got %v, want BAD_BATCH or BAD_CRC", err)
			}
		} else {
			t.mustRefuse(err, c.code)
		}
		t.want(s, topic, "0", limits{}, rs[:3], 0)
	}
	_, err = s.sendBatch(topic, t.conf.ack, fine)
	t.must(err)
	t.want(s, topic, "0", limits{}, rs, 0)
}

// largestRequest fills max_batch to the byte, with batches of max.message.bytes; a byte more is TOO_LARGE, before any of
// it is read.
func largestRequest(t *trial) {
	const limit, most = maxBatch, 1 << 20 // max_batch, and max.message.bytes as it is by default
	topic, s := t.topic(), t.hand()
	empty, err := encode(client.None, []record{{ms: 1, value: fill(most / 2)}})
	t.must(err)
	rs := make([]record, limit/most)
	parts := make([][]record, len(rs))
	for i := range rs {
		rs[i] = record{ms: 1, value: append([]byte{byte(i)}, fill(most/2+most-len(empty)-1)...)}
		parts[i] = rs[i : i+1]
	}
	as, err := s.batches(topic, t.conf.ack, client.None, parts...)
	t.must(err)
	t.must(checkAnswers(as, t.conf.level(), len(rs), 0))
	t.want(s, topic, "0", limits{}, rs, 0)
	h, err := s.head(topic)
	t.must(err)
	if h.Bytes != limit {
		t.failf("%d bytes are stored, want %d: this shows nothing about the limit", h.Bytes, limit)
	}
	t.must(s.send("BATCH %s %d\n", topic, limit+1))
	_, err = s.line()
	t.mustRefuse(err, "TOO_LARGE")
	t.want(t.hand(), topic, "-1", limits{}, rs[len(rs)-1:], uint64(len(rs)-1))
}

// recode compresses a batch's records with a codec that only other clients write.
func recode(b []byte, codec batch.Codec) ([]byte, error) {
	var packed bytes.Buffer
	records := b[batch.HeaderSize:]
	switch codec {
	case batch.Gzip:
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(records); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	case batch.Snappy:
		packed.Write(s2.EncodeSnappy(nil, records))
	case batch.Zstd:
		w, err := zstd.NewWriter(&packed)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(records); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	default:
		return b, nil
	}
	out := append(bytes.Clone(b[:batch.HeaderSize]), packed.Bytes()...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint16(out[21:], uint16(codec))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out, nil
}

func everyCodec(t *trial) {
	topic, s, hand := t.topic(), t.open(), t.hand()
	var all []record
	for codec := batch.None; codec <= batch.Zstd; codec++ {
		rs := t.records(codec.String(), 5)
		for i := range rs {
			rs[i].ms = int64(1+i) * 1000
		}
		make_ := client.None
		if codec == batch.LZ4 {
			make_ = client.LZ4
		}
		b, err := encode(make_, rs)
		t.must(err)
		b, err = recode(b, codec)
		t.must(err)
		_, err = hand.sendBatch(topic, text.AckWritten, b)
		t.must(err)
		all = append(all, rs...)
	}
	t.want(s, topic, "0", limits{}, all, 0)
	for from := range all {
		if t.drv.slow && from%4 != 0 {
			continue
		}
		t.want(s, topic, fmt.Sprint(from), limits{records: 2}, all[from:min(from+2, len(all))], uint64(from))
	}
}

// numbered is one batch of a producer.
func numbered(t *trial, id uint64, epoch int16, first int32, rs []record) []byte {
	b, err := encode(client.None, rs)
	t.must(err)
	batch.SetProducer(b, int64(id), epoch, first)
	return b
}

// newProducer asks for an id.
func newProducer(t *trial, s *socket) uint64 {
	l, err := s.ask("PRODUCER")
	t.must(err)
	if l.uint("epoch") != 0 {
		t.failf("PRODUCER was answered %q", l.raw)
	}
	return l.uint("id")
}

// The server appends each sequence of a producer once, in order, and answers what is sent again at the level it asks for.
func sequences(t *trial) {
	topic, s := t.topic(), t.hand()
	id, rs := newProducer(t, s), t.records("r", 8)
	if other := newProducer(t, s); other == id {
		t.failf("two producers have the id %d", id)
	}
	once := func(epoch int16, first int32, from, to int) {
		for range 2 {
			l, err := s.sendBatch(topic, text.AckDefault, numbered(t, id, epoch, first, rs[from:to]))
			t.must(err)
			if l.uint("first") != uint64(from) || l.uint("next") != uint64(to) {
				t.failf("the batch of offsets %d to %d was answered %q", from, to, l.raw)
			}
		}
	}
	once(0, 0, 0, 2)
	once(0, 2, 2, 5)
	_, err := s.sendBatch(topic, text.AckDefault, numbered(t, id, 0, 6, rs[6:]))
	t.mustRefuse(err, "BAD_BATCH")
	once(0, 5, 5, 6)
	once(1, 0, 6, 8)
	_, err = s.sendBatch(topic, text.AckDefault, numbered(t, id, 0, 6, rs[6:]))
	t.mustRefuse(err, "FENCED")
	t.want(t.open(), topic, "0", limits{}, rs, 0)
}
