package disk

import (
	"errors"
	"fmt"
	"io"
)

const (
	pageBytes  = 4 << 10
	unreadable = 64 // pages of a file that may fail: a dying device takes seconds for each
)

// patient reads around what a device cannot give. Such a page reads as zeros, which no batch survives, so that whoever
// looks for damage finds it as he finds any other, and goes on behind it. Beyond so many pages it gives up.
type patient struct {
	File
	failed int
	first  int64 // position of the first page that failed, of the last read that met one
	err    error // its error
}

func (f *patient) ReadAt(by By, p []byte, pos int64) (int, error) {
	n, err := f.File.ReadAt(by, p, pos)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	f.first, f.err = -1, err
	for n < len(p) {
		at := pos + int64(n)
		page := p[n:min(len(p), n+int(pageBytes-at%pageBytes))]
		got, err := f.File.ReadAt(by, page, at)
		if errors.Is(err, io.EOF) {
			return n + got, err
		}
		if err != nil {
			if f.first < 0 {
				f.first, f.err = at, err
			}
			if f.failed++; f.failed > unreadable {
				return n, fmt.Errorf("more than %d pages cannot be read: %w", unreadable, err)
			}
			clear(page)
		}
		n += len(page)
	}
	return n, nil
}

// reason is why there is no good batch at a position, told as the device tells it where that was it.
func (f *patient) reason(from, to int64, why error) string {
	if f.err != nil && f.first >= from-pageBytes && f.first < to {
		return fmt.Sprintf("it cannot be read: %v", f.err)
	}
	return why.Error()
}
