package stages

import (
	"cmp"
	"io"
	"os"
	"sync"
	"syscall"

	"sluice/sched"
	"sluice/wire/text"
)

// input is the receiving side of one connection. It has the runtime's poller try the
// read, so that a connection that waits for its client needs no buffer: it takes one when
// there may be something to read, and gives it back if there is not. Ten thousand idle
// connections would hold 40 MiB otherwise, which is more than all else of them.
type input struct {
	r       *reader
	raw     syscall.RawConn       // nil: no socket of the kernel's, as in some tests; it waits with its buffer
	attempt func(fd uintptr) bool // try, bound once: a method value for each read would be an allocation

	n   int // of the last try
	err error
}

// buffers are those of connections that are being sent to: one each at most.
var buffers = sync.Pool{New: func() any { return new([text.MaxLine]byte) }}

func (in *input) init(r *reader) {
	in.r, in.attempt = r, in.try
	if sc, ok := r.c.nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil { // else it is closed already, and reads say so
			in.raw = raw
		}
	}
}

// read brings at least one byte behind what the reader has, or an error.
func (in *input) read() (int, error) {
	if in.raw == nil {
		in.r.hold()
		return in.r.c.nc.Read(in.r.buf[in.r.w:])
	}
	in.n, in.err = 0, nil
	err := in.raw.Read(in.attempt)
	return in.n, cmp.Or(in.err, err)
}

// try is called by the poller, which parks the goroutine while it returns false.
func (in *input) try(fd uintptr) bool {
	in.r.hold()
	n, err := syscall.Read(int(fd), in.r.buf[in.r.w:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), in.r.buf[in.r.w:])
	}
	switch {
	case err == syscall.EAGAIN:
		if in.r.w == 0 {
			in.r.letGo()
		}
		return false
	case err != nil:
		in.err = os.NewSyscallError("read", err)
	case n == 0:
		in.err = io.EOF
	default:
		in.n = n
	}
	return true
}

// hold sees to it that the reader has a buffer.
func (r *reader) hold() {
	if r.buf == nil {
		r.own = buffers.Get().(*[text.MaxLine]byte)
		r.buf = r.own[:]
	}
}

// letGo gives the reader's own buffer back, if it has one. Nothing may be in it.
func (r *reader) letGo() {
	if r.own != nil {
		if sched.Invariants {
			*r.own = [text.MaxLine]byte{0xDB} // a late view into it is seen at once
		}
		buffers.Put(r.own)
		r.own, r.buf = nil, nil
	}
}
