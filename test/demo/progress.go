package main

import (
	"fmt"
	"os"
	"time"
)

// A progress rewrites one line on a terminal, and is silent elsewhere. One goroutine.
type progress struct {
	what        string
	began, last time.Time
	terminal    bool
}

func newProgress(what string) *progress {
	info, err := os.Stderr.Stat()
	return &progress{what: what, began: time.Now(), terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// at tells how many bytes are done. It writes at most ten times a second.
func (p *progress) at(done int64) {
	now := time.Now()
	if !p.terminal || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	fmt.Fprintf(os.Stderr, "\r  %s %.0f MiB, %.1f MiB/s\x1b[K", p.what, mib(done), mib(done)/now.Sub(p.began).Seconds())
}

// end removes the line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// watched is a source that reports its progress.
type watched struct {
	*source
	show *progress
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.source.Read(b)
	w.show.at(w.bytes)
	return n, err
}
