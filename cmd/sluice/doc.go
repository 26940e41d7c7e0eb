// Command sluice is the log server and its tools in one binary: serve, append, read, tail, head, topics, stats, flush,
// create, drop, verify, dump, repair, doctor, config, version, completion.
//
// Owner: main starts one command and ends with it. Each command is a file; what they share is in cli.go (streams and
// exit status), connect.go (the client), print.go (output), progress.go and the config*.go files (settings in layers).
//
// Promise: results go to stdout, everything else to stderr. The exit status is 0 when all was done, 1 when something
// failed, 2 when the command line could not be understood. An error is one sentence that begins with "sluice: ".
//
// Limits: append holds a few batches in memory, read and tail a few fetches, verify, dump and repair one batch decoded,
// whatever the size of input and log.
package main
