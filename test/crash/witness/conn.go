package witness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"sluice/test/crash/oracle"
	"sluice/wire/batch"
	"sluice/wire/text"
)

// Limit ends a request that hangs; it is far above what any step takes on a slow machine.
const Limit = 2 * time.Minute

// A Conn is a connection that speaks the text protocol, and writes into a history what it sees. One goroutine.
type Conn struct {
	nc     net.Conn
	in     *bufio.Reader
	rec    *oracle.Recorder
	id     uint32
	n      uint32 // values made so far
	answer text.Answer
	reader batch.Reader
}

// Dial connects; the connection gets a number of its own in the history.
func Dial(addr string, rec *oracle.Recorder) (*Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(Limit)); err != nil {
		return nil, err
	}
	return &Conn{nc: nc, in: bufio.NewReaderSize(nc, 64<<10), rec: rec, id: rec.Client()}, nil
}

// Close ends the connection, whatever state it is in.
func (c *Conn) Close() { _ = c.nc.Close() } // it may have ended

// next reads an answer; payload is what follows its line.
func (c *Conn) next() (payload []byte, err error) {
	if err := c.nc.SetDeadline(time.Now().Add(Limit)); err != nil { // of what is asked and answered, not of the connection
		return nil, err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if err := text.ParseAnswer([]byte(strings.TrimSuffix(line, "\r\n")), &c.answer); err != nil {
		return nil, err
	}
	if n := c.answer.Payload(); n >= 0 {
		payload = make([]byte, n+2)
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return nil, err
		}
		payload = payload[:n]
	}
	return payload, nil
}

// Ask sends one request and reads the answer's first line; an ERR is an error.
func (c *Conn) Ask(format string, args ...any) ([]byte, error) {
	if _, err := fmt.Fprintf(c.nc, format+"\n", args...); err != nil {
		return nil, err
	}
	payload, err := c.next()
	if err == nil && c.answer.Kind == text.AnswerErr {
		err = c.answer.Err()
	}
	if err != nil {
		err = fmt.Errorf(format+": %w", append(args, err)...)
	}
	return payload, err
}

// Uint is a number of the last answer; one that is missing is an error of the test's run.
func (c *Conn) Uint(name string) uint64 {
	n, ok := c.answer.Uint(name)
	if !ok {
		panic(fmt.Sprintf("BUG: the answer has no %s", name))
	}
	return n
}

// Head asks for the ends of a log.
func (c *Conn) Head(log string) (oldest, next uint64, err error) {
	e := c.rec.Invoke(&oracle.Event{Op: oracle.Head, Log: log, Client: c.id})
	if _, err := c.Ask("HEAD %s", log); err != nil {
		return 0, 0, err
	}
	e.End, e.Synced = c.Uint("next"), c.Uint("synced")
	c.rec.Complete(e, oracle.OK)
	return c.Uint("oldest"), c.Uint("next"), nil
}

// Fetch reads whole batches; with wait it waits for some.
func (c *Conn) Fetch(log string, from uint64, wait time.Duration) (*oracle.Event, error) {
	e := c.rec.Invoke(&oracle.Event{Op: oracle.Read, Log: log, Client: c.id, From: from})
	b, err := c.Ask("FETCH %s %d bytes=1048576 wait=%v", log, from, wait)
	if err != nil {
		return nil, err
	}
	e.End = c.Uint("end")
	if e.Records, err = c.records(b, from); err != nil {
		return nil, fmt.Errorf("FETCH %s %d: %w", log, from, err)
	}
	c.rec.Complete(e, oracle.OK)
	return e, nil
}

// records takes stored batches apart; those before from, of the first batch, are left out.
func (c *Conn) records(b []byte, from uint64) (out []oracle.Record, err error) {
	for len(b) > 0 {
		h, err := batch.Verify(b)
		if err != nil {
			return nil, err
		}
		if err := c.reader.Reset(b, 16<<20); err != nil {
			return nil, err
		}
		var r batch.Record
		for c.reader.Next(&r) {
			if r.Offset >= from {
				out = append(out, oracle.Record{Offset: r.Offset, Epoch: h.Epoch, Value: oracle.Decode(r.Value)})
			}
		}
		b = b[h.Size:]
	}
	return out, nil
}

