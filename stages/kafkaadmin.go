package stages

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaAdmin answers what is about topics and the server itself. An ApiVersions of a version
// that is not served has version -1; its answer has version 0.
func (r *responder) kafkaAdmin(_ context.Context, _ *command, req kmsg.Request) kmsg.Response {
	return req.ResponseKind()
}
