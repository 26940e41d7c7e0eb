package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// The limits of reading: a server that does nothing but sendfile, and one that does nothing but hand on.

// A fileSender sends the sealed segments of a log, over and over, straight from their files: as a stream, or in pieces
// that are asked for, each with a line before and behind it. It knows of the text protocol what a consumer sends it.
type fileSender struct {
	names []string
	sizes []int64
	total int64
}

// askedBytes is what an asked one sends at once: as much as the server has in an answer, unless it is told otherwise.
const askedBytes = 512 << 10

// newFileSender takes a log's folder. The last segment is left out: what is allocated ahead lies behind its records.
func newFileSender(dir string) (*fileSender, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) < 2 {
		return nil, fmt.Errorf("%s has %d segments, and needs two: %w", dir, len(names), err)
	}
	s := &fileSender{names: names[:len(names)-1]}
	for _, name := range s.names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		s.sizes = append(s.sizes, info.Size())
		s.total += info.Size()
	}
	return s, nil
}

// serve sends from the i-th of n equal parts on, as the first line of the client says: "PING i n", if it will ask.
func (s *fileSender) serve(c net.Conn) {
	defer closeQuietly(c)
	br := bufio.NewReader(c)
	line, err := br.ReadString('\n')
	if err != nil {
		return
	}
	parts, asks := strings.CutPrefix(line, "PING ")
	var i, n int64
	if _, err := fmt.Sscanf(parts, "%d %d\n", &i, &n); err != nil || n <= 0 {
		return
	}
	if asks {
		if _, err := io.WriteString(c, "OK\r\n"); err != nil {
			return
		}
	}
	at := s.total * i / n
	for {
		for f, size := range s.sizes {
			if at >= size {
				at -= size
				continue
			}
			if s.send(c, br, s.names[f], at, asks) != nil {
				return // the client has had enough
			}
			at = 0
		}
	}
}

// send sends a file from at on.
func (s *fileSender) send(c net.Conn, br *bufio.Reader, name string, at int64, asks bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	if _, err = f.Seek(at, io.SeekStart); err == nil && asks {
		err = s.pieces(c, br, f)
	} else if err == nil {
		_, err = c.(*net.TCPConn).ReadFrom(f) // which is sendfile(2)
	}
	return errors.Join(err, f.Close())
}

// pieces sends one for each line that comes.
func (s *fileSender) pieces(c net.Conn, br *bufio.Reader, f *os.File) error {
	for {
		if _, err := br.ReadSlice('\n'); err != nil {
			return err
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		n := min(info.Size()-at, askedBytes)
		if _, err := fmt.Fprintf(c, "DATA %d from=0 next=1 end=2\r\n", n); err != nil {
			return err
		}
		if _, err := c.(*net.TCPConn).ReadFrom(io.LimitReader(f, n)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "\r\n"); err != nil || at+n == info.Size() {
			return err
		}
	}
}

// A fan hands each message to all who follow, from memory. It knows of the text protocol what the step sends it.
type fan struct {
	size int64        // of a message
	log  []byte       // of messages, one after the other; never overwritten
	next atomic.Int64 // messages in it
	mu   struct {
		sync.Mutex
		followers []chan struct{} // each with one place
	}
}

// fanMost is more messages than a step sends.
const fanMost = 1 << 20

// newFan takes address space; memory comes with the messages. size is that of each.
func newFan(size string) (*fan, error) {
	n, err := strconv.ParseInt(size, 10, 32)
	return &fan{size: n, log: make([]byte, fanMost*n)}, err
}

func (f *fan) serve(c net.Conn) {
	defer closeQuietly(c)
	br := bufio.NewReaderSize(c, 64<<10)
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case line[0] == 'T':
			f.follow(c)
			return
		case line[0] == 'M':
			if f.append(br) != nil {
				return
			}
		}
		if _, err := io.WriteString(c, "OK\r\n"); err != nil {
			return
		}
	}
}

// append takes one message; one connection sends them.
func (f *fan) append(br *bufio.Reader) error {
	n := f.next.Load()
	if n == fanMost {
		return io.ErrShortBuffer
	}
	if _, err := io.ReadFull(br, f.log[n*f.size:(n+1)*f.size]); err != nil {
		return err
	}
	if _, err := br.Discard(len("\n")); err != nil {
		return err
	}
	f.next.Store(n + 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, wake := range f.mu.followers {
		select {
		case wake <- struct{}{}:
		default: // it is awake
		}
	}
	return nil
}

// follow sends what is new as one frame, each time there is something.
func (f *fan) follow(c net.Conn) {
	wake := make(chan struct{}, 1)
	f.mu.Lock()
	f.mu.followers = append(f.mu.followers, wake)
	f.mu.Unlock()
	gone := make(chan struct{})
	go func() { // ends with the connection
		_, _ = c.Read(make([]byte, 1)) // its end is what this waits for
		close(gone)
	}()
	var head []byte
	for at := int64(0); ; {
		if next := f.next.Load(); next > at {
			head = fmt.Appendf(head[:0], "DATA %d from=%d next=%d end=%d\r\n", (next-at)*f.size, at, next, next)
			frame := net.Buffers{head, f.log[at*f.size : next*f.size], []byte("\r\n")}
			if _, err := frame.WriteTo(c); err != nil {
				return
			}
			at = next
			continue
		}
		select {
		case <-wake:
		case <-gone:
			return
		}
	}
}
