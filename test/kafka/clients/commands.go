package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// commands is the driver of a client that is a program for people: a request becomes a command line or several.
type commands struct {
	ctx context.Context
	dir string
	env []string
	do  func(*commands, Request) (Answer, error)
}

func (c *commands) Do(r Request) (Answer, error) {
	a, err := c.do(c, r)
	var f *commandFailed
	var u unsupported
	switch {
	case errors.As(err, &f):
		return Answer{Error: f.Error(), Code: codeIn(f.said)}, nil
	case errors.As(err, &u):
		return Answer{Unsupported: string(u)}, nil
	}
	a.OK = err == nil
	return a, err
}

func (c *commands) Stream(Request, func(int, int64)) (Answer, error) {
	return Answer{}, errors.New("a program for people tells of no single acknowledgement")
}

func (c *commands) Close() error { return nil }

// unsupported is a request that the client has no way to carry out; it says why.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// commandFailed is what a program said before it ended with a status other than 0.
type commandFailed struct {
	said string
	err  error
}

func (f *commandFailed) Error() string {
	return fmt.Sprintf("%v: %s", f.err, strings.TrimSpace(f.said))
}

// run gives what the program prints to its standard output. One that speaks of an error has failed, whatever its exit
// status; some would go on trying, so they are ended.
func (c *commands) run(in string, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdin = strings.NewReader(in)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, errs := &listener{heard: cancel}, &listener{heard: cancel}
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	said := errs.String() + out.String()
	if err == nil && codeIn(said) != 0 {
		err = errors.New("it ended as if nothing had happened")
	}
	if err != nil {
		return "", &commandFailed{said, err}
	}
	return out.String(), nil
}

// listener keeps what a program prints, and tells when it has spoken of an error.
type listener struct {
	all   bytes.Buffer // not embedded: it would be read into past Write
	heard func()
}

func (l *listener) String() string { return l.all.String() }

func (l *listener) Write(p []byte) (int, error) {
	n, err := l.all.Write(p)
	if codeIn(string(l.all.Bytes()[max(0, l.all.Len()-len(p)-100):])) != 0 { // it may have come in two pieces
		l.heard()
	}
	return n, err
}

// What the programs say of Kafka's errors, where they say no number.
var sayings = []struct {
	text string
	code int16
}{
	{"Offset out of range", 1},
	{"Fetch position", 1}, // "... is out of range for partition", Java's consumer
	{"UnknownTopicOrPartition", 3},
	{"Unknown topic or partition", 3},
	{"does not exist as expected", 3}, // Kafka's topic tool
	{"Message size too large", 10},
	{"RecordTooLargeException", 10},
	{"larger than the max message size", 10}, // what Java's producer logs of it
}

func codeIn(said string) int16 {
	for _, s := range sayings {
		if strings.Contains(said, s.text) {
			return s.code
		}
	}
	return 0
}
