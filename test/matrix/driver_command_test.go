package matrix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"sluice/client"
	"sluice/test/process"
	"sluice/wire/text"
)

var commandDriver = driver{
	name: "command",
	what: "the command line, a process for each request; its server is the binary, too",
	open: func(ctx context.Context, addr string) (session, error) { return openCommand(ctx, addr) },
	slow: true,
	late: true,
	only: []string{"defaults", "none", "small-segments-synced", "tiny-everything"},
	why:  "it is the Go client with flags; the other rows differ in the server alone, and a process costs a hundred requests",
	lacks: map[capability]string{
		nulls:        "a line is never null",
		anyBytes:     "a line ends at its LF",
		ownTimes:     "append takes the time of the reading",
		byteLimits:   "--limit counts records",
		ownBatches:   "append makes the batches",
		batchRequest: "append sends one batch a request",
		fetching:     "FETCH is what read and tail read with, not a command",
		typing:       "it is the person who types, not the protocol",
	},
}

type commands struct {
	ctx   context.Context
	bin   string
	addr  string
	tails []*tailCommand
}

func openCommand(ctx context.Context, addr string) (*commands, error) {
	bin, err := process.Find()
	return &commands{ctx: ctx, bin: bin, addr: addr}, err
}

// keySeparator stands between key and value; no value of these tests has it.
const keySeparator = "<=>"

func (s *commands) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.ctx, s.bin, args...)
	cmd.Env = append(os.Environ(), "SLUICE_SERVER="+s.addr)
	return cmd
}

