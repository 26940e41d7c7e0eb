// Package wire holds nothing itself; the packages below it turn bytes into values and back.
//
//   - batch: Kafka's record batch, version 2, the unit of storage and of transfer
//   - text: the text protocol that is typed with telnet and spoken by our client
//
// They know no socket, no file and no goroutine, so that each can be tested with bytes alone.
package wire
