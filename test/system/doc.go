// Package system tests the built binary from outside, over its sockets and through its signals.
//
// Job: what crosses the parts: a session typed by hand, a restart and a kill with awkward records, what a
// web page must not reach, signals and kills under load, the order of system calls behind an acknowledgement. The
// command line's own tests are in cmd/sluice, the server's settings in test/matrix.
// Owner: whoever changes the protocol or the life of the process.
// Promise: nothing here uses a package of the product; what passes would pass for a user.
// Limits: SLUICE_BIN names the binary (make cover gives one that counts); without it the tests build one.
package system
