package stages

import "github.com/twmb/franz-go/pkg/kmsg"

// kafkaInitProducerID gives a producer its id.
func (r *responder) kafkaInitProducerID(_ *command, req *kmsg.InitProducerIDRequest) kmsg.Response {
	return req.ResponseKind()
}
