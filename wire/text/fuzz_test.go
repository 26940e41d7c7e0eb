package text

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// render writes a request in one canonical form. The product has no use for it: its client knows what it sends.
func render(r *Request) []byte {
	line := []byte(r.Verb.String())
	if r.Topic != nil {
		line = AppendTopic(append(line, ' '), r.Topic, r.Partition)
	}
	switch r.Verb {
	case VerbMsg, VerbBatch:
		line = strconv.AppendInt(append(line, ' '), r.Value, 10)
	case VerbRead, VerbFetch, VerbTail:
		line = AppendFrom(append(line, ' '), r.From)
	}
	if r.Verb == VerbMsg {
		line = AppendInt(line, "key", r.Key)
	}
	if r.Ack != AckDefault {
		line = AppendStr(line, "ack", r.Ack.String())
	}
	if r.HasTime {
		line = AppendInt(line, "time", r.Time)
	}
	for _, o := range []struct {
		name string
		v    int64
	}{{"limit", r.Limit}, {"bytes", r.Bytes}, {"min", r.Min}, {"epoch", r.Epoch}} {
		if o.v >= 0 {
			line = AppendInt(line, o.name, o.v)
		}
	}
	if r.Wait >= 0 {
		line = AppendStr(line, "wait", strconv.FormatInt(int64(r.Wait), 10)+"ns")
	}
	if r.Raw {
		line = append(line, " raw=1"...)
	}
	if r.JSON {
		line = append(line, " format=json"...)
	}
	if r.Client != nil {
		line = append(append(line, " client="...), r.Client...)
	}
	for _, p := range r.Settings {
		line = append(appendName(line, string(p.Name)), p.Value...)
	}
	return line
}

func TestRenderIsCanonical(t *testing.T) {
	for _, c := range fineLines {
		checkFine(t, []byte(c.line), wanted(c))
	}
}

// checkFine: r is what line parsed to, so its canonical form parses to the same.
func checkFine(t *testing.T, line []byte, r *Request) {
	t.Helper()
	again := spent()
	form := render(r)
	if len(form) >= MaxLine {
		return // "MSG t 0" grows when it is rendered with its key
	}
	if e := Parse(form, again); e != nil {
		t.Fatalf("%q became %q: %v", line, form, e)
	}
	if d := difference(again, r); d != "" {
		t.Fatalf("%q became %q: %s", line, form, d)
	}
	if LooksLikeHTTP(line) {
		t.Fatalf("%q is fine, and yet taken for HTTP", line)
	}
	if n, has := r.Payload(), r.Verb == VerbMsg || r.Verb == VerbBatch; n < -1 || has != (n >= 0) {
		t.Fatalf("%q: payload %d", line, n)
	}
}

// checkRefused holds what the table of errors and the grammar of answers say of any refusal.
func checkRefused(t *testing.T, line []byte, r *Request, e *Error) {
	t.Helper()
	payload := r.Verb == VerbMsg || r.Verb == VerbBatch
	switch {
	case e.Skip < -1 || e.Skip >= 0 && !payload:
		t.Fatalf("%q: skips %d", line, e.Skip)
	case e.Code == CodeBadCommand && e.Close != (e.Skip < 0):
		t.Fatalf("%q: skips %d, closes %v", line, e.Skip, e.Close)
	case e.Code == CodeBadTopic && (e.Close || payload != (e.Skip >= 0)):
		t.Fatalf("%q: skips %d, closes %v", line, e.Skip, e.Close)
	case e.Code != CodeBadCommand && e.Code != CodeBadTopic:
		t.Fatalf("%q: code %v", line, e.Code)
	case e.Text == "" || len(e.Text) > 300:
		t.Fatalf("%q: a text of %d bytes", line, len(e.Text))
	}
	answer := AppendError(nil, e, 7)
	var a Answer
	if err := ParseAnswer(answer[:len(answer)-2], &a); err != nil {
		t.Fatalf("%q is refused with %q: %v", line, answer, err)
	}
	if a.Text != e.Text { // so nothing in it had to be encoded: it is printable ASCII
		t.Fatalf("%q is refused with %q, sent as %q", line, e.Text, a.Text)
	}
}

// allocates takes the least of some runs: the fuzzer's own goroutines allocate now and then.
func allocates(f func()) float64 {
	least := math.Inf(1)
	for range 5 {
		if least = min(least, testing.AllocsPerRun(1, f)); least == 0 {
			break
		}
	}
	return least
}

