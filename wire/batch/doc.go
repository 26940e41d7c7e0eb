// Package batch reads and writes Kafka's record batch, version 2: the bytes that producers send, that segments
// store, and that consumers get (I4).
//
// Job: build batches (Builder), prove them (Verify and Pieces for stored ones, Check and CheckAll for a client's), and walk
// their records (Reader).
//
// Owner: nothing here starts a goroutine or keeps a caller's bytes after it returned, but for Builder and Reader
// between their Reset and the next. The functions may be called from any goroutine; one Builder or Reader belongs to one goroutine at a time.
//
// Promise: no input makes the package panic. A length meets its limit before it meets memory (I12). The hot paths
// (ParseHeader, Verify, Check and CheckAll of uncompressed batches, Builder, Reader over uncompressed batches) allocate nothing (I10).
// Whatever Check accepts uncompressed, Reader delivers whole.
//
// Limits: a batch is at most MaxSize bytes. Compressed records are decoded only by Reader, into one buffer that never
// exceeds the cap given to Reset (zstd: by 128 KiB); what the decoders hold beside it, some hundred KiB, is shared by all Readers.
// Check leaves compressed records unread, so that an append costs no decoding: their number is then only what the header claims.
package batch
