package text

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fineLine is a line that Parse accepts, and how its Request differs from one that says nothing.
type fineLine struct {
	line    string
	set     func(r *Request)
	payload int64
}

func verb(v Verb) func(*Request) { return func(r *Request) { r.Verb = v } }

func onTopic(v Verb, set func(*Request)) func(*Request) {
	return func(r *Request) {
		r.Verb, r.Topic = v, []byte("t")
		if set != nil {
			set(r)
		}
	}
}

func from(v Verb, kind FromKind, value int64) func(*Request) {
	return onTopic(v, func(r *Request) { r.From = From{kind, value} })
}

func settings(pairs ...string) func(*Request) { return settingsOf(VerbCreate, pairs...) }

func settingsOf(v Verb, pairs ...string) func(*Request) {
	return onTopic(v, func(r *Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Settings = append(r.Settings, Pair{[]byte(pairs[i]), []byte(pairs[i+1])})
		}
	})
}

var longTopic = strings.Repeat("x", MaxTopic)

var fineLines = []fineLine{
	{"PING", verb(VerbPing), -1},
	{"ping", verb(VerbPing), -1},
	{"pInG", verb(VerbPing), -1},
	{"HELLO", verb(VerbHello), -1},
	{"HELLO client=", func(r *Request) { r.Verb, r.Client = VerbHello, []byte{} }, -1},
	{"HELLO client=a%20b/1.0=x", func(r *Request) { r.Verb, r.Client = VerbHello, []byte("a%20b/1.0=x") }, -1},

	{"MSG t 5", onTopic(VerbMsg, func(r *Request) { r.Value = 5 }), 5},
	{"msg t 5", onTopic(VerbMsg, func(r *Request) { r.Value = 5 }), 5},
	{"MSG t 0", onTopic(VerbMsg, func(r *Request) { r.Value = 0 }), 0},
	{"MSG t -1", onTopic(VerbMsg, func(r *Request) { r.Value = -1 }), 0},
	{"MSG t -1 key=-1", onTopic(VerbMsg, func(r *Request) { r.Value, r.Key = -1, -1 }), 0},
	{"MSG t -1 key=4", onTopic(VerbMsg, func(r *Request) { r.Value, r.Key = -1, 4 }), 4},
	{"MSG t 5 key=0", onTopic(VerbMsg, func(r *Request) { r.Value, r.Key = 5, 0 }), 5},
	{"MSG t 5 key=4", onTopic(VerbMsg, func(r *Request) { r.Value, r.Key = 5, 4 }), 9},
	{"MSG t 9223372036854775807", onTopic(VerbMsg, func(r *Request) { r.Value = math.MaxInt64 }), math.MaxInt64},
	{"MSG t 9223372036854775806 key=1", onTopic(VerbMsg, func(r *Request) { r.Value, r.Key = math.MaxInt64-1, 1 }), math.MaxInt64},
	{"MSG t 9223372036854775807 key=-1", onTopic(VerbMsg, func(r *Request) { r.Value = math.MaxInt64 }), math.MaxInt64},
	{"MSG t 5 ack=none", onTopic(VerbMsg, func(r *Request) { r.Value, r.Ack = 5, AckNone }), 5},
	{"MSG t 5 ack=written", onTopic(VerbMsg, func(r *Request) { r.Value, r.Ack = 5, AckWritten }), 5},
	{"MSG t 5 ack=synced", onTopic(VerbMsg, func(r *Request) { r.Value, r.Ack = 5, AckSynced }), 5},
	{"MSG t 5 ack=replicated", onTopic(VerbMsg, func(r *Request) { r.Value, r.Ack = 5, AckReplicated }), 5},
	{"MSG t 5 time=0", onTopic(VerbMsg, func(r *Request) { r.Value, r.HasTime = 5, true }), 5},
	{"MSG t 5 time=1795471200000 key=1 ack=synced", onTopic(VerbMsg, func(r *Request) {
		r.Value, r.Key, r.Ack, r.Time, r.HasTime = 5, 1, AckSynced, 1795471200000, true
	}), 6},
	{"MSG t/0 5", onTopic(VerbMsg, func(r *Request) { r.Value = 5 }), 5},
	{"MSG t/3 5", onTopic(VerbMsg, func(r *Request) { r.Value, r.Partition = 5, 3 }), 5},
	{"MSG t/2147483647 5", onTopic(VerbMsg, func(r *Request) { r.Value, r.Partition = 5, math.MaxInt32 }), 5},
	{"MSG " + longTopic + " 5", func(r *Request) { r.Verb, r.Topic, r.Value = VerbMsg, []byte(longTopic), 5 }, 5},
	{"MSG _A-z.09 5", func(r *Request) { r.Verb, r.Topic, r.Value = VerbMsg, []byte("_A-z.09"), 5 }, 5},
	{"MSG _ 5", func(r *Request) { r.Verb, r.Topic, r.Value = VerbMsg, []byte("_"), 5 }, 5},
	{"MSG ... 5", func(r *Request) { r.Verb, r.Topic, r.Value = VerbMsg, []byte("..."), 5 }, 5},
	{"MSG HTTP/3 5", func(r *Request) { r.Verb, r.Topic, r.Partition, r.Value = VerbMsg, []byte("HTTP"), 3, 5 }, 5},

	{"BATCH t 61", onTopic(VerbBatch, func(r *Request) { r.Value = 61 }), 61},
	{"BATCH t 0", onTopic(VerbBatch, func(r *Request) { r.Value = 0 }), 0},
	{"batch t/7 61 ack=none", onTopic(VerbBatch, func(r *Request) { r.Value, r.Partition, r.Ack = 61, 7, AckNone }), 61},

	{"READ t 0", from(VerbRead, FromOffset, 0), -1},
	{"READ t 9223372036854775807", from(VerbRead, FromOffset, math.MaxInt64), -1},
	{"READ t oldest", from(VerbRead, FromOldest, 0), -1},
	{"READ t newest", from(VerbRead, FromNewest, 0), -1},
	{"READ t -0", from(VerbRead, FromLast, 0), -1},
	{"READ t -100", from(VerbRead, FromLast, 100), -1},
	{"READ t @0", from(VerbRead, FromTime, 0), -1},
	{"READ t @1795471200000", from(VerbRead, FromTime, 1795471200000), -1},
	{"READ t @2026-11-23T22:00:00Z", from(VerbRead, FromTime, 1795471200000), -1},
	{"READ t @2026-11-24T03:30:00%2B05:30", from(VerbRead, FromTime, 1795471200000), -1},
	{"READ t @2026-11-24T03%3A30:00.0001+05:30", from(VerbRead, FromTime, 1795471200001), -1},
	{"READ t @1969-12-31T23:59:59.999Z", from(VerbRead, FromTime, -1), -1},
	{"READ t/2 5 limit=0 bytes=0 epoch=0", onTopic(VerbRead, func(r *Request) {
		r.Partition, r.From.Value, r.Limit, r.Bytes, r.Epoch = 2, 5, 0, 0, 0
	}), -1},
	{"READ t 5 epoch=3 limit=10 bytes=9223372036854775807", onTopic(VerbRead, func(r *Request) {
		r.From.Value, r.Limit, r.Bytes, r.Epoch = 5, 10, math.MaxInt64, 3
	}), -1},

	{"FETCH t 0", from(VerbFetch, FromOffset, 0), -1},
	{"FETCH t/1 7 bytes=1048576 wait=250ms min=1 epoch=2", onTopic(VerbFetch, func(r *Request) {
		r.Partition, r.From.Value, r.Bytes, r.Wait, r.Min, r.Epoch = 1, 7, 1<<20, 250*time.Millisecond, 1, 2
	}), -1},
	{"FETCH t newest wait=0", onTopic(VerbFetch, func(r *Request) { r.From.Kind, r.Wait = FromNewest, 0 }), -1},
	{"FETCH t newest wait=1h2m3.5s", onTopic(VerbFetch, func(r *Request) {
		r.From.Kind, r.Wait = FromNewest, time.Hour+2*time.Minute+3500*time.Millisecond
	}), -1},

	{"TAIL t", from(VerbTail, FromNewest, 0), -1},
	{"TAIL t 0", from(VerbTail, FromOffset, 0), -1},
	{"TAIL t -5", from(VerbTail, FromLast, 5), -1},
	{"TAIL t raw=1", onTopic(VerbTail, func(r *Request) { r.From.Kind, r.Raw = FromNewest, true }), -1},
	{"TAIL t/4 oldest limit=0 epoch=1 raw=1", onTopic(VerbTail, func(r *Request) {
		r.Partition, r.From.Kind, r.Limit, r.Epoch, r.Raw = 4, FromOldest, 0, 1, true
	}), -1},

	{"HEAD t", onTopic(VerbHead, nil), -1},
	{"HEAD t/9", onTopic(VerbHead, func(r *Request) { r.Partition = 9 }), -1},
	{"HEAD HTTP/3", func(r *Request) { r.Verb, r.Topic, r.Partition = VerbHead, []byte("HTTP"), 3 }, -1},
	{"flush t/9", onTopic(VerbFlush, func(r *Request) { r.Partition = 9 }), -1},
	{"TOPICS", verb(VerbTopics), -1},
	{"CREATE t", settings(), -1},
	{"CREATE t ack=synced", settings("ack", "synced"), -1},
	{"CREATE t a= A=b=c x%y=%41", settings("a", "", "A", "b=c", "x%y", "%41"), -1},
	{"ALTER t partitions=4", settingsOf(VerbAlter, "partitions", "4"), -1},
	{"alter t a= b=%41", settingsOf(VerbAlter, "a", "", "b", "%41"), -1},
	{"DROP t", onTopic(VerbDrop, nil), -1},
	{"PRODUCER", verb(VerbProducer), -1},
	{"STATS", verb(VerbStats), -1},
	{"STATS format=text", verb(VerbStats), -1},
	{"STATS format=json", func(r *Request) { r.Verb, r.JSON = VerbStats, true }, -1},
	{"CLOSE", verb(VerbClose), -1},
	{"Shutdown", verb(VerbShutdown), -1},
}

