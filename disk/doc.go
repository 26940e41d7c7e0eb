// Package disk keeps logs of record batches in append-only segment files.
//
// Owner: each log has one writer, one flusher and one roller at a time (the comments of Log's methods say whose each
// is); reads may come from any goroutine. A Store has a directory to itself, by its LOCK.
//
// Promise: what is below Durable survives a power cut, what is below Next a kill of the process, if the log is opened
// again by this package. Readers see whole batches with the right base, size and checksum, or an error. The writer does
// nothing but writes (I8). The first write or sync that fails ends the log as a writer until the process is restarted
// (I6); lack of space does not, if the append can be undone for certain. Opening cuts a torn tail, keeps what it cut, and
// is the same if it is interrupted and done again (I7).
//
// Limits: a segment starts batches at positions of 32 bits; a batch is at most batch.MaxSize; offsets end at 2^63-1. The
// last segment is scanned whole at opening. One process per directory.
//
// A log's directory, topics/<topic>/<partition>:
//
//	00000000000000000000.log  batches, nothing else; zeros behind the last one are space allocated ahead
//	00000000000000000000.idx  sparse index of a sealed segment; derived, unsynced (index.go has its bytes)
//	next.seg                  the spare; from a roll until its renaming, the active segment
//	<base>-<position>.cut     a torn tail that recovery took out of that segment
//	<base>.cut                a spare that did not continue the log
//	*.tmp                     written aside, removed by the next opening
//
// node.json (format, node, created) and topic.json (name, settings) are kept twice, as name and name.2: JSON
// {"value": ..., "crc32c": "8 hex digits, of the value's bytes as they stand"}.
//
// Files:
//
//	fs.go osfs.go osfs_linux.go osfs_other.go  the seam to files, and the operating system behind it
//	errors.go                                  what callers tell apart
//	store.go topics.go twofold.go              the directory, its identity, its topics; small files kept twice
//	log.go segment.go                          Log and segment: fields by owner, life of a segment
//	append.go flush.go maintain.go close.go    writer, flusher, roller, and the end
//	open.go recover.go recoverspare.go         opening: names, torn tails, the spare
//	read.go time.go view.go window.go          reading by offset and by time: pinned segments, buffered looks at a file
//	resume.go lost.go                          damage: where whole batches go on behind it
//	index.go indexfile.go memindex.go          the index: bytes, file, memory
//	rebuild.go                                 the roller's work on an index that readers found bad
package disk
