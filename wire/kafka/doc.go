// Package kafka reads and writes the frames of Kafka's protocol, as a broker sees them.
//
// Job: the header of every request; our own decoders of Produce and Fetch, and encoders of their answers; for all other
// messages the bounds (Decode) around kmsg, which has every message but trusts what it reads; the checks of a batch that a
// client sends, in the order and with the codes that clients know (CheckBatch).
//
// Owner: nothing here starts a goroutine or keeps a caller's bytes, but for the views in what Parse fills. The functions
// may be called from any goroutine; one request value belongs to one goroutine at a time.
//
// Promise: no input makes the package panic. A length meets its limit before it meets memory (I12): what a frame claims
// is walked before anything is made for it. The hot paths (ParseHeader, Parse and Next of Produce and Fetch, CheckBatch, the
// Append functions of both) allocate nothing but growth of the caller's slice (I10).
//
// Limits: MaxPartitions in a Produce or Fetch request, strings of 32,767 bytes, 1,000 unknown tags in any other request. The size of a
// frame is for the caller to bound, before it takes memory for it.
package kafka
