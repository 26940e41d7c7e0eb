package stages

import "sluice/wire/text"

// other makes the command of a request that appends nothing. The responder
// carries it out when all before it is answered, so it sees every earlier
// append of its connection.
func (p *parser) other() error {
	req := p.req
	var part *partition
	switch req.Verb {
	case text.VerbRead, text.VerbFetch, text.VerbTail, text.VerbHead, text.VerbFlush:
		if part = p.c.srv.catalog.find(req.Topic, req.Partition); part == nil {
			return p.refuse(p.missing(req.Topic, req.Partition))
		}
	}
	cmd, err := p.command()
	if err != nil {
		return err
	}
	cmd.verb, cmd.part = req.Verb, part
	q := &cmd.read
	q.from, q.limit, q.bytes, q.min, q.epoch, q.wait, q.raw = req.From, req.Limit, req.Bytes, req.Min, req.Epoch, req.Wait, req.Raw
	switch req.Verb {
	case text.VerbTail:
		if p.r.w > p.r.r {
			q.interrupted.Store(true) // the next request is here already
		} else {
			p.tail = cmd
		}
	case text.VerbCreate, text.VerbAlter, text.VerbDrop, text.VerbTopics, text.VerbStats:
		cmd.admin = &adminRequest{topic: string(req.Topic), json: req.JSON}
		for _, s := range req.Settings {
			cmd.admin.settings = append(cmd.admin.settings, [2]string{string(s.Name), s.Decoded()})
		}
	case text.VerbClose:
		cmd.close = true
	}
	p.c.completed <- cmd
	switch req.Verb {
	case text.VerbClose:
		return errClosing
	case text.VerbCreate, text.VerbAlter, text.VerbDrop:
		return p.await()
	}
	return nil
}

// await stops the parser until the catalog has changed: what follows may name
// the topic.
func (p *parser) await() error {
	select {
	case <-p.c.barrier:
		return nil
	case <-p.c.gone:
		return errGone
	}
}
