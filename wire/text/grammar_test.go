package text

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		s  string
		n  int64
		ok bool
	}{
		{"0", 0, true}, {"7", 7, true}, {"10", 10, true}, {"9223372036854775807", math.MaxInt64, true},
		{"9223372036854775808", 0, false}, {"18446744073709551616", 0, false}, {"99999999999999999999", 0, false},
		{"100000000000000000000", 0, false}, {"", 0, false}, {"00", 0, false}, {"01", 0, false}, {"-1", 0, false},
		{"+1", 0, false}, {"1 ", 0, false}, {" 1", 0, false}, {"1a", 0, false}, {"1_0", 0, false}, {"0x1", 0, false},
		{"1.0", 0, false}, {"\x00", 0, false}, {"/", 0, false}, {":", 0, false}, {"1é", 0, false},
	} {
		n, ok := ParseNumber(c.s)
		if ok != c.ok || ok && n != c.n {
			t.Errorf("%q: %d %v", c.s, n, ok)
		}
	}
}

func TestSignedNumbers(t *testing.T) {
	for _, c := range []struct {
		s  string
		n  int64
		ok bool
	}{
		{"0", 0, true}, {"-1", -1, true}, {"9223372036854775807", math.MaxInt64, true},
		{"-9223372036854775807", -math.MaxInt64, true}, {"-9223372036854775808", math.MinInt64, true},
		{"-9223372036854775809", 0, false}, {"9223372036854775808", 0, false}, {"-", 0, false}, {"--1", 0, false},
		{"-0", 0, false}, {"-01", 0, false}, {"", 0, false},
	} {
		n, ok := parseInt([]byte(c.s))
		if ok != c.ok || ok && n != c.n {
			t.Errorf("%q: %d %v", c.s, n, ok)
		}
	}
}

func TestNumbersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, i := rapid.Uint64().Draw(t, "u"), rapid.Int64().Draw(t, "i")
		line := AppendInt(AppendUint(AppendOK(nil), "u", u), "i", i)
		var a Answer
		if err := ParseAnswer(line, &a); err != nil {
			t.Fatal(err)
		}
		if got, ok := a.Uint("u"); !ok || got != u {
			t.Fatalf("%s: u is %d", line, got)
		}
		if got, ok := a.Int("i"); !ok || got != i {
			t.Fatalf("%s: i is %d", line, got)
		}
	})
}

func TestFrom(t *testing.T) {
	for _, c := range []struct {
		s    string
		want From
	}{
		{"0", From{FromOffset, 0}}, {"12", From{FromOffset, 12}}, {"oldest", From{Kind: FromOldest}},
		{"newest", From{Kind: FromNewest}}, {"-7", From{FromLast, 7}}, {"@5", From{FromTime, 5}},
		{"@0000-01-01T00:00:00Z", From{FromTime, -62167219200000}},
		{"@9999-12-31T23:59:59.999Z", From{FromTime, 253402300799999}},
		{"@9999-12-31T23:59:59.9999-23:59", From{FromTime, 253402387140000}},
		{"@1970-01-01T00:00:00+01:30", From{FromTime, -5400000}},
		{"@1970-01-01T00:00:00-00:30", From{FromTime, 1800000}},
		{"@1970-01-01T00:00:00.000000001Z", From{FromTime, 1}},
		{"@1970-01-01T00:00:00.0010000000000000000000000000Z", From{FromTime, 1}},
		{"@1970-01-01T00:00:00.1Z", From{FromTime, 100}},
		{"@1970-01-01T00:00:00.12Z", From{FromTime, 120}},
		{"@1969-12-31T23:59:59.9995Z", From{FromTime, 0}},
		{"@2024-02-29T12:00:00Z", From{FromTime, 1709208000000}},
		{"@%31970-01-01T00:00:00%5a", From{FromTime, 0}},
		{"@1970-01-01T00:00:00." + strings.Repeat("0", 104) + "%30Z", From{FromTime, 0}},
	} {
		f, err := ParseFrom(c.s)
		if err != nil || f != c.want {
			t.Errorf("%q: %v, %v, want %v", c.s, f, err, c.want)
		}
	}
}

