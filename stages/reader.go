package stages

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"sluice/sched"
	"sluice/wire/text"
)

// reader is the first stage of a connection: it brings bytes from the socket
// into a buffer with an end position, and has the parser turn them into
// commands. An idle connection has no buffer; one that sends has 4 KiB, or, if it
// sends more at a time or a larger request, a leased buffer until it is drained. In:
// the socket. Out: commands. Ends with the stream, with a request that closes the
// connection, or when the server drains.
type reader struct {
	c      *conn
	parser parser

	input input
	own   *[text.MaxLine]byte // nil while there is nothing to put into it
	buf   []byte              // own, or the lease's; nil: neither
	lease *sched.Buf
	r, w  int  // buf[r:w] is received and not yet parsed
	full  bool // the last read filled the buffer: there is more
	now   time.Time
	place int64 // bytes that the request at hand holds among the half-received ones
	lent  struct {
		from  *frameMemory // of the last request that memory was lent for; nil: none was for the one at hand, if that is Kafka's
		bytes int64        // that it would hold there
	}
}

func newReader(c *conn) reader { return reader{c: c} }

var (
	errClosing = errors.New("the connection is to be closed") // its answer is on its way
	errAbrupt  = errors.New("the connection is cut off")      // without an answer
)

// run returns whether the client may still be sending: then its connection must
// not be closed before it has read the last answer.
func (r *reader) run(ctx context.Context) (sending bool) {
	r.input.init(r)
	r.parser.init(r)
	err := r.loop(ctx)
	between := r.c.lineSince.Load() != 0
	r.onTime() // what the client has not sent by now it does not owe, and its answers may take their time
	if r.c.evicted.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = r.parser.evicted(between)
	}
	r.parser.flush()
	switch {
	case errors.Is(err, errClosing):
		sending = true
	case errors.Is(err, errAbrupt):
		r.c.abort()
		r.parser.end()
	case r.c.srv.draining() && (r.w > r.r || r.late()):
		r.parser.refuseUnread()
		sending = true
	default: // the end of the stream, or a broken connection
		if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
			r.c.broken.Store(true)
		}
		r.parser.end()
	}
	if r.lease != nil {
		r.lease.Release()
	}
	r.letGo()
	return sending
}

// loop carries out one request after the other until the stream ends.
func (r *reader) loop(ctx context.Context) error {
	if r.c.kafka != nil {
		return r.frames(ctx)
	}
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue // blank lines between requests are ignored
		}
		if err := r.parser.request(ctx, line); err != nil {
			return err
		}
	}
}

