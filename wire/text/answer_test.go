package text

import (
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/wire/batch"
)

func TestAnswersBytes(t *testing.T) {
	rec := func(r batch.Record) []byte { return AppendRecord(nil, &r) }
	fault := func(e Error, req uint64) []byte { return AppendError(nil, &e, req) }
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendEOL(AppendOK(nil)), "OK\r\n"},
		{AppendEOL(AppendUint(AppendOK(nil), "pong", 1)), "OK pong=1\r\n"},
		{AppendUint(nil, "x", math.MaxUint64), " x=18446744073709551615"},
		{AppendInt(nil, "x", math.MinInt64), " x=-9223372036854775808"},
		{AppendStr(nil, "x", ""), " x="},
		{AppendStr(nil, "x", "a b%\r\n=é"), " x=a%20b%25%0D%0A=%C3%A9"},
		{AppendStr([]byte("OK"), "x", strings.Repeat("y", 5000)), "OK x=" + strings.Repeat("y", 5000)},
		{AppendAppended(nil, 10, 12, AckWritten, 7), "OK first=10 next=12 ack=written synced=7\r\n"},
		{AppendAppended([]byte("before"), 0, 1, AckSynced, 1), "beforeOK first=0 next=1 ack=synced synced=1\r\n"},
		{AppendAppended(nil, 1, math.MaxUint64, AckReplicated, 0), "OK first=1 next=18446744073709551615 ack=replicated synced=0\r\n"},
		{AppendDataHead(nil, 0), "DATA 0"},
		{AppendEOL(AppendUint(AppendDataHead(nil, 61), "next", 3)), "DATA 61 next=3\r\n"},

		{rec(batch.Record{Offset: 0, Time: 1795471200000, Value: []byte("hello")}), "REC offset=0 time=1795471200000 key=-1 n=5\r\nhello\r\n"},
		{rec(batch.Record{Offset: 7, Time: -1, Key: []byte("k\n"), Value: []byte{}}), "REC offset=7 time=-1 key=2 n=0\r\nk\n\r\n"},
		{rec(batch.Record{Offset: 8, Key: []byte{}, HeaderCount: 2}), "REC offset=8 time=0 key=0 n=-1 headers=2\r\n\r\n"},
		{rec(batch.Record{Key: []byte("ab"), Value: []byte("cd")}), "REC offset=0 time=0 key=2 n=2\r\nabcd\r\n"},

		{fault(Error{Code: CodeLogFailed, Text: "the log failed"}, 0), "ERR LOG_FAILED - the log failed\r\n"},
		{fault(Error{Code: CodeTimeout, Text: "too late"}, 12), "ERR TIMEOUT req=12 - too late\r\n"},
		{fault(Error{Code: CodeOutOfRange, Text: "gone", Fields: []Field{{"oldest", "5"}, {"next", "9"}}}, 3), "ERR OUT_OF_RANGE req=3 oldest=5 next=9 - gone\r\n"},
		{fault(Error{Code: CodeBadSetting, Text: "no", Fields: []Field{{"name", "a b%"}}}, 0), "ERR BAD_SETTING name=a%20b%25 - no\r\n"},
		{fault(Error{Code: CodeBadSetting, Text: "no", Fields: []Field{{"name", strings.Repeat("%", 300)}}}, 0), "ERR BAD_SETTING name=" + strings.Repeat("%25", 85) + "... - no\r\n"},
		{fault(Error{Code: CodeUnknown, Text: "write: a - b\r\nOK %0Aé\x00"}, 0), "ERR UNKNOWN - write: a - b%0D; OK %0A%C3%A9%00\r\n"},
		{fault(Error{Code: CodeUnknown, Text: strings.Repeat("x", 2000)}, 0), "ERR UNKNOWN - " + strings.Repeat("x", 1024) + "...\r\n"},
		{fault(Error{Code: CodeUnknown}, 0), "ERR UNKNOWN - \r\n"},
	} {
		if string(c.got) != c.want {
			t.Errorf("got  %q\nwant %q", c.got, c.want)
		}
	}
}

