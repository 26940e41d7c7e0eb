package crash

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A door is an address that stays while the servers behind it come and go, each on a port of its own. A test that gave a
// port back and wanted it again might find that somebody else has it.
type door struct {
	ln   net.Listener
	wg   sync.WaitGroup
	want atomic.Int64  // bytes
	left atomic.Int64  // connections that have not taken as many, and spoken again
	took chan struct{} // closed when left is 0
	mu   struct {
		sync.Mutex
		to    string // "": nobody is in
		conns map[net.Conn]bool
		ended bool
	}
}

func newDoor(t *testing.T) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{ln: ln, took: make(chan struct{})}
	d.mu.conns = map[net.Conn]bool{}
	d.wg.Go(func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.wg.Go(func() { d.serve(c) })
		}
	})
	t.Cleanup(d.close)
	return d
}

func (d *door) addr() string { return d.ln.Addr().String() }

// leadTo says where those go who come from now on.
func (d *door) leadTo(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.to = addr
}

// watch closes took once so many connections have each taken so many bytes, and the client has then said something there.
func (d *door) watch(bytes int64, conns int) {
	d.left.Store(int64(conns))
	d.want.Store(bytes)
}

func (d *door) close() {
	_ = d.ln.Close() // nobody else has it
	d.mu.Lock()
	d.mu.ended = true
	for c := range d.mu.conns {
		_ = c.Close() // the other side may have done it
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// enter notes a connection, unless the door has been closed.
func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.conns[c] = true
	return !d.mu.ended
}

func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.conns, c)
	_ = c.Close() // twice, often
}

func (d *door) serve(client net.Conn) {
	defer d.leave(client)
	d.mu.Lock()
	to := d.mu.to
	d.mu.Unlock()
	if to == "" || !d.enter(client) {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return // it has just ended
	}
	defer d.leave(server)
	if !d.enter(server) {
		return
	}
	var down atomic.Int64
	told := false
	var up sync.WaitGroup
	up.Go(func() {
		d.pass(server, client, func(int) {
			if want := d.want.Load(); !told && want > 0 && down.Load() >= want {
				told = true
				if d.left.Add(-1) == 0 {
					close(d.took)
				}
			}
		})
	})
	d.pass(client, server, func(n int) { down.Add(int64(n)) })
	up.Wait()
}

// pass hands on bytes until one of the two ends, and then ends both.
func (d *door) pass(to, from net.Conn, passed func(int)) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				err = werr
			}
			passed(n)
		}
		if err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close() // either may be closed
}