func TestBadFrom(t *testing.T) {
	for _, s := range []string{
		"", "x", "old", "oldest ", "new", "n", "o", "-", "-x", "--1", "@", "@@", "@x", "@-1", "@01", "01", "+1",
		"@2026-01-01", "@2026-01-01T00:00:00", "@2026-01-01t00:00:00Z", "@2026-01-01T00:00:00z", "@2026-01-01 00:00:00Z",
		"@2026-13-01T00:00:00Z", "@2026-00-01T00:00:00Z", "@2026-01-00T00:00:00Z", "@2026-01-32T00:00:00Z",
		"@2025-02-29T00:00:00Z", "@2026-01-01T24:00:00Z", "@2026-01-01T00:60:00Z", "@2026-01-01T00:00:60Z",
		"@2026-01-01T00:00:00.Z", "@2026-01-01T00:00:00.1", "@2026-01-01T00:00:00,1Z", "@2026-01-01T00:00:00+1:00",
		"@2026-01-01T00:00:00+24:00", "@2026-01-01T00:00:00+00:60", "@2026-01-01T00:00:00+0000", "@2026-01-01T00:00:00ZZ",
		"@20%", "@20%4", "@%zz", "@2x26-01-01T00:00:00Z", "@/026-01-01T00:00:00Z", "@2026-01-01T00:00:0:Z",
		"@1970-01-01T00:00:00." + strings.Repeat("0", 105) + "%30Z", "@2026-01-01T00:00:00+00:00:00", "@%406",
	} {
		f, err := ParseFrom(s)
		if err == nil {
			t.Errorf("%q is %v", s, f)
			continue
		}
		if want := "bad start " + quote(s) + ": " + fromHint; err.Error() != want {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The standard library's parser is the judge of ours; it has no opinion on times between milliseconds.
func TestFromAgreesWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.IntRange(-23*60-59, 23*60+59).Draw(t, "zone")
		ms := rapid.Int64Range(yearZero+86400000, 253402300799999-86400000).Draw(t, "ms")
		extra := rapid.SampledFrom([]int64{0, 0, 1, 500_000, 999_999}).Draw(t, "ns")
		at := time.UnixMilli(ms).Add(time.Duration(extra)).In(time.FixedZone("", zone*60))
		want := ms
		if extra > 0 {
			want++
		}
		s := "@" + at.Format(time.RFC3339Nano)
		if f, err := ParseFrom(s); err != nil || f != (From{FromTime, want}) {
			t.Fatalf("%s: %v %v, want %d", s, f, err, want)
		}
	})
}

func drawFrom(t *rapid.T) From {
	switch kind := FromKind(rapid.IntRange(0, int(FromTime)).Draw(t, "kind")); kind {
	case FromOldest, FromNewest:
		return From{Kind: kind}
	case FromTime:
		return From{kind, max(rapid.Int64().Draw(t, "ms"), yearZero)}
	default:
		return From{kind, rapid.Int64Range(0, math.MaxInt64).Draw(t, "value")}
	}
}

func TestFromRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawFrom(t)
		got, err := ParseFrom(want.String())
		if err != nil || got != want {
			t.Fatalf("%v: %v %v", want, got, err)
		}
	})
	for want, f := range map[string]From{
		"@0000-01-01T00:00:00.000Z": {FromTime, math.MinInt64}, "@1969-12-31T23:59:59.999Z": {FromTime, -1}, "@0": {FromTime, 0},
		"-0": {FromLast, 0}, "7": {FromOffset, 7}, "oldest": {FromOldest, 9}, "newest": {FromNewest, 9},
	} {
		if got := f.String(); got != want {
			t.Errorf("%d %d is %s, want %s", f.Kind, f.Value, got, want)
		}
	}
}

func TestAcks(t *testing.T) {
	for a := AckNone; a <= AckReplicated; a++ {
		if got, err := ParseAck(a.String()); err != nil || got != a {
			t.Errorf("%v: %v %v", a, got, err)
		}
	}
	for _, s := range []string{"", "default", "NONE", "all", "written "} {
		if a, err := ParseAck(s); err == nil || a != AckDefault {
			t.Errorf("%q is %v", s, a)
		}
	}
	_, err := ParseAck([]byte("a\n"))
	if want := `bad ack "a%0A": use none, written, synced or replicated`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if Ack(5).String() != "?" {
		t.Error("a level that is none has a name")
	}
}

