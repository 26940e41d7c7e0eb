// Package stages is the server: a pipeline of stages, each a goroutine (or a
// fixed pool) with a bounded inbox, one stage a file.
//
//	accept.go      connections, and a reader and a responder for each; connections.go:
//	               the open ones, and which of them the tick closes; peer.go: clients that vanish
//	reader.go      a connection's bytes, in a buffer with an end position; input.go: none while idle
//	parser.go      requests into commands; on the reader's goroutine; supply.go: what it works with
//	writer.go      the only one that changes a log's end
//	flusher.go     fdatasync for all who wait, and by interval
//	roller.go      allocation, spare segments, sealing: nothing of it makes an append wait
//	notifier.go    tells waiting connections of new records
//	readers.go     the pool for reads that must wait for the disk; background_*.go: on threads
//	               that stand back
//	controller.go  the catalog of topics
//	responder.go   answers in the order of requests; delivery*.go: READ, FETCH, TAIL;
//	               sender.go: writes that hold nothing while a client is waited for
//	admission.go   what keeps all appends out: a crash loop, or a full disk (room.go)
//	scrubber.go    re-reads sealed segments; slow.go: watches for syncs that hang
//	limits.go      what the process may use of descriptors and memory
//	open.go        the start; pipeline.go: wires, starts, stops and joins them all
//
// What passes between stages is a command (command.go). At any time one
// goroutine owns it.
//
// Owner: whoever called Start, until Stop has returned.
// Promise: no answer leaves before the level it names is reached (I2), no queue
// is without a bound (I9), and no goroutine is left when the server is done.
// Limits: see Config; one process per data directory.
package stages
