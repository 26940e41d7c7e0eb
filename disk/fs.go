package disk

import "io"

// By names the stage that asks for a file operation. Every operation at the seam carries it, so that a trace shows who
// waits for which system call: the writer must be seen doing nothing but writes (I8).
type By string

// The stages that touch files.
const (
	ByOpen       By = "open"       // opening: store, logs, recovery
	ByWriter     By = "writer"     // appends
	ByFlusher    By = "flusher"    // fdatasync, for acks
	ByRoller     By = "roller"     // background work on segments
	ByReader     By = "reader"     // reads, from any goroutine
	ByController By = "controller" // topics made and dropped, orderly closing
	ByTool       By = "tool"       // offline tools: verify, dump, repair
	ByScrub      By = "scrub"      // the background check of sealed segments
)

// FS is the one way to files. Names are slash-separated and relative to the root, which is "."; errors tell "exists
// already" and "is not there" as fs.ErrExist and fs.ErrNotExist do. Any goroutine may call any method.
//
// Nothing is durable by itself: content needs File.Sync, a name needs SyncDir of its directory.
type FS interface {
	// Create makes a new file and fails if the name is taken.
	Create(by By, name string) (File, error)
	// Open opens an existing file to read and write.
	Open(by By, name string) (File, error)
	// Rename gives a file or a directory another name; a file of the new name is replaced.
	Rename(by By, old, new string) error
	// Remove unlinks a file or an empty directory.
	Remove(by By, name string) error
	// MkdirAll makes a directory and those above it, as far as they are missing.
	MkdirAll(by By, name string) error
	// List returns what a directory holds, sorted by name.
	List(by By, dir string) ([]Entry, error)
	// SyncDir makes the names in dir durable.
	SyncDir(by By, dir string) error
	// Lock takes the lock file name, made when missing, for this process; ErrLocked when another holds it. The lock goes
	// with the returned value, or with the process.
	Lock(by By, name string) (io.Closer, error)
	// Space tells how full the file system is that the root is on.
	Space(by By) (Space, error)
}

// Space is in bytes. Free is what an unprivileged writer may still take, which is less than what is unused.
type Space struct{ Free, Total int64 }

// File is an open file. Calls may overlap, but for Close, which comes last.
type File interface {
	// ReadAt and WriteAt are those of io.ReaderAt and io.WriterAt.
	ReadAt(by By, p []byte, pos int64) (int, error)
	WriteAt(by By, p []byte, pos int64) (int, error)
	// WriteSync is WriteAt that returns once these bytes, and the length needed to read them, are durable. It says nothing
	// about bytes written before.
	WriteSync(by By, p []byte, pos int64) (int, error)
	// Allocate makes the file at least size bytes long, with zeros, and reserves the blocks where the file system can. It
	// never shortens, and never touches bytes that are written while it runs.
	Allocate(by By, size int64) error
	// Truncate sets the length.
	Truncate(by By, size int64) error
	// Sync makes the content, and the length needed to read it, durable (fdatasync).
	Sync(by By) error
	// Evict makes the kernel forget the pages of [pos, pos+n) that hold nothing unsynced, so that the next read asks the
	// device. It is a hint: pages in use stay, and where there is no such call it does nothing.
	Evict(by By, pos, n int64) error
	// ReadCached is ReadAt that never waits for the device: ErrCold where it would have to, with the n bytes that were there.
	ReadCached(by By, p []byte, pos int64) (int, error)
	// Cached tells whether [pos, pos+n) could be read now without waiting for the device. Bytes behind the file's end could
	// not, nor could any where the system cannot tell.
	Cached(pos, n int64) bool
	// Ahead says that [pos, pos+n) will be read soon, so that the kernel may begin. It is a hint, and may cost a wait for
	// room in the device's queue.
	Ahead(by By, pos, n int64) error
	// Fd is the kernel's descriptor, for sendfile; it is good until Close. False: there is none, or none that may be read
	// past this value; then the bytes go through ReadAt.
	Fd() (fd int, ok bool)
	Size() (int64, error)
	// Named tells whether any name leads to the file still.
	Named() (bool, error)
	Close(by By) error
}

// Entry is one name in a directory. Size counts bytes and is 0 for a directory.
type Entry struct {
	Name string
	Size int64
	Dir  bool
}
