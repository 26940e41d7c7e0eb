package fstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"sluice/disk"
)

// Trace gives every operation on f to line, when it is done, as one stable line of text:
//
//	writer write topics/t/0/next.seg 0+1234
//	flusher sync topics/t/0/00000000000000000000.log
//	roller rename topics/t/0/next.seg -> topics/t/0/00000000000000000042.log
//	roller create topics/t/0/next.seg = no space left on device
//
// line may be called from several goroutines at once.
func Trace(f disk.FS, line func(string)) disk.FS {
	return &wrapper{fs: f, before: func(Op) error { return nil }, after: func(op Op, err error) { line(op.text(err)) }}
}

func (op Op) text(err error) string {
	if err != nil {
		return op.String() + " = " + reason(err)
	}
	return op.String()
}

// String is the operation as in Trace, without its outcome.
func (op Op) String() string {
	s := fmt.Sprintf("%s %s %s", op.By, op.Kind, op.Name)
	if op.By == "" {
		s = fmt.Sprintf("- %s %s", op.Kind, op.Name)
	}
	switch op.Kind {
	case Read, ReadCached, Ahead, Write, WriteSync, Evict:
		s += fmt.Sprintf(" %d+%d", op.Pos, op.Len)
	case Allocate, Truncate:
		s += fmt.Sprintf(" %d", op.Pos)
	case Rename:
		s += " -> " + op.To
	}
	return s
}

// reason is an error without the places that differ from run to run.
func reason(err error) string {
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, io.EOF):
		return "end of file"
	case errors.Is(err, fs.ErrExist):
		return "file exists"
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case isErrno:
		return errno.Error()
	}
	return err.Error()
}
