package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// OS is the operating system's file system below root. MkdirAll(".") makes root itself, and makes its name durable,
// because no directory inside the seam could.
func OS(root string) FS { return osFS{root} }

type osFS struct{ root string }

func (o osFS) path(name string) string { return filepath.Join(o.root, filepath.FromSlash(name)) }

func (o osFS) Create(by By, name string) (File, error) {
	return o.open(by, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (o osFS) Open(by By, name string) (File, error) {
	return o.open(by, name, os.O_RDWR)
}

func (o osFS) open(by By, name string, flags int) (File, error) {
	f, err := newOSFile(os.OpenFile(o.path(name), flags, 0o644))
	if err != nil {
		return nil, err
	}
	if by != ByOpen && by != ByTool { // who reads whole files; all others' may be used for reads, once they are sealed
		exactly(f.fd)
	}
	return f, nil
}

func (o osFS) Rename(_ By, old, new string) error { return os.Rename(o.path(old), o.path(new)) }

func (o osFS) Remove(_ By, name string) error { return os.Remove(o.path(name)) }

func (o osFS) MkdirAll(_ By, name string) error {
	if name != "." {
		return os.MkdirAll(o.path(name), 0o755)
	}
	missing := ""
	for dir := filepath.Clean(o.root); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = dir
	}
	if missing == "" {
		return os.MkdirAll(o.root, 0o755)
	}
	if err := os.MkdirAll(o.root, 0o755); err != nil {
		return err
	}
	for dir := filepath.Clean(o.root); ; dir = filepath.Dir(dir) {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		if dir == missing {
			return nil
		}
	}
}

func (o osFS) List(_ By, dir string) ([]Entry, error) {
	found, err := os.ReadDir(o.path(dir)) // sorts by name
	if err != nil {
		return nil, err
	}
	list := make([]Entry, 0, len(found))
	for _, f := range found {
		info, err := f.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // removed between the two calls
		}
		if err != nil {
			return nil, err
		}
		e := Entry{Name: f.Name(), Dir: f.IsDir()}
		if !e.Dir {
			e.Size = info.Size()
		}
		list = append(list, e)
	}
	return list, nil
}

func (o osFS) SyncDir(_ By, dir string) error { return syncDir(o.path(dir)) }

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock locks the file, and the directory that it is in: with the file alone, whoever removes it would let a second process
// in. The file is locked too, as that is what programs before this one ask.
func (o osFS) Lock(_ By, name string) (io.Closer, error) {
	f, err := os.OpenFile(o.path(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	held := flocked{f, dir}
	for _, f := range held {
		if err := lockAlone(f); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), held.Close())
		}
	}
	return held, nil
}

// lockAlone takes the lock of a file or a directory for this process alone. Errors: ErrLocked, I/O.
func lockAlone(f *os.File) error {
	err := flock(f, unix.LOCK_EX)
	for n := 0; n < 2000 && errors.Is(err, unix.EWOULDBLOCK) && flock(f, unix.LOCK_SH) == nil; n++ {
		time.Sleep(time.Millisecond) // nobody has it but those who ask (InUse), and they soon let go
		err = flock(f, unix.LOCK_EX)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// flock and not fcntl: fcntl's lock goes when any descriptor of the file is closed in this process. It never waits. A
// directory that cannot be locked, as on NFS, is as good as locked: its file is.
func flock(f *os.File, how int) error {
	err := again(func() error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) })
	if errors.Is(err, unix.EBADF) {
		return nil
	}
	return err
}

func (o osFS) Space(By) (Space, error) {
	var s unix.Statfs_t
	if err := again(func() error { return unix.Statfs(o.root, &s) }); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: o.root, Err: err}
	}
	block := blockSize(&s)
	return Space{Free: int64(s.Bavail) * block, Total: int64(s.Blocks) * block}, nil
}

// flocked is what is locked. A lock lives as long as any copy of its descriptor, and a child process that is being started
// at that moment has one until its exec: so closing is not enough.
type flocked [2]*os.File

func (l flocked) Close() error {
	var errs []error
	for _, f := range l {
		errs = append(errs, flock(f, unix.LOCK_UN), f.Close())
	}
	return errors.Join(errs...)
}

type osFile struct {
	f  *os.File
	fd int

	// Held by a write, and by an Allocate that has to do without fallocate: growing by "look at the size, then set it"
	// would otherwise cut off what a write added in between.
	growing sync.Mutex
}