func FuzzParse(f *testing.F) {
	for _, c := range fineLines {
		f.Add([]byte(c.line))
	}
	for _, c := range badLines {
		f.Add([]byte(c.line))
	}
	r := new(Request)
	f.Fuzz(func(t *testing.T, line []byte) {
		if e := Parse(line, r); e != nil {
			checkRefused(t, line, r, e)
			return
		}
		checkFine(t, line, r)
		if n := allocates(func() { Parse(line, r) }); n != 0 {
			t.Fatalf("%q: %v allocations", line, n)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{
		"OK", "OK first=10 next=12 ack=written synced=7", "REC offset=7 time=-5 key=-1 n=-1 headers=4", "DATA 61 from=3 next=4",
		"ERR OUT_OF_RANGE req=4 oldest=5 next=9 - too old - really", "ERR NO_TOPIC - ", "OK a=%41 b=", "OK a=1 a=2", "ERR X -", "DATA",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		a := Answer{Kind: 99, N: 99, Key: 99, Headers: 99}
		if err := ParseAnswer(line, &a); err != nil {
			if s := err.Error(); len(s) > 300 {
				t.Fatalf("%q: an error of %d bytes", line, len(s))
			}
			return
		}
		if n := a.Payload(); n < -1 || (n >= 0) != (a.Kind == AnswerRec || a.Kind == AnswerData) {
			t.Fatalf("%q: payload %d", line, n)
		}
		var again Answer
		form := renderAnswer(&a)
		if len(form) >= MaxLine {
			return
		}
		if err := ParseAnswer(form, &again); err != nil {
			t.Fatalf("%q became %q: %v", line, form, err)
		}
		if b := renderAnswer(&again); string(b) != string(form) || again.Payload() != a.Payload() || !reflect.DeepEqual(again.Err(), a.Err()) {
			t.Fatalf("%q became %q, then %q", line, form, b)
		}
	})
}

func renderAnswer(a *Answer) []byte {
	line := []byte(a.Kind.String())
	switch a.Kind {
	case AnswerData:
		line = AppendDataHead(nil, int(a.N))
	case AnswerErr:
		line = append(append(line, ' '), a.Code.String()...)
	}
	for name, value := range a.Fields() {
		line = AppendStr(line, name, value)
	}
	if a.Kind == AnswerErr {
		line = append(append(line, " - "...), a.Text...)
	}
	return line
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "1d12h", "1.5h", "250", "64KiB", "-7", "@2026-01-01T00:00:00.5+05:30", "%41%", "t/3", "synced"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s, time.Millisecond); err == nil {
			if back, err := ParseDuration(FormatDuration(d), 0); d < 0 || err != nil || back != d {
				t.Fatalf("%q is %d, %s, %d, %v", s, d, FormatDuration(d), back, err)
			}
		}
		if n, err := ParseBytes(s); err == nil {
			if back, err := ParseBytes(FormatBytes(n)); n < 0 || err != nil || back != n {
				t.Fatalf("%q is %d, %s, %d, %v", s, n, FormatBytes(n), back, err)
			}
		}
		if from, err := ParseFrom(s); err == nil {
			if back, err := ParseFrom(from.String()); err != nil || back != from && from.Value >= yearZero {
				t.Fatalf("%q is %v, then %v, %v", s, from, back, err)
			}
		}
		if raw, err := Unescape(s); err == nil {
			if back, err := Unescape(AppendEscaped(nil, raw)); err != nil || back != raw {
				t.Fatalf("%q is %q, then %q, %v", s, raw, back, err)
			}
		}
		if name, partition, err := ParseTopic([]byte(s)); err == nil {
			if s != string(name)+"/0" && s != string(AppendTopic(nil, name, partition)) || CheckTopic(name) != nil {
				t.Fatalf("%q is %q and %d", s, name, partition)
			}
		}
		if a, err := ParseAck(s); err == nil && a.String() != s {
			t.Fatalf("%q is %v", s, a)
		}
		if n, ok := ParseNumber(s); ok && strconv.FormatInt(n, 10) != s {
			t.Fatalf("%q is %d", s, n)
		}
		if short := quote(s); strings.ContainsFunc(short, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Fatalf("%q is shown as %q", s, short)
		}
	})
}
