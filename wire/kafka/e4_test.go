package kafka

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// body puts the parts of a body together.
func body(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// Shows that no claim in a frame is believed: the error names what is wrong, and next to no memory is taken.
func TestE4FramesThatLie(t *testing.T) {
	i32 := be32
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 2^32-1
	wide := []byte{0xff, 0xff, 0xff, 0xff, 0x1f}
	long := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}
	produce9 := body(0, 0, 1, i32(5)) // no transactional id, acks 1, timeout
	produce3 := body(0xff, 0xff, 0, 1, i32(5))
	fetch12 := body(i32(-1), i32(0), i32(0), i32(0), 0, i32(0), i32(-1))
	for _, c := range []struct {
		name    string
		key     Key
		version int16
		body    []byte
		want    string
	}{
		{"empty", Produce, 9, nil, "is cut off, at byte 0"},
		{"array 1e9", Produce, 3, body(produce3, i32(1e9), "rest"), "claims 1000000000 elements"},
		{"array null", Produce, 3, body(produce3, i32(-1)), "has null for an array"},
		{"array lowest", Produce, 3, body(produce3, i32(-1<<31)), "has null for an array"},
		{"array 2^32-2", Produce, 9, body(produce9, huge, "rest"), "claims 4294967294 elements"},
		{"array null, compact", Produce, 9, body(produce9, 0), "has null for an array"},
		{"number too wide", Produce, 9, body(produce9, wide), "has a number too wide"},
		{"number too long", Produce, 9, body(produce9, long), "has a number too wide"},
		{"number cut off", Produce, 9, body(produce9, 0x80), "is cut off"},
		{"name null", Produce, 3, body(produce3, i32(1), 0xff, 0xff, i32(0)), "has null for a string"},
		{"name too long", Produce, 9, body(produce9, 2, 0x81, 0x80, 0x02, bytes.Repeat([]byte{'x'}, 1<<15)), "has a string of 32768 bytes"},
		{"name beyond", Produce, 3, body(produce3, i32(1), 0x7f, 0xff, "topic"), "is cut off"},
		{"records beyond", Produce, 3, body(produce3, i32(1), 0, 1, "t", i32(1), i32(0), i32(1<<31-1), "rest"), "is cut off"},
		{"records beyond, compact", Produce, 9, body(produce9, 2, 2, "t", 2, i32(0), huge, "rest"), "is cut off"},
		{"tags 2^32-1", Produce, 9, body(produce9, 1, huge), "is cut off"},
		{"tag beyond", Produce, 9, body(produce9, 1, 1, 0, huge), "is cut off"},
		{"one byte more", Produce, 9, body(produce9, 1, 0, 0), "goes on behind its last field"},
		{"partitions", Produce, 3, body(produce3, i32(1), 0, 1, "t", i32(MaxPartitions+1), bytes.Repeat(body(i32(0), i32(-1)), MaxPartitions+1)),
			"names more partitions than a server can have"},
		{"fetch, array 1e9", Fetch, 12, body(fetch12, huge), "claims 4294967294 elements"},
		{"fetch, forgotten 1e9", Fetch, 12, body(fetch12, 1, huge), "claims 4294967294 elements"},
		{"fetch, forgotten null", Fetch, 12, body(fetch12, 1, 0), "has null for an array"},
		{"fetch, rack null", Fetch, 12, body(fetch12, 1, 1, 0, 0), "has null for a string"},
		{"fetch, forgotten partitions", Fetch, 12, body(fetch12, 1, 2, 2, "t", 0x82, 0x80, 0x04, make([]byte, 4*(MaxPartitions+1)), 0, 1, 0),
			"names more partitions than a server can have"},
		{"metadata, array 1e9", Metadata, 1, i32(1e9), "claims 1000000000 elements"},
		{"metadata, tags 2^32-1", Metadata, 9, body(1, 0, 0, 0, huge), "is cut off"},
		{"metadata, name null", Metadata, 9, body(2, 0, 0, 0, 0, 0, 0), "has null for a string"},
		{"replicas 1e9", CreateTopics, 5, body(2, 2, "t", make([]byte, 6), 2, i32(0), huge), "claims 4294967294 elements"},
		{"replicas beyond", CreateTopics, 5, body(2, 2, "t", make([]byte, 6), 2, i32(0), 3, "1234567"), "is cut off"},
		{"too many tags", ApiVersions, 3, body(2, "a", 2, "1", 0xe9, 0x07, make([]byte, 2*1001)), "has more than 1,000 unknown tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parse := func() error { _, err := Decode(Header{Key: c.key, Version: c.version, Body: c.body}, nil); return err }
			switch c.key {
			case Produce:
				parse = func() error { return new(ProduceRequest).Parse(c.version, c.body) }
			case Fetch:
				parse = func() error { return new(FetchRequest).Parse(c.version, c.body) }
			}
			var err error
			took := allocated(func() { err = parse() })
			var f *FrameError
			if !errors.As(err, &f) || !bytes.Contains([]byte(err.Error()), []byte(c.want)) || f.At > len(c.body) {
				t.Errorf("%v, want: %s", err, c.want)
			}
			if took > 8<<10 {
				t.Errorf("%d bytes of memory for %d", took, len(c.body))
			}
		})
	}
}

