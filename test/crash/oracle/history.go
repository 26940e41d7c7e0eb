package oracle

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Op is what an event is about.
type Op string

const (
	Append Op = "append" // a MSG or a BATCH of one batch
	Read   Op = "read"   // a READ, FETCH or TAIL
	Scan   Op = "scan"   // all of a log, from its oldest record to its end
	Head   Op = "head"   // a HEAD: the end of the log, and how far it is synced

	Kill  Op = "kill"  // the process has ended at any moment; what it wrote is in the kernel's hands
	Halt  Op = "halt"  // as kill, while it was stopping in order: it may have come to the end with some logs
	Stop  Op = "stop"  // the process has ended in order, and has synced everything
	Power Op = "power" // what was not synced may be gone
)

// ends tells the events that end a run of the server.
func (o Op) ends() bool { return o == Kill || o == Halt || o == Stop || o == Power }

// Outcome is what a client knows of its request at the end.
type Outcome string

const (
	OK      Outcome = "ok"
	Fail    Outcome = "fail"    // it has had no effect, and never will
	Unknown Outcome = "unknown" // it may have had its effect, once
)

// Event is a request from its invocation to its completion, or the end of a run.
type Event struct {
	Op     Op     `json:"op"`
	Log    string `json:"log,omitempty"`    // topic/partition; none: of all logs
	Client uint32 `json:"client,omitempty"` // a connection; a number is given once in a history

	// Places in the one order of everything that happened; Complete is 0 if no answer has come. The end of a run has one
	// place, behind everything its clients have seen.
	Invoke   int64 `json:"invoke"`
	Complete int64 `json:"complete,omitempty"`

	Outcome Outcome `json:"outcome,omitempty"`
	Code    string  `json:"code,omitempty"` // of the error that was answered

	Ack    string  `json:"ack,omitempty"`    // append: the level that was asked for; once acknowledged, the one that was reached
	Values []Value `json:"values,omitempty"` // append: what was sent, in its order
	First  uint64  `json:"first,omitempty"`  // append: the records are [First, Next)
	Next   uint64  `json:"next,omitempty"`

	From    uint64   `json:"from,omitempty"`    // read: the offset that was asked for; scan: the oldest there is
	Records []Record `json:"records,omitempty"` // read, scan: what has come
	End     uint64   `json:"end,omitempty"`     // read, scan, head: the end of the log, as told
	Synced  uint64   `json:"synced,omitempty"`  // append, head: records before it survive a power cut, as told
}

// Record is what a reader got. Epoch is -1 where the request does not show it.
type Record struct {
	Offset uint64 `json:"o"`
	Epoch  int32  `json:"e"`
	Value  Value  `json:"v"`
}

// Recorder collects the events of one history.
type Recorder struct {
	clock   atomic.Int64
	clients atomic.Uint32
	mu      struct {
		sync.Mutex
		events []*Event
	}
}

// Client gives a number that no other connection of this history has.
func (r *Recorder) Client() uint32 { return r.clients.Add(1) }

// Invoke notes that a request is about to be sent. Its event stays the caller's until Events is called.
func (r *Recorder) Invoke(e *Event) *Event {
	e.Outcome = Unknown
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Invoke = r.clock.Add(1)
	r.mu.events = append(r.mu.events, e)
	return e
}

// Complete notes that the answer has come.
func (r *Recorder) Complete(e *Event, outcome Outcome) {
	e.Outcome, e.Complete = outcome, r.clock.Add(1)
}

// End notes that a run has ended. All of its clients have been joined before: what they saw comes earlier in the order.
func (r *Recorder) End(how Op) {
	e := r.Invoke(&Event{Op: how})
	e.Outcome, e.Complete = OK, e.Invoke
}

// Events gives the history so far, in the order of invocation. Nobody may be changing it.
func (r *Recorder) Events() []*Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.events
}

// Save writes a history, a line an event.
func Save(w io.Writer, events []*Event) error {
	buf := bufio.NewWriter(w)
	out := json.NewEncoder(buf)
	for _, e := range events {
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// Load reads what Save wrote.
func Load(r io.Reader) ([]*Event, error) {
	var events []*Event
	in := json.NewDecoder(bufio.NewReader(r))
	for {
		e := new(Event)
		if err := in.Decode(e); err == io.EOF {
			return events, nil
		} else if err != nil {
			return nil, fmt.Errorf("event %d of the history: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
