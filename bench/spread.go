package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sluice/wire/batch"
)

// W10, its files: a thousand topics of ten segments each, read all over by a server that may have 256 descriptors, while
// one producer appends here and there.

type spread struct {
	topics, segments, batches int // batches of a segment, one record of 1 KiB each
	files                     int // descriptors of the process
	readers                   int
}

func (s suite) spread() spread {
	if s.small {
		return spread{topics: 20, segments: 5, batches: 4, files: 256, readers: 4}
	}
	return spread{topics: 1000, segments: 10, batches: 10, files: 256, readers: 8}
}

func (w spread) run(ctx context.Context, s suite) (t tally, cpu time.Duration, err error) {
	dir := filepath.Join(s.dir, "spread")
	if err := w.make(ctx, s.sluice, dir); err != nil {
		return t, 0, errors.Join(fmt.Errorf("make the topics: %w", err), os.RemoveAll(dir))
	}
	empty, err := w.empty(ctx, s)
	if err != nil {
		return t, 0, err
	}
	p, err := w.serve(ctx, s.sluice, dir)
	if err != nil {
		return t, 0, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir = dir
	return finish(p, func() (tally, error) { return w.load(ctx, s, p, empty) })
}

// serve starts a server with so many descriptors and no more.
func (w spread) serve(ctx context.Context, bin, dir string) (*proc, error) {
	return serveCmd(ctx, exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, w.files),
		bin, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", ""), readyLine)
}

// empty is the memory of a server without topics, a moment after its start.
func (w spread) empty(ctx context.Context, s suite) (int64, error) {
	dir := filepath.Join(s.dir, "empty")
	p, err := w.serve(ctx, s.sluice, dir)
	if err != nil {
		return 0, err
	}
	p.dir = dir
	_, most, err := residentOf(p.cmd.Process.Pid)
	_, stopErr := p.stop()
	return most, errors.Join(err, stopErr)
}

// make has the server make the topics, and lays their segments when it has stopped, as a store does: to append them
// would take minutes of directory syncs.
func (w spread) make(ctx context.Context, bin, dir string) error {
	p, err := serve(ctx, bin, dir)
	if err != nil {
		return err
	}
	for i := 0; i < w.topics && err == nil; i++ {
		_, err = ask(ctx, p.addr, fmt.Sprintf("CREATE %s segment.bytes=16KiB", topicName(i)))
	}
	var head map[string]string
	if err == nil {
		head, err = ask(ctx, p.addr, "HEAD "+topicName(0))
	}
	_, stopErr := p.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return err
	}
	var epoch int32
	if _, err := fmt.Sscan(head["epoch"], &epoch); err != nil {
		return fmt.Errorf("HEAD: epoch %q: %w", head["epoch"], err)
	}
	one, err := oneBatch(1)
	if err != nil {
		return err
	}
	for i := 0; i < w.topics && err == nil; i++ {
		err = w.lay(filepath.Join(dir, "topics", topicName(i), "0"), one, epoch)
	}
	syncAll()
	return err
}