// line returns the next line without its end, a view that holds until the next
// call of one of these methods.
func (r *reader) line() ([]byte, error) {
	seen := 0
	for {
		if i := bytes.IndexByte(r.buf[r.r+seen:r.w], '\n'); i >= 0 && seen+i < text.MaxLine {
			line := r.buf[r.r : r.r+seen+i]
			r.r += seen + i + 1
			r.onTime()
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		seen = r.w - r.r
		if seen >= text.MaxLine {
			if text.LooksLikeHTTP(r.buf[r.r:r.w]) {
				return nil, errAbrupt
			}
			return nil, r.parser.refuseUnparsed(text.LineTooLong())
		}
		var since *atomic.Int64
		if seen > 0 {
			since = &r.c.lineSince
		}
		if err := r.fill(since); err != nil {
			return nil, err
		}
	}
}

// fill reads at least one byte behind what is buffered; there must be room, or
// bytes already parsed to move over. Before it can wait, what the parser has
// gathered goes on its way: nothing waits for the client's next bytes.
// since is what says how long a part of a request is half received; nil: the client owes none.
func (r *reader) fill(since *atomic.Int64) error {
	r.parser.flush()
	r.makeRoom(since != nil)
	if since != nil && since.Load() == 0 {
		since.Store(time.Now().UnixNano())
	}
	if since == nil {
		r.parser.rest()
	}
	r.c.input.Store(r.parser.state())
	n, err := r.input.read()
	r.c.input.Store(inputBusy)
	r.w += n
	r.full = r.w == len(r.buf)
	r.now = time.Now()
	if n > 0 {
		r.parser.interrupt()
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// makeRoom moves what is buffered to the front where the buffer has come to its
// end, takes a larger buffer where the last read left the client with more to
// send, and gives it back once it is drained between two requests. Where the budget
// has none, the connection goes on with its own 4 KiB: nobody waits while holding
// a buffer.
func (r *reader) makeRoom(begun bool) {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if r.lease != nil && !r.full && !begun { // a payload that it holds may not fit the connection's own
			r.lease.Release()
			r.lease, r.buf = nil, nil
		}
	}
	if r.full && r.lease == nil {
		if lease := r.c.srv.receiveMemory.TryLease(int(r.c.srv.conf.Conn.ReadBytes)); lease != nil {
			r.w = copy(lease.B, r.buf[r.r:r.w])
			r.letGo()
			r.r, r.lease, r.buf = 0, lease, lease.B
		}
	}
	if r.w == len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
}

// holds tells whether a payload of n bytes and its end of line fit the buffer.
func (r *reader) holds(n int) bool { return n+2 <= len(r.buf) }

// payload returns n bytes, as many as the buffer holds at most, and takes the
// end of line behind them. The view is good until the next fill.
func (r *reader) payload(n int) ([]byte, error) {
	for r.w-r.r <= n || r.buf[r.r+n] == '\r' && r.w-r.r == n+1 {
		if r.r+n+2 > len(r.buf) {
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		}
		if err := r.fill(&r.c.frameSince); err != nil {
			return nil, err
		}
	}
	view := r.buf[r.r : r.r+n]
	r.r += n
	return view, r.eol() // which is buffered, so the view stays
}

// frameStep is what a client must send of a large payload within frame_timeout. Were
// any byte enough, few clients could hold all memory for requests by trickling.
// The largest may take frameSteps times as long: or one of them could hold it for hours.
const (
	frameStep  = 256 << 10
	frameSteps = 32 // so that a payload of the text protocol's default limit has the step above
)

// payloadInto fills dst, and takes the end of line behind it.
func (r *reader) payloadInto(dst []byte) error {
	if err := r.into(dst); err != nil {
		return err
	}
	return r.eol()
}

// into fills dst from the buffer and the socket.
func (r *reader) into(dst []byte) error {
	n := copy(dst, r.buf[r.r:r.w])
	r.r += n
	step := max(frameStep, len(dst)/frameSteps)
	for due := n; n < len(dst); {
		if n >= due {
			r.c.frameSince.Store(time.Now().UnixNano())
			due = n + step
			r.c.input.Store(r.parser.state())
		}
		k, err := r.c.nc.Read(dst[n:])
		n += k
		if err != nil && n < len(dst) {
			return err
		}
	}
	r.c.input.Store(inputBusy)
	r.now = time.Now()
	return nil
}

// onTime says that a line or a payload is whole: from now on the request waits for
// the server, and that is not the client's delay.
func (r *reader) onTime() {
	r.leavePlace()
	for _, since := range [...]*atomic.Int64{&r.c.lineSince, &r.c.frameSince} {
		if since.Load() != 0 {
			since.Store(0)
		}
	}
}

// skip drops n bytes and takes the end of line behind them.
func (r *reader) skip(n int64) error {
	for due := n; n > 0; {
		if n <= due {
			r.c.frameSince.Store(0)
			due = n - frameStep
		}
		if r.r == r.w {
			if err := r.fill(&r.c.frameSince); err != nil {
				return err
			}
		}
		k := min(n, int64(r.w-r.r))
		r.r += int(k)
		n -= k
	}
	return r.eol()
}

// eol takes the end of line that must follow a payload.
func (r *reader) eol() error {
	want := byte('\n')
	for i := 0; ; i++ {
		if r.r == r.w {
			if err := r.fill(&r.c.frameSince); err != nil {
				return err
			}
		}
		c := r.buf[r.r]
		switch {
		case c == want:
			r.r++
			r.onTime()
			return nil
		case c == '\r' && i == 0:
			r.r++
			continue
		}
		return r.parser.refuse(&text.Error{Code: text.CodeBadFrame, Skip: -1, Close: true, Text: "the payload is not followed by an end of line: its length is wrong"})
	}
}

// late looks once more for bytes that came while the server began to drain, so
// that their sender learns that they were not carried out.
func (r *reader) late() bool {
	if r.c.nc.SetReadDeadline(time.Now().Add(5*time.Millisecond)) != nil {
		return false
	}
	r.r, r.w = 0, 0
	n, err := r.input.read()
	return n > 0 && err == nil
}
