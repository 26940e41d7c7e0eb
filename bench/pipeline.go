package main

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
)

// A pipeline is the bare shape of a log server, with nothing in it: for each connection a reader and a
// responder, one writer for all, channels between, and one write(2) for whatever waits. It parses
// nothing, checks nothing and promises nothing: what it can do is the bound for a server of this shape.
type pipeline struct {
	in     chan pipeRequest
	file   *os.File
	writer sync.WaitGroup
	failed error // the writer's; read after writer is joined
}

type pipeRequest struct {
	from *pipeConn
	buf  []byte // nil: the connection has ended
}

// A pipeConn is one connection: one request in flight, and a second buffer so that the reader never waits
// for the writer.
type pipeConn struct {
	free chan []byte
	out  chan struct{} // answers to send; closed by the writer, its only sender
}

func newPipeline(name string) (*pipeline, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	p := &pipeline{in: make(chan pipeRequest, 64), file: f}
	p.writer.Go(p.write)
	return p, nil
}

// close is called when no connection is served any more.
func (p *pipeline) close() error {
	close(p.in)
	p.writer.Wait()
	return errors.Join(p.failed, p.file.Close(), os.Remove(p.file.Name()))
}

func (p *pipeline) serve(c net.Conn) {
	defer closeQuietly(c)
	pc := &pipeConn{free: make(chan []byte, 2), out: make(chan struct{}, 2)}
	for range cap(pc.free) {
		pc.free <- make([]byte, rawRequest)
	}
	var responder sync.WaitGroup
	responder.Go(func() {
		answer := make([]byte, rawAnswer)
		for range pc.out {
			if _, err := c.Write(answer); err != nil {
				closeQuietly(c) // ends the reader below
			}
		}
	})
	for buf := range pc.free {
		if _, err := io.ReadFull(c, buf); err != nil {
			break
		}
		p.in <- pipeRequest{pc, buf}
	}
	p.in <- pipeRequest{from: pc}
	responder.Wait()
}

// write takes what waits and writes it at once.
func (p *pipeline) write() {
	var batch []pipeRequest
	buf := make([]byte, 0, cap(p.in)*rawRequest)
	for first := range p.in {
		batch, buf = append(batch[:0], first), append(buf[:0], first.buf...)
	fill:
		for len(batch) < cap(p.in) {
			select {
			case next, ok := <-p.in:
				if !ok {
					break fill
				}
				batch, buf = append(batch, next), append(buf, next.buf...)
			default:
				break fill
			}
		}
		if _, err := p.file.Write(buf); err != nil && p.failed == nil {
			p.failed = err
		}
		for _, r := range batch {
			if r.buf == nil {
				close(r.from.out)
				continue
			}
			r.from.out <- struct{}{}
			r.from.free <- r.buf
		}
	}
}
