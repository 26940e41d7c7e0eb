package disk

import (
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	spareName = "next.seg" // the segment made ahead; it may hold batches until the roller has renamed it
	logEnding = ".log"
	idxEnding = ".idx"
	cutEnding = ".cut" // bytes that recovery took out of a log, kept for people
	tmpEnding = ".tmp" // written aside, worthless until renamed

	baseDigits = 20 // of a base offset in a file name, so that names sort as offsets do
)

func baseName(base uint64) string { return fmt.Sprintf("%0*d", baseDigits, base) }

func segmentName(base uint64) string { return baseName(base) + logEnding }

func indexName(base uint64) string { return baseName(base) + idxEnding }

// segment is one file of a log. It is spare (made ahead, empty, in nobody's list), then active (the writer appends),
// then rolled (complete, its sync and sealing outstanding), then sealed (exact size, read by name).
type segment struct {
	base uint64 // set before the segment enters the log's list, fixed from then on

	// Stored by the writer, loaded by anyone: bytes of whole batches, and the offset after the last of them. For a sealed
	// segment the size is the file's, and end the next segment's base.
	size atomic.Int64
	end  atomic.Uint64

	written   written      // stored by the writer for the flusher: size and end, as one
	allocated atomic.Int64 // bytes the file is known to be long; a hint: the writer may pass it, and a cut back lowers it
	rolled    atomic.Bool  // stored by the writer after its last append here
	synced    atomic.Bool  // stored by the flusher: rolled, and every byte durable

	// Held by whoever syncs the file, until the log knows how it went. The kernel tells an error of writing back once for
	// each open file: of two syncs at once, one would get it, and the other would promise what was lost (I2).
	syncing sync.Mutex

	// Of a sealed segment's index file, stored by readers: what it says, once it was checked whole; or that it is of no
	// use. The roller, having written a new one, clears both.
	summary  atomic.Pointer[summary]
	badIndex atomic.Bool

	checked checked // what readers need not look at

	// Guarded by Log.list; nil once sealed, live also while the log sleeps. The stage at work on an unsealed segment (writer,
	// flusher, roller) needs no lock: only the roller changes them, and only after the others have let go (synced, the gate).
	live   *handle
	index  *memIndex // the writer's
	lookup points    // what readers search: index, or index with what lies before it
	sealed bool

	files [fileKinds]*readFile // open for readers; guarded by files.mu

	// Roller only.
	unnamed bool // the file is still called next.seg; fixed while nobody has it open for writing
	front   spot // where index begins; what lies before is not indexed yet
}

// whole is the segment's index, if there is one from its start to its end. The stage that seals it may call it.
func (s *segment) whole() whole {
	if sp, ok := s.lookup.(*spliced); ok && sp.front == nil {
		return nil
	}
	ix, _ := s.lookup.(whole)
	return ix
}

// handle is an open file that readers may hold beyond the moment its segment is sealed.
type handle struct {
	file     File
	refs     atomic.Int32 // the log's own reference, and one for each reader at work
	orphaned *files       // set by the log, before it gives its reference up while readers are at work
}

func newHandle(f File) *handle {
	h := &handle{file: f}
	h.refs.Store(1)
	return h
}

// release gives one reference back; the last one closes. By then the file is synced or its log has failed, so the error
// of a close is news, but takes nothing from anyone.
func (h *handle) release(by By) error {
	switch n := h.refs.Add(-1); {
	case n == 0:
		err := h.file.Close(by)
		if h.orphaned != nil {
			h.orphaned.orphanClosed()
		}
		return err
	case n < 0:
		panic("BUG: a segment's file was released more often than held")
	}
	return nil
}
