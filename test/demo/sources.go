package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// goFiles lists the .go files below a folder, in the order of their names. A folder may be called x.go too.
func goFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(name, ".go") {
			files = append(files, name)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New(root + " holds no .go files")
	}
	return files, err
}

// A source is all lines of some files as one stream. Each line ends with a newline, the last one of a file
// too, whether the file has it or not: sluice read prints records that way.
type source struct {
	files []string
	limit int // lines; 0: all

	lines int
	bytes int64
	rest  []byte
}

func (s *source) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if len(s.files) == 0 || s.limit > 0 && s.lines == s.limit {
			return 0, io.EOF
		}
		b, err := os.ReadFile(s.files[0])
		if err != nil {
			return 0, err
		}
		s.files = s.files[1:]
		s.take(b)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	s.bytes += int64(n)
	return n, nil
}

// take makes a file's bytes the next ones, cut at the limit.
func (s *source) take(b []byte) {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	n := bytes.Count(b, []byte{'\n'})
	if s.limit > 0 && s.lines+n > s.limit {
		n = s.limit - s.lines
		end := 0
		for range n {
			end += bytes.IndexByte(b[end:], '\n') + 1
		}
		b = b[:end]
	}
	s.lines += n
	s.rest = b
}
