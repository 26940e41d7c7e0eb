package kafka

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// decoded are the keys that kmsg decodes for us.
func decoded() (out []Key) {
	for _, r := range Served() {
		if shapes[r.Key] != nil {
			out = append(out, r.Key)
		}
	}
	return out
}

// Whatever kmsg writes passes the walk and comes back the same; nothing that is cut off or goes on does.
func TestDecodeOfKmsg(t *testing.T) {
	for _, key := range decoded() {
		t.Run(key.String(), func(t *testing.T) {
			eachVersion(t, key, func(t *testing.T, version int16) {
				for n := range uint64(rounds) {
					rng := seeded(n)
					req := kmsg.RequestForKey(int16(key))
					req.SetVersion(version)
					shuffled(rng, reflect.ValueOf(req).Elem(), req.IsFlexible())
					body := req.AppendTo(nil)
					got, err := Decode(Header{Key: key, Version: version, Body: body}, nil)
					if err != nil {
						t.Fatalf("request %d, %x: %v", n, body, err)
					}
					if again := got.AppendTo(nil); !bytes.Equal(again, body) {
						t.Fatalf("request %d is\n%x, read as\n%x", n, body, again)
					}
					if len(body) == 0 {
						continue
					}
					cut := rng.IntN(len(body))
					if _, err := Decode(Header{Key: key, Version: version, Body: body[:cut:cut]}, nil); err == nil {
						t.Fatalf("request %d is read with %d bytes of %d", n, cut, len(body))
					}
					if _, err := Decode(Header{Key: key, Version: version, Body: append(body, 0)}, nil); err == nil {
						t.Fatalf("request %d is read with a byte more", n)
					}
				}
			})
		})
	}
}

// An element of an array takes no more memory than is reckoned.
func TestListCost(t *testing.T) {
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Slice:
			if e := typ.Elem(); e.Kind() == reflect.Struct && e.Size() > listCost {
				t.Errorf("%v has %d bytes, reckoned are %d", e, e.Size(), listCost)
			}
			look(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				look(typ.Field(i).Type)
			}
		}
	}
	for _, key := range decoded() {
		typ := reflect.TypeOf(kmsg.RequestForKey(int16(key))).Elem()
		look(typ)
		if typ.Size() > baseCost {
			t.Errorf("%v has %d bytes, reckoned are %d", typ, typ.Size(), baseCost)
		}
	}
}

// full is a body of the most costly things that a request can be made of.
func full(key Key, version int16, n int) []byte {
	req := kmsg.RequestForKey(int16(key))
	req.SetVersion(version)
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		for range n {
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("")})
		}
	case *kmsg.CreateTopicsRequest:
		for i := range n {
			topic := kmsg.CreateTopicsRequestTopic{}
			if i < maxTags && req.IsFlexible() {
				topic.UnknownTags.Set(1, nil)
			}
			req.Topics = append(req.Topics, topic)
		}
	case *kmsg.DeleteTopicsRequest:
		req.TopicNames = make([]string, n)
		for i := range req.TopicNames {
			req.TopicNames[i] = "123456789"
		}
	}
	return req.AppendTo(nil)
}

// tell is a reserve that has all there is.
func tell(most *int64) func(int64) error {
	return func(n int64) error {
		*most = n
		return nil
	}
}

// Decoding takes no more memory than it has reserved before.
func TestDecodeReserves(t *testing.T) {
	for _, h := range []Header{
		{Key: Metadata, Version: 4, Body: full(Metadata, 4, 50_000)},
		{Key: Metadata, Version: 9, Body: full(Metadata, 9, 50_000)},
		{Key: CreateTopics, Version: 5, Body: full(CreateTopics, 5, 50_000)},
		{Key: CreateTopics, Version: 5, Body: full(CreateTopics, 5, maxTags)},
		{Key: DeleteTopics, Version: 3, Body: full(DeleteTopics, 3, 50_000)},
		{Key: ApiVersions, Version: 0},
	} {
		var most int64
		var err error
		took := allocated(func() { _, err = Decode(h, tell(&most)) })
		if raceDetector { // it makes kmsg take the memory of each array twice
			most *= 2
		}
		if err != nil || took > uint64(most) {
			t.Errorf("%v version %d: %d bytes took %d, at most %d were told; %v", h.Key, h.Version, len(h.Body), took, most, err)
		}
	}
	none := errors.New("none")
	if req, err := Decode(Header{Key: ApiVersions}, func(int64) error { return none }); req != nil || err != none {
		t.Errorf("without memory: %v, %v", req, err)
	}
}
