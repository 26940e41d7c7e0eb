package disk

import "io"

// seam is a file system as a store uses it: every descriptor that is taken is counted.
type seam struct {
	FS
	files *files
}

func (s seam) Create(by By, name string) (File, error) {
	return s.counted(s.FS.Create(by, name))
}

func (s seam) Open(by By, name string) (File, error) {
	return s.counted(s.FS.Open(by, name))
}

// counted counts a file once it is open: an attempt that fails, for want of a descriptor above all, has none.
func (s seam) counted(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	s.files.opened(1)
	return &countedFile{f, s.files}, nil
}

func (s seam) List(by By, dir string) ([]Entry, error) {
	s.files.opened(1)
	defer s.files.opened(-1)
	return s.FS.List(by, dir)
}

func (s seam) SyncDir(by By, dir string) error {
	s.files.opened(1)
	defer s.files.opened(-1)
	return s.FS.SyncDir(by, dir)
}

// MkdirAll makes the root's name durable.
func (s seam) MkdirAll(by By, name string) error {
	s.files.opened(1)
	defer s.files.opened(-1)
	return s.FS.MkdirAll(by, name)
}

func (s seam) Lock(by By, name string) (io.Closer, error) {
	c, err := s.FS.Lock(by, name)
	if err != nil {
		return nil, err
	}
	s.files.opened(lockFiles)
	return countedLock{c, s.files}, nil
}

type countedFile struct {
	File
	files *files
}

// Close gives the descriptor free, whatever comes of it.
func (f *countedFile) Close(by By) error {
	defer f.files.opened(-1)
	return f.File.Close(by)
}

type countedLock struct {
	io.Closer
	files *files
}

func (l countedLock) Close() error {
	defer l.files.opened(-lockFiles)
	return l.Closer.Close()
}