func (w spread) lay(dir string, one []byte, epoch int32) error {
	if err := unlay(dir); err != nil {
		return err
	}
	for i := range w.segments {
		var all []byte
		for k := range w.batches {
			at := len(all)
			all = append(all, one...)
			batch.SetBase(all[at:], uint64(i*w.batches+k), epoch)
		}
		if err := os.WriteFile(segmentFile(dir, uint64(i*w.batches)), all, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// watcher looks at another process until it is told to stop.
type watcher struct {
	stop chan struct{}
	wg   sync.WaitGroup
	most int
	err  error
}

// watchFiles counts descriptors, again and again.
func watchFiles(pid int) *watcher {
	w := &watcher{stop: make(chan struct{})}
	w.wg.Go(func() {
		for {
			n, err := openFilesOf(pid)
			if w.most = max(w.most, n); err != nil {
				w.err = err
				return
			}
			select {
			case <-w.stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	return w
}

func (w *watcher) end() (int, error) {
	close(w.stop)
	w.wg.Wait()
	return w.most, w.err
}

// load reads at random, each answer checked, and appends at random.
func (w spread) load(ctx context.Context, s suite, p *proc, empty int64) (tally, error) {
	files := watchFiles(p.cmd.Process.Pid)
	win := window{from: time.Now().Add(s.warm)}
	win.until = win.from.Add(s.measure)
	reads, appends := tally{hist: newHist(), took: s.measure}, tally{name: "W10 files, append", conns: 1, hist: newHist(), took: s.measure}
	parts := make([]tally, w.readers)
	errs := make([]error, w.readers+1)
	var failed atomic.Bool
	var wg sync.WaitGroup
	for i := range w.readers + 1 {
		to, op := &appends, w.appendSome
		if i < w.readers {
			parts[i].hist = newHist()
			to, op = &parts[i], w.readSome
		}
		wg.Go(func() {
			if errs[i] = w.drive(ctx, p.addr, rand.New(rand.NewPCG(1, uint64(i))), win, to, &failed, op); errs[i] != nil {
				failed.Store(true)
			}
		})
	}
	wg.Wait()
	for _, t := range parts {
		reads.hist.Merge(t.hist)
		reads.ops, reads.bytes = reads.ops+t.ops, reads.bytes+t.bytes
	}
	open, err := files.end()
	_, most, memErr := residentOf(p.cmd.Process.Pid)
	if err := errors.Join(append(errs, err, memErr)...); err != nil {
		return tally{}, err
	}
	if most > 0 {
		reads.figures = map[string]float64{mostFiles: float64(open), emptyMiB: float64(empty) / (1 << 20), aboveEmpty: float64(most-empty) / (1 << 20)}
	}
	reads.conns, reads.beside = w.readers, []tally{appends}
	return reads, nil
}

type randomOp func(c io.Writer, br *bufio.Reader, rng *rand.Rand) (payload int, err error)

// drive repeats an operation on a connection of its own.
func (w spread) drive(ctx context.Context, addr string, rng *rand.Rand, win window, t *tally, failed *atomic.Bool, op randomOp) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	br := newReader(c)
	for !failed.Load() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		begun := time.Now()
		if begun.After(win.until) {
			return nil
		}
		n, err := op(c, br, rng)
		if err != nil {
			return err
		}
		if begun.After(win.from) {
			record(t.hist, time.Since(begun))
			t.ops++
			t.bytes += int64(n)
		}
	}
	return nil
}

// readSome reads a few records at a random place, and looks whether they are the ones.
func (w spread) readSome(c io.Writer, br *bufio.Reader, rng *rand.Rand) (int, error) {
	name, at := topicName(rng.IntN(w.topics)), uint64(rng.IntN(w.segments*w.batches))
	if _, err := fmt.Fprintf(c, "FETCH %s %d bytes=4096\n", name, at); err != nil {
		return 0, err
	}
	h, err := readHead(br)
	if err != nil {
		return 0, fmt.Errorf("%s at %d: %w", name, at, err)
	}
	bytes := make([]byte, h.n)
	if _, err := io.ReadFull(br, bytes); err != nil {
		return 0, err
	}
	if _, err := br.Discard(len("\r\n")); err != nil {
		return 0, err
	}
	first, err := batch.Verify(bytes)
	if err != nil || first.BaseOffset != at || h.from != at || h.next <= at {
		return 0, fmt.Errorf("%s at %d: got offsets %d to %d in a batch of %d: %w", name, at, h.from, h.next, first.BaseOffset, err)
	}
	return h.n, nil
}

func (w spread) appendSome(c io.Writer, br *bufio.Reader, rng *rand.Rand) (int, error) {
	if _, err := c.Write(messageTo(topicName(rng.IntN(w.topics)), "written")); err != nil {
		return 0, err
	}
	return rawRequest, sluiceAnswer(br)
}
