package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DecodedMost is the most memory in bytes that Decode takes, to be reserved before; it is in proportion to the body. It takes none
// itself. For a body that is malformed, or not one for Decode, it is what is known until there, and Decode takes none.
func DecodedMost(h Header) int64 {
	most, _ := walkRequest(h) // Decode tells the error
	return most
}

// Decode decodes the body of a served request other than Produce and Fetch. Its strings are copies, unknown tags views.
// Errors: a *FrameError.
func Decode(h Header) (kmsg.Request, error) {
	if _, there := shapes[h.Key]; !there {
		panic("BUG: Decode of " + h.Key.String())
	}
	if _, err := walkRequest(h); err != nil {
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
