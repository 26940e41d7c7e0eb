package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/wire/batch"
)

const topic = "bench"

var readyLine = regexp.MustCompile(`^sluice .*ready: text ([^\s,]+)`)

// startSluice starts bin/sluice with its data in a folder of its own, and creates the topic.
func startSluice(ctx context.Context, bin, dir string) (*proc, error) {
	data := filepath.Join(dir, "sluice")
	p, err := serve(ctx, bin, data)
	if err != nil {
		return nil, err
	}
	p.dir = data
	if _, err := ask(ctx, p.addr, "CREATE "+topic); err != nil {
		_, stopErr := p.stop()
		return nil, errors.Join(fmt.Errorf("create the topic: %w", err), stopErr)
	}
	return p, nil
}

// serve starts bin/sluice on free ports.
func serve(ctx context.Context, bin, data string) (*proc, error) {
	cmd := exec.Command(bin, "serve", "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	p, err := startProc(ctx, cmd, func(line string) string {
		if m := readyLine.FindStringSubmatch(line); m != nil {
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

// sluiceData takes a DATA frame: its line, its bytes, their end of line.
func sluiceData(br *bufio.Reader) (n int, err error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return 0, err
	}
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "DATA" {
		return 0, fmt.Errorf("sluice answered %q, no DATA", strings.TrimSpace(line))
	}
	if n, err = strconv.Atoi(words[1]); err != nil || n < 0 {
		return 0, fmt.Errorf("the length is no length in %q", strings.TrimSpace(line))
	}
	_, err = br.Discard(n + len("\r\n"))
	return n, err
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
	_, rest, ok := bytes.Cut(line, []byte(" n="))
	if !ok {
		return 0, fmt.Errorf("no n= in %q", line)
	}
	digits, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("n= is no length in %q", line)
	}
	return n, nil
}

// message is a MSG request of 1 KiB.
func message(ack string) []byte { return messageTo(topic, ack) }

func messageTo(topic, ack string) []byte {
	return append(fmt.Appendf(nil, "MSG %s %d ack=%s\n", topic, rawRequest, ack), append(noise(rawRequest), '\n')...)
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
