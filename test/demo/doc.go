// Command demo is what `make run` starts: a server with real data in it, to look around in.
//
// Job: start bin/sluice serve, append every line of the Go sources with bin/sluice append, read them back
// with bin/sluice read, compare byte for byte, and keep serving until Ctrl-C (or end at once, with -once).
// Owner: main starts the server and stops it, whatever happens between.
// Promise: it prints "identical" only if every byte came back; it never removes or changes data that was
// there before: each run appends to a topic of its own.
// Limits: it uses the binary alone, as a user would, and no package of ours.
package main
