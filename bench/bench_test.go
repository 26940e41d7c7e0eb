package main

import (
	"bufio"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/wire/batch"
)

// The raw servers are this binary, started again.
func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		if err := runChild(kind); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	if os.Getenv("GORACE") == "" { // else each child of a race-enabled binary sleeps a second before it ends
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func shortSuite(t *testing.T) suite {
	return suite{dir: t.TempDir(), measure: 500 * time.Millisecond}
}

func TestRawStepsMeasureSomethingAndLeaveNothing(t *testing.T) {
	s := shortSuite(t)
	longer := s
	longer.measure = 30 * time.Second // in which something is answered on a machine with much else to do, too
	for i, st := range s.steps() {
		if st.system != "raw" {
			continue
		}
		tally, _, err := st.run(context.Background())
		if err == nil && tally.ops == 0 {
			tally, _, err = longer.steps()[i].run(context.Background())
		}
		if err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		r, err := newRow(1, st, tally)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ops == 0 || tally.hist.TotalCount() != r.Ops || r.Histogram == "" || r.P50 > r.Max {
			t.Errorf("%s: %+v", st.name, r)
		}
		left, err := os.ReadDir(s.dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%s left %v (%v)", st.name, left, err)
		}
	}
}

func TestALoadEndsWhenAnAnswerIsAnError(t *testing.T) {
	s := shortSuite(t)
	p, err := startRaw(t.Context(), "echo", "")
	if err != nil {
		t.Fatal(err)
	}
	l := s.load(2, 3, noise(rawRequest), rawRequest, nil)
	l.measure = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.answer = func(br *bufio.Reader) error {
		if _, err := br.Discard(rawAnswer); err != nil {
			return err
		}
		return os.ErrInvalid
	}
	if _, err := l.run(ctx, p.addr); err == nil || !strings.Contains(err.Error(), "answer 0") {
		t.Errorf("got %v", err)
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
}

func TestALoadEndsWhenItIsCancelled(t *testing.T) {
	s := shortSuite(t)
	p, err := startRaw(t.Context(), "echo", "")
	if err != nil {
		t.Fatal(err)
	}
	l := s.load(1, 1, noise(rawRequest), rawRequest, nil)
	l.measure = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	l.answer = func(br *bufio.Reader) error {
		_, err := br.Discard(rawAnswer)
		cancel()
		return err
	}
	if _, err := l.run(ctx, p.addr); err == nil {
		t.Error("a cancelled run must not look like a figure")
	}
	if _, err := p.stop(); err != nil {
		t.Error(err)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	_, err := startRaw(t.Context(), "pipeline", filepath.Join(t.TempDir(), "no", "such", "folder"))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		read  func(*bufio.Reader) error
		bytes string
		rest  string // what is left for the next answer
		fails bool
	}{
		{"sluice", sluiceAnswer, "OK first=0 next=1 ack=written synced=0\r\nOK", "OK", false},
		{"sluice refuses", sluiceAnswer, "ERR DISK_FULL - no room\r\n", "", true},
		{"sluice ends", sluiceAnswer, "OK first=", "", true},
		{"record", sluiceRecord, "REC offset=0 time=1 key=-1 n=3\r\nabc\r\nREC", "REC", false},
		{"record with headers", sluiceRecord, "REC offset=0 time=1 key=-1 n=3 headers=2\r\nabc\r\n", "", false},
		{"empty record", sluiceRecord, "REC offset=0 time=1 key=-1 n=0\r\n\r\nx", "x", false},
		{"record without a length", sluiceRecord, "REC offset=0 time=1 key=-1\r\n", "", true},
		{"null record", sluiceRecord, "REC offset=0 time=1 key=-1 n=-1\r\n", "", true},
		{"no record", sluiceRecord, "OK next=1 end=1 epoch=0\r\n", "", true},
		{"data", dataAnswer, "DATA 3 from=0 next=1 end=1 synced=0 epoch=0\r\nabc\r\nOK", "OK", false},
		{"data without a length", dataAnswer, "DATA\r\n", "", true},
		{"negative data", dataAnswer, "DATA -3 from=0\r\n", "", true},
		{"no data", dataAnswer, "OK 3 x=1\r\nabc\r\n", "", true},
		{"redis", redisAnswer, "$3\r\n1-0\r\n$", "$", false},
		{"redis refuses", redisAnswer, "-ERR no\r\n", "", true},
		{"redis has nothing", redisAnswer, "$-1\r\n", "", true},
		{"empty line", redisAnswer, "\r\n", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			br := bufio.NewReader(strings.NewReader(c.bytes))
			err := c.read(br)
			if (err != nil) != c.fails {
				t.Fatalf("got %v", err)
			}
			if rest, _ := br.Peek(br.Buffered()); !c.fails && string(rest) != c.rest {
				t.Errorf("left %q, want %q", rest, c.rest)
			}
		})
	}
}

func dataAnswer(br *bufio.Reader) error {
	_, err := sluiceData(br)
	return err
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("REC offset=0 time=1 key=-1 n=3\r\nabc\r\n"))
	f.Add([]byte("$3\r\n1-0\r\n"))
	f.Add([]byte("REC n=9223372036854775807\r\n"))
	f.Add([]byte("$9223372036854775807\r\n"))
	f.Add([]byte("DATA 9223372036854775807\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func(*bufio.Reader) error{sluiceAnswer, sluiceRecord, redisAnswer, dataAnswer} {
			br := bufio.NewReader(strings.NewReader(string(b)))
			for read(br) == nil { // ends: each success takes bytes
			}
		}
	})
}

