package client

import (
	"context"
	"errors"
	"fmt"

	"sluice/wire/text"
)

// Client knows a server. Its own requests (Head, Create, Stats ...) share one connection, one after the other; each
// Producer, and each running Records of a Consumer, has a connection of its own. Any goroutine may use it.
type Client struct {
	opt   Options
	hello Hello // of Dial

	turn  chan struct{} // holds one token; who has it may use `admin`
	admin struct {
		k      *conn // nil: connect first
		closed bool
	}
}

// Hello is how the server greets.
type Hello struct {
	Version  string // of the server
	Protocol int64
	Node     string // the id of the server's data directory
	Role     string
	MaxLine  int64 // bytes
	MaxBatch int64 // bytes, the payload of one request
	// Sequences is how many batches of a producer the server knows again; 0: it does not take such batches.
	Sequences int64
}

// Dial connects once; it fails if the server can't be reached, within ctx and DialTimeout. Later connections are made,
// and made again, where they are needed.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{opt: o, turn: make(chan struct{}, 1)}
	k, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.hello, c.admin.k = k.hello, k
	c.turn <- struct{}{}
	return c, nil
}

// Addr is the server's address.
func (c *Client) Addr() string { return c.opt.Addr }

// Hello is how the server greeted when Dial connected.
func (c *Client) Hello() Hello { return c.hello }

// Close closes the Client's own connection; later requests get ErrClosed. Producers and Consumers have a Close of their own.
func (c *Client) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	if c.admin.closed {
		return ErrClosed
	}
	c.admin.closed = true
	c.dropAdmin()
	return nil
}

// request is one line and what to do with its answer.
type request struct {
	op, topic string
	line      []byte // without EOL
	changes   bool   // doing it twice is not the same as once: a lost answer is an unknown outcome
	read      func(*conn, *text.Answer) error
}

// do sends a request and reads its answer. A connection that was found dead is replaced once.
func (c *Client) do(ctx context.Context, r request) error {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", r.op, ctx.Err())
	}
	if c.admin.closed {
		return fmt.Errorf("%s: client: %w", r.op, ErrClosed)
	}
	if c.admin.k != nil {
		err := c.reuse(ctx, r)
		if err == nil || !errors.Is(err, errStale) {
			return err
		}
	}
	k, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	c.admin.k = k
	return c.exchange(ctx, r)
}

// errStale: the connection had died before the request, or during one that may be sent again.
var errStale = errors.New("stale connection")

// reuse tries the connection that is there. The server may have closed it long ago, which only its use tells: a request
// that changes something is preceded by a PING, so that this does not become an unknown outcome.
func (c *Client) reuse(ctx context.Context, r request) error {
	probe := r
	if r.changes {
		probe = ping
	}
	err := c.exchange(ctx, probe)
	if ctx.Err() == nil && c.admin.k == nil && err != nil {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	if !r.changes || err != nil {
		return err
	}
	return c.exchange(ctx, r)
}

// exchange writes the request and reads the answer. After an error that is not an answer the connection is gone.
func (c *Client) exchange(ctx context.Context, r request) error {
	k := c.admin.k
	release := k.closeWith(ctx)
	defer release()
	err := k.write(append(r.line[:len(r.line):len(r.line)], '\r', '\n'))
	if err != nil {
		return c.lost(ctx, r, false, err)
	}
	a, err := k.answer(0)
	if err != nil {
		return c.lost(ctx, r, r.changes, err)
	}
	if a.Kind == text.AnswerErr {
		return answerError(r.op, r.topic, a)
	}
	if err := r.read(k, a); err != nil {
		return c.lost(ctx, r, r.changes, err)
	}
	return nil
}

func (c *Client) lost(ctx context.Context, r request, mayBeDone bool, err error) error {
	c.dropAdmin()
	if ctx.Err() != nil {
		err = ctx.Err() // it closed the connection, and what that led to says less
	}
	if mayBeDone {
		return unknown(r.op, r.topic, err)
	}
	return fmt.Errorf("%s: %w", r.op, err)
}

func (c *Client) dropAdmin() {
	if c.admin.k != nil {
		c.admin.k.close()
		c.admin.k = nil
	}
}