// Read reads records one by one.
func (c *Conn) Read(log string, from uint64, most int) (*oracle.Event, error) {
	e := c.rec.Invoke(&oracle.Event{Op: oracle.Read, Log: log, Client: c.id, From: from})
	value, err := c.Ask("READ %s %d limit=%d", log, from, most)
	for ; err == nil && c.answer.Kind == text.AnswerRec; value, err = c.next() {
		e.Records = append(e.Records, oracle.Record{Offset: c.answer.Offset, Epoch: -1, Value: oracle.Decode(value)})
	}
	if err != nil {
		return nil, err
	}
	if c.answer.Kind != text.AnswerOK {
		return nil, fmt.Errorf("READ %s %d: %w", log, from, c.answer.Err())
	}
	e.End = c.Uint("end")
	c.rec.Complete(e, oracle.OK)
	return e, nil
}

// Scan reads all of a log while nobody appends to it.
func (c *Conn) Scan(log string) (*oracle.Event, error) {
	oldest, next, err := c.Head(log)
	if err != nil {
		return nil, err
	}
	e := c.rec.Invoke(&oracle.Event{Op: oracle.Scan, Log: log, Client: c.id, From: oldest, End: next})
	for from := oldest; from < next; {
		b, err := c.Ask("FETCH %s %d bytes=4194304", log, from)
		if err != nil {
			return nil, err
		}
		got, err := c.records(b, from)
		if err != nil || len(got) == 0 {
			return nil, fmt.Errorf("FETCH %s %d of %d: %d records, %w", log, from, next, len(got), err)
		}
		e.Records = append(e.Records, got...)
		from = got[len(got)-1].Offset + 1
	}
	c.rec.Complete(e, oracle.OK)
	return e, nil
}

// message makes the next value, and a MSG that carries it.
func (c *Conn) message(log, ack string, size int) (*oracle.Event, []byte) {
	c.n++
	v := oracle.Value{Client: c.id, N: c.n}
	b := v.Encode(size)
	e := &oracle.Event{Op: oracle.Append, Log: log, Client: c.id, Ack: ack, Values: []oracle.Value{v}}
	return e, fmt.Appendf(nil, "MSG %s %d ack=%s\n%s\n", log, len(b), ack, b)
}

// batch makes the next values, and a BATCH that carries them as one.
func (c *Conn) batch(log, ack string, sizes []int) (*oracle.Event, []byte) {
	e := &oracle.Event{Op: oracle.Append, Log: log, Client: c.id, Ack: ack}
	var b batch.Builder
	b.Reset(nil)
	for _, size := range sizes {
		c.n++
		v := oracle.Value{Client: c.id, N: c.n}
		b.Add(int64(c.n), nil, v.Encode(size), nil)
		e.Values = append(e.Values, v)
	}
	codec := batch.None
	if c.n%5 == 0 {
		codec = batch.LZ4
	}
	made, err := b.Finish(codec)
	if err != nil {
		panic(fmt.Sprintf("BUG: a batch that cannot be built: %v", err))
	}
	return e, fmt.Appendf(nil, "BATCH %s %d ack=%s\n%s\n", log, len(made), ack, made)
}

// appended takes the answer to an append into its event.
func (c *Conn) appended(e *oracle.Event) error {
	switch a := &c.answer; a.Kind {
	case text.AnswerErr:
		e.Code = a.Code.String()
		c.rec.Complete(e, oracle.OutcomeOf(e.Code))
		return a.Err()
	case text.AnswerOK:
		asked, err := text.ParseAck(e.Ack)
		if err != nil {
			return err
		}
		if e.Ack, _ = a.Str("ack"); e.Ack != asked.String() { // more than was asked for is fine, and is held to
			if reached, err := text.ParseAck(e.Ack); err != nil || reached < asked {
				return fmt.Errorf("ack=%v was asked for, and %q was reached: %w", asked, e.Ack, err)
			}
		}
		e.First, e.Next, e.Synced = c.Uint("first"), c.Uint("next"), c.Uint("synced")
		c.rec.Complete(e, oracle.OK)
		return nil
	}
	return fmt.Errorf("an append was answered by %v", c.answer.Kind)
}

// Append sends one request and waits for its answer.
func (c *Conn) Append(log, ack string, size int) (*oracle.Event, error) {
	e, request := c.message(log, ack, size)
	c.rec.Invoke(e)
	if _, err := c.nc.Write(request); err != nil {
		return e, err
	}
	if _, err := c.next(); err != nil {
		return e, err
	}
	return e, c.appended(e)
}
