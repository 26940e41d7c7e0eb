package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// golden is a batch of two records, written down by hand; its checksum comes from a bitwise CRC-32C of another language.
//
//	record 0: time 1000, key "k", value "hello"
//	record 1: time 998, key null, value null, header h with an empty value
var golden = unhex(`
	0000000000000000 00000048 ffffffff 02 9db927a4
	0000 00000001 00000000000003e8 00000000000003e8 ffffffffffffffff ffff ffffffff 00000002
	18 00 00 00 02 6b 0a 68656c6c6f 00
	12 00 03 02 01 01 02 02 68 00`)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

var goldenEntries = []entry{
	{time: 1000, key: []byte("k"), value: []byte("hello")},
	{time: 998, headers: []RecordHeader{{"h", []byte{}}}},
}

func TestGoldenBytes(t *testing.T) {
	if got := build(t, None, goldenEntries...); !bytes.Equal(got, golden) {
		t.Fatalf("built\n%x, want\n%x", got, golden)
	}
	h, err := Check(golden, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		BaseOffset: 0, Size: 84, Epoch: -1, CRC: 0x9db927a4, LastOffsetDelta: 1, BaseTime: 1000, MaxTime: 1000,
		ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1, Count: 2,
	}
	if h != want {
		t.Fatalf("header is %+v, want %+v", h, want)
	}
	got, offsets, err := walk(golden, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, got, goldenEntries)
	if offsets[0] != 0 || offsets[1] != 1 {
		t.Fatalf("offsets are %v", offsets)
	}
}

func TestSetBase(t *testing.T) {
	b := append(bytes.Clone(golden), 0xAA)
	SetBase(b, 1<<40, 7)
	h, err := Verify(b)
	if err != nil {
		t.Fatal("base offset and epoch are inside the checksum: ", err)
	}
	if h.BaseOffset != 1<<40 || h.Epoch != 7 || h.Next() != 1<<40+2 {
		t.Fatalf("header is %+v", h)
	}
	if !bytes.Equal(b[16:84], golden[16:]) || b[84] != 0xAA {
		t.Fatal("SetBase wrote beyond its fields")
	}
	_, offsets, err := walk(b, 0)
	if err != nil || offsets[1] != 1<<40+1 {
		t.Fatal(offsets, err)
	}
}

