package kafka

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Keys, versions and what is flexible are held against kmsg's, and the ranges against what clients need of them.
func TestServed(t *testing.T) {
	for _, r := range Served() {
		req := kmsg.RequestForKey(int16(r.Key))
		if got := kmsg.NameForKey(int16(r.Key)); got != r.Key.String() && r.Key != InitProducerID {
			t.Errorf("key %d is %s, here %v", r.Key, got, r.Key)
		}
		if r.Max > req.MaxVersion() || r.Min > r.Max {
			t.Errorf("%v: [%d, %d], but kmsg knows %d", r.Key, r.Min, r.Max, req.MaxVersion())
		}
		for v := int16(0); v <= r.Max; v++ {
			if req.SetVersion(v); req.IsFlexible() != Flexible(r.Key, v) {
				t.Errorf("%v version %d: flexible is %v", r.Key, v, Flexible(r.Key, v))
			}
			if want := v >= r.Min && (r.Key != Produce || v >= 3); Serves(r.Key, v) != want {
				t.Errorf("%v version %d: served is %v", r.Key, v, !want)
			}
		}
		if Serves(r.Key, r.Max+1) || Serves(r.Key, -1) {
			t.Errorf("%v: served outside of its range", r.Key)
		}
		if _, there := shapes[r.Key]; there == (r.Key == Produce || r.Key == Fetch) {
			t.Errorf("%v: decoded in two ways, or in none", r.Key)
		}
	}
	if Serves(99, 0) || Flexible(99, 9) || Key(99).String() != "key 99" {
		t.Error("key 99 is served")
	}
	// old librdkafka asks for exactly these; one above asks for Fetch 12 of any broker
	for _, x := range []VersionRange{{Produce, 0, 9}, {Fetch, 4, 12}, {ListOffsets, 1, 6}, {InitProducerID, 0, 4}, {OffsetForLeaderEpoch, 2, 3}} {
		if r := lookup(x.Key); r.Min > x.Min || r.Max < x.Max {
			t.Errorf("%v: [%d, %d] misses [%d, %d]", x.Key, r.Min, r.Max, x.Min, x.Max)
		}
	}
}

// Codes have Kafka's numbers and names.
func TestCodes(t *testing.T) {
	for c, name := range codeNames {
		if c == NoError || c == NotLeaderOrFollower { // that has no error, and this an old name in kerr
			continue
		}
		var e *kerr.Error
		if !errors.As(kerr.ErrorForCode(int16(c)), &e) || e.Message != name {
			t.Errorf("%d is %v, here %s", c, e, name)
		}
	}
	if Code(999).String() != "code 999" || InvalidRecord.String() != "INVALID_RECORD" {
		t.Error(Code(999), InvalidRecord)
	}
}

// Headers as kmsg writes them, of each key and version.
func TestHeaderOfKmsg(t *testing.T) {
	named := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me"))
	for _, r := range Served() {
		for v := int16(0); v <= r.Max; v++ {
			req := kmsg.RequestForKey(int16(r.Key))
			req.SetVersion(v)
			for client, f := range map[string]*kmsg.RequestFormatter{"me": named, "": kmsg.NewRequestFormatter()} {
				frame := f.AppendRequest(nil, req, 1<<30+int32(v))[4:]
				h, err := ParseHeader(frame)
				if h.Key != r.Key || h.Version != v || h.Correlation != 1<<30+int32(v) {
					t.Fatalf("%v version %d: %+v, %v", r.Key, v, h, err)
				}
				if !Serves(r.Key, v) {
					if !errors.Is(err, ErrUnserved) || h.Body != nil {
						t.Errorf("%v version %d: %v", r.Key, v, err)
					}
					continue
				}
				if err != nil || string(h.ClientID) != client || (h.ClientID == nil) != (client == "") || !bytes.Equal(h.Body, req.AppendTo(nil)) {
					t.Errorf("%v version %d: %+v, %v", r.Key, v, h, err)
				}
			}
		}
	}
}

// Answers have a header with tags where the version is flexible, but never for ApiVersions.
func TestAnswerHeader(t *testing.T) {
	for _, c := range []struct {
		key     Key
		version int16
		header  int
	}{{Metadata, 8, 4}, {Metadata, 9, 5}, {ApiVersions, 0, 4}, {ApiVersions, 4, 4}, {DescribeConfigs, 4, 5}} {
		req := kmsg.RequestForKey(int16(c.key))
		req.SetVersion(c.version)
		resp := req.ResponseKind()
		frame := AppendResponse([]byte("xy"), Header{Key: c.key, Version: c.version, Correlation: 5}, resp)[2:]
		body := resp.AppendTo(nil)
		want := append(be32(int32(c.header+len(body))), 0, 0, 0, 5)
		if c.header == 5 {
			want = append(want, 0)
		}
		if want = append(want, body...); !bytes.Equal(frame, want) {
			t.Errorf("%v version %d: %x, want %x", c.key, c.version, frame, want)
		}
	}
}
