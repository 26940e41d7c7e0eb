package main

import (
	"bytes"
	"fmt"
	"io"
)

// compare reads both streams to their ends and returns an error that names the first line that differs.
// seen is told the bytes that were the same so far.
func compare(want, got io.Reader, seen func(int64)) error {
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	line, total := 1, int64(0)
	for {
		n, err := io.ReadFull(want, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read the sources again: %w", err)
		}
		m, gotErr := io.ReadFull(got, b[:n])
		if gotErr != nil && gotErr != io.EOF && gotErr != io.ErrUnexpectedEOF {
			return gotErr
		}
		if !bytes.Equal(a[:n], b[:m]) {
			return different(a[:n], b[:m], line)
		}
		line += bytes.Count(a[:n], []byte{'\n'})
		total += int64(n)
		seen(total)
		if err != nil { // the end of what was sent
			if m, _ := io.ReadFull(got, b[:1]); m > 0 { // its error, the end, is what we hope for
				return fmt.Errorf("more came back than was sent, from line %d on", line)
			}
			return nil
		}
	}
}

func different(want, got []byte, line int) error {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	line += bytes.Count(want[:i], []byte{'\n'})
	if i == len(got) {
		return fmt.Errorf("the log ends in line %d, and there was more to come", line)
	}
	start := bytes.LastIndexByte(want[:i], '\n') + 1
	return fmt.Errorf("line %d differs: sent %q, got %q", line, firstLine(want[start:]), firstLine(got[start:]))
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	return line[:min(len(line), 120)]
}
