package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// chunk is a piece of input that ends where a line does: at a newline, or at the end of its file.
type chunk struct {
	buf  []byte // reused; grows to the longest line that is allowed
	b    []byte // whole lines, a part of buf
	file string // whose lines these are
	line int64  // the number of the first one in its file, from 1
	err  error  // instead of lines: the input ends here, and so does the work
}

// input reads files ahead of what works on their lines. A read of a terminal or a pipe can't be cancelled, so its
// goroutine may outlive a cancelled work, until the process ends with it.
type input struct {
	free, ready chan *chunk
	longest     int // bytes of a line without its newline
}

const (
	chunkBytes = 256 << 10
	chunks     = 3 // one being read, one being worked on, one between
)

// startInput reads stdin, or the files one after the other.
func startInput(ctx context.Context, stdin io.Reader, files []string, longest int) *input {
	in := &input{free: make(chan *chunk, chunks), ready: make(chan *chunk, chunks+1), longest: longest}
	for range chunks {
		in.free <- &chunk{buf: make([]byte, min(chunkBytes, longest+1))}
	}
	go func() {
		defer close(in.ready)
		if err := in.readAll(ctx, stdin, files); err != nil && ctx.Err() == nil {
			in.ready <- &chunk{err: err} // there is room: it is one more than the chunks
		}
	}()
	return in
}

func (in *input) readAll(ctx context.Context, stdin io.Reader, files []string) error {
	if len(files) == 0 {
		return in.read(ctx, stdin, "stdin")
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = in.read(ctx, f, name)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read passes on r in chunks. What follows a chunk's last newline begins the next one.
func (in *input) read(ctx context.Context, r io.Reader, name string) error {
	line := int64(1)
	var rest []byte // the beginning of a line, in the buffer of the chunk before: copied before that is passed on
	for {
		c, err := in.take(ctx)
		if err != nil {
			return err
		}
		c.file, c.line = name, line
		n := c.begin(rest)
		for {
			k, err := r.Read(c.buf[n:])
			end := bytes.LastIndexByte(c.buf[n:n+k], '\n')
			n += k
			switch {
			case err == io.EOF:
				c.b = c.buf[:n]
				in.pass(c)
				return nil
			case err != nil:
				return fmt.Errorf("read %s: %w", name, err)
			case end >= 0:
				end += n - k + 1
				rest = bytes.Clone(c.buf[end:n])
				c.b = c.buf[:end]
				line += int64(bytes.Count(c.b, newline))
				in.pass(c)
			case n > in.longest:
				return in.tooLong(name, line)
			case n == len(c.buf):
				c.grow(in.longest + 1)
				continue
			default:
				continue
			}
			break
		}
	}
}

var newline = []byte{'\n'}

func (in *input) tooLong(name string, line int64) error {
	return fmt.Errorf("%s: line %d is longer than %d bytes, the most that a request to this server can hold (its max_batch)",
		name, line, in.longest)
}

// begin puts the beginning of a line to the front, and leaves room to read more of it.
func (c *chunk) begin(rest []byte) int {
	if len(c.buf) <= len(rest) {
		c.buf = make([]byte, 2*len(rest))
	}
	return copy(c.buf, rest)
}

func (c *chunk) grow(most int) {
	c.buf = append(c.buf, make([]byte, min(len(c.buf), max(most-len(c.buf), 1)))...)
}

func (in *input) take(ctx context.Context) (*chunk, error) {
	select {
	case c := <-in.free:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pass hands a chunk on. There is room for every chunk there is.
func (in *input) pass(c *chunk) { in.ready <- c }
