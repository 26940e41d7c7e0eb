package stages

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sender is the sending side of one connection. Its writes never wait while they
// hold something: when the client takes no more, all that is held is given up, and
// only then the goroutine parks. So a slow client keeps neither a file nor memory
// from anybody, however many there are of them.
type sender struct {
	nc      net.Conn
	raw     syscall.RawConn       // nil: no socket of the kernel's, as in some tests; its writes wait with all they hold
	attempt func(fd uintptr) bool // try, bound once: a method value for each write would be an allocation
	letGo   func()                // gives up what the responder holds
	readers *readers
	sent    *atomic.Bool
	since   *atomic.Int64 // Unix nanoseconds; 0: nothing waits for the client

	stall struct {
		sync.Mutex     // and for stores to since: the responder and the deadline tick
		held       int // bytes that the socket held for its client when last looked at; -1: not known
	}

	// The write under way. The responder's.
	bytes  []byte // what is sent, or
	file   int    // the descriptor it comes from
	pos    int64
	size   int
	more   bool
	done   int  // of size
	parked bool // everything was given up, and the client has taken something since
	err    error
}

func (s *sender) init(c *conn, letGo func()) {
	s.nc, s.letGo, s.readers, s.sent, s.since, s.attempt = c.nc, letGo, c.srv.readers, &c.sent, &c.writeSince, s.try
	if sc, ok := c.nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil { // else it is closed already, and writes say so
			s.raw = raw
		}
	}
}

// write sends b. parked: n of its bytes have left, then everything was given up, and
// now the client takes more. Otherwise n is less than len(b) only with an error.
func (s *sender) write(b []byte, more bool) (n int, parked bool, err error) {
	s.bytes, s.size, s.more = b, len(b), more
	return s.run()
}

// sendfile sends size bytes of a file, a descriptor that stays open while not parked.
// Results as write's; n is less than size without an error, too, where the file is
// shorter than that.
func (s *sender) sendfile(file int, pos int64, size int) (n int, parked bool, err error) {
	s.bytes, s.file, s.pos, s.size = nil, file, pos, size
	return s.run()
}

func (s *sender) run() (n int, parked bool, err error) {
	if s.raw == nil {
		s.stalled(-1)
		n, err = s.nc.Write(s.bytes)
		s.moved()
		return n, false, err
	}
	s.done, s.parked, s.err = 0, false, nil
	err = s.raw.Write(s.attempt)
	if s.parked {
		s.moved()
		s.readers.parked.Add(-1)
	}
	s.bytes = nil
	return s.done, s.parked, cmp.Or(s.err, err)
}

// try is called by the runtime's poller, which parks the goroutine while it returns
// false. Readiness is forgotten when a RawConn.Write begins, so that only a try that
// was refused since then may park: else the wake-up might have come before. Once
// parked, the next call only says that it is over: nothing is held any more that
// could be sent.
func (s *sender) try(fd uintptr) bool {
	for !s.parked && s.done < s.size {
		n, err := s.step(int(fd))
		switch {
		case n > 0:
			s.done += n
			s.sent.Store(true) // behind it: the tick may have looked in between
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			s.letGo()
			s.bytes = nil // or what was decoded would stay in memory, unpaid for
			s.parked = true
			s.readers.parked.Add(1)
			s.readers.parks.Add(1)
			s.stalled(unacknowledged(int(fd)))
			return false
		case err != nil:
			s.err = os.NewSyscallError("send", err)
			return true
		default: // the file ends here
			return true
		}
	}
	return true
}

func (s *sender) step(fd int) (int, error) {
	if s.bytes != nil {
		return sendBytes(fd, s.bytes[s.done:], s.more)
	}
	s.readers.permits <- struct{}{}
	n, err := sendFile(fd, s.file, s.pos+int64(s.done), s.size-s.done)
	<-s.readers.permits
	return n, err
}

func (s *sender) stalled(held int) {
	s.stall.Lock()
	defer s.stall.Unlock()
	s.stall.held = held
	s.since.Store(time.Now().UnixNano())
}

func (s *sender) moved() {
	s.stall.Lock()
	defer s.stall.Unlock()
	s.since.Store(0)
}

// stuck tells whether the client has taken nothing since then, or since the last such
// question; if it has, its time begins anew. The poller wakes a responder only once a
// third of the socket's buffer is free again, which can be megabytes and take a slow
// client minutes: so what it has acknowledged counts. The deadline tick only.
func (s *sender) stuck(now time.Time) bool {
	s.stall.Lock()
	defer s.stall.Unlock()
	if s.since.Load() == 0 {
		return false
	}
	held := -1
	if s.raw != nil {
		// An error means that it is closed: then there is nothing left to cut off.
		_ = s.raw.Control(func(fd uintptr) { held = unacknowledged(int(fd)) })
	}
	if held < 0 || held >= s.stall.held {
		return true
	}
	s.stall.held = held
	s.since.Store(now.UnixNano())
	return false
}