// spent is a Request that has seen everything: what Parse forgets to set shows.
func spent() *Request {
	r := &Request{
		Verb: 99, Topic: []byte("old"), Partition: 99, Value: 99, Key: 99, Ack: 99, Time: 99, HasTime: true,
		From: From{99, 99}, Limit: 99, Bytes: 99, Min: 99, Epoch: 99, Wait: 99, Raw: true, JSON: true, Client: []byte("old"),
	}
	r.pairs[0] = Pair{[]byte("old"), []byte("old")}
	r.Settings = r.pairs[:1]
	return r
}

func wanted(c fineLine) *Request {
	r := &Request{Value: -1, Key: -1, Limit: -1, Bytes: -1, Min: -1, Epoch: -1, Wait: -1}
	c.set(r)
	return r
}

// difference names the first exported field in which the two differ.
func difference(got, want *Request) string {
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		f := g.Type().Field(i)
		if !f.IsExported() || f.Name == "Settings" && len(got.Settings)+len(want.Settings) == 0 {
			continue
		}
		if x, y := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			return fmt.Sprintf("%s is %q (%v), want %q (%v)", f.Name, x, x, y, y)
		}
	}
	return ""
}

func TestParseFine(t *testing.T) {
	for _, c := range fineLines {
		r := spent()
		if e := Parse([]byte(c.line), r); e != nil {
			t.Errorf("%q: refused: %v", c.line, e)
			continue
		}
		if d := difference(r, wanted(c)); d != "" {
			t.Errorf("%q: %s", c.line, d)
		}
		if got := r.Payload(); got != c.payload {
			t.Errorf("%q: payload %d, want %d", c.line, got, c.payload)
		}
		if LooksLikeHTTP([]byte(c.line)) {
			t.Errorf("%q: fine, and yet taken for HTTP", c.line)
		}
	}
}

