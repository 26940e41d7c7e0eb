package fstest

import (
	"bytes"
	"io"
	"io/fs"
	"slices"
	"syscall"

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
	if pos < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	if pos >= int64(len(f.n.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.n.data[pos:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(_ disk.By, p []byte, pos int64) (int, error) {
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if pos < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	var err error
	if f.m.total > 0 {
		if fits := int64(len(f.n.data)) + f.m.room() - pos; fits < int64(len(p)) {
			p, err = p[:max(0, fits)], pathError("write", f.name, syscall.ENOSPC)
		}
	}
	if len(p) > 0 {
		f.change(change{pos: pos, data: bytes.Clone(p)})
	}
	return len(p), err
}

func (f *memFile) change(c change) {
	f.n.data = c.apply(f.n.data)
	f.n.pending = append(f.n.pending, c)
}

func (c change) apply(data []byte) []byte {
	if c.cut {
		if c.pos <= int64(len(data)) {
			clear(data[c.pos:]) // zeros again, should the file grow back
			return data[:c.pos]
		}
		return grown(data, c.pos)
	}
	data = grown(data, c.pos+int64(len(c.data)))
	copy(data[c.pos:], c.data)
	return data
}

// grown makes data at least n bytes long, with zeros. Bytes beyond the length are always zero.
func grown(data []byte, n int64) []byte {
	if more := int(n) - len(data); more > 0 {
		data = slices.Grow(data, more)[:n]
	}
	return data
}

func (f *memFile) Allocate(_ disk.By, size int64) error {
	if err := f.lock("allocate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if more := size - int64(len(f.n.data)); more > 0 {
		if f.m.total > 0 && more > f.m.room() {
			return pathError("allocate", f.name, syscall.ENOSPC)
		}
		f.change(change{pos: size, cut: true, grows: true})
	}
	return nil
}

func (f *memFile) Truncate(_ disk.By, size int64) error {
	if err := f.lock("truncate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	if have := int64(len(f.n.data)); size != have {
		f.change(change{pos: size, cut: true, grows: size > have})
	}
	return nil
}

func (f *memFile) Sync(_ disk.By) error {
	if err := f.lock("sync"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	for _, c := range f.n.pending {
		f.n.synced = c.apply(f.n.synced)
	}
	f.n.pending = nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.lock("stat"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close(_ disk.By) error {
	if err := f.lock("close"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.closed = true
	return nil
}

func (f *memFile) WriteSync(by disk.By, p []byte, pos int64) (int, error) {
	n, err := f.WriteAt(by, p, pos)
	if err == nil {
		err = f.Sync(by)
	}
	return n, err
}

func (f *memFile) Evict(_ disk.By, _, _ int64) error {
	if err := f.lock("evict"); err != nil {
		return err
	}
	f.m.mu.Unlock()
	return nil
}
