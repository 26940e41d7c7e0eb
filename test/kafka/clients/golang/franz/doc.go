// Command franz drives franz-go (kgo, and kadm for administration), as package protocol says.
//
// Job: each operation with a client of its own, set up as the request says, everything else as franz-go has it.
// Owner: the tests of test/kafka.
// Promise: records are told as they came.
// Limits: as protocol.
package main