func TestParseBad(t *testing.T) {
	for _, c := range badLines {
		want := Error{Code: c.code, Text: c.text, Skip: c.skip, Close: c.close}
		e := Parse([]byte(c.line), spent())
		if e == nil {
			t.Errorf("%q: accepted", c.line)
		} else if !reflect.DeepEqual(*e, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, *e, want)
		}
	}
}

func TestParseLongLines(t *testing.T) {
	var r Request
	longest := "HELLO client=" + strings.Repeat("x", MaxLine-1-len("HELLO client="))
	if e := Parse([]byte(longest), &r); e != nil {
		t.Errorf("4095 bytes and LF are a line of 4096: %v", e)
	}
	e := Parse([]byte(longest+"x"), &r)
	if e == nil || e.Text != "line too long: use at most 4096 bytes with its end" || e.Skip != -1 || !e.Close {
		t.Errorf("a longer one: %+v", e)
	}
}

func TestParseManySettings(t *testing.T) {
	line := []byte("CREATE t")
	for i := range MaxPairs {
		line = fmt.Appendf(line, " a%d=%d", i, i)
	}
	var r Request
	if e := Parse(line, &r); e != nil || len(r.Settings) != MaxPairs {
		t.Fatalf("%d settings: %v", MaxPairs, e)
	}
	for i, p := range r.Settings {
		if string(p.Name) != fmt.Sprint("a", i) || p.Decoded() != fmt.Sprint(i) {
			t.Errorf("setting %d is %s=%s", i, p.Name, p.Value)
		}
	}
	e := Parse(append(line, " b=1"...), &r)
	if want := `CREATE: more than 32 settings, "b" is one too many: use CREATE topic [name=value ...]`; e == nil || e.Text != want || !e.Close {
		t.Errorf("one more: %v", e)
	}
}

