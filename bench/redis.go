package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// startRedis starts redis-server with an append-only file and the given appendfsync: everysec is what
// sluice calls written with flush.ms=1000, always is synced. Snapshots and rewrites of the file are off:
// they would fork in the middle of a step.
func startRedis(ctx context.Context, bin, dir, fsync string) (*proc, error) {
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", data, "--daemonize", "no",
		"--save", "", "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0")
	p, err := startProc(ctx, cmd, func(line string) string {
		if bytes.Contains([]byte(line), []byte("Ready to accept connections")) {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
		return ""
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(data))
	}
	p.dir = data
	p.end = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return p, nil
}

// freePort asks the kernel for one; redis-server has no way to say which it took.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	return port, ln.Close()
}

// xadd is the request that does what MSG does: one field, 1 KiB.
func xadd() []byte {
	value := noise(rawRequest)
	req := fmt.Appendf(nil, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$1\r\nv\r\n$%d\r\n", len(topic), topic, len(value))
	return append(append(req, value...), "\r\n"...)
}

// redisAnswer takes one bulk string.
func redisAnswer(br *bufio.Reader) error {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != '$' {
		return fmt.Errorf("redis answered %q", line)
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 {
		return fmt.Errorf("redis answered %q", line)
	}
	_, err = br.Discard(n + len("\r\n"))
	return err
}

// redisVersion is the number that redis-server prints, or "" where there is no redis-server.
func redisVersion(bin string) string {
	if bin == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, "--version").Output()
	if err != nil {
		return ""
	}
	_, rest, _ := bytes.Cut(out, []byte("v="))
	version, _, _ := bytes.Cut(rest, []byte(" "))
	return string(version)
}
