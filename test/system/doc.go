// Package system tests the built binary from outside: processes, sockets, signals and files.
//
// Job: what a user does first, and what an operator fears: append, read, stop, kill, start again.
// Owner: whoever changes the command line or the life of the process.
// Promise: nothing here knows a package of ours; what passes would pass for a user.
// Limits: SLUICE_BIN names the binary (make cover gives one that counts); without it the tests build one.
package system
