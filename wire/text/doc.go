// Package text speaks the text protocol: it turns a request's line into a Request, writes answers, and reads answers
// for the client. It also keeps the small grammars that lines, configuration and command line share: offsets to start
// from, ack levels, topic names, byte sizes, durations, percent-encoding.
//
// Owner: nobody. There is no state between calls; any goroutine may call anything, but a Request, an Answer and a
// destination slice belong to one goroutine at a time.
//
// Promise: a line that is fine costs no allocation, and nothing in it is copied: topics, names and values are views of
// the line. A line that is not fine gives an Error that says what is wrong, whether a payload of known length follows
// (Skip) and whether the connection can go on (Close). Every answer is one line of printable ASCII whatever bytes of a
// user it echoes.
//
// Limits: a line is at most MaxLine bytes with its EOL; a CREATE has at most MaxPairs settings; numbers end at 2^63-1.
// Whether a length may be that large is for the server to say (TOO_LARGE), before it takes any memory for it.
package text
