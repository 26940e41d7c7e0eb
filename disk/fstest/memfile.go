package fstest

import (
	"bytes"
	"io"
	"io/fs"
	"slices"

	"sluice/disk"
)

type memFile struct {
	m      *Mem
	n      *node
	name   string
	closed bool // guarded by m.mu
}

// lock takes the file system's mutex for an operation on an open file; without an error the caller unlocks it.
func (f *memFile) lock(op string) error {
	f.m.mu.Lock()
	if f.closed {
		f.m.mu.Unlock()
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) ReadAt(_ disk.By, p []byte, pos int64) (int, error) {
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	f.touch(pos, min(int64(len(p)), f.n.cache.size-pos), true)
	return f.read(p, pos)
}

func (f *memFile) read(p []byte, pos int64) (int, error) {
	if pos < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	left := f.n.cache.size - pos
	if left <= 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), left))
	f.n.cache.read(p[:n], pos)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(_ disk.By, p []byte, pos int64) (int, error) { return f.write(p, pos, false) }

func (f *memFile) WriteSync(_ disk.By, p []byte, pos int64) (int, error) {
	return f.write(p, pos, true)
}

func (f *memFile) write(p []byte, pos int64, sync bool) (int, error) {
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if pos < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	var err error
	if more := pos + int64(len(p)) - f.n.cache.size; more > 0 && len(p) > 0 {
		var fit int64
		if fit, err = f.m.fits(more); err != nil {
			p, err = p[:max(0, int64(len(p))-more+fit)], pathError("write", f.name, err)
		}
	}
	if len(p) == 0 {
		return 0, err
	}
	f.touch(pos, int64(len(p)), true)
	c := change{pos: pos, data: bytes.Clone(p), forced: sync && err == nil}
	if c.forced && !slices.ContainsFunc(f.n.pending, func(c change) bool { return !c.grows }) {
		f.grown(func() { f.n.cache.write(p, pos) })
		f.n.device.write(p, pos)
		return len(p), nil
	}
	f.change(c)
	return len(p), err
}

func (f *memFile) change(c change) {
	f.grown(func() { c.apply(&f.n.cache) })
	f.n.pending = append(f.n.pending, c)
}

// grown keeps account of the bytes that a change of the file takes.
func (f *memFile) grown(change func()) {
	before := f.n.cache.size
	change()
	f.m.used += f.n.cache.size - before
}

func (c change) apply(to *content) {
	if c.cut {
		to.cut(c.pos)
		return
	}
	to.write(c.data, c.pos)
}

func (f *memFile) Allocate(_ disk.By, size int64) error {
	if err := f.lock("allocate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if more := size - f.n.cache.size; more > 0 {
		if _, err := f.m.fits(more); err != nil {
			return pathError("allocate", f.name, err)
		}
		f.change(change{pos: size, cut: true, grows: true})
	}
	return nil
}

// Truncate takes no room when it makes the file longer: it makes a hole.
func (f *memFile) Truncate(_ disk.By, size int64) error {
	if err := f.lock("truncate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	if have := f.n.cache.size; size != have {
		f.change(change{pos: size, cut: true, grows: size > have})
	}
	return nil
}

func (f *memFile) Sync(_ disk.By) error {
	if err := f.lock("sync"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.n.sync()
	return nil
}

func (n *node) sync() {
	if !n.lost {
		n.device, n.pending = n.cache.share(), nil
		return
	}
	for _, c := range n.pending { // the kernel writes what is dirty, and nothing else
		if c.cut {
			n.device.cut(c.pos)
			continue
		}
		first, end := wholePages(c.pos, int64(len(c.data)))
		n.device.take(&n.cache, first, end-first)
	}
	n.device.size, n.pending = n.cache.size, nil
}

func wholePages(pos, n int64) (first, end int64) {
	return pos / pageBytes * pageBytes, (pos + n + pageBytes - 1) / pageBytes * pageBytes
}

// dropUnsynced is what a kernel does when it could not write pages: it tells the error, once, and takes them for clean. They
// are read back until somebody evicts them, and no Sync writes them any more.
func (f *memFile) dropUnsynced() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n := f.n
	left, size := []change(nil), n.device.size
	for _, c := range n.pending {
		switch end := c.pos + int64(len(c.data)); {
		case c.cut:
			left, size = append(left, c), c.pos
		case end > size:
			left, size = append(left, change{pos: end, cut: true, grows: true}), end
		}
	}
	n.pending, n.lost = left, true
}

// Evict matters only after a failed Sync: otherwise cache and device agree on what is clean.
func (f *memFile) Evict(_ disk.By, pos, n int64) error {
	if err := f.lock("evict"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.touch(pos, n, false)
	if !f.n.lost || n <= 0 {
		return nil
	}
	dirty := make(map[int64]bool)
	for _, c := range f.n.pending {
		if !c.cut {
			first, end := wholePages(c.pos, int64(len(c.data)))
			for ; first < end; first += pageBytes {
				dirty[first] = true
			}
		}
	}
	end := min(pos+n, f.n.cache.size)
	for first, _ := wholePages(pos+pageBytes-1, 0); first+pageBytes <= end || first < end && end == f.n.cache.size; first += pageBytes {
		if !dirty[first] {
			f.n.cache.take(&f.n.device, first, pageBytes)
		}
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.lock("stat"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return f.n.cache.size, nil
}

func (f *memFile) Named() (bool, error) {
	if err := f.lock("stat"); err != nil {
		return false, err
	}
	defer f.m.mu.Unlock()
	return f.n.named, nil
}

func (f *memFile) Close(_ disk.By) error {
	if err := f.lock("close"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.closed = true
	f.n.open--
	f.m.release(f.n)
	return nil
}
