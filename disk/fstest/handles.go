package fstest

import (
	"io"
	"slices"
	"sync"

	"sluice/disk"
)

// Handles is a file system that counts the descriptors which are taken of it, and finds those that are closed with bytes
// which their own Sync did not cover (I13). Below other wrappers a rename is not seen: names are those at opening.
type Handles struct {
	disk.FS
	mu       sync.Mutex
	now      int
	most     int
	unsynced []string
}

// CountHandles counts those of f.
func CountHandles(f disk.FS) *Handles { return &Handles{FS: f} }

// Taken returns how many descriptors are taken now, and how many were at most.
func (h *Handles) Taken() (now, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, h.most
}

// Unsynced names the files that were closed with unsynced bytes.
func (h *Handles) Unsynced() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.unsynced)
}

func (h *Handles) take(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += n
	h.most = max(h.most, h.now)
}

func (h *Handles) Create(by disk.By, name string) (disk.File, error) {
	return h.taken(name, func() (disk.File, error) { return h.FS.Create(by, name) })
}

func (h *Handles) Open(by disk.By, name string) (disk.File, error) {
	return h.taken(name, func() (disk.File, error) { return h.FS.Open(by, name) })
}

func (h *Handles) taken(name string, open func() (disk.File, error)) (disk.File, error) {
	h.take(1) // from before the call: it is taken somewhere in it
	f, err := open()
	if err != nil {
		h.take(-1)
		return nil, err
	}
	return &counted{File: f, h: h, name: name}, nil
}

func (h *Handles) List(by disk.By, dir string) ([]disk.Entry, error) {
	h.take(1)
	defer h.take(-1)
	return h.FS.List(by, dir)
}

func (h *Handles) SyncDir(by disk.By, dir string) error {
	h.take(1)
	defer h.take(-1)
	return h.FS.SyncDir(by, dir)
}

func (h *Handles) Lock(by disk.By, name string) (io.Closer, error) {
	c, err := h.FS.Lock(by, name)
	if err != nil {
		return nil, err
	}
	h.take(1)
	return &countedLock{c, h}, nil
}

type countedLock struct {
	io.Closer
	h *Handles
}

func (l *countedLock) Close() error {
	defer l.h.take(-1)
	return l.Closer.Close()
}

type counted struct {
	disk.File
	h       *Handles
	name    string
	mu      sync.Mutex
	written int // writes so far
	synced  int // of those, covered by a Sync
}

func (f *counted) WriteAt(by disk.By, p []byte, pos int64) (int, error) {
	defer f.wrote()
	return f.File.WriteAt(by, p, pos)
}

func (f *counted) Truncate(by disk.By, size int64) error {
	defer f.wrote()
	return f.File.Truncate(by, size)
}

func (f *counted) wrote() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written++
}

func (f *counted) Sync(by disk.By) error {
	f.mu.Lock()
	had := f.written
	f.mu.Unlock()
	err := f.File.Sync(by)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.synced = max(f.synced, had)
	}
	return err
}

func (f *counted) Close(by disk.By) error {
	err := f.File.Close(by)
	f.h.take(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.synced < f.written {
		f.h.mu.Lock()
		defer f.h.mu.Unlock()
		f.h.unsynced = append(f.h.unsynced, f.name)
	}
	return err
}

func (f *counted) dropUnsynced() {
	if d, ok := f.File.(interface{ dropUnsynced() }); ok {
		d.dropUnsynced()
	}
}
