package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/wire/batch"
)

const topic = "bench"

var readyLine = regexp.MustCompile(`^sluice .*ready: text ([^\s,]+)`)

// startSluice starts bin/sluice with its data in a folder that is removed when it has stopped.
func startSluice(ctx context.Context, bin, data string, args ...string) (*proc, error) {
	p, err := serve(ctx, bin, data, args...)
	if err == nil {
		p.dir = data
	}
	return p, err
}

// serve starts bin/sluice on free ports, with args behind.
func serve(ctx context.Context, bin, data string, args ...string) (*proc, error) {
	return serveCmd(ctx, exec.Command(bin, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kafka", ""}, args...)...), readyLine)
}

// serveCmd starts a command that becomes bin/sluice. ready finds its address.
func serveCmd(ctx context.Context, cmd *exec.Cmd, ready *regexp.Regexp) (*proc, error) {
	p, err := startProc(ctx, cmd, func(line string) string {
		if m := ready.FindStringSubmatch(line); m != nil {
			return m[1]
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	p.end = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return p, nil
}

// dial opens a connection that does not wait for ever.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		closeQuietly(c)
		return nil, err
	}
	return c, nil
}

// ask sends one request on a connection of its own, and returns the names and values of its answer.
func ask(ctx context.Context, addr, request string) (map[string]string, error) {
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(c)
	if _, err := fmt.Fprintf(c, "%s\n", request); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request, err)
	}
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "OK" {
		return nil, fmt.Errorf("%s: sluice answered %q", request, strings.TrimSpace(line))
	}
	values := make(map[string]string)
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		values[name] = value
	}
	return values, nil
}

// sluiceAnswer takes one line and wants it to begin with OK.
func sluiceAnswer(br *bufio.Reader) error {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("OK")) {
		return fmt.Errorf("sluice answered %q", bytes.TrimSpace(line))
	}
	return nil
}

// A dataHead is the line of a DATA frame: the length of what follows, which offsets it holds, and the log's end.
type dataHead struct {
	n               int
	from, next, end uint64
}

// readHead takes a DATA frame's line. It allocates nothing: a thousand followers take many.
func readHead(br *bufio.Reader) (h dataHead, err error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	rest, ok := bytes.CutPrefix(line, []byte("DATA "))
	digits, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	if !ok {
		return h, fmt.Errorf("sluice answered %q, no DATA", bytes.TrimSpace(line))
	}
	if h.n, err = strconv.Atoi(string(digits)); err != nil || h.n < 0 {
		return h, fmt.Errorf("the length is no length in %q", bytes.TrimSpace(line))
	}
	for _, v := range []struct {
		name string
		to   *uint64
	}{{" from=", &h.from}, {" next=", &h.next}, {" end=", &h.end}} {
		if *v.to, err = number(line, v.name); err != nil {
			return h, err
		}
	}
	return h, nil
}

// sluiceData takes a DATA frame: its line, its bytes, their end of line.
func sluiceData(br *bufio.Reader) (n int, err error) {
	h, err := readHead(br)
	if err != nil {
		return 0, err
	}
	_, err = br.Discard(h.n + len("\r\n"))
	return h.n, err
}

// sluiceRecord takes one record of TAIL: its line, its bytes, their end of line.
func sluiceRecord(br *bufio.Reader) error {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("REC ")) {
		return fmt.Errorf("sluice sent %q, not a record", bytes.TrimSpace(line))
	}
	n, err := sizeOf(line)
	if err != nil {
		return err
	}
	_, err = br.Discard(n + len("\r\n"))
	return err
}

// sizeOf finds " n=" in a record's line. There is no key in what this program appends.
func sizeOf(line []byte) (int, error) {
	n, err := number(line, " n=")
	if err == nil && n > math.MaxInt32 {
		err = fmt.Errorf("n= is no length in %q", line)
	}
	return int(n), err
}

// number finds a value by its name, which begins with the space in front of it.
func number(line []byte, name string) (uint64, error) {
	_, rest, ok := bytes.Cut(line, []byte(name))
	if !ok {
		return 0, fmt.Errorf("no%s in %q", name, line)
	}
	digits, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseUint(string(digits), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is no number in %q", name[1:], line)
	}
	return n, nil
}

// message is a MSG request of 1 KiB.
func message(ack string) []byte { return messageTo(topic, ack) }

func messageTo(topic, ack string) []byte { return messageOf(topic, ack, rawRequest) }

func messageOf(topic, ack string, size int) []byte {
	return append(fmt.Appendf(nil, "MSG %s %d ack=%s\n", topic, size, ack), append(noise(size), '\n')...)
}

// records64k is a BATCH request of about 64 KiB, and how many bytes of values it holds.
func records64k(ack string) (request []byte, payload int, err error) {
	var b batch.Builder
	b.Reset(nil)
	value := noise(rawRequest)
	for b.Size()+batch.RecordSize(-1, len(value)) <= appendBytes {
		b.Add(1, nil, value, nil)
		payload += len(value)
	}
	whole, err := b.Finish(batch.None)
	if err != nil {
		return nil, 0, err
	}
	request = fmt.Appendf(nil, "BATCH %s %d ack=%s\n", topic, len(whole), ack)
	return append(append(request, whole...), '\n'), payload, nil
}
