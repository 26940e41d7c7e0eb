package stages

import (
	"fmt"
	"strconv"

	"sluice/disk"
	"sluice/wire/text"
)

// errSequences: batches that are sent again are known one by one, and other
// records may lie between them by then. So a request with two of them would have
// no one range of offsets to answer with.
var errSequences = &text.Error{Code: text.CodeBadBatch, Skip: -1,
	Text: "a batch with a producer id must be the only one of its request: send one BATCH for each"}

// known answers the first pending command without an append: its batch is in the
// log already, or does not follow its producer's last one. Or the log cannot tell
// yet; then it stalls. False: the batch is to be appended.
//
// It comes before the log is asked for room: a batch that is sent again is no
// reason to wake a log, or to begin a run.
func (w *writer) known(p *partition, sync *list) bool {
	v := p.log.Judge(p.w.pending.head.bytes, false)
	switch v.Judgement {
	case disk.Fresh:
		return false
	case disk.Unready:
		w.park(p)
		return true
	}
	cmd := p.w.pending.pop()
	p.log.Forgo() // should it have been woken for this one
	if v.Judgement != disk.Duplicate {
		cmd.fail(sequenceError(p, v))
		return true
	}
	w.stats.duplicates.Add(1)
	cmd.first = v.First
	w.appended(cmd, v.First+uint64(cmd.records), p.log.Durable(), sync)
	return true
}

// sequenceError is the answer to a batch that does not follow its producer's last one.
func sequenceError(p *partition, v disk.Verdict) *text.Error {
	epoch := text.Field{Name: "epoch", Value: strconv.Itoa(int(v.Epoch))}
	if v.Judgement == disk.Fenced {
		return &text.Error{Code: text.CodeFenced, Skip: -1, Fields: []text.Field{epoch},
			Text: "nothing was appended: the producer has a newer epoch, so another client goes on in its place"}
	}
	return &text.Error{Code: text.CodeBadBatch, Skip: -1,
		Fields: []text.Field{{Name: "sequence", Value: strconv.Itoa(int(v.Sequence))}, epoch},
		Text:   fmt.Sprintf("nothing was appended: %s does not follow the producer's last batch in this log; a new producer id or epoch begins at 0 again", p)}
}

// idBlock is how many producer ids are reserved on the disk at once.
const idBlock = 1000

// producerIDs gives each producer an id that none had before. Controller only.
type producerIDs struct {
	store     *disk.Store
	next, end int64 // reserved, and not given away
}

// give takes one id. An error is one of reserving more.
func (ids *producerIDs) give() (int64, *text.Error) {
	if ids.next == ids.end {
		first, err := ids.store.ReserveProducerIDs("controller", idBlock)
		if err != nil {
			return 0, storeError("give a producer an id", err)
		}
		ids.next, ids.end = first, first+idBlock
	}
	ids.next++
	return ids.next - 1, nil
}

// producerID has the controller give an id.
func (r *responder) producerID() (int64, *text.Error) {
	var ask adminRequest
	e := r.control(opProducerID, &ask)
	return ask.producer, e
}

// producer answers PRODUCER.
func (r *responder) producer(cmd *command) {
	id, e := r.producerID()
	if e != nil {
		cmd.err = e
		r.refuse(cmd)
		return
	}
	r.out = text.AppendEOL(text.AppendUint(text.AppendInt(text.AppendOK(r.out), "id", id), "epoch", 0))
}
