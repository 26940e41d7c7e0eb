package stages

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// kafkaInitProducerID gives a producer an id, whose epoch is 0: also one that has an id and
// asks for the next epoch of it, as Kafka does where there is no transaction.
func (r *responder) kafkaInitProducerID(req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.Default()
	if req.TransactionalID != nil { // there are no transactions: a code that no client tries again
		resp.ErrorCode = r.failed(kafka.InitProducerID, kafka.InvalidRequest)
		return resp
	}
	id, e := r.producerID()
	if e != nil {
		resp.ErrorCode = r.failed(kafka.InitProducerID, kafkaErrorOf(e).code)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp
}
