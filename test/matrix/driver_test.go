package matrix

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/client"
	"sluice/wire/text"
)

// record is a message, sent or read. Nil is null.
type record struct {
	offset     uint64
	ms         int64 // Unix milliseconds; sent: 0 is now
	key, value []byte
}

// answer is what an append was told. A session whose client hides the offsets of the single records answers with one
// for all of them.
type answer struct {
	first, next uint64
	ack         text.Ack
	synced      uint64
}

// limits of a read; 0 is none.
type limits struct{ records, bytes int64 }

// session is one client of the server. One goroutine at a time uses it. Errors that are the server's answer are a
// *refusal.
type session interface {
	create(topic string, settings ...string) error // name=value
	drop(topic string) error
	head(topic string) (client.Head, error)
	flush(topic string) (synced uint64, err error)
	topics() ([]client.Topic, error)
	stats() ([]byte, error) // JSON
	// append sends each record as a message of its own, all of them before it waits. With AckNone it returns once the
	// server has carried them out, without answers.
	append(topic string, ack text.Ack, rs ...record) ([]answer, error)
	// read returns the records up to the end as it is.
	read(topic, from string, l limits) ([]record, error)
	// follow reads on for ever, or up to limit records.
	follow(topic, from string, limit int64) (follower, error)
	close() error
}

// follower is a TAIL, or what the driver has for it.
type follower interface {
	next() (record, error) // errEnded behind the last one of a limit
	end() error            // ends it as a user would; an error if that was not orderly
	kill()                 // ends it as a crash of the client would
}

// batcher is a session that says which records share a batch.
type batcher interface {
	batches(topic string, ack text.Ack, c client.Codec, bs ...[]record) ([]answer, error)
}

var errEnded = errors.New("the follower has come to its end")

// refusal is an ERR answer, as the driver's client tells it.
type refusal struct {
	code string
	text string
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

// refused tells whether err is an answer with that code.
func refused(err error, code string) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == code
}

// driver is one way to speak to the server.
type driver struct {
	name  string
	what  string
	open  func(ctx context.Context, addr string) (session, error)
	slow  bool                  // each request costs a process: the behaviours use fewer records
	lacks map[capability]string // what it can't express, and why
	only  []string              // the configurations it runs under; nil: all
	why   string                // the reason for only
	late  bool                  // its server is the built binary
}

// capability is what a behaviour may need and a driver may lack.
type capability string

const (
	answersEach  capability = "an answer for each record"
	nulls        capability = "null keys and values"
	emptyKeys    capability = "keys that are empty, not null"
	anyBytes     capability = "values of any bytes"
	ownTimes     capability = "the client's own record times"
	byteLimits   capability = "a limit in bytes"
	ownBatches   capability = "batches that the client puts together"
	batchRequest capability = "several batches in one request"
	fetching     capability = "FETCH"
	typing       capability = "requests typed by hand"
	statistics   capability = "STATS as JSON"
)

// deadline is far beyond what any step takes; it only ends a run that has failed.
const deadline = 2 * time.Minute

func describe(r record) string {
	cut := func(b []byte) string {
		switch {
		case b == nil:
			return "null"
		case len(b) > 24:
			return fmt.Sprintf("%q... (%d bytes)", b[:24], len(b))
		}
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("offset %d key %s value %s", r.offset, cut(r.key), cut(r.value))
}