func newOSFile(f *os.File, err error) (*osFile, error) {
	if err != nil {
		return nil, err
	}
	return &osFile{f: f, fd: int(f.Fd())}, nil
}

func (f *osFile) ReadAt(_ By, p []byte, pos int64) (int, error) { return f.f.ReadAt(p, pos) }

func (f *osFile) WriteAt(_ By, p []byte, pos int64) (int, error) {
	f.growing.Lock()
	defer f.growing.Unlock()
	return f.f.WriteAt(p, pos)
}

func (f *osFile) WriteSync(by By, p []byte, pos int64) (int, error) {
	f.growing.Lock()
	n, err := writeSync(f.fd, p, pos)
	f.growing.Unlock()
	if errors.Is(err, errNoWriteSync) {
		if n, err = f.WriteAt(by, p, pos); err == nil {
			err = f.Sync(by)
		}
		return n, err
	}
	if err != nil {
		err = &fs.PathError{Op: "write", Path: f.f.Name(), Err: err}
	}
	return n, err
}

func (f *osFile) Evict(_ By, pos, n int64) error {
	if n <= 0 {
		return nil // fadvise takes 0 for "to the end"
	}
	if err := evict(f.fd, pos, n); err != nil {
		return &fs.PathError{Op: "evict", Path: f.f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) ReadCached(by By, p []byte, pos int64) (int, error) {
	n, err := readCached(f.fd, p, pos)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, ErrCold):
		return n, err
	case !errors.Is(err, errNoReadCached):
		return n, &fs.PathError{Op: "read", Path: f.f.Name(), Err: err}
	}
	size, err := sizeOf(f.fd)
	if err != nil || !f.Cached(pos, min(int64(len(p)), size-pos)) {
		return 0, ErrCold // if it was the size, whoever waits is told
	}
	return f.ReadAt(by, p, pos)
}

func (f *osFile) Cached(pos, n int64) bool { return n <= 0 || cached(f.fd, pos, n) }

func (f *osFile) Ahead(_ By, pos, n int64) error {
	if n <= 0 {
		return nil // fadvise takes 0 for "to the end"
	}
	if err := ahead(f.fd, pos, n); err != nil {
		return &fs.PathError{Op: "read ahead", Path: f.f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Fd() (int, bool) { return f.fd, true }

func (f *osFile) Allocate(_ By, size int64) error {
	if size <= 0 {
		return nil // fallocate refuses to reserve nothing
	}
	err := again(func() error { return reserve(f.fd, size) })
	if errors.Is(err, errNoReserve) {
		return f.grow(size)
	}
	if err != nil {
		return fmt.Errorf("allocate %d bytes in %s: %w", size, f.f.Name(), err)
	}
	return nil
}

func (f *osFile) grow(size int64) error {
	f.growing.Lock()
	defer f.growing.Unlock()
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	return f.f.Truncate(size)
}

func (f *osFile) Truncate(_ By, size int64) error { return f.f.Truncate(size) }

func (f *osFile) Sync(_ By) error {
	if err := again(func() error { return datasync(f.f, f.fd) }); err != nil {
		return fmt.Errorf("sync %s: %w", f.f.Name(), err)
	}
	return nil
}

func (f *osFile) Size() (int64, error) {
	size, err := sizeOf(f.fd)
	if err != nil {
		return 0, &fs.PathError{Op: "stat", Path: f.f.Name(), Err: err}
	}
	return size, nil
}

// sizeOf is os.File.Stat without what that allocates.
func sizeOf(fd int) (int64, error) {
	var s unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &s) })
	return s.Size, err
}

func (f *osFile) Named() (bool, error) {
	var s unix.Stat_t
	if err := again(func() error { return unix.Fstat(f.fd, &s) }); err != nil {
		return false, &fs.PathError{Op: "stat", Path: f.f.Name(), Err: err}
	}
	return s.Nlink > 0, nil
}

func (f *osFile) Close(_ By) error { return f.f.Close() }

// What this system, or this file system, has no call for.
var (
	errNoReserve    = errors.New("disk: no fallocate here")
	errNoWriteSync  = errors.New("disk: no synchronous write here")
	errNoReadCached = errors.New("disk: no read without waiting here")
)

// again repeats a call that a signal interrupted before it did anything.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