// run runs a command to its end.
func (s *commands) run(in []byte, args ...string) ([]byte, error) {
	cmd := s.command(args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &errs
	out, err := cmd.Output()
	return out, complaint(args, err, errs.String())
}

var codeInSentence = regexp.MustCompile(`: ([A-Z][A-Z_]+): `)

// complaint makes a *refusal of what a command says on stderr.
func complaint(args []string, err error, said string) error {
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	m := codeInSentence.FindStringSubmatch(said)
	if m == nil || !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(said, "sluice: ") {
		return fmt.Errorf("sluice %s: %w: %s", strings.Join(args, " "), err, said)
	}
	return &refusal{code: m[1], text: said}
}

func (s *commands) runJSON(into any, args ...string) error {
	out, err := s.run(nil, append(args, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

func (s *commands) create(topic string, settings ...string) error {
	_, err := s.run(nil, append([]string{"create", topic}, settings...)...)
	var exit *exec.ExitError
	if len(settings) > 0 && errors.As(err, &exit) && exit.ExitCode() == 2 { // it asks no server about what can't be right
		return &refusal{code: "BAD_SETTING", text: err.Error()}
	}
	return err
}

func (s *commands) drop(topic string) error {
	_, err := s.run(nil, "drop", topic)
	return err
}

func (s *commands) head(topic string) (client.Head, error) {
	var h client.Head
	err := s.runJSON(&h, "head", topic)
	return h, err
}

func (s *commands) flush(topic string) (uint64, error) {
	var out struct{ Synced uint64 }
	err := s.runJSON(&out, "flush", topic)
	return out.Synced, err
}

func (s *commands) topics() ([]client.Topic, error) {
	var list []client.Topic
	err := s.runJSON(&list, "topics")
	return list, err
}

func (s *commands) stats() ([]byte, error) { return s.run(nil, "stats", "--json") }

// append gives one answer for all of the lines.
func (s *commands) append(topic string, ack text.Ack, rs ...record) ([]answer, error) {
	args := []string{"append", topic, "--json"}
	if ack != text.AckDefault {
		args = append(args, "--ack", ack.String())
	}
	var in bytes.Buffer
	keyed := false
	for _, r := range rs {
		if r.key != nil {
			keyed = true
			in.Write(r.key)
			in.WriteString(keySeparator)
		}
		in.Write(r.value)
		in.WriteByte('\n')
	}
	if keyed {
		args = append(args, "--keys", keySeparator)
	}
	out, err := s.run(in.Bytes(), args...)
	if err != nil {
		return nil, err
	}
	var sum struct {
		Complete            bool
		Appended            int
		Ack                 string
		First, Next, Synced *uint64
	}
	if err := json.Unmarshal(out, &sum); err != nil {
		return nil, err
	}
	if !sum.Complete || sum.Appended != len(rs) {
		return nil, fmt.Errorf("%d lines were given, and the summary is %s", len(rs), out)
	}
	if sum.First == nil || sum.Next == nil || sum.Synced == nil {
		return nil, nil
	}
	reached, err := text.ParseAck(sum.Ack)
	return []answer{{first: *sum.First, next: *sum.Next, ack: reached, synced: *sum.Synced}}, err
}

// object is a record of --json.
type object struct {
	Offset         uint64
	Time           time.Time
	Key, Value     *string
	Key64, Value64 []byte
}

func (o object) record() record {
	r := record{offset: o.Offset, ms: o.Time.UnixMilli(), key: o.Key64, value: o.Value64}
	if o.Key != nil {
		r.key = []byte(*o.Key)
	}
	if o.Value != nil {
		r.value = []byte(*o.Value)
	}
	return r
}

func readArgs(verb, topic, from string, limit int64) []string {
	args := []string{verb, topic, "--from=" + from, "--json"}
	if limit > 0 {
		args = append(args, fmt.Sprintf("--limit=%d", limit))
	}
	return args
}

func (s *commands) read(topic, from string, l limits) ([]record, error) {
	out, err := s.run(nil, readArgs("read", topic, from, l.records)...)
	if err != nil {
		return nil, err
	}
	var rs []record
	for line := range bytes.Lines(out) {
		var o object
		if err := json.Unmarshal(line, &o); err != nil {
			return rs, fmt.Errorf("%.100q: %w", line, err)
		}
		rs = append(rs, o.record())
	}
	return rs, nil
}

func (s *commands) follow(topic, from string, limit int64) (follower, error) {
	t := &tailCommand{args: readArgs("tail", topic, from, limit)}
	t.cmd = s.command(t.args...)
	t.cmd.Stderr = &t.errs
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = bufio.NewReaderSize(out, 64<<10)
	s.tails = append(s.tails, t)
	return t, t.cmd.Start()
}

type tailCommand struct {
	args  []string
	cmd   *exec.Cmd
	out   *bufio.Reader
	errs  bytes.Buffer // until it has ended, the command's
	taken int
	over  bool
	err   error
}

func (t *tailCommand) next() (record, error) {
	line, err := t.out.ReadBytes('\n')
	if err != nil {
		if err := t.wait(); err != nil {
			return record{}, err
		}
		return record{}, errEnded
	}
	t.taken++
	var o object
	if err := json.Unmarshal(line, &o); err != nil {
		return record{}, fmt.Errorf("%.100q: %w", line, err)
	}
	return o.record(), nil
}

// wait joins the command.
func (t *tailCommand) wait() error {
	if !t.over {
		t.over = true
		if _, err := io.Copy(io.Discard, t.out); err != nil {
			t.err = err
		}
		if err := t.cmd.Wait(); err != nil {
			t.err = complaint(t.args, err, t.errs.String())
		}
	}
	return t.err
}

// end presses Ctrl-C. Before its first record the command may not have come to handle that, and ends by it.
func (t *tailCommand) end() error {
	if t.over {
		return t.err
	}
	if err := t.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := t.wait()
	if s, ok := t.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && t.taken == 0 && s.Signaled() && s.Signal() == syscall.SIGINT {
		return nil
	}
	return err
}

func (t *tailCommand) kill() {
	if !t.over {
		_ = t.cmd.Process.Kill() // it may have ended already
		_ = t.wait()             // which tells that it was killed
	}
}

func (s *commands) close() error {
	for _, t := range s.tails {
		t.kill()
	}
	return nil
}
