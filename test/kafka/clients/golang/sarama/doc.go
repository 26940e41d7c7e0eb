// Command sarama drives IBM's sarama, as package protocol says.
//
// Job: each operation with a client of its own, set up as the request says, everything else as sarama has it.
// Owner: the tests of test/kafka.
// Promise: records are told as they came.
// Limits: as protocol.
package main
