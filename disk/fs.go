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
}

// File is an open file. Calls may overlap, but for Close, which comes last.
type File interface {
	// ReadAt and WriteAt are those of io.ReaderAt and io.WriterAt.
	ReadAt(by By, p []byte, pos int64) (int, error)
	WriteAt(by By, p []byte, pos int64) (int, error)
	// Allocate makes the file at least size bytes long, with zeros, and reserves the blocks where the file system can. It
	// never shortens, and never touches bytes that are written while it runs.
	Allocate(by By, size int64) error
	// Truncate sets the length.
	Truncate(by By, size int64) error
	// Sync makes the content, and the length needed to read it, durable (fdatasync).
	Sync(by By) error
	Size() (int64, error)
	Close(by By) error
}

// Entry is one name in a directory. Size counts bytes and is 0 for a directory.
type Entry struct {
	Name string
	Size int64
	Dir  bool
}