func TestTopics(t *testing.T) {
	for _, c := range []struct{ word, name, err string }{
		{"t", "t", ""}, {"A-z_0.9", "A-z_0.9", ""}, {"_x", "_x", ""}, {"...", "...", ""}, {".x", ".x", ""},
		{strings.Repeat("x", 249), strings.Repeat("x", 249), ""},
		{"", "", `topic "" has no name: ` + topicRule},
		{strings.Repeat("x", 250), "", `topic "` + strings.Repeat("x", 64) + `..." is too long: ` + topicRule},
		{".", "", `topic "." is a directory's own name: choose another`},
		{"..", "", `topic ".." is a directory's own name: choose another`},
		{"__", "", `topic "__" begins with __, which only the server's own topics do: choose another`},
		{"__t", "", `topic "__t" begins with __, which only the server's own topics do: choose another`},
		{"a b", "", `topic "a%20b" has a character no topic has: ` + topicRule},
		{"a\x00", "", `topic "a%00" has a character no topic has: ` + topicRule},
		{"é", "", `topic "%C3%A9" has a character no topic has: ` + topicRule},
		{"a\\b", "", `topic "a\b" has a character no topic has: ` + topicRule},
	} {
		for what, check := range map[string]func() error{
			"CheckTopic": func() error { return CheckTopic([]byte(c.word)) },
			"ParseTopic": func() error { _, _, err := ParseTopic([]byte(c.word)); return err },
		} {
			got := ""
			if err := check(); err != nil {
				got = err.Error()
			}
			if got != c.err {
				t.Errorf("%s(%.20q): %q, want %q", what, c.word, got, c.err)
			}
		}
	}
	if err := CheckTopic([]byte("t/0")); err == nil {
		t.Error("a name with a partition is a name")
	}
}

func TestTopicsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}`).Draw(t, "name")
		partition := rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition")
		word := AppendTopic(nil, name, partition)
		gotName, gotPartition, err := ParseTopic(word)
		if err != nil || string(gotName) != name || gotPartition != partition {
			t.Fatalf("%s: %s %d %v", word, gotName, gotPartition, err)
		}
	})
	if got := string(AppendTopic(nil, []byte("t"), 0)); got != "t" {
		t.Errorf("partition 0 is written %s", got)
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int64
		form string
	}{
		{"0", 0, "0"}, {"1", 1, "1"}, {"1000", 1000, "1000"}, {"1024", 1024, "1KiB"}, {"64KiB", 64 << 10, "64KiB"},
		{"1MiB", 1 << 20, "1MiB"}, {"1024KiB", 1 << 20, "1MiB"}, {"1025KiB", 1025 << 10, "1025KiB"},
		{"4GiB", 4 << 30, "4GiB"}, {"2TiB", 2 << 40, "2TiB"}, {"0KiB", 0, "0"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807"}, {"8388607TiB", 8388607 << 40, "8388607TiB"},
	} {
		n, err := ParseBytes(c.s)
		if err != nil || n != c.n || FormatBytes(n) != c.form {
			t.Errorf("%q: %d %v, back as %s", c.s, n, err, FormatBytes(n))
		}
	}
	for _, s := range []string{
		"", "KiB", "-1", "1KB", "1kib", "1 KiB", "1k", "1M", "1B", "1.5KiB", "01KiB", "1KiBKiB", "1e3", "0x10",
	} {
		_, err := ParseBytes(s)
		if want := "bad size " + quote(s) + ": " + byteHint; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
	_, err := ParseBytes("8388608TiB")
	if want := `size "8388608TiB" is beyond 2^63-1 bytes: use a smaller one`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestBytesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n") &^ (1<<rapid.IntRange(0, 62).Draw(t, "zeros") - 1)
		if got, err := ParseBytes(FormatBytes(n)); err != nil || got != n {
			t.Fatalf("%d: %s is %d, %v", n, FormatBytes(n), got, err)
		}
	})
}

func TestDurations(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		s    string
		bare time.Duration
		d    time.Duration
		form string
	}{
		{"0", ms, 0, "0s"}, {"0", 0, 0, "0s"}, {"250", ms, 250 * ms, "250ms"}, {"2", time.Hour, 2 * time.Hour, "2h"},
		{"250ms", 0, 250 * ms, "250ms"}, {"1.5s", ms, 1500 * ms, "1500ms"}, {"1h30m", ms, 90 * time.Minute, "90m"},
		{"7d", ms, 7 * day, "7d"}, {"168h", ms, 7 * day, "7d"}, {"1d12h", ms, 36 * time.Hour, "36h"}, {"1d9h", 0, 33 * time.Hour, "33h"}, {"0d", 0, 0, "0s"},
		{"1d.5s", ms, day + 500*ms, "86400500ms"}, {"1d0", 0, day, "1d"}, {"5us", ms, 5 * time.Microsecond, "5us"},
		{"5µs", ms, 5 * time.Microsecond, "5us"}, {"7ns", ms, 7, "7ns"}, {"+5s", ms, 5 * time.Second, "5s"},
		{"106751d", ms, 106751 * day, "106751d"}, {"9223372036854775807", 1, math.MaxInt64, "9223372036854775807ns"},
		{"0s", ms, 0, "0s"}, {"60s", ms, time.Minute, "1m"},
	} {
		d, err := ParseDuration(c.s, c.bare)
		if err != nil || d != c.d || FormatDuration(d) != c.form {
			t.Errorf("%q: %v %v, back as %s", c.s, d, err, FormatDuration(d))
		}
	}
	for _, s := range []string{
		"", "x", "5", "ms", "-1s", "-5", "d", "-1d", "1.5d", "01d", "1d1d", "1d-1s", "1d+1s", "1d ", "1 d", "1D", "1w",
		"1dd", "1h2d", "5 ms", "1s ",
	} {
		_, err := ParseDuration(s, 0)
		if want := "bad duration " + quote(s) + ": " + durationHint; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
	for _, s := range []string{"106752d", "106751d24h", "9223372036854775807", "9223372036854775807d1s"} {
		_, err := ParseDuration(s, ms)
		if want := "duration " + quote(s) + " is beyond 292 years: use a shorter one"; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
}

func TestDurationsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(durationUnits).Draw(t, "unit")
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64/unit.size).Draw(t, "n") * unit.size)
		if got, err := ParseDuration(FormatDuration(d), 0); err != nil || got != d {
			t.Fatalf("%d: %s is %d, %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ raw, form string }{
		{"", ""}, {"plain-._~!/=:", "plain-._~!/=:"}, {"a b", "a%20b"}, {"100%", "100%25"}, {"\x00\r\n\x7f", "%00%0D%0A%7F"},
		{"é", "%C3%A9"}, {"\xff", "%FF"},
	} {
		if got := string(AppendEscaped(nil, c.raw)); got != c.form {
			t.Errorf("%q is written %s", c.raw, got)
		}
		if got, err := Unescape(c.form); err != nil || got != c.raw {
			t.Errorf("%q is read %q, %v", c.form, got, err)
		}
	}
	if got, err := Unescape([]byte("%c3%A9%61%fF%09")); err != nil || got != "éa\xff\t" {
		t.Errorf("either case: %q, %v", got, err)
	}
	for s, at := range map[string]string{"%": "1", "a%2": "2", "%zz": "1", "%W0": "1", "%0W": "1", "%`0": "1", "%:0": "1", "%@0": "1", "%G0": "1", "%g0": "1", "%/0": "1", "%2x": "1", "%x2": "1", "ab%%25": "3", "%20%": "4"} {
		_, err := Unescape(s)
		if want := "bad escape at byte " + at + ` of "` + echo(s) + `": use % and two hex digits`; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
		if escapesFine([]byte(s)) {
			t.Errorf("%q passes", s)
		}
	}
}

func TestEscapesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "raw")
		form := AppendEscaped(nil, raw)
		for _, c := range form {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q holds %q", form, c)
			}
		}
		got, err := Unescape(form)
		if err != nil || got != string(raw) || !escapesFine(form) {
			t.Fatalf("%q: %s is %q, %v", raw, form, got, err)
		}
		if short := echo(raw); len(short) > maxEcho+3 || len(form) <= maxEcho && short != string(form) {
			t.Fatalf("%q is shown as %s", raw, short)
		}
	})
}

func TestDecodedPanicsOnWhatNobodyChecked(t *testing.T) {
	defer func() {
		if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "BUG: ") {
			t.Errorf("recovered %v", v)
		}
	}()
	_ = Pair{Value: []byte("%")}.Decoded()
	t.Error("no panic")
}
