package client

import (
	"time"

	"sluice/wire/batch"
)

// batch yields the records of the batch that is open, from the Consumer's position on. It reports false if the loop is
// to end; c.moved says that the body has called Seek.
func (c *Consumer) batch(h batch.Header, left *int64, yield func(Record, error) bool) bool {
	for c.reader.Next(&c.raw) {
		if c.raw.Offset < c.pos {
			continue // a batch is stored whole: it may begin before the start
		}
		if *left == 0 {
			return false
		}
		*left--
		c.pos, c.epoch = c.raw.Offset+1, int64(h.Epoch)
		if !yield(c.record(), nil) {
			return false
		}
		if c.moved {
			return true
		}
	}
	if err := c.reader.Err(); err != nil {
		again := yield(Record{}, c.gap(c.damaged(h, err)))
		return again && c.moved
	}
	return *left != 0
}

// record makes what is yielded of the raw record.
func (c *Consumer) record() Record {
	r := Record{Offset: c.raw.Offset, Time: time.UnixMilli(c.raw.Time)}
	if c.opt.ShareBytes {
		r.Key, r.Value = c.raw.Key, c.raw.Value
		if c.raw.HeaderCount > 0 {
			r.Headers = c.headers(c.shared[:0])
			c.shared = r.Headers
		}
		return r
	}
	r.Key, r.Value = c.keep(c.raw.Key), c.keep(c.raw.Value)
	if c.raw.HeaderCount > 0 {
		r.Headers = c.headers(make([]Header, 0, c.raw.HeaderCount))
		for i := range r.Headers {
			r.Headers[i].Value = c.keep(r.Headers[i].Value)
		}
	}
	return r
}

func (c *Consumer) headers(into []Header) []Header {
	for h := range c.raw.Headers {
		into = append(into, h)
	}
	return into
}

// arenaSize: a record that a caller keeps holds at most so much memory besides its own; a larger one has its own.
const arenaSize = 32 << 10

// keep copies b to where nothing will overwrite it. Nil stays nil, and empty stays empty.
func (c *Consumer) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > arenaSize/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if c.arena == nil || len(b) > cap(c.arena)-len(c.arena) { // of a nil arena, an empty part would be nil
		c.arena = make([]byte, 0, arenaSize)
	}
	at := len(c.arena)
	c.arena = append(c.arena, b...)
	return c.arena[at:len(c.arena):len(c.arena)]
}
