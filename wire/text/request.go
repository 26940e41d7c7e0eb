package text

import "time"

// MaxLine is the length of the longest request line, bytes, its EOL included. Answers keep to it too.
const MaxLine = 4096

// MaxPairs is how many settings one CREATE or ALTER may have.
const MaxPairs = 32

// Pair is a name=value of CREATE or ALTER. Both are views of the line; the value is percent-encoded still, as most are never
// looked at twice and decoding allocates. Decoded gives the value itself.
type Pair struct{ Name, Value []byte }

// Decoded is the value with its percent-encoding taken off. Parse has checked the encoding; a Pair that it did not make
// must be well encoded too.
func (p Pair) Decoded() string { return mustUnescape(p.Value) }

// Request is one parsed line. It is meant to be used again: Parse sets every field, so nothing of the last line stays.
// All []byte are views of the line and die with it. A Request is never copied, as Settings points into it.
//
// Numbers that a line left out are -1. Zero is a number like any other: READ or TAIL with limit=0 gives no record, just
// the closing OK; FETCH with bytes=0 gives the first batch all the same, and with min=0 or wait=0 does not wait.
type Request struct {
	Verb      Verb
	Topic     []byte // nil: the verb has none
	Partition int32

	// Value is the length of the value (MSG; -1: null) or of the batches (BATCH), Key that of the key (-1: null), bytes.
	Value, Key int64
	Ack        Ack
	Time       int64 // Unix ms, if HasTime
	HasTime    bool

	From                     From // READ, FETCH, TAIL
	Limit, Bytes, Min, Epoch int64
	Wait                     time.Duration
	Raw                      bool // TAIL raw=1
	JSON                     bool // STATS format=json

	Client   []byte // HELLO, percent-encoded still: see ClientName
	Settings []Pair // CREATE, ALTER; in the line's order, no name twice

	pairs [MaxPairs]Pair
}

// ClientName is Client with its percent-encoding taken off.
func (r *Request) ClientName() string { return mustUnescape(r.Client) }

// Payload is the number of bytes that follow the line before their own EOL; -1: this verb has no payload, and no EOL
// follows. The sum cannot overflow: Parse has seen to it.
func (r *Request) Payload() int64 {
	switch r.Verb {
	case VerbMsg:
		return max(r.Key, 0) + max(r.Value, 0)
	case VerbBatch:
		return r.Value
	}
	return -1
}

// reset sets fields one by one: the pairs are 1.5 KiB, and clearing those for every MSG would cost more than the rest of
// its parsing. Those that were used are cleared, as they would keep an old line's buffer alive.
func (r *Request) reset() {
	clear(r.Settings)
	r.Verb, r.Topic, r.Partition = 0, nil, 0
	r.Value, r.Key, r.Ack, r.Time, r.HasTime = -1, -1, AckDefault, 0, false
	r.From, r.Limit, r.Bytes, r.Min, r.Epoch, r.Wait = From{}, -1, -1, -1, -1, -1
	r.Raw, r.JSON, r.Client, r.Settings = false, false, nil, nil
}
