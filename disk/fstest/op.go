package fstest

import (
	"errors"
	"io"

	"sluice/disk"
)

// Kind is an operation of the seam, in one word.
type Kind string

const (
	Create    Kind = "create"
	Open      Kind = "open"
	Rename    Kind = "rename"
	Remove    Kind = "remove"
	Mkdir     Kind = "mkdir"
	List      Kind = "list"
	SyncDir   Kind = "syncdir"
	Lock      Kind = "lock"
	Read      Kind = "read"
	Write     Kind = "write"
	WriteSync Kind = "writesync"
	Allocate  Kind = "allocate"
	Truncate  Kind = "truncate"
	Sync      Kind = "sync"
	Evict     Kind = "evict"
	Size      Kind = "size"
	Close     Kind = "close"
	Space     Kind = "space"

	ReadCached Kind = "readcached"
	Ahead      Kind = "ahead"
)

// Op is one operation. Name is the file's at the time of the operation, after all renames so far; To is a rename's new
// one, and "." for Space. Pos is a position, or the length that Allocate and Truncate ask for; Len counts the bytes read,
// written, evicted or read ahead. Fd, Cached and Named are no operations: they touch nothing.
type Op struct {
	By   disk.By // "" for Size, which has none
	Kind Kind
	Name string
	To   string
	Pos  int64
	Len  int
}

// Changes tells whether the operation can change what a later process finds, syncs among them.
func (op Op) Changes() bool {
	switch op.Kind {
	case Create, Rename, Remove, Mkdir, SyncDir, Lock, Write, WriteSync, Allocate, Truncate, Sync:
		return true
	}
	return false
}

// wrapper puts before and after around every operation. An error of before is the operation's result, and the operation
// is not done.
type wrapper struct {
	fs     disk.FS
	before func(Op) error
	after  func(Op, error)
	names  openNames
}

func (w *wrapper) do(op Op, run func() error) error {
	return w.doPartly(op, run, func(error) {})
}

// doPartly leaves it to partly what is done of an operation that before has failed. A wrapper below may have failed it just
// so, and has seen to it then.
func (w *wrapper) doPartly(op Op, run func() error, partly func(error)) error {
	err := w.before(op)
	if _, late := errors.AsType[*Late](err); late {
		_ = run() // the error is the one asked for
	} else if err != nil {
		partly(err)
	} else {
		err = run()
	}
	w.after(op, err)
	return err
}

func (w *wrapper) Create(by disk.By, name string) (disk.File, error) {
	return w.open(Op{By: by, Kind: Create, Name: name}, w.fs.Create)
}

func (w *wrapper) Open(by disk.By, name string) (disk.File, error) {
	return w.open(Op{By: by, Kind: Open, Name: name}, w.fs.Open)
}

func (w *wrapper) open(op Op, open func(disk.By, string) (disk.File, error)) (disk.File, error) {
	var f disk.File
	err := w.do(op, func() (err error) { f, err = open(op.By, op.Name); return err })
	if err != nil {
		if f != nil { // failed late
			err = errors.Join(err, f.Close(op.By))
		}
		return nil, err
	}
	return &wrappedFile{w: w, f: f, name: w.names.opened(op.Name)}, nil
}

func (w *wrapper) Rename(by disk.By, old, new string) error {
	err := w.do(Op{By: by, Kind: Rename, Name: old, To: new}, func() error { return w.fs.Rename(by, old, new) })
	if err == nil {
		w.names.renamed(old, new)
	}
	return err
}

func (w *wrapper) Remove(by disk.By, name string) error {
	return w.do(Op{By: by, Kind: Remove, Name: name}, func() error { return w.fs.Remove(by, name) })
}

func (w *wrapper) MkdirAll(by disk.By, name string) error {
	return w.do(Op{By: by, Kind: Mkdir, Name: name}, func() error { return w.fs.MkdirAll(by, name) })
}

func (w *wrapper) List(by disk.By, dir string) (list []disk.Entry, err error) {
	err = w.do(Op{By: by, Kind: List, Name: dir}, func() (err error) { list, err = w.fs.List(by, dir); return err })
	return list, err
}

func (w *wrapper) SyncDir(by disk.By, dir string) error {
	return w.do(Op{By: by, Kind: SyncDir, Name: dir}, func() error { return w.fs.SyncDir(by, dir) })
}

func (w *wrapper) Lock(by disk.By, name string) (c io.Closer, err error) {
	err = w.do(Op{By: by, Kind: Lock, Name: name}, func() (err error) { c, err = w.fs.Lock(by, name); return err })
	return c, err
}

