// Package witness talks to a server and writes into a history what it sees, for the log oracle to judge.
//
// Job: one connection with the requests that a history knows (Conn), and many of them as a random load (Load).
// Owner: a Conn belongs to one goroutine; a Load joins all of its own.
// Promise: an event is invoked before its request is sent, and completed after its answer was read, so that the order of
// a history never says more than what has happened. A request is never sent twice.
// Limits: the text protocol; values carry the name of their client and a checksum, and are at most a few KiB.
package witness
