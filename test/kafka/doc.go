// Package kafka holds the server against real Kafka clients.
//
// Job: every client of the package clients goes through the same operations on one server; each is judged by what the text
// protocol says of the same records; the matrix in docs/kafka.md is what came of it.
// Owner: whoever changes the Kafka listener, or adds a client.
// Promise: a cell of the matrix is a run, not a claim. A client that cannot be had here is skipped with the reason, and its
// column is left as it is.
// Limits: SLUICE_BIN names the binary; SLUICE_KAFKA_PEER=kfake runs all of it against franz-go's fake broker, and
// SLUICE_KAFKA_PEER=HOST:PORT against any other, which tells a driver's mistake from a server's.
package kafka