func TestErrorIsAnError(t *testing.T) {
	var err error = &Error{Code: CodeOutOfRange, Fields: []Field{{"oldest", "5"}}, Text: "gone"}
	if got, want := err.Error(), "OUT_OF_RANGE oldest=5 - gone"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCodeNames(t *testing.T) {
	for c := CodeBadCommand; c <= CodeBadSetting; c++ {
		if got := lookupCode([]byte(c.String())); got != c || c.String() == "" {
			t.Errorf("%q is code %d, want %d", c, got, c)
		}
	}
	if lookupCode(nil) != 0 || lookupCode([]byte("bad_crc")) != 0 || Code(0).String() != "" || (CodeBadSetting+1).String() != "?" {
		t.Error("what is no code is one")
	}
	if AnswerData.String() != "DATA" || AnswerKind(5).String() != "?" {
		t.Error("kinds have other names")
	}
}

func TestParseAnswer(t *testing.T) {
	for _, c := range []struct {
		line    string
		want    Answer // but for its fields
		fields  map[string]string
		payload int64
	}{
		{"OK", Answer{Kind: AnswerOK}, nil, -1},
		{"OK pong=1", Answer{Kind: AnswerOK}, map[string]string{"pong": "1"}, -1},
		{"OK first=10 next=12 ack=written synced=7", Answer{Kind: AnswerOK},
			map[string]string{"first": "10", "next": "12", "ack": "written", "synced": "7"}, -1},
		{"OK server=a%20b= v=", Answer{Kind: AnswerOK}, map[string]string{"server": "a b=", "v": ""}, -1},

		{"REC offset=7 time=5 key=-1 n=3", Answer{Kind: AnswerRec, Offset: 7, Time: 5, Key: -1, N: 3},
			map[string]string{"offset": "7", "time": "5", "key": "-1", "n": "3"}, 3},
		{"REC offset=7 time=-5 key=2 n=-1", Answer{Kind: AnswerRec, Offset: 7, Time: -5, Key: 2, N: -1},
			map[string]string{"offset": "7", "time": "-5", "key": "2", "n": "-1"}, 2},
		{"REC offset=7 time=5 key=-1 n=-1 headers=4", Answer{Kind: AnswerRec, Offset: 7, Time: 5, Key: -1, N: -1, Headers: 4},
			map[string]string{"offset": "7", "time": "5", "key": "-1", "n": "-1", "headers": "4"}, 0},
		{"REC n=3 key=4 time=5 offset=18446744073709551615 later=x",
			Answer{Kind: AnswerRec, Offset: math.MaxUint64, Time: 5, Key: 4, N: 3},
			map[string]string{"n": "3", "key": "4", "time": "5", "offset": "18446744073709551615", "later": "x"}, 7},

		{"REC offset=0 time=0 key=1 n=9223372036854775806", Answer{Kind: AnswerRec, Key: 1, N: math.MaxInt64 - 1},
			map[string]string{"offset": "0", "time": "0", "key": "1", "n": "9223372036854775806"}, math.MaxInt64},

		{"DATA 0", Answer{Kind: AnswerData}, nil, 0},
		{"DATA 9223372036854775807", Answer{Kind: AnswerData, N: math.MaxInt64}, nil, math.MaxInt64},
		{"DATA 61 from=3 next=4 end=4 synced=0 epoch=1", Answer{Kind: AnswerData, N: 61},
			map[string]string{"from": "3", "next": "4", "end": "4", "synced": "0", "epoch": "1"}, 61},

		{"ERR NO_TOPIC - there is none", Answer{Kind: AnswerErr, Code: CodeNoTopic, Text: "there is none"}, nil, -1},
		{"ERR NO_TOPIC - ", Answer{Kind: AnswerErr, Code: CodeNoTopic}, nil, -1},
		{"ERR NO_TOPIC - a - b - c", Answer{Kind: AnswerErr, Code: CodeNoTopic, Text: "a - b - c"}, nil, -1},
		{"ERR NO_TOPIC - - ", Answer{Kind: AnswerErr, Code: CodeNoTopic, Text: "- "}, nil, -1},
		{"ERR OUT_OF_RANGE req=4 oldest=5 next=9 - too old - read a=b", Answer{Kind: AnswerErr, Code: CodeOutOfRange, Text: "too old - read a=b"},
			map[string]string{"req": "4", "oldest": "5", "next": "9"}, -1},
		{"ERR BAD_SETTING name=-%20- - no", Answer{Kind: AnswerErr, Code: CodeBadSetting, Text: "no"}, map[string]string{"name": "- -"}, -1},
	} {
		a := Answer{Kind: 99, N: 99, Offset: 99, Time: 99, Key: 99, Headers: 99, Code: 99, Text: "old", fields: []byte(" old=1")}
		if err := ParseAnswer([]byte(c.line), &a); err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		if got := maps.Collect(a.Fields()); len(got)+len(c.fields) > 0 && !maps.Equal(got, c.fields) {
			t.Errorf("%q: fields %v", c.line, got)
		}
		for name, want := range c.fields {
			if got, ok := a.Str(name); !ok || got != want {
				t.Errorf("%q: %s is %q", c.line, name, got)
			}
		}
		if a.Payload() != c.payload {
			t.Errorf("%q: payload %d", c.line, a.Payload())
		}
		if a.fields = nil; !reflect.DeepEqual(a, c.want) {
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, a, c.want)
		}
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	for line, why := range map[string]string{
		"": "it begins with none of OK, REC, DATA, ERR", "ok": "it begins with none of OK, REC, DATA, ERR",
		" OK": "it begins with none of OK, REC, DATA, ERR", "HTTP/1.1 400": "it begins with none of OK, REC, DATA, ERR",
		"OK ": "a word is no name=value", "OK  a=1": "a word is no name=value", "OK a=1 ": "a word is no name=value",
		"OK a": "a word is no name=value", "OK =1": "a word is no name=value", "OK a=1 a=1": "a name stands twice",
		"OK a=%": "a value's percent-encoding is wrong", "OK a=\x00": "byte 6 is no printable ASCII",
		"OK a=1\r": "byte 7 is no printable ASCII", "OK a=\x7f": "byte 6 is no printable ASCII", "OK a=é": "byte 6 is no printable ASCII",
		"DATA": "the length is missing", "DATA ": "the length is no number", "DATA x": "the length is no number",
		"DATA -1": "the length is no number", "DATA 01": "the length is no number", "DATA 5 x": "a word is no name=value",
		"DATA 9223372036854775808": "the length is no number", "DATA a=1": "the length is no number",
		"REC": "time is missing or no number", "REC offset=1 time=1 key=1": "n is missing or no number",
		"REC time=1 key=1 n=1": "offset is missing or no number", "REC offset=-1 time=1 key=1 n=1": "offset is missing or no number",
		"REC offset=1 time=x key=1 n=1": "time is missing or no number", "REC offset=1 time=1 n=1": "key is missing or no number",
		"REC offset=1 time=1 key=-2 n=1": "a length is out of range", "REC offset=1 time=1 key=1 n=-2": "a length is out of range",
		"REC offset=1 time=1 key=1 n=9223372036854775807": "a length is out of range",
		"REC offset=1 time=1 key=1 n=1 headers=-1":        "a length is out of range",
		"REC offset=1 time=1 key=1 n=1 headers=x":         "headers is missing or no number",
		"REC offset=1 time=1 key=1 n=1 n=1":               "a name stands twice",
		"ERR":                                             "the code is missing", "ERR ": "the code is unknown", "ERR FOO - x": "the code is unknown", "ERR no_topic - x": "the code is unknown",
		"ERR NO_TOPIC": "the text is missing", "ERR NO_TOPIC a=1": "the text is missing", "ERR NO_TOPIC x - y": "a word is no name=value",
		"ERR NO_TOPIC -": "the text is missing", "ERR NO_TOPIC  - x": "a word is no name=value", "ERR NO_TOPIC a=1 a=2 - x": "a name stands twice",
	} {
		var a Answer
		err := ParseAnswer([]byte(line), &a)
		want := "not an answer of this protocol: " + quote(line) + ": " + why
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
	longest := "OK a=" + strings.Repeat("x", MaxLine-1-len("OK a="))
	if err := ParseAnswer([]byte(longest), &Answer{}); err != nil {
		t.Errorf("4095 bytes and LF are a line of 4096: %v", err)
	}
	err := ParseAnswer([]byte(longest+"x"), &Answer{})
	if want := "answer line too long: 4096 bytes, at most 4095"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestAnswerNumbers(t *testing.T) {
	var a Answer
	if err := ParseAnswer([]byte("OK a=5 b=-5 c=x d= aa=6"), &a); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		u     uint64
		uOK   bool
		i     int64
		iOK   bool
		there bool
	}{
		{"a", 5, true, 5, true, true}, {"b", 0, false, -5, true, true}, {"c", 0, false, 0, false, true},
		{"d", 0, false, 0, false, true}, {"aa", 6, true, 6, true, true}, {"e", 0, false, 0, false, false}, {"", 0, false, 0, false, false},
	} {
		u, uOK := a.Uint(c.name)
		i, iOK := a.Int(c.name)
		_, there := a.Str(c.name)
		if u != c.u || uOK != c.uOK || i != c.i || iOK != c.iOK || there != c.there {
			t.Errorf("%s: %d %v, %d %v, %v", c.name, u, uOK, i, iOK, there)
		}
	}
	names := ""
	for name := range a.Fields() {
		if names += name; name == "b" {
			break
		}
	}
	if names != "ab" {
		t.Errorf("fields came as %s", names)
	}
}

func TestErrorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &Error{
			Code: Code(rapid.IntRange(int(CodeBadCommand), int(CodeBadSetting)).Draw(t, "code")),
			Text: rapid.StringMatching(`[ -~]{0,200}`).Draw(t, "text"),
			Skip: -1,
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,8}`), 0, 5, rapid.ID).Draw(t, "names") {
			want.Fields = append(want.Fields, Field{name, rapid.StringN(-1, -1, 80).Draw(t, "value")})
		}
		line := AppendError(nil, want, 0)
		var a Answer
		if err := ParseAnswer(line[:len(line)-2], &a); err != nil {
			t.Fatal(err)
		}
		if got := a.Err(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\n got %+v\nwant %+v", line, got, want)
		}
	})
	a := Answer{Kind: AnswerOK}
	if a.Err() != nil {
		t.Error("an OK is an error")
	}
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Custom(func(t *rapid.T) []byte {
			if rapid.Bool().Draw(t, "null") {
				return nil
			}
			return append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		})
		r := batch.Record{
			Offset: rapid.Uint64().Draw(t, "offset"), Time: rapid.Int64().Draw(t, "time"),
			Key: bytes.Draw(t, "key"), Value: bytes.Draw(t, "value"), HeaderCount: rapid.IntRange(0, 9).Draw(t, "headers"),
		}
		line, rest, _ := strings.Cut(string(AppendRecord(nil, &r)), "\r\n")
		var a Answer
		if err := ParseAnswer([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		want := Answer{
			Kind: AnswerRec, Offset: r.Offset, Time: r.Time, Key: length(r.Key), N: length(r.Value),
			Headers: int64(r.HeaderCount), fields: a.fields,
		}
		if !reflect.DeepEqual(a, want) || rest != string(r.Key)+string(r.Value)+"\r\n" || a.Payload() != int64(len(rest)-2) {
			t.Fatalf("%+v gives %s and %q", r, line, rest)
		}
	})
}
