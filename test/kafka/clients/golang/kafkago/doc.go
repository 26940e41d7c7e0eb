// Command kafkago drives segmentio's kafka-go, as package protocol says.
//
// Job: each operation with a Writer, a Reader or a Client of its own, set up as the request says, everything else as
// kafka-go has it.
// Owner: the tests of test/kafka.
// Promise: records are told as they came.
// Limits: as protocol.
package main
