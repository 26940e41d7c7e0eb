// Package client is the Go client of sluice: it appends, reads and administers over the text protocol.
//
// Owner: a Client and a Producer may be used by any number of goroutines; a Consumer by one at a time. Every goroutine
// that the package starts is joined by Producer.Close, or by the end of the loop over Consumer.Records.
//
// # Promise
//
// A Producer keeps the order of each goroutine's records, and tells of every record, once, what became of it. A Result
// names the level of acknowledgement that was reached, and how far the log would survive a power cut. An error for which
// errors.Is(err, ErrUnknown) is false means that the record was not appended.
//
// When a connection is lost, or the server fails behind the moment of no return, nobody can tell what became of the records
// on their way. Where the server offers it, a Producer numbers its records; then it connects again and sends them again, and
// the server appends each once, also after a restart. Only when Options.Retry is used up, or without such numbers
// (ProducerOptions.Sequences), is that told, as ErrUnknown. Such a record is never sent again unless ProducerOptions.OnUnknown
// asks for it, as it would then be in the log twice if it was there already. (With AckNone nothing is promised, and a Result
// says only that the record was sent.)
//
// A Consumer yields each offset once and leaves none out, across lost connections too; it proves the checksum of every
// batch. What it can't deliver, it names: a GapError says from where to where, and why, and only the caller steps over.
// With a Store the position outlives the process; records behind the last Commit come again (at least once).
//
// # Limits
//
// All memory is bounded by options: ProducerOptions.MaxBuffered; ConsumerOptions.FetchBytes (or a batch, where that is
// larger) times Prefetch+1, and MaxDecoded. A record is at most MaxBatchBytes. Offsets end at 2^63-1.
package client
