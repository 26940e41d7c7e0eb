package stages

import (
	"context"

	"sluice/wire/kafka"
)

// kafkaFetch is a Fetch under way: what its frame asks for, copied out of it.
type kafkaFetch struct{}

// decodeFetch takes a Fetch out of its frame, of which it keeps nothing.
func (p *parser) decodeFetch(q *kafkaRequest, h kafka.Header) error {
	var req kafka.FetchRequest
	return req.Parse(h.Version, h.Body)
}

// kafkaFetch answers a Fetch.
func (r *responder) kafkaFetch(_ context.Context, cmd *command) {
	r.err = errUnanswered
}
