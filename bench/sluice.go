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
	"syscall"
	"time"

	"sluice/wire/batch"
)

const topic = "bench"

var readyLine = regexp.MustCompile(`^sluice .*ready: text ([^\s,]+)`)

// startSluice starts bin/sluice on free ports with its data in a folder of its own, and creates the topic.
func startSluice(ctx context.Context, bin, dir string) (*proc, error) {
	data := filepath.Join(dir, "sluice")
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
	p.dir = data
	p.end = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := createTopic(ctx, p.addr); err != nil {
		_, stopErr := p.stop()
		return nil, errors.Join(fmt.Errorf("create the topic: %w", err), stopErr)
	}
	return p, nil
}

func createTopic(ctx context.Context, addr string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer closeQuietly(c)
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "CREATE %s\n", topic); err != nil {
		return err
	}
	return sluiceAnswer(bufio.NewReader(c))
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
func message(ack string) []byte {
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
