package client

import (
	"strconv"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Result is what became of a record.
type Result struct {
	Offset uint64 // of the record; means nothing with AckNone
	Ack    Ack    // the level reached
	Synced uint64 // records of the log before it survive a power cut
}

// call is what one record of a batch is owed: a callback, or an answer to the Append that waits.
type call struct {
	record int // index in the batch
	done   func(Result, error)
	wait   *waiter
}

// waiter is one Append's place to wait. It is reused unless Append gave up on it.
type waiter struct{ got chan outcome }

type outcome struct {
	r   Result
	err error
}

// headRoom is left in front of a batch for its request line, so that both go out in one write.
const headRoom = len("BATCH ") + text.MaxTopic + len("/2147483647 67108864 ack=written\n") + 16

// MinBatchBytes is the smallest batch worth a limit: header, and a record of a few bytes.
const MinBatchBytes = 1 << 10

// outgoing is a batch on its way. One party has it at a time: the open batch belongs to whoever holds the Producer's
// lock, the one being written to run, one in flight to the reader of its connection.
type outgoing struct {
	build batch.Builder
	buf   []byte // headRoom, then the batch, then the line end
	frame []byte // the whole request once it is encoded, a part of buf; nil before

	records int
	content int // bytes of keys and values
	owed    int // records with neither callback nor waiter: their failure is for Flush and Close to tell
	room    int // bytes it counts for against MaxBuffered
	calls   []call
	opened  time.Time
	why     error // the last refusal, where it will be tried again
	// Guarded by the Producer's lock. A refusal can be faster than the end of Write, so a batch is used again only when
	// its outcome is known and Write has let go of its bytes.
	writing, settled bool

	// Of a producer with an id. Guarded by the Producer's lock, but for stamp.
	numbered  bool // it has an id, epoch and sequence; it keeps them when it is sent again
	misplaced bool // it has failed by nothing but its number, and gets another one
	doubt     bool // it was sent, and nobody can tell what came of that
	id        int64
	epoch     int16
	sequence  int32
	line      int // bytes of frame before the batch

	ping bool   // no batch, a PING: its answer tells that all before it was carried out (AckNone)
	sent uint64 // ping: how many records were sent before it
}

func newOutgoing(room int) *outgoing {
	o := &outgoing{buf: make([]byte, 0, headRoom+room+1)}
	o.reset()
	return o
}

// reset makes it an open, empty batch. Callbacks are forgotten, or they would live as long as the Producer.
func (o *outgoing) reset() {
	clear(o.calls)
	o.calls = o.calls[:0]
	o.frame, o.records, o.content, o.owed, o.room, o.why, o.settled = nil, 0, 0, 0, 0, nil, false
	o.numbered, o.doubt, o.misplaced = false, false, false
	o.build.Reset(o.buf[:headRoom])
}

// size is the size of the batch if it were sent now, uncompressed.
func (o *outgoing) size() int { return o.build.Size() }

func (o *outgoing) add(r *Record, done func(Result, error), w *waiter) {
	var ms int64
	if r.Time.IsZero() {
		ms = time.Now().UnixMilli()
	} else {
		ms = r.Time.UnixMilli()
	}
	if o.records == 0 {
		o.opened = time.Now()
	}
	o.build.Add(ms, r.Key, r.Value, r.Headers)
	if done != nil || w != nil {
		o.calls = append(o.calls, call{o.records, done, w})
	} else {
		o.owed++
	}
	o.content += len(r.Key) + len(r.Value)
	o.records++
}

// growth bounds by how much compression may make a batch of n bytes larger: a few bytes a block, and the frame.
func growth(n int) int { return n/256 + 64 }

// encode makes the frame, once: a request that is sent again is sent as it was.
func (o *outgoing) encode(codec Codec, topic string, ack Ack) {
	if o.frame != nil {
		return
	}
	b, err := o.build.Finish(codec)
	if err != nil {
		panic("BUG: a batch within the limits can't be finished: " + err.Error())
	}
	size := len(b) - headRoom
	b = append(b, '\n')
	o.buf = b
	var room [headRoom]byte
	line := append(room[:0], "BATCH "...)
	line = append(line, topic...)
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(size), 10)
	if ack != AckDefault {
		line = append(append(line, " ack="...), ack.String()...)
	}
	line = append(line, '\n')
	at := headRoom - len(line)
	copy(b[at:], line)
	o.frame, o.line = b[at:], len(line)
}

// settle tells everyone who waits for this batch what became of it.
func (o *outgoing) settle(r Result, err error, hook func(BatchInfo)) {
	if o.ping {
		return
	}
	if err != nil {
		r = Result{}
	}
	if hook != nil {
		hook(BatchInfo{Result: r, Records: o.records, Bytes: o.content, Opened: o.opened, Err: err})
	}
	for i := range o.calls {
		c := &o.calls[i]
		its := r
		if err == nil && r.Ack != AckNone {
			its.Offset += uint64(c.record)
		}
		if c.wait != nil {
			c.wait.got <- outcome{its, err} // has room for it: one answer per waiter
		} else {
			c.done(its, err)
		}
	}
}