func (w *wrapper) Space(by disk.By) (s disk.Space, err error) {
	err = w.do(Op{By: by, Kind: Space, Name: "."}, func() (err error) { s, err = w.fs.Space(by); return err })
	return s, err
}

type wrappedFile struct {
	w    *wrapper
	f    disk.File
	name *openName
}

func (f *wrappedFile) do(op Op, run func() error) error {
	return f.doPartly(op, run, func(error) {})
}

func (f *wrappedFile) doPartly(op Op, run func() error, partly func(error)) error {
	op.Name = f.w.names.of(f.name)
	return f.w.doPartly(op, run, partly)
}

func (f *wrappedFile) ReadAt(by disk.By, p []byte, pos int64) (n int, err error) {
	return f.read(Op{By: by, Kind: Read, Pos: pos, Len: len(p)}, p, f.f.ReadAt)
}

func (f *wrappedFile) read(op Op, p []byte, read func(disk.By, []byte, int64) (int, error)) (n int, err error) {
	err = f.doPartly(op, func() (err error) { n, err = read(op.By, p, op.Pos); return err }, func(err error) {
		if short, ok := errors.AsType[*Short](err); ok {
			n, _ = f.f.ReadAt(op.By, p[:min(short.N, len(p))], op.Pos) // the error is the one asked for
		}
	})
	return n, err
}

func (f *wrappedFile) WriteAt(by disk.By, p []byte, pos int64) (int, error) {
	return f.write(Op{By: by, Kind: Write, Pos: pos, Len: len(p)}, p, f.f.WriteAt)
}

func (f *wrappedFile) WriteSync(by disk.By, p []byte, pos int64) (int, error) {
	return f.write(Op{By: by, Kind: WriteSync, Pos: pos, Len: len(p)}, p, f.f.WriteSync)
}

func (f *wrappedFile) write(op Op, p []byte, write func(disk.By, []byte, int64) (int, error)) (n int, err error) {
	err = f.doPartly(op, func() (err error) { n, err = write(op.By, p, op.Pos); return err }, func(err error) {
		if short, ok := errors.AsType[*Short](err); ok {
			n, _ = f.f.WriteAt(op.By, p[:min(short.N, len(p))], op.Pos) // the error is the one asked for
		}
	})
	return n, err
}

func (f *wrappedFile) Allocate(by disk.By, size int64) error {
	return f.do(Op{By: by, Kind: Allocate, Pos: size}, func() error { return f.f.Allocate(by, size) })
}

func (f *wrappedFile) Truncate(by disk.By, size int64) error {
	return f.do(Op{By: by, Kind: Truncate, Pos: size}, func() error { return f.f.Truncate(by, size) })
}

func (f *wrappedFile) Sync(by disk.By) error {
	return f.doPartly(Op{By: by, Kind: Sync}, func() error { return f.f.Sync(by) }, func(err error) {
		if _, ok := errors.AsType[*Dropped](err); ok {
			f.dropUnsynced()
		}
	})
}

func (f *wrappedFile) dropUnsynced() {
	if d, ok := f.f.(interface{ dropUnsynced() }); ok {
		d.dropUnsynced()
	}
}

func (f *wrappedFile) Evict(by disk.By, pos, n int64) error {
	return f.do(Op{By: by, Kind: Evict, Pos: pos, Len: int(n)}, func() error { return f.f.Evict(by, pos, n) })
}

func (f *wrappedFile) ReadCached(by disk.By, p []byte, pos int64) (n int, err error) {
	return f.read(Op{By: by, Kind: ReadCached, Pos: pos, Len: len(p)}, p, f.f.ReadCached)
}

func (f *wrappedFile) Cached(pos, n int64) bool { return f.f.Cached(pos, n) }

func (f *wrappedFile) Ahead(by disk.By, pos, n int64) error {
	return f.do(Op{By: by, Kind: Ahead, Pos: pos, Len: int(n)}, func() error { return f.f.Ahead(by, pos, n) })
}

// Fd keeps readers from going past the wrapper.
func (f *wrappedFile) Fd() (int, bool) { return 0, false }

func (f *wrappedFile) Size() (n int64, err error) {
	err = f.do(Op{Kind: Size}, func() (err error) { n, err = f.f.Size(); return err })
	return n, err
}

func (f *wrappedFile) Named() (bool, error) { return f.f.Named() }

func (f *wrappedFile) Close(by disk.By) error {
	err := f.do(Op{By: by, Kind: Close}, func() error { return f.f.Close(by) })
	f.w.names.closed(f.name)
	return err
}
