package text

import (
	"testing"

	"sluice/wire/batch"
)

// free asserts that f allocates nothing.
func free(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(20, f); n != 0 {
		t.Errorf("%s allocates %v times", what, n)
	}
}

func TestFineLinesAllocateNothing(t *testing.T) {
	r := new(Request)
	seen := map[Verb]bool{}
	for _, c := range fineLines {
		line := []byte(c.line)
		free(t, c.line, func() {
			if e := Parse(line, r); e != nil {
				t.Fatal(e)
			}
		})
		seen[r.Verb] = true
		free(t, "LooksLikeHTTP of "+c.line, func() { LooksLikeHTTP(line) })
	}
	for v := range forms {
		if forms[v].usage != "" && !seen[Verb(v)] {
			t.Errorf("no line of %v was tried", Verb(v))
		}
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	buf := make([]byte, 0, 1024)
	rec := &batch.Record{Offset: 1, Time: 2, Key: []byte("k"), Value: []byte("v"), HeaderCount: 1}
	refusal := &Error{Code: CodeOutOfRange, Fields: []Field{{"oldest", "5"}}, Text: "gone"}
	free(t, "AppendAppended", func() { AppendAppended(buf, 1, 2, AckWritten, 3) })
	free(t, "AppendRecord", func() { AppendRecord(buf, rec) })
	free(t, "AppendError", func() { AppendError(buf, refusal, 7) })
	free(t, "an OK", func() { AppendEOL(AppendStr(AppendInt(AppendUint(AppendOK(buf), "a", 1), "b", -1), "c", "d e")) })
	free(t, "a DATA", func() { AppendEOL(AppendUint(AppendDataHead(buf, 5), "a", 1)) })
	free(t, "AppendFrom", func() { AppendFrom(AppendFrom(buf, From{FromLast, 9}), From{FromTime, -9}) })
	free(t, "AppendTopic", func() { AppendTopic(buf, "t", 3) })
}

func TestFineAnswersAllocateNothing(t *testing.T) {
	a := new(Answer)
	for _, s := range []string{
		"OK first=10 next=12 ack=written synced=7", "REC offset=7 time=5 key=-1 n=3 headers=1", "DATA 61 from=3 next=4",
	} {
		line := []byte(s)
		free(t, s, func() {
			if err := ParseAnswer(line, a); err != nil {
				t.Fatal(err)
			}
			a.Uint("next")
			a.Int("synced")
		})
	}
}
