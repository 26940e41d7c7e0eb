package kafka

import "errors"

// ErrUnserved means that a request's key, or its version, is not served: ApiVersions with a version we don't know is told so in an
// answer, and for all others the connection is closed, which is how a client learns it from any broker.
var ErrUnserved = errors.New("kafka: the key or the version of the request is not served")

// Header is what every request begins with. ClientID and Body are views into the frame; ClientID is nil where the client gave none.
type Header struct {
	Key         Key
	Version     int16
	Correlation int32
	ClientID    []byte
	Body        []byte
}

// ParseHeader reads the header of a frame, given without its 4 bytes of size.
// Errors: ErrUnserved, with Key, Version and Correlation filled, before anything behind them is looked at, since it may mean
// anything; or a *FrameError.
func ParseHeader(frame []byte) (Header, error) {
	r := reader{b: frame, what: "its header"}
	h := Header{Key: Key(r.int16()), Version: r.int16(), Correlation: r.int32()}
	if r.failed() {
		return h, r.err()
	}
	if !Serves(h.Key, h.Version) {
		return h, ErrUnserved
	}
	h.ClientID = r.nullable(false) // never compact, so that a broker can read it whatever the version
	r.tags(Flexible(h.Key, h.Version))
	if r.failed() {
		return h, r.err()
	}
	h.Body = frame[r.pos:]
	return h, nil
}