// An error's text shows the words of whoever sent the line, so it must be short whatever they were.
func TestParseEchoIsShort(t *testing.T) {
	long := strings.Repeat("%", 3000)
	for _, line := range []string{
		long, "PING " + long, "PING " + long + "=1", "MSG " + long + " 5", "MSG " + long + "/0 5", "MSG t " + long,
		"MSG t 5 ack=" + long, "READ t " + long, "READ t @" + long, "CREATE t " + long, "CREATE t =" + long,
		"CREATE t a=" + long + "%", "CREATE t " + long[:1500] + "=1 " + long[:1500] + "=1", "DROP " + long, "HELLO client=" + long + "%",
	} {
		e := Parse([]byte(line), &Request{})
		if e == nil {
			t.Errorf("%.40q: accepted", line)
			continue
		}
		if len(e.Text) > 300 || !strings.Contains(e.Text, `%25...`) {
			t.Errorf("%.40q: the text is %d bytes: %s", line, len(e.Text), e.Text)
		}
	}
}

// With ack=none a client needs req= to know which request was refused, so the server must learn of it, wherever the
// line went wrong.
func TestParseKeepsAckNoneOfRefusedLines(t *testing.T) {
	for line, want := range map[string]Ack{
		"MSG t 5 ack=none foo=1":      AckNone,
		"MSG t 5 foo=1 ack=none":      AckNone,
		"MSG t x ack=none":            AckNone,
		"MSG t! 5 ack=none":           AckNone,
		"BATCH t 5 foo=1 ack=none":    AckNone,
		"BATCH t! 5 ack=none":         AckNone,
		"MSG t 5 ack=none ack=synced": AckNone,
		"MSG t 5 foo=1 ack=synced":    AckDefault,
		"MSG t 5 foo=1 back=none":     AckDefault,
		"READ t 5 ack=none":           AckDefault,
	} {
		r := spent()
		if e := Parse([]byte(line), r); e == nil || r.Ack != want {
			t.Errorf("%q: %v, ack %v, want %v", line, e, r.Ack, want)
		}
	}
}

