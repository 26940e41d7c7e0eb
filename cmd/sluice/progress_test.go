package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressRewritesItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		lines := []string{"appended 10000 records", "appended 2 records"}
		n := 0
		p := &progress{w: &out, stop: make(chan struct{}), stopped: make(chan struct{}), line: func() string {
			n++
			return lines[n-1]
		}}
		go p.run()
		time.Sleep(2*progressEvery + time.Millisecond)
		p.end()
		want := "\rappended 10000 records\rappended 2 records    \r" + strings.Repeat(" ", len(lines[1])) + "\r"
		if out.String() != want {
			t.Errorf("got  %q\nwant %q", out.String(), want)
		}
	})
}

func TestProgressIsForTerminalsOnly(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	must(t, err)
	defer file.Close()
	for _, w := range []any{&bytes.Buffer{}, file} {
		if isTerminal(w) {
			t.Errorf("%T is taken for a terminal", w)
		}
	}
	var out bytes.Buffer
	startProgress(&out, false, func() string { return "x" }).end()
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}

func TestNumbersForPeople(t *testing.T) {
	for us, want := range map[int64]string{7: "7us", 999: "999us", 1500: "1.5ms", 9999: "10.0ms", 25_000: "25ms", 12_300_000: "12.3s"} {
		if got := micros(us); got != want {
			t.Errorf("%d us: %s, want %s", us, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 900: "900", 25_000: "25k", 592_400: "592k", 1_254_000: "1.25M"} {
		if got := perSecond(n, time.Second); got != want {
			t.Errorf("%d a second: %s, want %s", n, got, want)
		}
	}
}