// Shows that a header of which something is missing or wrong is an error, and that what is not served is told as that whatever follows.
func TestE4Headers(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"empty", nil, "the request is malformed: its header is cut off, at byte 0"},
		{"key alone", body(0, 3), "the request is malformed: its header is cut off, at byte 2"},
		{"no correlation", body(0, 3, 0, 1, 0, 0, 0), "the request is malformed: its header is cut off, at byte 4"},
		{"no client", body(0, 3, 0, 1, be32(1)), "the request is malformed: its header is cut off, at byte 8"},
		{"client beyond", body(0, 3, 0, 1, be32(1), 0, 3, "ab"), "the request is malformed: its header is cut off, at byte 10"},
		{"no tags", body(0, 3, 0, 9, be32(1), 0xff, 0xff), "the request is malformed: its header is cut off, at byte 10"},
		{"tags 2^32-1", body(0, 3, 0, 9, be32(1), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f), "the request is malformed: its header is cut off, at byte 15"},
		{"key 99", body(0, 99, 0, 0, be32(1)), ErrUnserved.Error()},
		{"key -1", body(0xff, 0xff, 0, 0, be32(1)), ErrUnserved.Error()},
		{"version 99", body(0, 3, 0, 99, be32(1), "nonsense"), ErrUnserved.Error()},
		{"version -1", body(0, 3, 0xff, 0xff, be32(1)), ErrUnserved.Error()},
		{"old produce", body(0, 0, 0, 2, be32(1)), ErrUnserved.Error()},
	} {
		if _, err := ParseHeader(c.frame); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	h, err := ParseHeader(body(0, 18, 0, 99, be32(77), "nonsense"))
	if !errors.Is(err, ErrUnserved) || h.Key != ApiVersions || h.Version != 99 || h.Correlation != 77 {
		t.Errorf("%+v, %v", h, err)
	}
	h, err = ParseHeader(body(0, 3, 0, 9, be32(1), 0, 2, "me", 2, 5, 1, "x", 9, 0, "rest"))
	if err != nil || string(h.ClientID) != "me" || string(h.Body) != "rest" {
		t.Errorf("%+v, %v", h, err)
	}
}

// MaxPartitions itself is no lie.
func TestMostPartitions(t *testing.T) {
	b := body(0xff, 0xff, 0, 1, be32(5), be32(1), 0, 1, "t", be32(MaxPartitions), bytes.Repeat(body(be32(0), be32(-1)), MaxPartitions))
	var r ProduceRequest
	if err := r.Parse(3, b); err != nil || r.Partitions != MaxPartitions {
		t.Fatal(r.Partitions, err)
	}
	want := kmsg.NewPtrProduceRequest()
	want.Version = 3
	if err := want.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	wantProduce(t, &r, want)
}
