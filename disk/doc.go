// Package disk keeps logs of record batches in append-only segment files.
//
// Owner: each log has one writer, one flusher and one roller at a time (the comments of Log's methods say whose each
// is); reads may come from any goroutine. A Store has a directory to itself, by its LOCK.
//
// Promise: what is below Durable survives a power cut, what is below Next a kill of the process, if the log is opened
// again by this package. Readers see whole batches with the right base, epoch, size and checksum, or an error. The writer
// does nothing but writes (I8). The first write, sync, rename or close that fails ends the log as a writer until the
// process is restarted (I6); lack of space does not, if the append can be undone for certain. Opening cuts a torn tail
// above the durable mark, keeps what it cut, and is the same if it is interrupted and done again (I7). Below the mark
// nothing is cut: what is damaged there answers CorruptError, all else is served. After a stop that was not in order, the
// next append begins an epoch (I3).
//
// Limits: a segment starts batches at positions of 32 bits; a batch is at most batch.MaxSize; offsets end at 2^63-1; an
// opening scans what lies behind the durable mark, and after a power cut that took the mark at most one segment. No more
// descriptors are open than StoreOptions say. One process per directory.
//
// A log's directory, topics/<topic>/<partition>:
//
//	00000000000000000000.log  batches, nothing else; zeros behind the last one are space allocated ahead
//	00000000000000000000.idx  sparse index of a sealed segment; derived, unsynced (index.go has its bytes)
//	next.seg                  the spare; from a roll until its renaming, the active segment
//	marks                     the durable mark, in two slots (marks.go has its bytes)
//	epochs epochs.2           epoch table, two copies
//	gaps gaps.2               ranges that a repair has given up, two copies; usually not there
//	<base>-<position>.cut     a torn tail that recovery took out of that segment
//	<base>.cut                a spare that did not continue the log
//	*.tmp                     written aside, removed by the next opening
//
// Files that end in .2 are second copies. Both hold JSON {"value": ..., "crc32c": "8 hex digits, of the value's bytes as
// they stand"}, so there are no fixed byte positions in them. The values:
//
//	node.json   {"format": 2, "node": 32 hex digits, "created": time}
//	topic.json  {"name": ..., "settings": {...}}
//	epochs      {"epochs": [[epoch, first offset], ...]}, ascending in both; a batch has the epoch of the last entry whose
//	            first offset is not above its base
//	gaps        [{"from": offset, "next": offset, "why": text}, ...], ascending; offsets [from, next) are given up
//
// Formats: 1 had no marks, epochs and gaps. A directory of format 1 becomes one of format 2 when it is opened, by its
// node.json alone; its logs get marks and epochs with their first append. A newer format is refused before any write.
//
// # Opening
//
// What is known without reading a segment: names and sizes; the mark; the epoch table; the gaps. Every segment before
// the last named one was synced before that one got its name, so only two files can hold anything in doubt: the last
// named segment, and the spare. After a stop in order nothing is in doubt. After any other those files are synced, evicted
// from the kernel's cache, and scanned: from the mark on in the one it is in, from the start in one that follows. The
// batch before the mark is read to prove the mark; if it doesn't, that segment is scanned from its start, and an end
// before the mark is damage. Without a mark the last named segment is scanned whole.
//
// Damage that an opening meets (names or durable bytes missing, a mark that leads nowhere) makes the log one that is only
// read: Err says why, nothing is changed. Before the first append of a run, the begin: the flag of the stop in order is
// taken back, synced; or the next epoch is stored, both copies and the directory synced. Until then there is no Room.
//
// An opened log sleeps: it has no descriptor until its first append, and again when others need them (sleep.go).
//
// Files:
//
//	fs.go osfs.go osfs_linux.go osfs_other.go  the seam to files, and the operating system behind it
//	osfsreadonly.go                            the same, for those who must not change anything
//	errors.go                                  what callers tell apart
//	store.go starts.go topics.go twofold.go    the directory, its identity, its runs, its topics; small files kept twice
//	files.go filesread.go filesseam.go         what the store may hold open: the budget, files for readers, the count
//	sleep.go                                   logs that have nothing open
//	log.go segment.go                          Log and segment: fields by owner, life of a segment
//	append.go flush.go maintain.go close.go    writer, flusher, roller, and the end
//	marks.go epochs.go gaps.go                 the small files of a log
//	begin.go                                   how far a log is durable, its mark, and the begin of a run
//	open.go openfacts.go                       opening: names, small files, a new log
//	recover.go recovermark.go recoverspare.go  opening: the end, at and behind the mark, in the last segment and the spare
//	recovercut.go recoverepochs.go             opening: torn tails; an epoch table that was lost
//	read.go time.go view.go window.go          reading by offset and by time: pinned segments, buffered looks at a file
//	extent.go locate.go checked.go scratch.go  the same for sendfile: where batches lie, and which of them need no look
//	resume.go lost.go                          damage: where whole batches go on behind it
//	index.go indexfile.go memindex.go          the index: bytes, file, memory
//	rebuild.go                                 the roller's work on indexes that are missing or bad
//	scrub.go scrubread.go                      re-reading sealed segments
//	verify*.go dump.go repair*.go              offline tools
package disk
