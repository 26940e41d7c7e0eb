package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/client"
)

// recordJSON is a record of --json, as a program reads it.
type recordJSON struct {
	Offset  uint64
	Time    string
	Key     *string
	Key64   *string
	Value   *string
	Value64 *string
	Headers []headerJSON
}

type headerJSON struct {
	Name           string
	Value, Value64 *string
}

func bytesOf(t *testing.T, text, encoded *string) []byte {
	t.Helper()
	switch {
	case text != nil:
		return []byte(*text)
	case encoded == nil:
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(*encoded)
	must(t, err)
	return b
}

// FuzzRecordJSON: whatever a record holds, --json is one line of JSON that gives it back, and as encoding/json would
// write its strings, but for what that escapes for browsers.
func FuzzRecordJSON(f *testing.F) {
	f.Add(uint64(7), int64(1_700_000_000_123), []byte("key"), []byte("value"), "name", []byte("x"))
	f.Add(uint64(0), int64(-5), []byte(nil), []byte{}, "", []byte(nil))
	f.Add(uint64(1)<<63, int64(0), []byte("\"\\/\x00\x1f\n\r\t\b\f"), []byte("\xff\xfe"), "\xff", []byte("é\u2028\U0001F600\xe2\x28"))
	f.Fuzz(func(t *testing.T, offset uint64, ms int64, key, value []byte, name string, header []byte) {
		ms %= 1 << 45 // years of four digits
		in := client.Record{Offset: offset, Time: time.UnixMilli(ms), Key: key, Value: value}
		if len(name)+len(header) > 0 {
			in.Headers = []client.Header{{Key: name, Value: header}, {Key: "second"}}
		}
		var out bytes.Buffer
		p := printer{out: bufio.NewWriter(io.Discard)}
		must(t, p.object(&client.Record{Time: time.UnixMilli(ms + 1)})) // perhaps of the same second
		p.out.Reset(&out)
		must(t, p.object(&in))
		must(t, p.out.Flush())
		if bytes.Count(out.Bytes(), []byte("\n")) != 1 || !utf8.Valid(out.Bytes()) {
			t.Fatalf("%q", out.Bytes())
		}
		var got recordJSON
		must(t, json.Unmarshal(out.Bytes(), &got))
		at, err := time.Parse(time.RFC3339, got.Time)
		must(t, err)
		back := client.Record{Offset: got.Offset, Time: time.UnixMilli(at.UnixMilli()), Key: bytesOf(t, got.Key, got.Key64), Value: bytesOf(t, got.Value, got.Value64)}
		for _, h := range got.Headers {
			back.Headers = append(back.Headers, client.Header{Key: h.Name, Value: bytesOf(t, h.Value, h.Value64)})
		}
		if len(in.Headers) > 0 { // a name has no other form: what is no UTF-8 in it is U+FFFD
			in.Headers[0].Key = string([]rune(name))
		}
		if !reflect.DeepEqual(back, in) {
			t.Fatalf("got  %#v\nwant %#v\nby %s", back, in, out.Bytes())
		}
	})
}

func BenchmarkPrint(b *testing.B) {
	r := client.Record{Offset: 123_456, Time: time.UnixMilli(1_700_000_000_123), Key: []byte("key"), Value: []byte(strings.Repeat("a value of \"some\" length ", 4))}
	for name, one := range map[string]func(*printer, *client.Record) error{"line": (*printer).line, "json": (*printer).object} {
		b.Run(name, func(b *testing.B) {
			p := printer{out: bufio.NewWriterSize(io.Discard, 256<<10)}
			b.ReportAllocs()
			for b.Loop() {
				if err := one(&p, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
