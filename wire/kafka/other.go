package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Decode decodes the body of a served request other than Produce and Fetch. Its strings are copies, unknown tags views.
// Before it takes memory it tells reserve, unless that is nil, how many bytes that is at most: in proportion to the body.
// Errors: a *FrameError, and that of reserve.
func Decode(h Header, reserve func(most int64) error) (kmsg.Request, error) {
	if _, there := shapes[h.Key]; !there {
		panic("BUG: Decode of " + h.Key.String())
	}
	most, err := walkRequest(h)
	if err == nil && reserve != nil {
		err = reserve(most)
	}
	if err != nil {
		return nil, err
	}
	req := kmsg.RequestForKey(int16(h.Key))
	req.SetVersion(h.Version)
	if err := req.ReadFrom(h.Body); err != nil {
		return nil, fmt.Errorf("the body of %v version %d is malformed: %w", h.Key, h.Version, err)
	}
	return req, nil
}

// AppendResponse appends the whole frame of an answer to h, its 4 bytes of size included. r has the version that is to
// be told, which is the request's but where ApiVersions tells that it doesn't know that one.
func AppendResponse(dst []byte, h Header, r kmsg.Response) []byte {
	start := len(dst)
	// A client can't know what the broker speaks before it has read this very answer, so its header is always the first.
	dst = beginFrame(dst, h.Correlation, r.IsFlexible() && h.Key != ApiVersions)
	return endFrame(r.AppendTo(dst), start)
}
