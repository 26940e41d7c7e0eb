package disk

import (
	"io"
	"io/fs"
	"os"
)

// OSReadOnly is OS for those who only look: files are opened without the right to write, and everything that would change
// something, or write back what another process changed, fails with fs.ErrPermission.
func OSReadOnly(root string) FS { return readOnlyFS{osFS{root}} }

type readOnlyFS struct{ osFS }

func refused(op, path string) error {
	return &fs.PathError{Op: op, Path: path, Err: fs.ErrPermission}
}

func (o readOnlyFS) Create(_ By, name string) (File, error) {
	return nil, refused("create", o.path(name))
}

func (o readOnlyFS) Open(_ By, name string) (File, error) {
	f, err := newOSFile(os.OpenFile(o.path(name), os.O_RDONLY, 0))
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f, o.path(name)}, nil
}

func (o readOnlyFS) Rename(_ By, old, _ string) error { return refused("rename", o.path(old)) }

func (o readOnlyFS) Remove(_ By, name string) error { return refused("remove", o.path(name)) }

func (o readOnlyFS) MkdirAll(_ By, name string) error { return refused("mkdir", o.path(name)) }

func (o readOnlyFS) SyncDir(_ By, dir string) error { return refused("sync", o.path(dir)) }

func (o readOnlyFS) Lock(_ By, name string) (io.Closer, error) {
	return nil, refused("lock", o.path(name))
}

type readOnlyFile struct {
	File
	path string
}

func (f readOnlyFile) WriteAt(By, []byte, int64) (int, error) { return 0, refused("write", f.path) }

func (f readOnlyFile) WriteSync(By, []byte, int64) (int, error) { return 0, refused("write", f.path) }

func (f readOnlyFile) Allocate(By, int64) error { return refused("allocate", f.path) }

func (f readOnlyFile) Truncate(By, int64) error { return refused("truncate", f.path) }

func (f readOnlyFile) Sync(By) error { return refused("sync", f.path) }
