package oracle

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"sluice/wire/batch"
)

// plain is a batch as a good client sends it.
func plain(rng *rand.Rand, codec batch.Codec) []byte {
	var b batch.Builder
	b.Reset(nil)
	for i := range 1 + rng.IntN(3) {
		b.Add(int64(1000+i), []byte("key"), bytes.Repeat([]byte("v"), rng.IntN(100)), nil)
	}
	out, err := b.Finish(codec)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return out
}

// put writes p into b, and mends the checksum.
func put(b []byte, pos int, p ...byte) []byte {
	copy(b[pos:], p)
	h := batch.ReadHeader(b)
	batch.SetProducer(b, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	return b
}

// spoil writes p into b, and leaves the checksum.
func spoil(b []byte, pos int, p ...byte) []byte {
	copy(b[pos:], p)
	return b
}

// A part is the records of one partition of a Produce: what is special about them, and how they are made.
type part struct {
	what string
	make func(rng *rand.Rand) []byte
}

func fresh(rng *rand.Rand) []byte { return plain(rng, batch.None) }

// sequenced is a batch of a producer that nobody knows yet.
func sequenced(rng *rand.Rand) []byte {
	b := fresh(rng)
	batch.SetProducer(b, 1<<40+rng.Int64N(1<<40), int16(rng.IntN(3)), 0)
	return b
}

var parts = []part{
	{"good", fresh},
	{"lz4", func(rng *rand.Rand) []byte { return plain(rng, batch.LZ4) }},
	{"leader epoch", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 12, 0, 0, 0, 9) }},
	{"producer", sequenced},
	{"zstd", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, 4) }},
	{"gzip", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, 1) }},
	{"null", func(*rand.Rand) []byte { return nil }},
	{"empty", func(*rand.Rand) []byte { return []byte{} }},
	{"cut off", func(rng *rand.Rand) []byte { b := fresh(rng); return b[:rng.IntN(len(b))] }},
	{"two batches", func(rng *rand.Rand) []byte { return append(fresh(rng), fresh(rng)...) }},
	{"left over", func(rng *rand.Rand) []byte { return append(fresh(rng), make([]byte, 1+rng.IntN(9))...) }},
	{"magic", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 16, byte(rng.IntN(2))) }},
	{"base offset", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 7, 1) }},
	{"too large", func(*rand.Rand) []byte { return numbered(-1, -1, -1, largest) }},
	{"too large and spoilt", func(*rand.Rand) []byte { return spoil(numbered(-1, -1, -1, largest), 17, 1, 2, 3, 4) }},
	{"length", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 8, 0, 0, 0, byte(rng.IntN(49))) }},
	{"negative length", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 8, 0xff, 0xff, 0xff, byte(rng.IntN(256))) }},
	{"checksum", func(rng *rand.Rand) []byte { return spoil(fresh(rng), 17, 1, 2, 3, 4) }},
	{"count", func(rng *rand.Rand) []byte { return put(fresh(rng), 57, 0, 0, 0, byte(4+rng.IntN(9))) }},
	{"count 0", func(rng *rand.Rand) []byte { return put(put(fresh(rng), 57, 0, 0, 0, 0), 23, 0xff, 0xff, 0xff, 0xff) }},
	{"count and delta", func(rng *rand.Rand) []byte { return put(put(fresh(rng), 57, 0, 0, 0, 9), 23, 0, 0, 0, 8) }},
	{"control", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, 0x20) }},
	{"no sequence", func(rng *rand.Rand) []byte { b := sequenced(rng); return put(b, 53, 0xff, 0xff, 0xff, 0xff) }},
	{"codec", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, byte(5+rng.IntN(3))) }},
	{"time type", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, 8) }},
	{"transactional", func(rng *rand.Rand) []byte { return put(fresh(rng), 22, 0x10) }},
	{"transactional producer", func(rng *rand.Rand) []byte { return put(sequenced(rng), 22, 0x10) }},
	{"unknown attribute", func(rng *rand.Rand) []byte { return put(fresh(rng), 21, 0x80) }},
	{"record", func(rng *rand.Rand) []byte { return put(fresh(rng), 61, byte(rng.IntN(256))|1) }},
}

// numbered is a batch at a place in its producer's row.
func numbered(id int64, epoch int16, sequence int32, count int) []byte {
	var b batch.Builder
	b.Reset(nil)
	for range count {
		b.Add(1000, nil, []byte("v"), nil)
	}
	out, err := b.Finish(batch.None)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	batch.SetProducer(out, id, epoch, sequence)
	return out
}

// mutated is a frame with a few bytes of what follows its correlation changed.
func mutated(rng *rand.Rand, frame []byte) []byte {
	const first = 12
	frame = bytes.Clone(frame)
	for range 1 + rng.IntN(3) {
		if len(frame) < first+8 {
			break
		}
		switch at := first + rng.IntN(len(frame)-first); rng.IntN(4) {
		case 0:
			frame[at] ^= 1 << rng.IntN(8)
		case 1:
			frame[at] = byte(rng.Uint32())
		case 2:
			frame[at] = [...]byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
		case 3:
			frame = append(frame[:at], frame[at+min(1+rng.IntN(4), len(frame)-at-1):]...)
		}
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
