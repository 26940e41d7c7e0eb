// Package protocol is what the drivers of Go clients have in common: requests as JSON lines on standard input, an answer
// each on standard output.
//
// Job: read a request, have the driver's function carry it out, print what came of it.
// Owner: the drivers beside it, one program for each client.
// Promise: one answer for each request, in order, whatever happens; a client's error is an answer and ends nothing.
// Limits: one request at a time. The same requests are understood by the drivers in other languages; the package above
// (clients) describes them.
package protocol
