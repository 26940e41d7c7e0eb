package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress rewrites one line on a terminal while something long goes on. On anything else it is silent.
type progress struct {
	w       io.Writer
	line    func() string
	stop    chan struct{}
	stopped chan struct{}
}

const progressEvery = 200 * time.Millisecond

// startProgress shows what line returns, a few times a second, until end is called. line is called on another goroutine.
func startProgress(w io.Writer, quiet bool, line func() string) *progress {
	p := &progress{w: w, line: line, stop: make(chan struct{}), stopped: make(chan struct{})}
	if quiet || !isTerminal(w) {
		close(p.stopped)
		return p
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.stopped)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	width := 0
	for {
		select {
		case <-tick.C:
			text := p.line()
			pad := strings.Repeat(" ", max(0, width-len(text)))
			width = len(text)
			_, _ = fmt.Fprintf(p.w, "\r%s%s", text, pad) // a terminal that is gone misses nothing
		case <-p.stop:
			_, _ = fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", width)) // as above
			return
		}
	}
}

// end removes the line and joins the goroutine.
func (p *progress) end() {
	close(p.stop)
	<-p.stopped
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
