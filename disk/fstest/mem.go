package fstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"sluice/disk"
)

// Mem is a file system in memory. For every file and directory it keeps what is synced apart from what is not, so that a
// test can ask what a power cut could take.
type Mem struct {
	mu    sync.Mutex // guards every node
	root  *node
	locks map[string]bool
	total int64 // SetSpace
}

// node is a file or a directory.
type node struct {
	dir bool

	names       map[string]*node // directory: as it is
	syncedNames map[string]*node // directory: as it was at its last SyncDir

	data    []byte   // file: as it is
	synced  []byte   // file: as it was at its last Sync
	pending []change // file: what happened since, in order
}

// change is an unsynced write, or, with cut set, an unsynced change of the length to pos; grows: to a larger one.
type change struct {
	pos        int64
	data       []byte
	cut, grows bool
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), locks: make(map[string]bool)} }

func newDir() *node {
	return &node{dir: true, names: make(map[string]*node), syncedNames: make(map[string]*node)}
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

var (
	errNotDir   = errors.New("not a directory")
	errIsDir    = errors.New("is a directory")
	errNotEmpty = errors.New("directory not empty")
)

func (m *Mem) lookup(name string) (*node, error) {
	at := m.root
	if name = path.Clean(name); name == "." {
		return at, nil
	}
	for _, part := range strings.Split(name, "/") {
		if !at.dir {
			return nil, errNotDir
		}
		if at = at.names[part]; at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

// parent finds the directory that a name is in, and the name's last part.
func (m *Mem) parent(name string) (*node, string, error) {
	dir, last := path.Split(path.Clean(name))
	at, err := m.lookup(path.Clean(dir + "."))
	if err == nil && !at.dir {
		err = errNotDir
	}
	return at, last, err
}

func (m *Mem) Create(_ disk.By, name string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.parent(name)
	if err == nil && dir.names[last] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, pathError("create", name, err)
	}
	n := &node{}
	dir.names[last] = n
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
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *Mem) Rename(_ disk.By, old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldLast, err := m.parent(old)
	if err != nil {
		return pathError("rename", old, err)
	}
	n := from.names[oldLast]
	if n == nil {
		return pathError("rename", old, fs.ErrNotExist)
	}
	to, newLast, err := m.parent(new)
	if err != nil {
		return pathError("rename", new, err)
	}
	if have := to.names[newLast]; have != nil && (have.dir || n.dir) && have != n {
		return pathError("rename", new, fs.ErrExist)
	}
	delete(from.names, oldLast)
	to.names[newLast] = n
	return nil
}

func (m *Mem) Remove(_ disk.By, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.parent(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	switch n := dir.names[last]; {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case n.dir && len(n.names) > 0:
		return pathError("remove", name, errNotEmpty)
	}
	delete(dir.names, last)
	return nil
}

func (m *Mem) MkdirAll(_ disk.By, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	if name = path.Clean(name); name == "." {
		return nil
	}
	for _, part := range strings.Split(name, "/") {
		next := at.names[part]
		if next == nil {
			next = newDir()
			at.names[part] = next
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
	at, err := m.lookup(dir)
	if err == nil && !at.dir {
		err = errNotDir
	}
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	list := make([]disk.Entry, 0, len(at.names))
	for _, name := range slices.Sorted(maps.Keys(at.names)) {
		n := at.names[name]
		list = append(list, disk.Entry{Name: name, Size: int64(len(n.data)), Dir: n.dir})
	}
	return list, nil
}

func (m *Mem) SyncDir(_ disk.By, dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.lookup(dir)
	if err == nil && !at.dir {
		err = errNotDir
	}
	if err != nil {
		return pathError("sync", dir, err)
	}
	at.syncedNames = maps.Clone(at.names)
	return nil
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
	if dir.names[last] == nil {
		dir.names[last] = &node{}
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
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
	return disk.Space{Free: m.room(), Total: m.space()}, nil
}

func (m *Mem) space() int64 {
	if m.total > 0 {
		return m.total
	}
	return 1 << 40
}

// room counts the bytes that files may still grow by.
func (m *Mem) room() int64 {
	used := int64(0)
	var visit func(n *node)
	visit = func(n *node) {
		used += int64(len(n.data))
		for _, child := range n.names {
			visit(child)
		}
	}
	visit(m.root)
	return max(0, m.space()-used)
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

// Unsynced lists what a power cut could take: files with unsynced content (zeros added by Allocate are none), and
// directories with unsynced names (with a slash at the end).
func (m *Mem) Unsynced() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	var visit func(name string, n *node)
	visit = func(name string, n *node) {
		if slices.ContainsFunc(n.pending, func(c change) bool { return !c.grows }) {
			found = append(found, name)
		}
		if n.dir && !maps.Equal(n.names, n.syncedNames) {
			found = append(found, name+"/")
		}
		for _, child := range slices.Sorted(maps.Keys(n.names)) {
			visit(path.Join(name, child), n.names[child])
		}
	}
	visit(".", m.root)
	return found
}
