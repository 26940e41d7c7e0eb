package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// A Request is one operation; clients.Request says what its fields mean.
type Request struct {
	Op         string `json:"op"`
	Server     string `json:"server"`
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Partitions int32  `json:"partitions"`
	Codec      string `json:"codec"`
	Acks       string `json:"acks"`
	Idempotent bool   `json:"idempotent"`
	First      int    `json:"first"`
	Count      int    `json:"count"`
	Size       int    `json:"size"`
	Time       int64  `json:"time"`
	From       string `json:"from"`
	At         int64  `json:"at"`
}

// An Answer tells what came of a request.
type Answer struct {
	OK          bool     `json:"ok,omitempty"`
	Offset      *int64   `json:"offset,omitempty"`
	Count       int      `json:"count,omitempty"`
	Version     string   `json:"version,omitempty"`
	Records     []Record `json:"records,omitempty"`
	Error       string   `json:"error,omitempty"`
	Code        int16    `json:"code,omitempty"`
	Unsupported string   `json:"unsupported,omitempty"`
}

// A Record as it was read. Value is without the dots that pad it to its Size.
type Record struct {
	Offset int64  `json:"o"`
	Time   int64  `json:"t"`
	Key    string `json:"k"`
	Value  string `json:"v"`
	Size   int    `json:"n"`
	Header string `json:"h"`
}

// An Unsupported request is one that the client has no way to carry out; it says why.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// Limit ends an operation that hangs. It is far above what any of them takes.
const Limit = 60 * time.Second

// HeaderKey is the key of the one header that each record has; its value is the record's number.
const HeaderKey = "i"

// Each calls f with the records that a request asks to produce: number i has the key ki, and the value codec-i.
func (r Request) Each(f func(i int, key, value []byte, at time.Time)) {
	for i := r.First; i < r.First+r.Count; i++ {
		value := fmt.Sprintf("%s-%d", r.Codec, i)
		value += strings.Repeat(".", max(0, r.Size-len(value)))
		f(i, fmt.Appendf(nil, "k%d", i), []byte(value), time.UnixMilli(r.Time+int64(i)))
	}
}

// Read makes a Record of what a client has read.
func Read(offset int64, at time.Time, key, value, header []byte) Record {
	return Record{offset, at.UnixMilli(), string(key), strings.TrimRight(string(value), "."), len(value), string(header)}
}

// Acked is what the operation "stream" prints for each record, while it goes on.
type Acked struct {
	Acked  int   `json:"acked"`
	Offset int64 `json:"offset"`
}

// Serve answers the requests on standard input with what do makes of them, until it ends, and gives the exit status. code
// finds Kafka's error code in a client's error, 0 if there is none.
func Serve(do func(context.Context, Request) (Answer, error), code func(error) int16) int {
	for in := json.NewDecoder(os.Stdin); ; {
		var r Request
		err := in.Decode(&r)
		if err == nil {
			say(answer(do, code, r))
			err = out.err
		}
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
}

// out is standard output, and the first error that it met. Clients print from goroutines of theirs, one at a time.
var out = struct {
	*json.Encoder
	err error
}{Encoder: json.NewEncoder(os.Stdout)}

func say(v any) {
	if out.err == nil {
		out.err = out.Encode(v)
	}
}

func answer(do func(context.Context, Request) (Answer, error), code func(error) int16, r Request) Answer {
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	if r.Op == "stream" {
		ctx, cancel = context.WithCancel(context.Background())
	}
	defer cancel()
	a, err := do(ctx, r)
	var u Unsupported
	switch {
	case errors.As(err, &u):
		return Answer{Unsupported: string(u)}
	case err != nil:
		return Answer{Error: err.Error(), Code: code(err)}
	}
	a.OK = true
	return a
}

// Tell prints the acknowledgement of a record of a stream. One goroutine at a time.
func Tell(i int, offset int64) { say(Acked{i, offset}) }

// At is an offset as an Answer holds it.
func At(offset int64) Answer { return Answer{Offset: &offset} }

// Version is that of a module that the program is built with.
func Version(module string) Answer {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Answer{Version: "?"}
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return Answer{Version: strings.TrimPrefix(m.Version, "v")}
		}
	}
	return Answer{Version: "?"}
}