func TestTheReadyLine(t *testing.T) {
	m := readyLine.FindStringSubmatch("sluice v1.0 ready: text 127.0.0.1:1774, http 127.0.0.1:1775, data ./data")
	if len(m) != 2 || m[1] != "127.0.0.1:1774" {
		t.Errorf("got %q", m)
	}
}

func TestTheBatchIsOneThatAServerTakes(t *testing.T) {
	req, payload, err := records64k("written")
	if err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(string(req), "\n")
	sum, err := batch.CheckAll([]byte(rest[:len(rest)-1]), 1<<20)
	if err != nil || sum.Batches != 1 || sum.Records*rawRequest != payload || !strings.HasPrefix(line, "BATCH bench ") {
		t.Errorf("%q: %+v, %v", line, sum, err)
	}
	if len(rest) > appendBytes || len(rest) < appendBytes*9/10 {
		t.Errorf("%d bytes, want about 64 KiB", len(rest))
	}
}

// threeRounds has sluice at twice the round trip's latency, but in one round, where both were slow alike.
func threeRounds() report {
	r := report{facts: facts{Rounds: 3, NoKafka: "no java"}}
	for n, base := range []int64{10_000, 500_000, 12_000} {
		r.rows = append(r.rows,
			row{Round: n + 1, Name: "round trip", System: "raw", Connections: 1, InFlight: 1, P50: base, P99: base},
			row{Round: n + 1, Name: "W1", System: "sluice", Connections: 1, InFlight: 1, P50: 2 * base, P99: 3 * base},
			row{Round: n + 1, Name: "sync allocated", System: "raw", Connections: 1, InFlight: 1, P50: 200_000},
			row{Round: n + 1, Name: "pipeline 16", System: "raw", Connections: 16, InFlight: 1, Rate: 80_000},
			row{Round: n + 1, Name: "W5", System: "sluice", Connections: 16, InFlight: 1, Rate: float64(20_000 * (n + 1))})
	}
	return r
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	r := threeRounds()
	for _, c := range []struct {
		what string
		want []float64
	}{
		{"p50 to the round trip", []float64{2, 2, 2}},
		{"p99 to the round trip's p99", []float64{3, 3, 3}},
		{"rate to the group-commit bound", []float64{0.5, 1, 1.5}}, // the bound: 16 / (200 us + 200 us) = 40,000/s
		{"p50 to Redis", nil},
	} {
		for _, q := range ratios {
			if q.what != c.what || q.workload == "W4" {
				continue
			}
			got := r.values(q)
			if len(got) != len(c.want) {
				t.Fatalf("%s: %v, want %v", c.what, got, c.want)
			}
			for i := range got {
				if math.Abs(got[i]-c.want[i]) > 1e-9 {
					t.Errorf("%s: %v, want %v", c.what, got, c.want)
				}
			}
		}
	}
}

func TestTheMedianRoundIsOneThatWasMeasured(t *testing.T) {
	r := threeRounds()
	if m, ok := r.median("W1", "sluice"); !ok || m.Round != 3 {
		t.Errorf("by latency: %+v", m)
	}
	if m, ok := r.median("W5", "sluice"); !ok || m.Round != 2 {
		t.Errorf("by rate: %+v", m)
	}
	if _, ok := r.median("W1", "redis"); ok {
		t.Error("found what was not measured")
	}
}

func TestTheTablesNameWhatIsMissing(t *testing.T) {
	text := threeRounds().markdown()
	for _, want := range []string{"- Redis: missing", "- Apache Kafka: missing, no java", "- NATS: not measured by this version", "| W1 | p50 to the round trip | 2.00 | 2.00 to 2.00 | <= 1.3 | no |", "| W5 | sluice |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables do not say %q:\n%s", want, text)
		}
	}
}

func TestResultsAreWrittenAsLinesAndAsTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	r := threeRounds()
	if err := r.write(dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(b), "\n"); lines != len(r.rows)+1 {
		t.Errorf("%d lines for %d rows and the facts", lines, len(r.rows))
	}
}
