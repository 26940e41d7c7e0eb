package stages

import (
	"sync/atomic"
	"time"

	"sluice/disk"
	"sluice/sched"
	"sluice/wire/text"
)

// op is what a stage shall do with a command.
type op uint8

const (
	opNone       op = iota // nothing: the responder answers it on its own, in its turn
	opAppend               // writer
	opSync                 // flusher: the log's bytes so far; the command and its list wait for it
	opTick                 // flusher: look which logs are due
	opMaintain             // roller: allocation, spare, sealing
	opAdvance              // notifier: the log has a new end
	opLocate               // reader pool: find, check and warm whole batches
	opPin                  // reader pool: the same batches again, from where their sending was broken off
	opRead                 // reader pool: their bytes
	opResolve              // reader pool: the first record at or after a time
	opNewest               // reader pool: the record with the highest time
	opCreate               // controller: make a topic
	opEnsure               // controller: make a topic with the server's settings, unless it is there
	opAlter                // controller: change a topic's settings
	opDrop                 // controller: remove a topic
	opProducerID           // controller: give a producer an id
	opAdopt                // flusher: a log to look after
	opForget               // writer, flusher, roller: let go of a log
	opKafka                // responder: a request of the Kafka protocol
	opEnd                  // responder: the last command of a connection
)

// command is what passes between stages. At any time one goroutine owns it:
// whoever took it from a channel, until it sends it on. A connection's commands
// are made once and used again for its whole life.
type command struct {
	op    op
	verb  text.Verb
	ack   text.Ack
	close bool          // the answer is the connection's last
	conn  *conn         // whose request it is; nil for commands between stages
	reply chan *command // where it goes when a stage has done with it; never full: its bound is the number of commands that know it
	next  *command      // the list of the stage that owns the command
	seq   uint64        // place in the connection's order of answers
	req   uint64        // number of the request on its connection, from 1
	part  *partition

	// append
	buf     *sched.Buf // leased by the parser, released by the writer once the bytes are taken over
	bytes   []byte     // whole batches that the log does not hold yet, a view into buf
	records int        // in bytes
	begun   bool       // some of its batches are in the log already
	msgs    int        // how many MSG requests it stands for, each answered on its own; 0: one BATCH
	first   uint64     // answer: offsets [first, end)
	end     uint64
	durable uint64 // answer: the synced watermark
	reached text.Ack

	// Kafka: a request, and the appends of its partitions.
	kafka *kafkaRequest // of a request; kept when the command is used again
	head  *command      // of an append: the request that it is a part of
	index int32         // among the partitions of that request

	err      *text.Error // answer: instead of a success
	read     readRequest
	delivery *delivery // of the responder that carries out the read
	admin    *adminRequest
}

// readRequest is the part of a command that READ, FETCH and TAIL need.
type readRequest struct {
	from                     text.From
	limit, bytes, min, epoch int64 // -1: not given
	wait                     time.Duration
	raw                      bool
	interrupted              atomic.Bool // TAIL: the client has sent something
}

// adminRequest is what the controller, TOPICS or STATS is asked for. These are rare, so
// they may allocate.
type adminRequest struct {
	topic    string
	id       disk.TopicID // DROP: of no topic but this one; zero: of the one that has the name
	settings [][2]string
	unset    []string // ALTER: settings that become the server's again
	dry      bool     // CREATE, ALTER: only tell whether it could be done
	made     *topic   // answer to CREATE: what was made, or would have been
	producer int64    // answer to opProducerID
	json     bool
}

// done sends a command back to whom it belongs. It never blocks.
func (c *command) done() {
	if c.head != nil {
		c.partDone()
		return
	}
	c.reply <- c
}

// ask has a stage do the work of a command that is no request of a connection's, and waits.
func ask(stage chan<- *command, cmd *command) {
	cmd.reply = make(chan *command, 1)
	stage <- cmd
	<-cmd.reply
}

// fail answers the command, and each of its list, with e.
func (c *command) fail(e *text.Error) {
	for c != nil {
		next := c.next
		c.next = nil
		c.err = e
		c.releaseBuf()
		c.done()
		c = next
	}
}

func (c *command) releaseBuf() {
	if c.buf != nil {
		c.buf.Release()
		c.buf, c.bytes = nil, nil
	}
}

// list is a first-in first-out row of commands, linked through next.
type list struct{ head, tail *command }

func (l *list) push(c *command) {
	c.next = nil
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
	}
	l.tail = c
}

func (l *list) pop() *command {
	c := l.head
	l.head = c.next
	if l.head == nil {
		l.tail = nil
	}
	c.next = nil
	return c
}

// take empties the list and returns its first command, the others behind it.
func (l *list) take() *command {
	head := l.head
	l.head, l.tail = nil, nil
	return head
}

// append moves a chain of commands to the end of the list.
func (l *list) append(head *command) {
	for head != nil {
		next := head.next
		l.push(head)
		head = next
	}
}
