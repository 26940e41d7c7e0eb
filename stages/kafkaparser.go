package stages

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/sched"
	"sluice/wire/kafka"
)

const (
	frameHead  = 8       // size, key, version: what says how to go on
	frameSize  = 4       // of these, the size, which does not count itself
	frameLeast = 10      // the size that the shortest header gives
	frameMost  = 1 << 20 // the largest size, but of a Produce
)

// frames carries out one Kafka request after the other until the stream ends.
func (r *reader) frames(ctx context.Context) error {
	for {
		head, err := r.ahead(frameHead, &r.c.lineSince)
		if err != nil {
			return err
		}
		size := int64(int32(binary.BigEndian.Uint32(head)))
		key, version := kafka.Key(binary.BigEndian.Uint16(head[4:])), int16(binary.BigEndian.Uint16(head[6:]))
		if err := r.parser.frame(ctx, size, key, version); err != nil {
			return err
		}
	}
}

// ahead returns the next n bytes, which fit the buffer, and leaves them there. The view
// is good until the next fill.
func (r *reader) ahead(n int, since *atomic.Int64) ([]byte, error) {
	for r.w-r.r < n {
		if r.r+n > len(r.buf) {
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		}
		due := since
		if r.r == r.w {
			due = nil // nothing has begun
		}
		if err := r.fill(due); err != nil {
			return nil, err
		}
	}
	r.onTime()
	return r.buf[r.r : r.r+n], nil
}

// frame carries out one request. What can't be one, or is too large, ends the connection
// before there is memory for it.
func (p *parser) frame(ctx context.Context, size int64, key kafka.Key, version int16) error {
	p.num++
	p.r.lent.from = nil
	p.c.srv.stats.kafka.requested(key)
	served, most := kafka.Serves(key, version), int64(frameMost)
	if served && key == kafka.Produce {
		most = p.c.srv.conf.KafkaProtocol.MaxFrame
	}
	switch {
	case size < frameLeast:
		return p.cut(closedMalformed)
	case size > most:
		return p.cut(closedOversized)
	case !served && key != kafka.ApiVersions:
		return p.cut(closedUnserved)
	}
	if err := p.reserve(); err != nil { // first: a client that takes no answers must not sit on memory
		return err
	}
	if key == kafka.Produce {
		return p.produce(ctx, int(size))
	}
	frame, lease, err := p.r.frame(ctx, frameSize+int(size))
	if err != nil {
		return err
	}
	err = p.decode(ctx, frame[frameSize:])
	if lease != nil {
		lease.Release()
	}
	p.r.leavePlace()
	if err != nil {
		return p.cut(reason(err))
	}
	return p.submit()
}

// frame takes the next n bytes: a view into the buffer where they fit it, which holds
// until the next fill, else into the lease.
func (r *reader) frame(ctx context.Context, n int) (frame []byte, lease *sched.Buf, err error) {
	if n <= len(r.buf) {
		frame, err = r.ahead(n, &r.c.frameSince)
		if err == nil {
			r.r += n
		}
		return frame, nil, err
	}
	if lease, err = r.leaseFor(ctx, n, n-(r.w-r.r)); err != nil {
		return nil, nil, err
	}
	if err = r.into(lease.B); err != nil {
		lease.Release()
		return nil, nil, err
	}
	r.onTime()
	return lease.B, lease, nil
}

// errNoMemory: there is none for a large request now.
var errNoMemory = errors.New("no memory for a large request")

// reason says why a connection is closed.
func reason(err error) closing {
	if errors.Is(err, errNoMemory) {
		return closedOverloaded
	}
	return closedMalformed
}

// decode makes the request of a frame, in the storage of the reserved command. It keeps
// nothing of the frame.
func (p *parser) decode(ctx context.Context, frame []byte) error {
	h, err := kafka.ParseHeader(frame)
	q := p.storage(h)
	switch {
	case errors.Is(err, kafka.ErrUnserved): // ApiVersions, whose answer says in a form that everybody can read which versions there are
		q.version, q.body = 0, &kmsg.ApiVersionsRequest{Version: -1}
		return nil
	case err != nil:
		return err
	case h.Key == kafka.Fetch:
		return p.decodeFetch(ctx, q, h)
	}
	q.body, err = kafka.Decode(h, func(most int64) error { return p.c.hold(ctx, q, most) })
	return err
}

// storage is the request of the reserved command.
func (p *parser) storage(h kafka.Header) *kafkaRequest {
	if p.spare.kafka == nil {
		p.spare.kafka = new(kafkaRequest)
	}
	q := p.spare.kafka
	p.c.unhold(q) // what was held for one that proved to be malformed
	q.key, q.version, q.correlation = h.Key, h.Version, h.Correlation
	return q
}

// submit sends the decoded request to the responder, which carries it out in its turn.
func (p *parser) submit() error {
	cmd := p.take()
	cmd.op = opKafka
	waited := p.changes(cmd.kafka.body)
	cmd.kafka.waited = waited
	p.c.completed <- cmd
	if waited {
		return p.await()
	}
	return nil
}

// changes tells whether what follows may name what the request makes, or takes away.
func (p *parser) changes(body kmsg.Request) bool {
	switch body := body.(type) {
	case *kmsg.CreateTopicsRequest, *kmsg.DeleteTopicsRequest, *kmsg.CreatePartitionsRequest, *kmsg.IncrementalAlterConfigsRequest:
		return true
	case *kmsg.MetadataRequest:
		return p.c.srv.conf.AutoCreate && (body.Version < 4 || body.AllowAutoTopicCreation)
	}
	return false
}

// cut ends the connection behind the answers to what came before.
func (p *parser) cut(why closing) error {
	p.c.srv.stats.closed[why].Add(1)
	p.end()
	return errClosing
}
