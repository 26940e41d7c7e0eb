package fstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"

	"sluice/disk"
)

// Mem is a file system in memory. For every file and directory it keeps what is synced apart from what is not, so that
// Crash can make what a power cut would leave.
type Mem struct {
	mu    sync.Mutex // guards every node
	root  *node
	ops   []nameOp // unsynced changes of names, in order
	locks map[string]bool
	used  int64 // lengths of all files that have a name or are open
	total int64 // SetSpace
	cold  bool  // SetCold
	since int   // how often the cache went cold: what was warm before counts no more
}

// node is a file or a directory.
type node struct {
	dir bool

	names  names // directory: as it is
	synced names // directory: as it was at its last SyncDir

	cache   content  // file: as it reads
	device  content  // file: as it was at its last Sync
	pending []change // file: what happened since, in order
	lost    bool     // file: the cache has, as if they were synced, bytes that a failed Sync dropped

	warm      map[int64]bool // file: pages in the kernel's memory, as far as that matters (SetCold)
	warmSince int            // Mem.since of warm

	open  int  // file: handles
	named bool // it has a name
}

// change is an unsynced write, or, with cut set, an unsynced change of the length to pos; grows: to a larger one. A write
// with forced set is durable, but lies over others that are not.
type change struct {
	pos                int64
	data               []byte
	cut, grows, forced bool
}

// nameOp is an unsynced change of names: without from a new name, without to a removal, with both a rename.
type nameOp struct {
	n        *node
	from, to *node
	old, new string
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: &node{dir: true, named: true}, locks: make(map[string]bool)}
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

var (
	errNotDir   = errors.New("not a directory")
	errIsDir    = errors.New("is a directory")
	errNotEmpty = errors.New("directory not empty")
)

func (m *Mem) lookup(name string) (*node, error) {
	at, rest := m.root, path.Clean(name)
	if rest == "." {
		return at, nil
	}
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if !at.dir {
			return nil, errNotDir
		}
		if at = at.names.get(part); at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

func (m *Mem) directory(name string) (*node, error) {
	at, err := m.lookup(name)
	if err == nil && !at.dir {
		err = errNotDir
	}
	return at, err
}

// parent finds the directory that a name is in, and the name's last part.
func (m *Mem) parent(name string) (*node, string, error) {
	dir, last := path.Split(path.Clean(name))
	at, err := m.directory(path.Clean(dir + "."))
	return at, last, err
}

func (m *Mem) link(dir *node, name string, n *node) {
	n.named = true
	dir.names.set(name, n)
	m.ops = append(m.ops, nameOp{n: n, to: dir, new: name})
}

func (m *Mem) Create(_ disk.By, name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.parent(name)
	if err == nil && dir.names.get(last) != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, pathError("create", name, err)
	}
	n := &node{open: 1}
	m.link(dir, last, n)
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *Mem) Open(_ disk.By, name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookup(name)
	if err == nil && n.dir {
		err = errIsDir
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	n.open++
	return &memFile{m: m, n: n, name: name}, nil
}

// unlinked is told that n has lost its name.
func (m *Mem) unlinked(n *node) {
	n.named = false
	m.release(n)
}

func (m *Mem) release(n *node) {
	if !n.named && n.open == 0 {
		m.used -= n.cache.size
	}
}

func (m *Mem) Rename(_ disk.By, old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldLast, err := m.parent(old)
	if err != nil {
		return pathError("rename", old, err)
	}
	n := from.names.get(oldLast)
	if n == nil {
		return pathError("rename", old, fs.ErrNotExist)
	}
	to, newLast, err := m.parent(new)
	if err != nil {
		return pathError("rename", new, err)
	}
	have := to.names.get(newLast)
	if have == n {
		return nil
	}
	if have != nil && (have.dir || n.dir) {
		return pathError("rename", new, fs.ErrExist)
	}
	if have != nil {
		m.unlinked(have)
	}
	from.names.remove(oldLast)
	to.names.set(newLast, n)
	m.ops = append(m.ops, nameOp{n: n, from: from, old: oldLast, to: to, new: newLast})
	return nil
}

func (m *Mem) Remove(_ disk.By, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.parent(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	n := dir.names.get(last)
	switch {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case n.dir && len(n.names.list) > 0:
		return pathError("remove", name, errNotEmpty)
	}
	dir.names.remove(last)
	m.unlinked(n)
	m.ops = append(m.ops, nameOp{n: n, from: dir, old: last})
	return nil
}

func (m *Mem) MkdirAll(_ disk.By, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	if name = path.Clean(name); name == "." {
		return nil
	}
	for part := range strings.SplitSeq(name, "/") {
		next := at.names.get(part)
		if next == nil {
			next = &node{dir: true}
			m.link(at, part, next)
		}
		if !next.dir {
			return pathError("mkdir", name, errNotDir)
		}
		at = next
	}
	return nil
}

func (m *Mem) List(_ disk.By, dir string) ([]disk.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.directory(dir)
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	list := make([]disk.Entry, 0, len(at.names.list))
	for _, e := range at.names.list {
		list = append(list, disk.Entry{Name: e.name, Size: e.n.cache.size, Dir: e.n.dir})
	}
	return list, nil
}

// SyncDir makes a rename durable as a whole, as a journaling file system does, where it goes to another directory too.
func (m *Mem) SyncDir(_ disk.By, dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.directory(dir)
	if err != nil {
		return pathError("sync", dir, err)
	}
	left := m.ops[:0]
	for _, op := range m.ops {
		if op.from != at && op.to != at {
			left = append(left, op)
			continue
		}
		op.apply(func(d *node) *names { return &d.synced })
	}
	clear(m.ops[len(left):])
	m.ops = left
	at.synced = at.names.share()
	return nil
}

// apply does op to the names of the directories it concerns, as of gives them. The file may have an older name than op's
// there, if a rename before did not survive; two names it never has.
func (op nameOp) apply(of func(dir *node) *names) {
	if op.from != nil {
		of(op.from).removeNode(op.n)
	}
	if op.to != nil {
		of(op.to).set(op.new, op.n)
	}
}

func (m *Mem) Lock(_ disk.By, name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, disk.ErrLocked)
	}
	dir, last, err := m.parent(name)
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	if dir.names.get(last) == nil {
		m.link(dir, last, &node{})
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if !l.m.locks[l.name] {
		return fs.ErrClosed
	}
	delete(l.m.locks, l.name)
	return nil
}

// SetSpace limits the lengths of all files together to total bytes: what goes beyond gets ENOSPC, a write after the part of
// it that fits. 0, as at first, is no limit that matters.
func (m *Mem) SetSpace(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}

func (m *Mem) Space(disk.By) (disk.Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return disk.Space{Free: m.free(), Total: m.used + m.free()}, nil
}

// free counts the bytes that files may still grow by.
func (m *Mem) free() int64 {
	if m.total == 0 {
		return 1 << 40
	}
	return max(0, m.total-m.used)
}

// fits returns how many of more bytes there is room for, and ENOSPC if that is not all.
func (m *Mem) fits(more int64) (int64, error) {
	if free := m.free(); more > free {
		return free, syscall.ENOSPC
	}
	return more, nil
}
