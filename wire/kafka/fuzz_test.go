package kafka

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
)

// wantFrameError holds an error against what the package promises: a place inside of what was given.
func wantFrameError(t *testing.T, err error, n int) {
	t.Helper()
	var f *FrameError
	if !errors.As(err, &f) || f.At < 0 || f.At > n {
		t.Fatalf("error is %v", err)
	}
}

// Whatever comes, a header is an error or leads to a body that is the frame's end.
func FuzzHeader(f *testing.F) {
	for _, r := range Served() {
		req := kmsg.RequestForKey(int16(r.Key))
		req.SetVersion(r.Max)
		f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:])
	}
	f.Add(body(0, 18, 0, 99, be32(1)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, err := ParseHeader(frame)
		switch {
		case errors.Is(err, ErrUnserved):
			if len(frame) < 8 || Serves(h.Key, h.Version) {
				t.Fatalf("%+v is served", h)
			}
		case err != nil:
			wantFrameError(t, err, len(frame))
		case !bytes.HasSuffix(frame, h.Body) || !Serves(h.Key, h.Version):
			t.Fatalf("%+v", h)
		}
	})
}

// What we accept kmsg accepts, and reads the same; and the answer to it is what kmsg makes of it.
func FuzzProduce(f *testing.F) {
	for v := int16(3); v <= 11; v += 2 {
		for n := range uint64(3) {
			f.Add(v, produceRequest(n, v).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version = 3 + (version&0x7fff)%9; !Serves(Produce, version) {
			t.Fatal(version)
		}
		var got ProduceRequest
		if err := got.Parse(version, body); err != nil {
			wantFrameError(t, err, len(body))
			return
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("accepted %x, which kmsg refuses: %v", body, err)
		}
		wantProduce(t, &got, want)
		var results []ProduceResult
		for p := (ProducePartition{}); got.Next(&p); {
			_, code, err := CheckBatch(p.Records, version, 1<<20)
			r := ProduceResult{Topic: p.Topic, Index: p.Index, Code: code}
			if err != nil {
				r.Message = err.Error()
			}
			results = append(results, r)
		}
		h := Header{Key: Produce, Version: version}
		if a, b := AppendProduceResponse(nil, version, 0, results), AppendResponse(nil, h, kmsgProduceResponse(version, results)); !bytes.Equal(a, b) {
			t.Fatalf("the answer is\n%x, want\n%x", a, b)
		}
	})
}

// What we accept kmsg accepts, and reads the same; and the answer to it is what kmsg makes of it.
func FuzzFetch(f *testing.F) {
	for v := int16(4); v <= 16; v += 3 {
		for n := range uint64(3) {
			f.Add(v, fetchRequest(n, v).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		version = 4 + (version&0x7fff)%13
		var got FetchRequest
		if err := got.Parse(version, body); err != nil {
			wantFrameError(t, err, len(body))
			return
		}
		want, err := readFetch(version, body)
		if err != nil {
			if version >= 12 { // kmsg looks into tags that we skip
				return
			}
			t.Fatalf("accepted %x, which kmsg refuses: %v", body, err)
		}
		wantFetch(t, &got, want)
		var results []FetchResult
		var records [][]byte
		for p := (FetchPartition{}); got.Next(&p); {
			r := FetchResult{Topic: p.Topic, ID: p.ID, Index: p.Index, HighWatermark: p.Offset, DivergingEpoch: p.LeaderEpoch, DivergingEnd: -1 + int64(p.MaxBytes&1), Size: p.MaxBytes & 0xfff}
			results, records = append(results, r), append(records, make([]byte, r.Size))
		}
		h := Header{Key: Fetch, Version: version}
		a := ourFetchResponse(nil, version, h, 0, 0, results, records)
		if b := AppendResponse(nil, h, kmsgFetchResponse(version, 0, 0, results, records)); !bytes.Equal(a, b) {
			t.Fatalf("the answer is\n%x, want\n%x", a, b)
		}
	})
}

// Nothing that passes the walk makes kmsg fail, or take more memory than was told.
func FuzzDecode(f *testing.F) {
	for _, key := range decoded() {
		for v := lookup(key).served; v <= lookup(key).Max; v++ {
			req := kmsg.RequestForKey(int16(key))
			req.SetVersion(v)
			shuffled(seeded(1), reflect.ValueOf(req).Elem(), req.IsFlexible())
			f.Add(int16(key), v, req.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		h := Header{Key: Key(key), Version: version, Body: body}
		if shapes[h.Key] == nil || !Serves(h.Key, version) {
			return
		}
		var most int64
		var req kmsg.Request
		var err error
		took := allocated(func() { req, err = Decode(h, tell(&most)) })
		if limit := int64(baseCost + maxTags*tagCost + listCost*len(body) + 16<<10); most > limit {
			t.Fatalf("%d bytes may take %d", len(body), most)
		}
		if err != nil {
			wantFrameError(t, err, len(body))
			return
		}
		if took > 2*uint64(most)+64<<10 { // the fuzzer's own memory is in it too
			t.Fatalf("%d bytes took %d, at most %d were told", len(body), took, most)
		}
		again := Header{Key: h.Key, Version: version, Body: req.AppendTo(nil)}
		if req2, err := Decode(again, nil); err != nil || !bytes.Equal(req2.AppendTo(nil), again.Body) {
			t.Fatalf("%x becomes %x: %v", body, again.Body, err)
		}
	})
}

// What is said of a batch agrees with what is said of batches elsewhere: good here is good there.
func FuzzCheckBatch(f *testing.F) {
	good := oneBatchOf(f, batch.None, 3)
	f.Add(int16(3), good)
	f.Add(int16(11), oneBatchOf(f, batch.LZ4, 3))
	f.Add(int16(11), append(bytes.Clone(good), good...))
	f.Add(int16(11), good[:60])
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		tries := [][]byte{b}
		if len(b) >= batch.HeaderSize {
			mended := patched(b, 8, be32(int32(len(b)-12))...)
			mended[16] = 2
			tries = append(tries, resum(mended))
		}
		for _, b := range tries {
			h, code, err := CheckBatch(b, version, 1<<20)
			if (err == nil) != (code == NoError) {
				t.Fatal(code, err)
			}
			if err != nil {
				continue
			}
			sum, err := batch.CheckAll(b, 1<<20)
			if err != nil || sum.Batches != 1 || sum.Records != int(h.Count) || h.BaseOffset != 0 {
				t.Fatalf("good here, but %+v, %v", sum, err)
			}
		}
	})
}
