package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sluice/wire/text"
)

// conn is one greeted connection. Writing and reading may be done by two goroutines, one each; close by anyone.
type conn struct {
	nc      net.Conn
	br      *bufio.Reader
	ans     text.Answer
	timeout time.Duration // AnswerTimeout
	hello   Hello
}

const (
	readBuffer = 16 << 10 // above text.MaxLine; what is longer is read past the buffer
	maxName    = 512      // a HELLO must fit a line, percent-encoded
)

const _ = uint(readBuffer - text.MaxLine)
const _ = uint(text.MaxLine - 3*maxName - 64)

// connect dials and greets. It succeeds only with a server that speaks this protocol, so that an OVERLOADED at accept,
// or somebody else's port, is met before anything is sent that could have an effect.
func (c *Client) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.DialTimeout)
	defer cancel()
	nc, err := c.opt.Dial(ctx, "tcp", c.opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.opt.Addr, err)
	}
	k := &conn{nc: nc, br: bufio.NewReaderSize(nc, readBuffer), timeout: 2 * c.opt.DialTimeout} // ctx comes first
	release := k.closeWith(ctx)
	err = k.greet(c.opt.Name)
	if !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		k.close()
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("%w (%w)", ended, err)
		}
		return nil, fmt.Errorf("connect to %s: %w", c.opt.Addr, err)
	}
	k.timeout = c.opt.AnswerTimeout
	return k, nil
}

func (k *conn) greet(name string) error {
	line := text.AppendStr([]byte("HELLO"), "client", name)
	if err := k.write(text.AppendEOL(line)); err != nil {
		return err
	}
	a, err := k.answer(0)
	if err != nil {
		return err
	}
	if a.Kind == text.AnswerErr {
		return answerError("hello", "", a)
	}
	return k.hello.parse(a)
}

// closeWith closes the connection when ctx ends. A deadline could be moved again by whoever writes next; a closed
// connection stays so. The returned func ends that, and reports false if ctx came first.
func (k *conn) closeWith(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, k.close)
}

func (k *conn) close() {
	_ = k.nc.Close() // all that was to be sent has its answer, or its outcome is unknown whatever Close says
}

// resetWhenClosed makes close a reset. It is for connections that only read: a server can't tell an orderly close from
// the close of one half, and would hold a FETCH that waits, with all that belongs to it, for somebody who has left.
func (k *conn) resetWhenClosed() {
	if tcp, ok := k.nc.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // without it the server finds out a little later
	}
}

// write sends b whole. On an error the server has not got all of b: what it did not get whole it does not carry out.
func (k *conn) write(b []byte) error {
	if err := k.nc.SetWriteDeadline(time.Now().Add(k.timeout)); err != nil {
		return err
	}
	_, err := k.nc.Write(b)
	return err
}

// answer reads one line of the server. Beyond the timeout, the server may take `wait` for it.
// The answer is valid until the next read.
func (k *conn) answer(wait time.Duration) (*text.Answer, error) {
	if err := k.nc.SetReadDeadline(time.Now().Add(k.timeout + wait)); err != nil {
		return nil, err
	}
	return k.next()
}

// next is answer with the deadline as it is.
func (k *conn) next() (*text.Answer, error) {
	line, err := k.br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, protocolError("the server's line is longer than %d bytes", readBuffer)
	case errors.Is(err, io.EOF) && len(line) == 0:
		return nil, errors.New("the server closed the connection")
	case err != nil:
		return nil, err
	}
	line = bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})
	if err := text.ParseAnswer(line, &k.ans); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return &k.ans, nil
}

// payload fills dst with the bytes that follow a DATA line, and reads their EOL.
func (k *conn) payload(dst []byte) error {
	if k.br.Buffered() < len(dst)+len("\r\n") { // what is here already is good even if the connection no longer is
		if err := k.nc.SetReadDeadline(time.Now().Add(k.timeout)); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(k.br, dst); err != nil {
		return err
	}
	for _, want := range "\r\n" {
		got, err := k.br.ReadByte()
		if err != nil {
			return err
		}
		if got != byte(want) {
			return protocolError("no line end after %d bytes of data", len(dst))
		}
	}
	return nil
}
