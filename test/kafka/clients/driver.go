package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Request is one operation. Op is one of
//
//	version     the client's own
//	create      Topic with Partitions
//	grow        Topic to Partitions
//	delete      Topic
//	partitions  how many Topic has: Count
//	config      of Topic: Count settings
//	offset      From "earliest", "latest", or the first one with a time of At or later: Offset
//	produce     Count records, numbered from First, into Topic and Partition, with Codec, Acks and Idempotent: Offset of the
//	            first, -1 where the client does not tell. Number i has the key "ki", the value "CODEC-i", with dots behind
//	            it up to Size bytes, the header "i" with the number as its value, and the time Time+i.
//	stream      the same, but each record is told as it is acknowledged, and the client tries for as long as it takes
//	consume     Count records From the offset At ("offset") or from the first with a time of At or later ("time"): Records
type Request struct {
	Op         string `json:"op"`
	Server     string `json:"server"`
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Partitions int32  `json:"partitions"`
	Codec      string `json:"codec"` // none, gzip, snappy, lz4, zstd
	Acks       string `json:"acks"`  // 0, 1, all
	Idempotent bool   `json:"idempotent"`
	First      int    `json:"first"`
	Count      int    `json:"count"`
	Size       int    `json:"size"` // bytes
	Time       int64  `json:"time"` // milliseconds since 1970
	From       string `json:"from"`
	At         int64  `json:"at"`
}

// An Answer tells what came of a request: it is OK, or has an Error, or is Unsupported by the client.
type Answer struct {
	OK          bool     `json:"ok"`
	Offset      int64    `json:"offset"`
	Count       int      `json:"count"`
	Version     string   `json:"version"`
	Records     []Record `json:"records"`
	Error       string   `json:"error"`
	Code        int16    `json:"code"` // Kafka's number of the error, where the client tells it
	Unsupported string   `json:"unsupported"`
	Lacks       []string `json:"lacks"` // what the client cannot say or set of a record: key, value, time, header
}

// A Record as a client read it. Value is without the dots that pad it to Size bytes.
type Record struct {
	Offset int64  `json:"o"`
	Time   int64  `json:"t"`
	Key    string `json:"k"`
	Value  string `json:"v"`
	Size   int    `json:"n"`
	Header string `json:"h"`
}

// A Driver carries out requests with one client. One goroutine at a time.
type Driver interface {
	// Do carries out one request. An error is the driver's own; what the client met is in the answer.
	Do(Request) (Answer, error)
	// Stream carries out "stream"; acked gets the number of each record that is acknowledged, and its offset, in the
	// order of the client's word. Only the drivers that are programs can.
	Stream(r Request, acked func(i int, offset int64)) (Answer, error)
	// Close ends the driver and joins it, also out of a Stream.
	Close() error
}

// patience ends a driver that has stopped answering; drivers give up by themselves long before.
const patience = 4 * time.Minute

// A process is a driver that is a program.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	said   tail
	busy   atomic.Bool // with a stream, which goes on until it is killed
	closed sync.Once
	err    error // of the end
}

func start(cmd *exec.Cmd) (Driver, error) {
	p := &process{cmd: cmd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = &p.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReaderSize(out, 1<<20)
	return p, nil
}

func (p *process) Do(r Request) (Answer, error) { return p.ask(r, func(int, int64) {}, patience) }

// Stream waits for as long as the client tries: whoever called it ends it with Close, from another goroutine.
func (p *process) Stream(r Request, acked func(int, int64)) (Answer, error) {
	r.Op = "stream"
	p.busy.Store(true)
	defer p.busy.Store(false)
	return p.ask(r, acked, 0)
}

func (p *process) ask(r Request, acked func(int, int64), limit time.Duration) (Answer, error) {
	if limit > 0 {
		guard := time.AfterFunc(limit, p.kill)
		defer guard.Stop()
	}
	line, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return Answer{}, fmt.Errorf("the driver takes no request: %w\n%s", err, p.said.String())
	}
	for {
		line, err := p.out.ReadBytes('\n')
		if err != nil {
			return Answer{}, fmt.Errorf("the driver ended without an answer to %q: %w\n%s", r.Op, err, p.said.String())
		}
		var got struct {
			Answer
			Acked *int `json:"acked"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			return Answer{}, fmt.Errorf("the driver printed %q: %w\n%s", line, err, p.said.String())
		}
		if got.Acked == nil {
			return got.Answer, nil
		}
		acked(*got.Acked, got.Offset)
	}
}

// kill ends the program and what it started.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
}

// Close lets the program end by itself; it kills one that does not, or that is busy with a stream. Any goroutine may call
// it, and more than once.
func (p *process) Close() error {
	p.closed.Do(func() {
		if p.busy.Load() {
			p.kill()
			_ = p.in.Close() // with what was in it; nobody wants it any more
			_ = p.cmd.Wait() // of course it was killed
			return
		}
		guard := time.AfterFunc(patience, p.kill)
		defer guard.Stop()
		p.err = errors.Join(p.in.Close(), p.cmd.Wait())
	})
	return p.err
}

// tail keeps the last words of a program. Any goroutine.
type tail struct {
	mu struct {
		sync.Mutex
		b []byte
	}
}

// tailMax holds a stack trace and the warnings before it.
const tailMax = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.b = append(t.mu.b, p...)
	t.mu.b = t.mu.b[max(0, len(t.mu.b)-tailMax):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.mu.b)
}
