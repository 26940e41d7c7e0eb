package stages

import (
	"errors"
	"sync"

	"sluice/wire/text"
)

// This file is what a parser works with: a request, while one is half received, and
// commands, of which a connection has few.

// requests are 1.7 KiB each, for the settings of a CREATE: too much for connections that
// are idle, so they share as many as are at work.
var requests = sync.Pool{New: func() any { return new(text.Request) }}

// rest gives back what only a request needs. The reader calls it before it waits for one.
func (p *parser) rest() {
	if p.req != nil {
		requests.Put(p.req)
		p.req = nil
	}
}

// begin is the opposite of rest.
func (p *parser) begin() {
	if p.req == nil {
		p.req = requests.Get().(*text.Request)
	}
}

var errGone = errors.New("the client takes no answers any more")

// command is reserve and take.
func (p *parser) command() (*command, error) {
	if err := p.reserve(); err != nil {
		return nil, err
	}
	return p.take(), nil
}

// reserve finds a command that is not in use, and waits while all of them are:
// that is the connection's share of the pressure. A group must not be open.
func (p *parser) reserve() error {
	if p.spare != nil {
		return nil
	}
	select {
	case p.spare = <-p.c.free:
	default:
		if p.made < cap(p.c.free) {
			p.made++
			p.spare = new(command)
			break
		}
		select {
		case p.spare = <-p.c.free:
		case <-p.c.gone:
			return errGone
		}
	}
	if p.spare == p.tail {
		p.tail = nil
	}
	return nil
}

// state tells the tick how far the connection is.
func (p *parser) state() inputState {
	outside := p.made
	if p.spare != nil {
		outside--
	}
	return inputState(p.seq<<16 | uint64(outside))
}

// take gives the reserved command its place among the answers. From here on it must
// be sent: the answers behind a place that stays empty would wait for ever.
func (p *parser) take() *command {
	cmd := p.spare
	p.spare = nil
	*cmd = command{conn: p.c, reply: p.c.completed, seq: p.seq, req: p.num, kafka: cmd.kafka}
	p.seq++
	return cmd
}
