// Package process runs the built binary for the suites that look at the server from outside.
//
// Job: find or build the binary, start servers on free ports, wait until they are ready, end them.
// Owner: a test that starts a Server also ends it, with Stop or Kill, and joins it that way.
// Promise: only processes that were started here are ended; each is in a process group of its own, so that a Ctrl-C in
// the terminal reaches the tests and not the servers behind their back.
// Limits: for tests; a binary is built once for a test binary, from the sources as they are.
package process