// Every field of the header wrong in turn; what a fault says is part of the contract with people.
func TestHeaderFaults(t *testing.T) {
	verify := func(b []byte) error { _, err := Verify(b); return err }
	check := func(b []byte) error { _, err := Check(b, 1000); return err }
	const minus = 0xff
	for _, c := range []struct {
		name   string
		b      []byte
		verify string // "": fine
		check  string // "": as verify
	}{
		{name: "base offset", b: at(golden, atBase, 0x80, 1, 2, 3, 4, 5, 6, 7)},
		{name: "epoch", b: at(golden, atEpoch, 0x80, 1, 2, 3)},
		{name: "length 0", b: at(golden, atLength, 0, 0, 0, 0), verify: "its length field is 0, which is less than the 49 bytes that follow it in every header"},
		{name: "length -1", b: at(golden, atLength, minus, minus, minus, minus), verify: "its length field is -1, which is less than the 49 bytes that follow it in every header"},
		{name: "length min", b: at(golden, atLength, 0x80, 0, 0, 0), verify: "its length field is -2147483648, which is less than the 49 bytes that follow it in every header"},
		{name: "length 48", b: at(golden, atLength, 0, 0, 0, 48), verify: "its length field is 48, which is less than the 49 bytes that follow it in every header"},
		{name: "length max", b: at(golden, atLength, 0x7f, minus, minus, minus), verify: "its size of 2147483659 bytes is above the limit of 67108864"},
		{name: "length MaxSize+1", b: at(golden, atLength, 0x03, 0xff, 0xff, 0xf5), verify: "its size of 67108865 bytes is above the limit of 67108864"},
		{name: "one byte less", b: at(golden, atLength, 0, 0, 0, 71), verify: "its checksum is 9db927a4, but its bytes give 71805d8c"},
		{name: "magic 1", b: at(golden, atMagic, 1), verify: "its magic is 1, not 2"},
		{name: "magic -1", b: at(golden, atMagic, minus), verify: "its magic is -1, not 2"},
		{name: "crc", b: at(golden, atCRC, 0), verify: "its checksum is 00b927a4, but its bytes give 9db927a4"},
		{name: "last bit of a record", b: at(golden, 83, 1), verify: "its checksum is 9db927a4, but its bytes give 6fd2a4a7"},
		{name: "codec 5", b: resum(at(golden, atAttributes, 0, 5)), check: "its codec 5 is unknown"},
		{name: "codec 7", b: resum(at(golden, atAttributes, 0, 7)), check: "its codec 7 is unknown"},
		{name: "log append time", b: resum(at(golden, atAttributes, 0, 8)), check: "its time type is LogAppendTime, which only a server sets"},
		{name: "transactional", b: resum(at(golden, atAttributes, 0, 0x10)), check: "it is transactional, which is not supported yet"},
		{name: "control", b: resum(at(golden, atAttributes, 0, 0x20)), check: "it is a control batch, which only a server writes"},
		{name: "delete horizon", b: resum(at(golden, atAttributes, 0, 0x40)), check: "its attributes 0x0040 have unknown bits"},
		{name: "bit 15", b: resum(at(golden, atAttributes, 0x80, 0)), check: "its attributes 0x8000 have unknown bits"},
		{name: "last delta 0", b: resum(at(golden, atLastDelta, 0, 0, 0, 0)), verify: "its last offset delta 0 and its record count 2 don't agree"},
		{name: "last delta max", b: resum(at(golden, atLastDelta, 0x7f, minus, minus, minus)), verify: "its last offset delta 2147483647 and its record count 2 don't agree"},
		{name: "count 0", b: resum(at(golden, atCount, 0, 0, 0, 0)), verify: "its record count is 0; a batch has at least one"},
		{name: "count 0, delta -1", b: resum(at(at(golden, atCount, 0, 0, 0, 0), atLastDelta, minus, minus, minus, minus)), verify: "its record count is 0; a batch has at least one"},
		{name: "count min, delta max", b: resum(at(at(golden, atCount, 0x80, 0, 0, 0), atLastDelta, 0x7f, minus, minus, minus)), verify: "its record count is -2147483648; a batch has at least one"},
		{name: "count 3", b: resum(at(at(golden, atCount, 0, 0, 0, 3), atLastDelta, 0, 0, 0, 2)), check: "record 2: its length is cut off"},
		{name: "count 1", b: resum(at(at(golden, atCount, 0, 0, 0, 1), atLastDelta, 0, 0, 0, 0)), check: "10 bytes are left over after its last record"},
		{name: "times", b: resum(at(golden, atBaseTime, 0x80, 1, 2, 3, 4, 5, 6, 7, 0x80))},
		{name: "producer id 0", b: resum(at(golden, atProducer, 0, 0, 0, 0, 0, 0, 0, 0)), check: "its producer id is 0, but its epoch -1 or its sequence number -1 is negative"},
		{name: "epoch -1", b: resum(at(golden, atProducer, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0)), check: "its producer id is 0, but its epoch -1 or its sequence number 0 is negative"},
		{name: "sequence number -1", b: resum(at(golden, atProducer, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), check: "its producer id is 0, but its epoch 0 or its sequence number -1 is negative"},
		{name: "producer id -2", b: resum(at(golden, atProducer+7, 0xfe)), check: "its producer id is -2; use -1 for none"},
		{name: "producer epoch", b: resum(at(golden, atProducerEpoch, 0, 0))},
		{name: "sequence", b: resum(at(golden, atSequence, 0, 0, 0, 0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.verify == "" {
				if err := verify(c.b); err != nil {
					t.Errorf("Verify: %v", err)
				}
			} else {
				wantFault(t, verify(c.b), c.verify, strings.Contains(c.verify, "checksum"))
				c.check = c.verify
			}
			if c.check == "" {
				if err := check(c.b); err != nil {
					t.Errorf("Check: %v", err)
				}
			} else {
				wantFault(t, check(c.b), c.check, strings.Contains(c.check, "checksum"))
			}
		})
	}
}

// C3: no flip of a single bit passes, but in the base offset and the epoch, which others must prove.
func TestEveryFlippedBit(t *testing.T) {
	for bit := range 8 * len(golden) {
		b := bytes.Clone(golden)
		b[bit/8] ^= 0x80 >> (bit % 8)
		_, err := Verify(b)
		if pos := bit / 8; pos < atLength || pos >= atEpoch && pos < atMagic {
			if err != nil {
				t.Errorf("bit %d: %v", bit, err)
			}
		} else if err == nil {
			t.Errorf("bit %d flipped and not found", bit)
		}
	}
}

func TestEveryPrefixIsShort(t *testing.T) {
	for n := range golden {
		b := golden[:n:n]
		if _, err := Size(b); n < 12 && !errors.Is(err, ErrShort) || n >= 12 && err != nil {
			t.Errorf("Size of %d bytes: %v", n, err)
		}
		if _, err := ParseHeader(b); n < HeaderSize && !errors.Is(err, ErrShort) || n >= HeaderSize && err != nil {
			t.Errorf("ParseHeader of %d bytes: %v", n, err)
		}
		for name, f := range map[string]func() error{
			"Verify": func() error { _, err := Verify(b); return err },
			"Check":  func() error { _, err := Check(b, 1000); return err },
			"Reader": func() error { return new(Reader).Reset(b, 1000) },
		} {
			if err := f(); !errors.Is(err, ErrShort) {
				t.Errorf("%s of %d bytes: %v, want ErrShort", name, n, err)
			}
		}
	}
}

// A header that passed is returned with a later error, so that the caller can say which offsets are lost.
func TestVerifyReturnsHeaderWithLaterErrors(t *testing.T) {
	if h, err := Verify(golden[:70]); !errors.Is(err, ErrShort) || h.Count != 2 {
		t.Errorf("short: %+v, %v", h, err)
	}
	if h, err := Verify(at(golden, 83, 1)); err == nil || h.Count != 2 {
		t.Errorf("checksum: %+v, %v", h, err)
	}
}

func TestCodecString(t *testing.T) {
	for c, want := range map[Codec]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd", 5: "codec 5"} {
		if c.String() != want {
			t.Errorf("%d is %q, want %q", uint8(c), c, want)
		}
	}
}

// SetProducer changes who produced a batch and what must follow from that, for other implementations too.
func TestSetProducer(t *testing.T) {
	b := bytes.Clone(golden)
	SetProducer(b, 1<<40, 7, 99)
	h, err := Check(b, 1000)
	if err != nil || h.ProducerID != 1<<40 || h.ProducerEpoch != 7 || h.BaseSequence != 99 || h.Transactional() || h.Control() {
		t.Fatalf("%+v, %v", h, err)
	}
	kb, _, _, err := parsedByKmsg(b)
	if err != nil {
		t.Fatal(err)
	}
	wantSameHeader(t, h, kb)
	SetProducer(b, -1, -1, -1)
	if !bytes.Equal(b, golden) {
		t.Fatalf("%x is not as it was", b)
	}
}

// What a protocol has answers of its own for is told by kind; and what is wrong on the way goes before what is wrong in itself.
func TestFaultKinds(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want Kind
	}{
		"checksum":            {at(golden, atCRC, 0), Checksum},
		"checksum, count":     {at(golden, atCount, 9), Checksum},
		"checksum, codec":     {at(golden, atAttributes, 0, 5), Checksum},
		"magic, checksum":     {at(at(golden, atMagic, 1), atCRC, 0), Malformed},
		"too large, checksum": {at(at(golden, atLength, 0, 0, 4, 0), atCRC, 0), TooLarge},
		"beyond any limit":    {at(golden, atLength, 0x7f), TooLarge},
		"too small":           {at(golden, atLength, 0, 0, 0, 48), TooSmall},
		"codec":               {resum(at(golden, atAttributes, 0, 7)), UnknownCodec},
		"codec, time type":    {resum(at(golden, atAttributes, 0, 0xf)), UnknownCodec},
		"control, codec":      {resum(at(golden, atAttributes, 0, 0x27)), Malformed},
		"time type":           {resum(at(golden, atAttributes, 0, 8)), ServerTime},
		"transactional":       {resum(at(golden, atAttributes, 0, 0x10)), Transactional},
		"count":               {resum(at(golden, atCount, 9)), Malformed},
	} {
		_, err := Check(c.b, 1000)
		if f := new(Fault); !errors.As(err, &f) || f.Kind != c.want {
			t.Errorf("%s: %v, want kind %d", name, err, c.want)
		}
	}
}