func TestParseKeepsVerbOfRefusedLines(t *testing.T) {
	for line, want := range map[string]Verb{"MSG t": VerbMsg, "read": VerbRead, "ALTER t": VerbAlter, "FOO": 0, "": 0} {
		r := spent()
		if e := Parse([]byte(line), r); e == nil || r.Verb != want {
			t.Errorf("%q: %v, verb %v, want %v", line, e, r.Verb, want)
		}
	}
}

func TestRequestDecodes(t *testing.T) {
	var r Request
	if e := Parse([]byte("HELLO client=a%20%C3%A9%25"), &r); e != nil || r.ClientName() != "a é%" {
		t.Errorf("client %q: %v", r.ClientName(), e)
	}
	if e := Parse([]byte("CREATE t a=x%20y b=z"), &r); e != nil || r.Settings[0].Decoded() != "x y" || r.Settings[1].Decoded() != "z" {
		t.Errorf("settings %q: %v", r.Settings, e)
	}
}

func TestParseViewsTheLine(t *testing.T) {
	line := []byte("CREATE topic a=b")
	var r Request
	if e := Parse(line, &r); e != nil {
		t.Fatal(e)
	}
	copy(line, bytes.ToUpper(line))
	if string(r.Topic) != "TOPIC" || string(r.Settings[0].Name) != "A" || string(r.Settings[0].Value) != "B" {
		t.Errorf("copies: %s %s=%s", r.Topic, r.Settings[0].Name, r.Settings[0].Value)
	}
}

func TestLooksLikeHTTP(t *testing.T) {
	for line, want := range map[string]bool{
		"GET / HTTP/1.1": true, "PRI * HTTP/2.0": true, "OPTIONS * HTTP/1.1": true, "anything at all HTTP/": true,
		"HTTP/1.1 200 OK": false, "HTTP/1.1": true, "GET http://h/ HTTP/1.0": true, "CONNECT h:1 HTTP/1.1": true,
		"Host: example.org": true, "Host:": true, "X: MSG t 5": true, ":": true, "Content-Length: 5": true,
		"HEAD /": true, "HEAD /t": true, "head /t x": true, "POST /": true, "PUT /x": true, "DELETE /x": true,
		"PATCH /x": true, "TRACE /x": true, "CONNECT /x": true, "OPTIONS /x": true, "GET /": true,
		"": false, "PING": false, "HEAD t": false, "HEAD HTTP/3": false, "HEAD HTTP/3.0": true, "HEAD HTTP/03": true,
		"MSG /x 5": false, "GETS /x": false, "OPTIONSS /x": false, "GET": false, "GET ": false, "GET x": false,
		"HELLO client=a:": false, "MSG HTTP/1.1 5": false, "http/1.1": false,
	} {
		if got := LooksLikeHTTP([]byte(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestVerbNames(t *testing.T) {
	for v := VerbPing; v <= VerbShutdown; v++ {
		for _, s := range []string{v.String(), strings.ToLower(v.String())} {
			if got := lookupVerb([]byte(s)); got != v {
				t.Errorf("%q is verb %d, want %d", s, got, v)
			}
		}
	}
	if Verb(0).String() != "" || (VerbShutdown+1).String() != "?" {
		t.Errorf("no verbs: %q %q", Verb(0), VerbShutdown+1)
	}
}

// Every verb with a form is offered to those who send an unknown one, and no other.
func TestBuiltVerbsAreTheFormsThereAre(t *testing.T) {
	var built []string
	for v := range forms {
		if forms[v].usage != "" {
			built = append(built, Verb(v).String())
		}
	}
	last := len(built) - 1
	if got := strings.Join(built[:last], ", ") + " or " + built[last]; got != builtVerbs {
		t.Errorf("forms has %s", got)
	}
}
